"""Files of lines, read one record at a time with its place, so that a file larger than memory can pass through.

Text is UTF-8, with or without a byte order mark, perhaps packed by gzip or zstd, in one piece or in several. What is
wrong raises an `InputError` that names the file and the line; `on_read` is called now and then with the number of bytes
of the file just passed.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import regex

from isoglot.common.errors import InputError
from isoglot.common.languages import is_language, normalize_language

Row = dict[str, Any]
PACKED = (".gz", ".zst")
"""What names of files end in that are unpacked as they are read."""

_LINES_BETWEEN_REPORTS = 1 << 12
_CELL_LIMIT = 1 << 24  # characters of one cell; the csv module's own limit is less than a long passage
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_lines(path: Path, on_read: Callable[[int], None] | None = None) -> Iterator[str]:
    """The lines of a text file with their ends; they end at line feeds alone, for U+2028 stands within sentences."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    number = seen = 0
    with path.open("rb") as raw, _unpacked(path, raw) as file:
        try:
            for number, line in enumerate(file, start=1):
                if on_read and number % _LINES_BETWEEN_REPORTS == 0:
                    on_read(raw.tell() - seen)
                    seen = raw.tell()
                yield _decoded(line, path, number)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} line {number + 1}: cannot be unpacked ({error}); fetch the file again") from error
        if on_read:
            on_read(raw.tell() - seen)


def read_json_lines(
    path: Path, *columns: str, needs: str = "", on_read: Callable[[int], None] | None = None
) -> Iterator[tuple[int, Row]]:
    """The objects of a file of JSON lines, each after the number of its line; blank lines are passed over.

    Every object must have the columns. `needs` says what a line must be, for errors; the columns if it is not given.
    """
    for number, line in enumerate(read_lines(path, on_read), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(f"{where}: not JSON ({reason}); each line must be one object") from None
        if not isinstance(row, dict):
            needs = needs or f"each line must be one object with {', '.join(columns)}"
            raise InputError(f"{where}: not an object; {needs}")
        if missing := [column for column in columns if column not in row]:
            raise InputError(f'{where}: no "{missing[0]}"; it has {", ".join(row) or "no keys"}')
        yield number, row


def read_tab_lines(
    path: Path, cells: int, what: str, on_read: Callable[[int], None] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """The cells of a tab-separated file in which nothing is quoted, as IR collections have it, after the line's number.

    `what` is how errors call the cells: "a query id and a query". Blank lines are passed over.
    """
    for number, line in enumerate(read_lines(path, on_read), start=1):
        row = line.rstrip("\r\n").split("\t")
        if len(row) == cells:
            yield number, row
        elif line.strip():
            raise InputError(f"{path} line {number}: {len(row)} cells; a line holds {what}, with tabs between")


def read_cells(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV or TSV file in which cells may be quoted, each after the number of the line it begins at."""
    csv.field_size_limit(_CELL_LIMIT)
    record: list[str] = []  # lines of the row at hand

    def lines() -> Iterator[str]:
        for line in read_lines(path):
            record.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num - len(record) + 1, row
            record.clear()
    except csv.Error as error:
        text = "".join(record)
        sound = regex.match(rf'(?:(?:"(?:[^"]|"")*+"|(?!")[^{delimiter}\r\n]*+)[{delimiter}\r\n])*+', text)
        place = sound.end() if sound else 0
        line = reader.line_num - len(record) + 1 + text.count("\n", 0, place)
        sign = "comma" if delimiter == "," else "tab"
        opens = text.startswith('"', place)
        wrong = f"the quote that opens here does not close before a {sign}" if opens else f"no cells ({error})"
        raise InputError(
            f"{path} line {line}: {wrong}; put cells with quotes, line breaks or a {sign} between quotes, and write a "
            'quote within them twice: ""'
        ) from None


def refuse_repeated(columns: Sequence[str], where: str) -> None:
    """Refuse columns of which two have one name: nobody could tell which is meant."""
    if twice := [name for n, name in enumerate(columns) if name in columns[:n]]:
        raise InputError(f'{where}: the column "{twice[0]}" stands twice; name one of them otherwise')


def read_parquet_rows(path: Path, *columns: str) -> Iterator[tuple[int, Row]]:
    """The rows of a Parquet file as mappings, each after its number from 1."""
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise InputError(f'{path}: no column "{missing[0]}"; it has {", ".join(names)}')
            for batch in file.iter_batches(batch_size=1 << 12):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except UnicodeDecodeError:
        raise InputError(f"{path}: a text behind row {number:,} is not UTF-8; write the file anew") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def files_by_language(folder: Path, *endings: str) -> dict[str, Path]:
    """Files of a folder that are named by a language and one of the endings, `de.jsonl` or `mkqa-zh_cn.jsonl`."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        ending = next((ending for ending in endings if path.name.endswith(ending)), None)
        if ending is not None and not path.name.startswith("."):
            stem = path.name.removesuffix(ending)
            code = next(filter(is_language, (stem, stem.partition("-")[2])), None)  # zh-TW, or mkqa-zh_tw
            if code is not None:
                add_file(found, normalize_language(code), path)
    if not found:
        raise InputError(f"{folder}: no language files such as de{endings[0]} here; name the folder that holds them")
    return found


def add_file(found: dict[str, Path], language: str, path: Path) -> None:
    """Note the file, or the folder, of a language."""
    if found.setdefault(language, path) != path:
        raise InputError(f'{path}: "{language}" is already in {found[language].name}; keep one of them per language')


def some_text(value: object, where: str, name: str) -> str:
    """The value, once it is known to be a text that holds something."""
    if not isinstance(value, str) or not value.strip():
        raise InputError(f'{where}: "{name}" must hold some text, got {value!r:.40}')
    return whole_text(value, where, name)


def whole_text(value: str, where: str, name: str) -> str:
    """The text, once it is known to hold no half of a character, as text has that was cut by UTF-16."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f'{where}: "{name}" holds half a character, {value!a:.40}; write the text anew') from None
    return value


def texts_by_id(rows: Iterable[tuple[str, str, str]], what: str) -> dict[str, str]:
    """Id to text of rows of place, id and text."""
    found: dict[str, str] = {}
    for where, key, text in rows:
        if found.setdefault(key, text) != text:
            raise InputError(f"{where}: the {what} id {key!r} has another text already; ids must be unique")
    return found


def _unpacked(path: Path, raw: BinaryIO) -> Any:
    """A context that gives the content of an open file, unpacked where its name says that it is packed."""
    if path.suffix == ".gz":
        return gzip.open(raw)
    if path.suffix == ".zst":
        return io.BufferedReader(pa.input_stream(raw, compression="zstd"))
    return nullcontext(raw)


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        kind = "UTF-16, not UTF-8" if number == 1 and line.startswith(_UTF16) else ""
        wrong = f"this file is {kind}" if kind else f"byte {error.start + 1} is not UTF-8"
        raise InputError(f"{path} line {number}: {wrong}; save the file as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path} line {number}: holds a NUL character; take it out, or save a UTF-16 file as UTF-8")
    return text
