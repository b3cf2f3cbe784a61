"""What a table of translations must look like, and the one line that says where one does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.common.text import is_blank

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("query", pa.string()),
        ("passage", pa.string()),
        ("negatives", pa.list_(pa.string())),
        ("dataset", pa.string()),
    ]
)
REQUIRED = ("id", "language", "query", "passage")
NEEDS = "a row needs id, language, query (null for a passage that is only a candidate) and passage"

Where = Callable[[int], str]
"""Says where row n, counted from 0, comes from: `pairs.jsonl line 7`."""

_ROWS_AT_A_TIME = 1 << 16


def table_from_rows(rows: Iterable[Mapping[str, Any]], where: Where) -> pa.Table:
    """An unchecked table of the rows; blocks of them become Arrow at once, so Python objects never pile up.

    Args:
        rows: mappings with the columns of `SCHEMA`; other keys are left out.
        where: the place of a row; asked only about a wrong one.

    Raises:
        InputError: if a row lacks a column or a value has the wrong type.
    """
    return pa.Table.from_batches(_batches(iter(rows), where), SCHEMA)


def _batches(rows: Iterator[Mapping[str, Any]], where: Where) -> Iterator[pa.RecordBatch]:
    start = 0
    while block := list(islice(rows, _ROWS_AT_A_TIME)):
        yield pa.record_batch([_column(block, field, start, where) for field in SCHEMA], SCHEMA)
        start += len(block)


def _column(block: list[Mapping[str, Any]], field: pa.Field, start: int, where: Where) -> pa.Array:
    if field.name in REQUIRED:
        for offset, row in enumerate(block):
            if field.name not in row:
                raise InputError(f'{where(start + offset)}: no "{field.name}"; {NEEDS}')
    values = [row.get(field.name) for row in block]
    try:
        return _array(values, field.type)
    except (pa.ArrowException, UnicodeError):
        wanted = "a Unicode string" if field.type == pa.string() else "a list of Unicode strings"
        offset = next(n for n, value in enumerate(values) if not _fits(value, field.type))
        got = f"{values[offset]!r:.60}"
        raise InputError(f'{where(start + offset)}: "{field.name}" must be {wanted}, got {got}') from None


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind) and any(isinstance(value, str) for value in values):
        raise pa.ArrowTypeError("Arrow takes a string for a list of its characters")
    return pa.array(values, kind)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        _array([value], kind)
    except (pa.ArrowException, UnicodeError):
        return False
    return True


def table_from_columns(table: pa.Table, source: str) -> pa.Table:
    """The columns of `SCHEMA` from a table that may lack the optional ones or type them otherwise.

    Raises:
        InputError: if a column is missing or cannot be cast.
    """
    columns = []
    for field in SCHEMA:
        if field.name in table.column_names:
            try:
                columns.append(table[field.name].cast(field.type))
            except pa.ArrowException:
                kind = table[field.name].type
                raise InputError(f'{source}: column "{field.name}" must be {field.type}, is {kind}') from None
        elif field.name in REQUIRED:
            raise InputError(f'{source}: no column "{field.name}"; {NEEDS}')
        else:
            columns.append(pa.nulls(len(table), field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def checked(table: pa.Table, dataset: str, where: Where) -> pa.Table:
    """The table with standard language tags and no null data set, once every row is known to be right.

    Raises:
        InputError: naming the first wrong row of the first check that fails: a null, an empty text, an unknown
            language, or an id that a language has twice.
    """
    for name in ("id", "language", "passage"):
        _refuse(pc.is_null(table[name]), where, f'"{name}" is null; {NEEDS}')
    for name in ("id", "query", "passage"):
        _refuse(is_blank(table[name]), where, f'"{name}" is empty; it must hold some text')
    for name in ("id", "query", "passage", "dataset"):
        _refuse(pc.match_substring(table[name], "\0"), where, f'"{name}" holds a NUL character; take it out')
    _check_negatives(table["negatives"], where)
    table = table.set_column(1, SCHEMA.field("language"), _normalized_languages(table["language"], where))
    table = table.set_column(5, SCHEMA.field("dataset"), table["dataset"].fill_null(dataset))
    _check_once_per_language(table, where)
    return table


def codes(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[str]]:
    """Numbers for the values of a column without nulls, `(rows,)`, and the values they index, by first appearance."""
    values = pc.unique(column)
    return pc.index_in(column, values).to_numpy().astype(np.int64), values.to_pylist()


def _refuse(wrong: pa.ChunkedArray, where: Where, why: str) -> None:
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise InputError(f"{where(row)}: {why}")


def _check_negatives(negatives: pa.ChunkedArray, where: Where) -> None:
    if negatives.null_count == len(negatives):
        return
    texts = pc.list_flatten(negatives)
    unfit = pc.or_(is_blank(texts), pc.match_substring(texts, "\0"))
    wrong = pc.index(pc.fill_null(unfit, True), True).as_py()
    if wrong >= 0:
        ends = np.cumsum(pc.fill_null(pc.list_value_length(negatives), 0).to_numpy())
        row = int(np.searchsorted(ends, wrong, side="right"))
        raise InputError(f"{where(row)}: a negative is null or empty, or holds a NUL; it must hold some text")


def _normalized_languages(column: pa.ChunkedArray, where: Where) -> pa.ChunkedArray:
    tags = pc.unique(column)
    standard = []
    for tag in tags.to_pylist():
        try:
            standard.append(normalize_language(tag))
        except InputError as error:
            raise InputError(f"{where(pc.index(column, tag).as_py())}: {error}") from None
    return pa.chunked_array([pa.array(standard, pa.string()).take(pc.index_in(column, tags).combine_chunks())])


def _check_once_per_language(table: pa.Table, where: Where) -> None:
    example, _ = codes(table["id"])
    language, tags = codes(table["language"])
    key = example * len(tags) + language
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[back] != np.arange(len(key)))
    if len(again):
        row, before = int(again[0]), int(first[back[again[0]]])
        name, tag = table["id"][row].as_py(), table["language"][row].as_py()
        raise InputError(
            f'{where(row)}: id "{name}" has "{tag}" already ({where(before)}); one translation per language and id'
        )
