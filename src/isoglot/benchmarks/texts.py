"""Texts that stay on disk: a sequence of strings over memory-mapped Arrow data.

MIRACL's English corpus alone has 33 million passages, more than memory holds as Python strings. Whoever reads an
`ArrowTexts` gets the strings asked for and no others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

IntArray = npt.NDArray[np.int64]

_TEXTS_AT_A_TIME = 1 << 12


class ArrowTexts(Sequence[str]):
    """A sequence of strings over an Arrow column, most often one that is mapped from a file.

    Args:
        column: strings without nulls.
        rows: `(texts,)`; which rows of the column make the sequence, in order; all of them if None.

    >>> texts = ArrowTexts(pa.chunked_array([["eins", "zwei"], ["drei"]]))
    >>> texts[2], texts[:2], texts.take(np.array([2, 0])), list(texts.select(np.array([1])))
    ('drei', ['eins', 'zwei'], ['drei', 'eins'], ['zwei'])
    """

    def __init__(self, column: pa.ChunkedArray, rows: IntArray | None = None) -> None:
        self.column = column
        self.rows = rows
        self._ends = np.cumsum([len(chunk) for chunk in column.chunks], dtype=np.int64)
        self._end_list: list[int] = self._ends.tolist()

    def __len__(self) -> int:  # noqa: D105
        return len(self.column) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:  # noqa: D105
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self)), dtype=np.int64))
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        row = place if self.rows is None else int(self.rows[place])
        chunk = bisect_right(self._end_list, row)
        text: str = self.column.chunk(chunk)[row - self._end_list[chunk]].as_py()  # counted back from the end
        return text

    def __iter__(self) -> Iterator[str]:  # noqa: D105
        for start in range(0, len(self), _TEXTS_AT_A_TIME):
            yield from self[start : start + _TEXTS_AT_A_TIME]

    def take(self, indices: IntArray) -> list[str]:
        """The texts at these places, read chunk by chunk: Arrow's own `take` may join all chunks in memory."""
        rows = np.asarray(indices, np.int64) if self.rows is None else self.rows[indices]
        chunk_of = np.searchsorted(self._ends, rows, side="right")
        found: list[str] = [""] * len(rows)
        for chunk in np.unique(chunk_of).tolist():
            places = np.flatnonzero(chunk_of == chunk)
            array = self.column.chunk(chunk)
            texts = array.take(pa.array(rows[places] - (self._end_list[chunk] - len(array)))).to_pylist()
            for place, text in zip(places.tolist(), texts, strict=True):
                found[place] = text
        return found

    def select(self, indices: IntArray) -> ArrowTexts:
        """A sequence of the texts at these places; nothing is read."""
        return ArrowTexts(self.column, np.asarray(indices, np.int64) if self.rows is None else self.rows[indices])

    def places(self, wanted: Collection[str]) -> dict[str, int]:
        """Where the wanted texts stand, of several equal ones the last; those that are not there are left out."""
        values = pa.array(sorted(set(wanted)), self.column.type)
        found: list[tuple[str, int]] = []
        first = 0
        for chunk in self.column.chunks:
            hits = np.flatnonzero(pc.is_in(chunk, value_set=values).to_numpy(zero_copy_only=False))
            found += [(chunk[hit].as_py(), first + hit) for hit in hits.tolist()]
            first += len(chunk)
        if self.rows is None:
            return dict(found)
        kept = np.flatnonzero(np.isin(self.rows, [row for _, row in found]))
        place = dict(zip(self.rows[kept].tolist(), kept.tolist(), strict=True))
        return {text: place[row] for text, row in found if row in place}


def places(texts: Sequence[str], wanted: Collection[str]) -> dict[str, int]:
    """Where the wanted texts stand in any sequence.

    >>> places(["a", "b", "c"], {"c", "x"})
    {'c': 2}
    """
    if isinstance(texts, ArrowTexts):
        return texts.places(wanted)
    wanted = set(wanted)
    return {text: n for n, text in enumerate(texts) if text in wanted}


def select(texts: Sequence[str], indices: IntArray) -> Sequence[str]:
    """The texts at these places: a list of a list, a view of texts on disk.

    >>> select(["a", "b", "c"], np.array([2, 0]))
    ['c', 'a']
    """
    if isinstance(texts, ArrowTexts):
        return texts.select(indices)
    return [texts[n] for n in indices.tolist()]
