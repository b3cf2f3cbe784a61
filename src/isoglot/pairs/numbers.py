"""Columns of numbers that may be longer than memory: grown block by block, looked through block by block."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from isoglot.pairs.texts import LARGE, BoolArray, HashArray, IntArray, Source, TemporaryFile

_NUMBERS_AT_A_TIME = 1 << 20
_SORTED_AT_A_TIME = 1 << 25


class Column:
    """Numbers appended block by block: in memory while they are few, past that in a temporary file that is mapped.

    As long as all are equal, only how many there are is kept.
    """

    def __init__(self, kind: npt.DTypeLike) -> None:
        self.kind = np.dtype(kind)
        self._blocks: list[npt.NDArray[Any]] = []
        self._file: TemporaryFile | None = None
        self._length = 0
        self._varies = False

    def append(self, block: npt.ArrayLike) -> None:
        """Add numbers at the end."""
        numbers = np.ascontiguousarray(block, self.kind)
        if not len(numbers):
            return
        if not self._length:
            self._value = numbers[0]
        if not self._varies and (numbers != self._value).any():
            self._varies = True
            for start in range(0, self._length, _NUMBERS_AT_A_TIME):
                self._keep(np.full(min(_NUMBERS_AT_A_TIME, self._length - start), self._value))
        if self._varies:
            self._keep(numbers)
        self._length += len(numbers)

    def __len__(self) -> int:  # noqa: D105
        return self._length

    def _keep(self, numbers: npt.NDArray[Any]) -> None:
        self._blocks.append(numbers)
        if self._file is None and sum(block.nbytes for block in self._blocks) > LARGE:
            self._file = TemporaryFile(".numbers")
        if self._file is not None:
            with self._file.path.open("ab") as file:
                for block in self._blocks:
                    block.tofile(file)
            self._blocks.clear()

    def finish(self) -> npt.NDArray[Any]:
        """All the numbers, `(appended,)`; not to be written to."""
        if self._length and not self._varies:
            return np.broadcast_to(self._value, (self._length,))
        if self._file is None:
            return np.concatenate([np.zeros(0, self.kind), *self._blocks])
        return _mapped(self._file, self.kind, self._length)


class _Mapped(np.memmap[Any, Any]):
    """Numbers that another process, or a hash of a pickle, is handed as the name of their file."""

    file: Source | None = None  # of the whole; a part of it has none

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if isinstance(index, np.ndarray):  # single numbers all over the file, each of which took a page
            _give_back(self)
        return found

    def __reduce__(self) -> Any:
        return super().__reduce__() if self.file is None else (_mapped, (self.file, self.dtype, len(self)))


def _mapped(file: Source, kind: np.dtype[Any], length: int) -> _Mapped:
    found = _Mapped(os.fspath(file), kind, "r", shape=(length,))
    found.file = file
    return found


def _give_back(column: npt.NDArray[Any]) -> None:
    if isinstance(column.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        column.base.madvise(mmap.MADV_DONTNEED)


def blocks(*columns: npt.NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """Places and the numbers there, block by block; memory that mapped columns took is given back after each."""
    for start in range(0, len(columns[0]), _NUMBERS_AT_A_TIME):
        at = slice(start, min(start + _NUMBERS_AT_A_TIME, len(columns[0])))
        yield at, *(np.asarray(column[at]) for column in columns)
        for column in columns:
            _give_back(column)


def numbered(keys: HashArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Numbers of equal keys by first appearance, and where each stands first: of 7, 9, 7, 8 0, 1, 0, 2 and 0, 1, 3."""
    first = np.empty(len(keys), np.int32)
    bits = max(0, (len(keys) // _SORTED_AT_A_TIME).bit_length())
    for part in range(1 << bits):
        where = np.arange(len(keys)) if not bits else np.flatnonzero(keys >> np.uint64(64 - bits) == part)
        some = keys[where]
        order = np.argsort(some, kind="stable")
        new = np.diff(some[order], prepend=~some[order[:1]]) != 0
        first[where[order]] = where[order][np.flatnonzero(new)][np.cumsum(new) - 1]
    leads = first == np.arange(len(keys), dtype=np.int32)
    return (np.cumsum(leads, dtype=np.int32) - 1)[first], np.flatnonzero(leads).astype(np.int32)


def first_places(numbers: IntArray, count: int, chosen: BoolArray | None = None) -> npt.NDArray[np.int32]:
    """`(count,)`; where each number stands first, at a chosen place if that is given; -1 where it does not."""
    first = np.full(count, np.iinfo(np.int32).max, np.int32)
    for at, block in blocks(numbers):
        places = np.arange(at.start, at.stop, dtype=np.int32)
        if chosen is not None:
            block, places = block[chosen[at]], places[chosen[at]]
        # The last assignment to a place holds, so the first of a block is assigned last; earlier blocks stay.
        new = first[block] > at.stop
        first[block[new][::-1]] = places[new][::-1]
    first[first == np.iinfo(np.int32).max] = -1
    return first
