"""Parallel pairs in files: JSON lines, CSV or Parquet, by suffix, with the same columns."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.pairs.parallel import ParallelPairs
from isoglot.pairs.schema import NEEDS, REQUIRED, SCHEMA, checked, table_from_columns, table_from_rows

Row = dict[str, Any]

_CELL_LIMIT = 1 << 24  # characters of one CSV cell; the csv module's own limit is less than a long passage


def read_pairs(path: str | Path) -> ParallelPairs:
    """Read and check parallel pairs.

    Columns are `id`, `language`, `query` (null, in CSV empty: the passage is only a candidate), `passage` and,
    if there, `negatives` (a list of strings, in CSV a JSON list in the cell) and `dataset` (else the file's name).

    Args:
        path: a `.jsonl`, `.csv` or `.parquet` file; text is UTF-8.

    Raises:
        InputError: naming the file, the line (in Parquet the row, counted from 1), what is wrong and what is right.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(f"{path}: cannot tell the format; name it .jsonl, .csv or .parquet")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a .jsonl, .csv or .parquet file of parallel pairs")
    if suffix == ".parquet":
        return ParallelPairs(checked(_parquet_table(path), path.stem, lambda row: f"{path} row {row + 1}"))
    lines = array("q")

    def where(row: int) -> str:
        return f"{path} line {lines[row]}"

    rows = _jsonl_rows(path, lines) if suffix == ".jsonl" else _csv_rows(path, lines)
    return ParallelPairs(checked(table_from_rows(rows, where), path.stem, where))


def write_pairs(pairs: ParallelPairs, path: str | Path) -> None:
    """Write pairs to a `.jsonl`, `.csv` or `.parquet` file, whole or not at all; `read_pairs` gives them back.

    Raises:
        InputError: if the suffix is none of these.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"{path}: cannot tell the format; name it .jsonl, .csv or .parquet")
    with write_whole(path) as temporary:
        _WRITERS[path.suffix.lower()](pairs.table, temporary)


def _parquet_table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path, memory_map=True)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable Parquet file ({reason}); write it again") from None
    return table_from_columns(table, str(path))


def _text_lines(path: Path) -> Iterator[str]:
    """The file's lines; a line that is not UTF-8 is named, which a text-mode file cannot do."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path} line {number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
                ) from None


def _jsonl_rows(path: Path, lines: array[int]) -> Iterator[Row]:
    for number, line in enumerate(_text_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "too deep"
            raise InputError(f"{path} line {number}: not JSON ({reason}); each line must be one object") from None
        if not isinstance(row, dict):
            raise InputError(f"{path} line {number}: not an object; {NEEDS}")
        lines.append(number)
        yield row


def _csv_rows(path: Path, lines: array[int]) -> Iterator[Row]:
    csv.field_size_limit(_CELL_LIMIT)
    reader = csv.DictReader(_text_lines(path), strict=True)
    try:
        missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f'{path} line 1: no column "{missing[0]}"; {NEEDS}')
        for row in reader:
            lines.append(reader.line_num)
            yield _from_cells(row, f"{path} line {reader.line_num}")
    except csv.Error as error:
        raise InputError(f"{path} line {reader.reader.line_num}: not CSV ({error}); quote cells with commas") from None


def _from_cells(cells: Row, where: str) -> Row:
    if None in cells or None in cells.values():
        raise InputError(f"{where}: not as many cells as the header has; quote cells with commas or line breaks")
    row = {**cells, **{name: cells.get(name) or None for name in ("query", "negatives", "dataset")}}
    if row["negatives"]:
        try:
            row["negatives"] = json.loads(row["negatives"])
        except json.JSONDecodeError:
            raise InputError(f'{where}: "negatives" must be a JSON list of strings such as ["one", "two"]') from None
    return row


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in _rows(table):
            if row["negatives"] is None:
                del row["negatives"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_csv(table: pa.Table, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, SCHEMA.names)
        writer.writeheader()
        for row in _rows(table):
            if row["negatives"] is not None:
                row["negatives"] = json.dumps(row["negatives"], ensure_ascii=False)
            writer.writerow(row)


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=1 << 14):
        yield from batch.to_pylist()


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
