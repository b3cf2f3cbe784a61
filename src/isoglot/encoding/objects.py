"""Rows that are objects of any keys, JSON lines, CSV and TSV, read as columns of one type each."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from isoglot.common.errors import InputError
from isoglot.common.files import Row, read_cells, read_json_lines, refuse_repeated
from isoglot.pairs.files import DELIMITERS, suffix_of
from isoglot.vectors.formats import VectorFile, text_column

TEXT = pa.large_string()
_LARGEST, _LARGEST_EXACT = 1 << 63, 1 << 53  # whole numbers in 64 bits; those that float64 holds to the unit


class _Large(int):
    """Stands for whole numbers that a column of numbers with a point would round."""


_TYPES = {frozenset({bool}): pa.bool_(), frozenset({float}): pa.float64(), frozenset({int, float}): pa.float64()}
_TYPES |= {frozenset(kinds): pa.int64() for kinds in ({int}, {_Large}, {int, _Large})}


class ObjectFile(VectorFile):
    """A file of JSON lines, CSV or TSV, perhaps packed by gzip or zstd; nothing of it is held in memory.

    A column whose values are all text, truth values or numbers is of that type; of any other, values that are no text
    are written as JSON. Numbers of which some have a point and some are too large to have one are another.

    Args:
        path: the file; its name says which format it is.

    Raises:
        InputError: if a line cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lines = path, array("q")
        kinds: dict[str, set[type]] = {}
        for line, row in self._numbered():
            self._lines.append(line)
            for name, value in row.items():
                if value is not None:
                    kinds.setdefault(name, set()).add(_kind(value))
                elif name not in kinds:
                    kinds[name] = set()
        self.rows, self.names = len(self._lines), list(kinds)
        self._types = {name: _TYPES.get(frozenset(kind), TEXT) for name, kind in kinds.items()}
        self.schema = pa.schema(self._types)

    def place(self, row: int) -> str:
        """The line at which a row begins."""
        return f"line {self._lines[row]}"

    def batches(self, names: Sequence[str] | None, size: int, texts: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
        """The rows in order; in the columns of `texts` what is neither text nor a whole number is null."""
        chosen = self.names if names is None else list(names)
        rows = self._numbered()
        while block := [row for _, row in islice(rows, size)]:
            columns = [
                text_column(row.get(name) for row in block) if name in texts else self._column(name, block)
                for name in chosen
            ]
            yield pa.RecordBatch.from_arrays(columns, chosen)

    def _column(self, name: str, block: list[Row]) -> pa.Array:
        values = [row.get(name) for row in block]
        if self._types[name] != TEXT:
            return pa.array(values, self._types[name])
        return text_column(
            each if each is None or type(each) is str else json.dumps(each, ensure_ascii=False) for each in values
        )

    def _numbered(self) -> Iterator[tuple[int, Row]]:
        suffix = suffix_of(self.path)
        if suffix not in DELIMITERS:
            yield from read_json_lines(self.path, needs="each line must be one object, with an id and a text")
            return
        cells = read_cells(self.path, DELIMITERS[suffix])
        _, header = next(cells, (1, []))
        refuse_repeated(header, f"{self.path} line 1")
        for line, row in cells:
            if len(row) != len(header):
                raise InputError(f"{self.path} line {line}: {len(row)} cells where the header has {len(header)}")
            yield line, {name: cell or None for name, cell in zip(header, row, strict=True)}


def _kind(value: object) -> type:
    if type(value) is not int or abs(value) <= _LARGEST_EXACT:
        return type(value)
    return _Large if -_LARGEST <= value < _LARGEST else object
