"""Parallel pairs in files: JSON lines, CSV, TSV or Parquet, by suffix, with the same columns."""

from __future__ import annotations

import csv
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.common.files import PACKED, Row, read_cells, read_json_lines, refuse_repeated
from isoglot.common.languages import is_language
from isoglot.common.paths import expanded_path
from isoglot.pairs.parallel import ParallelPairs
from isoglot.pairs.schema import NEEDS, REQUIRED, ROWS_AT_A_TIME, SCHEMA, batch_of_columns, batches_of_rows
from isoglot.pairs.texts import identity

FORMATS = ".jsonl, .csv, .tsv or .parquet"
"""What files of parallel pairs end in; those that are read, but Parquet, may be packed by gzip or zstd."""

DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""What stands between the cells of a file, by what its name ends in."""


def read_pairs(path: str | Path) -> ParallelPairs:
    """Read and check parallel pairs.

    Columns are `id`, `language`, `query` (null, in CSV and TSV empty: the passage is only a candidate), `passage` and,
    if there, `negatives` (a list of strings, in CSV and TSV a JSON list in the cell) and `dataset` (else the file's
    name). A CSV or TSV file whose columns are all languages holds aligned sentences: each is its own query and passage.

    Args:
        path: a file with one of these suffixes, perhaps gzipped; text is UTF-8.

    Raises:
        InputError: naming the file, the line (in Parquet the row, counted from 1), what is wrong and what is right.
    """
    path = expanded_path(path)
    suffix = suffix_of(path)
    if suffix not in _WRITERS:
        raise InputError(f"{path}: cannot tell the format; name it {FORMATS}")
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a {FORMATS} file of parallel pairs")
    name, source = stem_of(path), identity([path])
    if suffix == ".parquet":
        return ParallelPairs.from_batches(_parquet_batches(path), name, lambda row: f"{path} row {row + 1}", source)
    lines = array("q")

    def noted() -> Iterator[Row]:
        numbered = read_json_lines(path, needs=NEEDS) if suffix == ".jsonl" else _rows_of_cells(path, suffix)
        for line, row in numbered:
            lines.append(line)
            yield row

    def where(row: int) -> str:
        return f"{path} line {lines[row]}"

    return ParallelPairs.from_batches(batches_of_rows(noted(), where), name, where, source)


def write_pairs(pairs: ParallelPairs, path: str | Path) -> None:
    """Write pairs to a `.jsonl`, `.csv`, `.tsv` or `.parquet` file, whole or not at all; `read_pairs` gives them back.

    Raises:
        InputError: if the suffix is none of these.
    """
    write_rows(pairs.rows(), path)


def write_rows(rows: Iterable[Row], path: str | Path, further: Sequence[str] = ()) -> None:
    """Write rows as `ParallelPairs.rows` gives them, perhaps with further columns of strings; see `write_pairs`."""
    path = target_file(path)
    schema = pa.schema([*SCHEMA, *(pa.field(name, pa.string()) for name in further)])
    with write_whole(path) as temporary:
        _WRITERS[path.suffix.lower()](iter(rows), temporary, schema)


def target_file(path: str | Path) -> Path:
    """The file to write pairs to, so that a wrong name is found before the work is done.

    Raises:
        InputError: if its suffix is none of those that are written.
    """
    path = expanded_path(path)
    if path.suffix.lower() not in _WRITERS:
        raise InputError(f"{path}: cannot tell the format; name it {FORMATS}")
    return path


def suffix_of(path: Path) -> str:
    """What a file's name ends in, in lower case and but for `.gz` or `.zst`.

    >>> suffix_of(Path("a.TMX.gz")), suffix_of(Path("a"))
    ('.tmx', '')
    """
    return _unpacked_name(path).suffix.lower()


def stem_of(path: Path) -> str:
    """A file's name without what it ends in, `.gz` or `.zst` behind that included."""
    return _unpacked_name(path).stem


def _unpacked_name(path: Path) -> Path:
    return Path(path.stem if path.suffix in PACKED else path.name)


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            columns = [name for name in file.schema_arrow.names if name in SCHEMA.names]
            refuse_repeated(columns, str(path))
            yield batch_of_columns(pa.RecordBatch.from_pylist([], file.schema_arrow), str(path))
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=columns):
                yield batch_of_columns(batch, str(path))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable Parquet file ({reason}); write it again") from None


def _rows_of_cells(path: Path, suffix: str) -> Iterator[tuple[int, Row]]:
    lines = read_cells(path, DELIMITERS[suffix])
    _, header = next(lines, (1, []))
    refuse_repeated(header, f"{path} line 1")
    missing = [name for name in REQUIRED if name not in header]
    sentences = len(header) > 1 and all(map(is_language, header)) and not {"src", "tgt"} & set(header)
    if missing and not sentences:
        raise InputError(f'{path} line 1: no column "{missing[0]}"; it has {", ".join(header)}; {NEEDS}')
    for line, cells in lines:
        where = f"{path} line {line}"
        if len(cells) != len(header):
            wrong = "not as many cells as the header has; quote cells with delimiters or line breaks"
            raise InputError(f"{where}: {wrong}")
        if sentences:
            texts = dict(zip(header, cells, strict=True))
            key = _key_of_sentences(texts, where) or f"{stem_of(path)}/{line}"
            yield from ((line, row) for row in aligned_rows(key, [*texts], [*texts.values()], where))
        else:
            yield line, _from_cells(dict(zip(header, cells, strict=True)), where)


def _key_of_sentences(texts: dict[str, str], where: str) -> str | None:
    """Take the key out of a row; beside two languages `id` names the rows, and is not Indonesian."""
    if len(texts) < 3 or "id" not in texts:
        return None
    key = texts.pop("id").strip()
    if not key or re.search(r"\s", key):
        raise InputError(f'{where}: "id" is to name the row, and is {key!r:.40}; call a column of Indonesian "ind"')
    return key


def aligned_rows(key: str, languages: list[str], sentences: list[str], where: str) -> Iterator[Row]:
    """Rows of one sentence in several languages; none if all are empty.

    Raises:
        InputError: if the sentence is empty in one language only.
    """
    if not any(map(str.strip, sentences)):
        return
    for language, sentence in zip(languages, sentences, strict=True):
        if not sentence.strip():
            raise InputError(f"{where}: empty in {language} only; it must hold the sentence")
        yield {"id": key, "language": language, "query": sentence, "passage": sentence}


def _from_cells(cells: dict[str, str], where: str) -> Row:
    row: Row = {**cells, **{name: cells.get(name) or None for name in ("query", "negatives", "dataset")}}
    if row["negatives"]:
        try:
            row["negatives"] = json.loads(row["negatives"])
        except (ValueError, RecursionError):
            raise InputError(f'{where}: "negatives" must be a JSON list of strings such as ["one", "two"]') from None
    return row


def _write_parquet(rows: Iterator[Row], path: Path, schema: pa.Schema) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while block := list(islice(rows, ROWS_AT_A_TIME)):
            writer.write_batch(pa.RecordBatch.from_pylist(block, schema))


def _write_jsonl(rows: Iterator[Row], path: Path, schema: pa.Schema) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            said = {name: row.get(name) for name in schema.names if name == "query" or row.get(name) is not None}
            file.write(json.dumps(said, ensure_ascii=False) + "\n")


def _write_cells(rows: Iterator[Row], path: Path, schema: pa.Schema) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, schema.names, delimiter=DELIMITERS[path.suffix.lower()])
        writer.writeheader()
        for row in rows:
            if row["negatives"] is not None:
                row["negatives"] = json.dumps(row["negatives"], ensure_ascii=False)
            writer.writerow(row)


_WRITERS: dict[str, Callable[[Iterator[Row], Path, pa.Schema], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_cells,
    ".tsv": _write_cells,
    ".parquet": _write_parquet,
}
