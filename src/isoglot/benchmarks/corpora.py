"""Corpora on disk: read once from whatever file or table they come in, then mapped.

A corpus is written to the cache folder as one Arrow file, block by block, under a name that stands for the content of
its source. Later runs map that file and read only the passages they need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from isoglot.benchmarks.retrieval_set import Corpus
from isoglot.common.atomic import write_whole
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.pairs.numbers import Column
from isoglot.pairs.texts import ArrowTexts, HashArray, hashes, identity, write_batches

Rows = Callable[[Callable[[int], None]], Iterable[tuple[str, str]]]
"""Gives ids and texts when called; it calls its argument with each advance, in the units of `size`."""

_FORMAT = "2"  # of the files; part of their name
_SCHEMA = pa.schema([("id", pa.large_string()), ("text", pa.large_string())])
_ROWS_AT_A_TIME = 1 << 12


def stored_files(files: Sequence[Path], rows: Rows, *, language: str, name: Path | None = None) -> Corpus:
    """As `stored_corpus`, of files, by the path of the first or the name of all of them."""
    size = sum(file.stat().st_size for file in files)
    return stored_corpus([str(name or files[0]), *identity(files), language], rows, language=language, size=size)


def stored_corpus(source: Sequence[str], rows: Rows, *, language: str, size: int) -> Corpus:
    """The corpus of one language, from the cache folder; what is not there yet is written first.

    Args:
        source: everything that the content depends on.
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
    ids, texts = ArrowTexts.mapped(path, ("id",)), ArrowTexts.mapped(path, ("text",))
    return Corpus(ids, texts, [language], np.zeros(len(ids), np.int64))


def joined(corpora: Sequence[Corpus]) -> Corpus:
    """One corpus of the stored corpora of several languages; nothing is read or copied.

    The ids must differ between the corpora.
    """
    ids, texts = (ArrowTexts.joined([getattr(corpus, column) for corpus in corpora]) for column in ("ids", "texts"))
    lengths = [len(corpus.ids) for corpus in corpora]
    tags = [corpus.languages[0] for corpus in corpora]
    return Corpus(ids, texts, tags, np.repeat(np.arange(len(corpora)), lengths))


def _write(path: Path, rows: Rows, name: str, size: int) -> None:
    keys = Column(np.uint64)
    with write_whole(path) as temporary, progress(f"Reading {name}", size) as advance:
        write_batches(temporary, _SCHEMA, _batches(rows(advance), keys))
        numbers = keys.finish()
        if not len(numbers):
            raise InputError(f"{name}: the corpus is empty; it must hold passages")
        if (row := _second_of_a_kind(numbers)) is not None:
            twice = ArrowTexts.mapped(temporary, ("id",))[row]
            raise InputError(f"{name}: the passage id {twice!r} occurs twice; ids must be unique")


def _batches(rows: Iterable[tuple[str, str]], keys: Column) -> Iterator[pa.RecordBatch]:
    remaining = iter(rows)
    while block := list(islice(remaining, _ROWS_AT_A_TIME)):
        columns = [pa.array(column, pa.large_string()) for column in zip(*block, strict=True)]
        keys.append(hashes(columns[0]))
        yield pa.record_batch(columns, _SCHEMA)


def _second_of_a_kind(keys: HashArray) -> int | None:
    """A place whose key stood before; eight bytes of a hash stand for an id, so that millions are cheap to compare."""
    in_order = np.sort(keys)
    again = np.flatnonzero(in_order[1:] == in_order[:-1])
    return int(np.flatnonzero(keys == in_order[again[0]])[1]) if len(again) else None
