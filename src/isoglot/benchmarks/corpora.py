"""Corpora on disk: read once from whatever file or table they come in, then mapped.

A corpus is written to the cache folder as one Arrow file, block by block, under a name that stands for the content of
its source. Later runs map that file and read only the passages they need.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from isoglot.benchmarks.retrieval_set import Corpus
from isoglot.pairs.texts import ArrowTexts
from isoglot.common.atomic import write_whole
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.progress import progress

Rows = Callable[[Callable[[int], None]], Iterable[tuple[str, str]]]
"""Gives ids and texts when called; it calls its argument with each advance, in the units of `size`."""

_FORMAT = "1"  # of the files; part of their name
_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
_ROWS_AT_A_TIME = 1 << 12


def stored_corpus(source: Sequence[str], rows: Rows, *, language: str, size: int) -> Corpus:
    """The corpus of one language, from the cache folder; what is not there yet is written first.

    Args:
        source: everything that the content depends on; see `identity` for files.
        rows: gives the passages if they must be read.
        language: their language tag.
        size: how much there is to read, for the progress shown.

    Raises:
        InputError: what reading raises; or if an id occurs twice, or there is no passage.
    """
    key = hashlib.sha256("\0".join([_FORMAT, *source]).encode()).hexdigest()[:32]
    path = cache_folder() / "corpora" / f"{key}.arrow"
    if not path.exists():
        _write(path, rows, source[0], size)
    table = _mapped(path)
    ids, texts = ArrowTexts(table["id"]), ArrowTexts(table["text"])
    return Corpus(ids, texts, [language], np.zeros(len(ids), np.int64))


def identity(files: Iterable[Path]) -> list[str]:
    """What stands for the content of files: their paths, sizes and times of change."""
    return [
        f"{file.resolve()} {status.st_size} {status.st_mtime_ns}"
        for file, status in ((file, file.stat()) for file in files)
    ]


def size_of(files: Iterable[Path]) -> int:
    """Bytes of all the files."""
    return sum(file.stat().st_size for file in files)


def joined(corpora: Sequence[Corpus]) -> Corpus:
    """One corpus of the stored corpora of several languages; nothing is read or copied.

    The ids must differ between the corpora.
    """
    columns = {}
    for column in ("ids", "texts"):
        parts: list[ArrowTexts] = [getattr(corpus, column) for corpus in corpora]
        columns[column] = ArrowTexts(pa.chunked_array([chunk for part in parts for chunk in part.column.chunks]))
    lengths = [len(corpus.ids) for corpus in corpora]
    tags = [corpus.languages[0] for corpus in corpora]
    return Corpus(columns["ids"], columns["texts"], tags, np.repeat(np.arange(len(corpora)), lengths))


def _write(path: Path, rows: Rows, name: str, size: int) -> None:
    keys = array("Q")
    with write_whole(path) as temporary, progress(f"Reading {name}", size) as advance:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            for ids, texts in _blocks(rows(advance)):
                keys.frombytes(b"".join(hashlib.sha256(text.encode()).digest()[:8] for text in ids))
                writer.write_batch(pa.record_batch([pa.array(ids, pa.string()), pa.array(texts, pa.string())], _SCHEMA))
        if not keys:
            raise InputError(f"{name}: the corpus is empty; it must hold passages")
        if (row := _second_of_a_kind(keys)) is not None:
            table = _mapped(temporary)
            twice = ArrowTexts(table["id"])[row]
            del table
            raise InputError(f"{name}: the passage id {twice!r} occurs twice; ids must be unique")


def _blocks(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[list[str], list[str]]]:
    remaining = iter(rows)
    while block := list(islice(remaining, _ROWS_AT_A_TIME)):
        yield [row[0] for row in block], [row[1] for row in block]


def _second_of_a_kind(keys: array[int]) -> int | None:
    """A place whose key stood before; eight bytes of a hash stand for an id, so that millions are cheap to compare."""
    numbers = np.frombuffer(keys, np.uint64)
    in_order = np.sort(numbers)
    again = np.flatnonzero(in_order[1:] == in_order[:-1])
    return int(np.flatnonzero(numbers == in_order[again[0]])[1]) if len(again) else None


def _mapped(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable ({error}); delete the file, and it is made again") from error
