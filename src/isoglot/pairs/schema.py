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
from isoglot.common.text import first_broken, is_blank

SCHEMA = pa.schema(
    [
        ("id", pa.large_string()),
        ("language", pa.large_string()),
        ("query", pa.large_string()),
        ("passage", pa.large_string()),
        ("negatives", pa.list_(pa.large_string())),
        ("dataset", pa.large_string()),
    ]
)
REQUIRED = ("id", "language", "query", "passage")
NEEDS = "a row needs id, language, query (null for a passage that is only a candidate) and passage"

Where = Callable[[int], str]
"""Says where row n, counted from 0, comes from: `pairs.jsonl line 7`."""

ROWS_AT_A_TIME = 1 << 12


def batches_of_rows(rows: Iterable[Mapping[str, Any]], where: Where) -> Iterator[pa.RecordBatch]:
    """Unchecked batches of the rows, of which other keys than `SCHEMA` has are left out; Python objects never pile up.

    Raises:
        InputError: if a row lacks a column or a value has the wrong type.
    """
    remaining, start = iter(rows), 0
    while block := list(islice(remaining, ROWS_AT_A_TIME)):
        yield pa.record_batch([_column(block, field, start, where) for field in SCHEMA], SCHEMA)
        start += len(block)


def _column(block: list[Mapping[str, Any]], field: pa.Field, start: int, where: Where) -> pa.Array:
    if field.name in REQUIRED:
        for offset, row in enumerate(block):
            if field.name not in row:
                raise InputError(f'{where(start + offset)}: no "{field.name}"; {NEEDS}')
    values = [row.get(field.name) for row in block]
    is_list = pa.types.is_list(field.type)
    try:
        if is_list and any(isinstance(value, str) for value in values):
            raise pa.ArrowTypeError("Arrow takes a string for a list of its characters")
        return pa.array(values, field.type)
    except (pa.ArrowException, UnicodeError):
        for offset, row in enumerate(block if len(block) > 1 else ()):
            _column([row], field, start + offset, where)  # raises at the wrong one
        wanted = "a list of Unicode strings" if is_list else "a Unicode string"
        raise InputError(f'{where(start)}: "{field.name}" must be {wanted}, got {values[0]!r:.60}') from None


def batch_of_columns(batch: pa.RecordBatch, source: str) -> pa.RecordBatch:
    """The columns of `SCHEMA` from a batch that may lack the optional ones or type them otherwise.

    Raises:
        InputError: if a column is missing or cannot be cast.
    """
    columns = []
    for field in SCHEMA:
        if field.name in batch.schema.names:
            try:
                columns.append(batch.column(field.name).cast(field.type))
            except pa.ArrowException:
                kind = batch.column(field.name).type
                wanted = "list<string>" if pa.types.is_list(field.type) else "string"
                raise InputError(f'{source}: column "{field.name}" must be {wanted}, is {kind}') from None
        elif field.name in REQUIRED:
            there = ", ".join(batch.schema.names)
            raise InputError(f'{source}: no column "{field.name}"; it has {there}; {NEEDS}')
        else:
            columns.append(pa.nulls(len(batch), field.type))
    return pa.record_batch(columns, SCHEMA)


def checked(batches: Iterable[pa.RecordBatch], dataset: str, where: Where) -> Iterator[pa.RecordBatch]:
    """The batches with standard language tags and no null data set, once every row of each is known to be right.

    Raises:
        InputError: naming the first wrong row of the first check that fails in a batch.
    """
    start = 0
    for batch in batches:

        def at(row: int, start: int = start) -> str:
            return where(start + row)

        for name in ("id", "language", "query", "passage", "dataset"):
            if (broken := first_broken(batch[name])) is not None:
                raise InputError(f'{at(broken)}: "{name}" is not UTF-8; write the file anew, its text as UTF-8')
        for name in ("id", "language", "passage"):
            _refuse(pc.is_null(batch[name]), at, f'"{name}" is null; {NEEDS}')
        for name in ("id", "query", "passage"):
            _refuse(is_blank(batch[name]), at, f'"{name}" is empty; it must hold some text')
        for name in ("id", "query", "passage", "dataset"):
            _refuse(pc.match_substring(batch[name], "\0"), at, f'"{name}" holds a NUL character; take it out')
        _check_negatives(batch["negatives"], at)
        language = _normalized_languages(batch["language"], at)
        named = batch["dataset"].fill_null(dataset)
        yield pa.record_batch([batch["id"], language, *batch.columns[2:5], named], SCHEMA)
        start += len(batch)


def _refuse(wrong: pa.Array, where: Where, why: str) -> None:
    row = pc.index(wrong, True).as_py()
    if row >= 0:
        raise InputError(f"{where(row)}: {why}")


def _check_negatives(negatives: pa.Array, where: Where) -> None:
    texts = negatives.flatten()
    if (wrong := first_broken(texts)) is None:
        unfit = pc.or_(is_blank(texts), pc.match_substring(texts, "\0"))
        wrong = pc.index(pc.fill_null(unfit, True), True).as_py()
    if wrong >= 0:
        ends = np.cumsum(pc.fill_null(pc.list_value_length(negatives), 0).to_numpy())
        row = int(np.searchsorted(ends, wrong, side="right"))
        raise InputError(
            f"{where(row)}: a negative is null, empty or not UTF-8, or holds a NUL; it must hold some text"
        )


def _normalized_languages(column: pa.Array, where: Where) -> pa.Array:
    tags = pc.unique(column)
    standard = []
    for tag in tags.to_pylist():
        try:
            standard.append(normalize_language(tag))
        except InputError as error:
            raise InputError(f"{where(pc.index(column, tag).as_py())}: {error}") from None
    return pa.array(standard, pa.large_string()).take(pc.index_in(column, tags))
