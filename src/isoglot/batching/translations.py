"""The shape of a parallel data set: which example exists in which languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def smallest(numbers: int) -> type[np.unsignedinteger[Any]]:
    """The smallest type for numbers below a limit."""
    return np.uint8 if numbers <= 1 << 8 else np.uint16 if numbers <= 1 << 16 else np.uint32


@dataclass(frozen=True)
class Translations:
    """The shape of a parallel data set, without its texts.

    Of all sets of languages that an example could exist in, few occur, so each that does is a *pattern* with a number,
    and what an example has is one number. Forty million examples in fourteen languages fit in half a gigabyte.

    Attributes:
        languages: language tags; all language numbers below index this tuple.
        datasets: names of the data sets; `dataset` indexes this tuple.
        dataset: `(examples,)`; the data set of each example.
        group: `(examples,)`; examples that share a passage share a group, and a batch holds a group once.
        pattern: `(examples,)`; the pattern of each example.
        available: `(patterns, languages)`; true where an example of the pattern has a translation.
        identical: `(patterns, languages)`; true where its query and passage are the same text (aligned sentences).
            Such a row teaches nothing within its language and is left out of same-language pairs.
        rows: `(translations,)`; the table row of each translation, example by example and within one in the order of
            languages; None where translation n is row n.
    """

    languages: tuple[str, ...]
    datasets: tuple[str, ...]
    dataset: IntArray
    group: IntArray
    pattern: IntArray
    available: BoolArray
    identical: BoolArray
    rows: IntArray | None = None

    @classmethod
    def from_matrix(
        cls,
        languages: Sequence[str],
        rows: IntArray,
        *,
        datasets: Sequence[str] = ("data",),
        dataset: IntArray | None = None,
        group: IntArray | None = None,
        identical: BoolArray | None = None,
    ) -> Translations:
        """From a matrix `(examples, languages)` of table rows, -1 where there is no translation.

        Args:
            languages: tags of the columns.
            rows: the matrix.
            datasets: names of the data sets.
            dataset: `(examples,)`; all in the first if None.
            group: `(examples,)`; each alone if None.
            identical: `(examples, languages)`; false everywhere if None.

        >>> data = Translations.from_matrix(("de", "en"), np.array([[0, 1], [-1, 2], [3, 4]]))
        >>> data.pattern.tolist(), data.available.tolist(), data.row_of(np.array([1, 2]), np.array([0, 0])).tolist()
        ([1, 0, 1], [[False, True], [True, True]], [-1, 3])
        """
        examples = len(rows)
        same = np.zeros(rows.shape, np.bool_) if identical is None else identical & (rows >= 0)
        patterns, pattern = np.unique(np.concatenate([rows >= 0, same], axis=1), axis=0, return_inverse=True)
        return cls(
            tuple(languages),
            tuple(datasets),
            np.zeros(examples, np.uint8) if dataset is None else dataset,
            np.arange(examples, dtype=np.int32) if group is None else group,
            pattern.ravel(),
            patterns[:, : len(languages)],
            patterns[:, len(languages) :],
            rows[rows >= 0].astype(np.int32),
        )

    @property
    def language_counts(self) -> IntArray:
        """`(examples,)`; in how many languages each example exists."""
        return np.asarray(self.available.sum(1).astype(smallest(len(self.languages)))[self.pattern])

    @cached_property
    def _first(self) -> npt.NDArray[np.int32]:
        """`(examples,)`; the first translation of each example."""
        counts = self.language_counts
        return np.cumsum(counts, dtype=np.int32) - counts.astype(np.int32)

    def row_of(self, example: IntArray, language: IntArray | int) -> npt.NDArray[np.int32]:
        """The table rows of examples in languages, -1 where there is no translation; arrays of one length."""
        nth = np.where(self.available, np.cumsum(self.available, axis=1, dtype=np.int32) - 1, -1)
        found: npt.NDArray[np.int32] = nth[self.pattern[example], language].astype(np.int32)
        there = found >= 0
        found[there] += self._first[example[there]]
        if self.rows is not None:
            found[there] = self.rows[found[there]]
        return found
