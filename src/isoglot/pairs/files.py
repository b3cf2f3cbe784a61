"""Parallel pairs in files: JSON lines, CSV or Parquet, by suffix, with the same columns."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.pairs.parallel import ParallelPairs
from isoglot.pairs.schema import NEEDS, REQUIRED, ROWS_AT_A_TIME, SCHEMA, batch_of_columns, batches_of_rows
from isoglot.pairs.texts import identity

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
    source = identity([path])
    if suffix == ".parquet":
        return ParallelPairs.from_batches(
            _parquet_batches(path), path.stem, lambda row: f"{path} row {row + 1}", source
        )
    lines = array("q")

    def where(row: int) -> str:
        return f"{path} line {lines[row]}"

    rows = _jsonl_rows(path, lines) if suffix == ".jsonl" else _csv_rows(path, lines)
    return ParallelPairs.from_batches(batches_of_rows(rows, where), path.stem, where, source)


def write_pairs(pairs: ParallelPairs, path: str | Path) -> None:
    """Write pairs to a `.jsonl`, `.csv` or `.parquet` file, whole or not at all; `read_pairs` gives them back.

    Raises:
        InputError: if the suffix is none of these.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"{path}: cannot tell the format; name it .jsonl, .csv or .parquet")
    with write_whole(path) as temporary:
        _WRITERS[path.suffix.lower()](pairs, temporary)


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            columns = [name for name in SCHEMA.names if name in file.schema_arrow.names]
            yield batch_of_columns(pa.RecordBatch.from_pylist([], file.schema_arrow), str(path))
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=columns):
                yield batch_of_columns(batch, str(path))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable Parquet file ({reason}); write it again") from None


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


def _write_parquet(pairs: ParallelPairs, path: Path) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        rows = pairs.rows()
        while block := list(islice(rows, ROWS_AT_A_TIME)):
            writer.write_batch(pa.RecordBatch.from_pylist(block, SCHEMA))


def _write_jsonl(pairs: ParallelPairs, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in pairs.rows():
            if row["negatives"] is None:
                del row["negatives"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_csv(pairs: ParallelPairs, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, SCHEMA.names)
        writer.writeheader()
        for row in pairs.rows():
            if row["negatives"] is not None:
                row["negatives"] = json.dumps(row["negatives"], ensure_ascii=False)
            writer.writerow(row)


_WRITERS: dict[str, Callable[[ParallelPairs, Path], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
