"""Which examples say the same, by exact keys of their texts; linear in the length of the text.

Contrastive training takes every other passage of a batch for wrong. Two examples with one passage, or with one query,
make each other's right answer wrong, so they must not meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.text import comparable

IntArray = npt.NDArray[np.int64]

LONG = 100  # normalised characters from which a text says enough to be known by its shape or its beginning
PREFIX = 200  # characters of a first paragraph that make two passages nearly the same


@dataclass(frozen=True)
class DuplicateReport:
    """What deduplication dropped.

    Attributes:
        examples_before: examples given.
        examples_after: examples kept.
        rows_before: translations given.
        rows_after: translations kept.
        same_passage: examples dropped because their passage equals a kept one's.
        near_passage: examples dropped because their passage begins like a kept one's.
        same_query: examples dropped because their query equals a kept one's.
    """

    examples_before: int
    examples_after: int
    rows_before: int
    rows_after: int
    same_passage: int
    near_passage: int
    same_query: int

    def __str__(self) -> str:
        """One line of counts."""
        return (
            f"{self.examples_before:,} examples -> {self.examples_after:,} "
            f"({self.rows_before:,} rows -> {self.rows_after:,}); dropped {self.same_passage:,} with the same passage, "
            f"{self.near_passage:,} with nearly the same, {self.same_query:,} with the same query"
        )


def passage_key(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    r"""What stays of passages when case, punctuation, spacing and, in long ones, numbers do not count.

    >>> passage_key(pa.chunked_array([["Born in\t1950.", "BORN - in 1950", "born in 1960", "?!"]])).to_pylist()
    ['born in 1950', 'born in 1950', 'born in 1960', '?!']
    """
    key = comparable(texts)
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(key, r"[\s\pP\pS\pZ]+", " "))
    words = pc.if_else(pc.equal(words, ""), key, words)
    without_numbers = pc.replace_substring_regex(words, r"\p{Nd}+", "0")
    return pc.if_else(pc.greater_equal(pc.utf8_length(words), LONG), without_numbers, words)


def near_key(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The beginning of passages whose first paragraph is long enough to know them by; null for the others.

    Texts about members of one family share it and differ in a last paragraph.
    """
    key = passage_key(pc.replace_substring_regex(texts, r"(?s)\n\s*\n.*", ""))
    return pc.if_else(pc.greater_equal(pc.utf8_length(key), LONG), pc.utf8_slice_codeunits(key, 0, PREFIX), None)


def query_key(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """What stays of queries when case and spacing do not count; C and C++ stay apart. Null stays null."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(comparable(texts), r"[\s\pZ]+", " "))


def key_numbers(keys: pa.ChunkedArray) -> IntArray:
    """Numbers `(rows,)` that are equal where keys are; -1 for null."""
    found = pc.index_in(keys, pc.drop_null(pc.unique(keys)), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def connected(example: IntArray, keys: Sequence[IntArray], examples: int) -> IntArray:
    """Groups of examples that share keys, directly or through others: connected components.

    Args:
        example: `(rows,)`; example of each row.
        keys: arrays `(rows,)`, each a kind of key of each row; -1 is no key.
        examples: number of examples.

    Returns:
        `(examples,)`; the smallest example of the group each is in.

    >>> connected(np.array([0, 1, 1, 2, 3]), [np.array([7, 7, 8, 8, -1])], 4)
    array([0, 0, 0, 3])
    """
    group = np.arange(examples)
    while True:
        before = group.copy()
        for key in keys:
            has = key >= 0
            least = np.full(int(key.max(initial=-1)) + 1, examples)
            np.minimum.at(least, key[has], group[example[has]])
            np.minimum.at(group, example[has], least[key[has]])
        group = group[group]  # a group's smallest example may itself have joined a smaller one
        if np.array_equal(group, before):
            return group


def best_of(group: IntArray, order: IntArray) -> npt.NDArray[np.bool_]:
    """True for one member of each group, the one that comes first in `order` (a permutation of all members)."""
    first = np.unique(group[order], return_index=True)[1]
    kept = np.zeros(len(group), dtype=np.bool_)
    kept[order[first]] = True
    return kept


def first_with_key(example: IntArray, key: IntArray, order: IntArray) -> npt.NDArray[np.bool_]:
    """True for examples none of whose keys an example earlier in `order` has; arrays as in `connected`."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    has = key >= 0
    earliest = np.full(int(key.max(initial=-1)) + 1, len(order))
    np.minimum.at(earliest, key[has], place[example[has]])
    kept = np.ones(len(order), dtype=np.bool_)
    kept[example[has][earliest[key[has]] < place[example[has]]]] = False
    return kept
