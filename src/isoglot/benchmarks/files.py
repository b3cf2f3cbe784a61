"""Files that benchmarks come in: JSON lines, tab-separated lines, TREC judgements; any of them may be gzipped.

Each reader yields one record at a time, so that a file larger than memory can pass through, and names the file and
the line that is wrong.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language

Part = TypeVar("Part")

_LINES_BETWEEN_REPORTS = 1 << 12


@dataclass(frozen=True)
class Judgement:
    """How relevant a passage is to a query, by their ids in the data set.

    Attributes:
        query: the query's id.
        passage: the passage's id.
        grade: how relevant, 0 for not at all.
        where: the file and line that says so.
    """

    query: str
    passage: str
    grade: int
    where: str


def read_lines(path: Path, on_read: Callable[[int], None] | None = None) -> Iterator[tuple[str, str]]:
    """The lines of a UTF-8 file without their ends, each after its place, `corpus.jsonl line 7`; blank ones left out.

    Args:
        path: a text file, gzipped if its name ends in `.gz`.
        on_read: called now and then with the number of bytes of the file just passed.

    Raises:
        InputError: if there is no such file, it cannot be unpacked, or a line is not UTF-8.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    number = seen = 0
    with path.open("rb") as raw, nullcontext(raw) if path.suffix != ".gz" else gzip.open(raw) as file:
        try:
            for number, line in enumerate(file, start=1):
                where = f"{path} line {number}"
                if on_read and number % _LINES_BETWEEN_REPORTS == 0:
                    on_read(raw.tell() - seen)
                    seen = raw.tell()
                text = _decoded(line, where, first=number == 1).rstrip("\r\n")
                if text.strip():
                    yield where, text
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} line {number + 1}: cannot be unpacked ({error}); fetch the file again") from error
        if on_read:
            on_read(raw.tell() - seen)


def read_json_lines(
    path: Path, *columns: str, on_read: Callable[[int], None] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each after its place.

    Args:
        path: the file.
        columns: keys that every object must have.
        on_read: see `read_lines`.

    Raises:
        InputError: if a line is no object or lacks a key.
    """
    for where, line in read_lines(path, on_read):
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "too deep"
            raise InputError(f"{where}: not JSON ({reason}); each line must be one object") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: not an object; each line must be one object with {', '.join(columns)}")
        if missing := [column for column in columns if column not in row]:
            raise InputError(f'{where}: no "{missing[0]}"; it has {", ".join(row) or "no keys"}')
        yield where, row


def read_tab_lines(
    path: Path, cells: int, what: str, on_read: Callable[[int], None] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """The cells of a tab-separated file, each line after its place; nothing is quoted, as IR collections have it.

    Args:
        path: the file.
        cells: how many a line has.
        what: how to call them in an error: "a query id and a query".
        on_read: see `read_lines`.

    Raises:
        InputError: if a line has another number of cells.
    """
    for where, line in read_lines(path, on_read):
        row = line.split("\t")
        if len(row) != cells:
            raise InputError(f"{where}: {len(row)} cells; a line holds {what}, with tabs between")
        yield where, row


def read_parquet_rows(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet file as mappings, each after its place.

    Raises:
        InputError: if the file is not Parquet or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    with file:
        names = file.schema_arrow.names
        if missing := [column for column in columns if column not in names]:
            raise InputError(f'{path}: no column "{missing[0]}"; it has {", ".join(names)}')
        number = 0
        for batch in file.iter_batches(batch_size=1 << 12):
            for row in batch.to_pylist():
                number += 1
                yield f"{path} row {number}", row


def read_judgements(path: Path) -> Iterator[Judgement]:
    """Judgements in the form of TREC (`query 0 passage grade`) or of BEIR (`query passage grade`, perhaps a header).

    Raises:
        InputError: if a line is neither.
    """
    for number, (where, line) in enumerate(read_lines(path)):
        row = line.split("\t") if "\t" in line else line.split()
        if number == 0 and row[-1].strip().lower() == "score":
            continue
        try:
            if len(row) not in (3, 4):
                raise ValueError
            yield Judgement(row[0], row[-2], int(row[-1]), where)
        except ValueError:
            raise InputError(
                f'{where}: "{line:.60}" is no judgement; a line holds a query id, a passage id and a whole number, '
                "in TREC's form with a 0 after the query id"
            ) from None


def files_by_language(folder: Path, *endings: str) -> dict[str, Path]:
    """Files of a folder that are named by a language and one of the endings, `de.jsonl` or `mkqa-zh_cn.jsonl`.

    Raises:
        InputError: if there is none, or two of one language.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        ending = next((ending for ending in endings if path.name.endswith(ending)), None)
        if ending is None or path.name.startswith("."):
            continue
        stem = path.name.removesuffix(ending)
        language = _language(stem) or _language(stem.partition("-")[2])  # zh-TW, or mkqa-zh_tw
        if language is None:
            continue
        if language in found:
            raise InputError(f'{path}: "{language}" is already in {found[language].name}; keep one file per language')
        found[language] = path
    if not found:
        raise InputError(f"{folder}: no files named by a language here, such as de{endings[0]}")
    return found


def asked(available: Mapping[str, Part], languages: Iterable[str] | None, name: str) -> dict[str, Part]:
    """The parts of a benchmark in the languages asked for; all of them if None.

    Raises:
        InputError: if a language is none, or the benchmark lacks it.

    >>> asked({"de": 1, "en": 2, "fi": 3}, ["en", "deu"], "toy")
    {'de': 1, 'en': 2}
    """
    if languages is None:
        return dict(available)
    wanted = {normalize_language(tag) for tag in languages}
    if unknown := sorted(wanted - available.keys()):
        raise InputError(f"{name}: no language {unknown[0]!r}; there are {', '.join(available)}")
    return {tag: part for tag, part in available.items() if tag in wanted}


def _language(code: str) -> str | None:
    try:
        return normalize_language(code)
    except InputError:
        return None


def _decoded(line: bytes, where: str, first: bool) -> str:
    try:
        return line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
