"""Corpora on disk: read once from whatever file or table they come in, then mapped.

A corpus is one Arrow file in the cache folder, under a name that stands for the content of its source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from isoglot.benchmarks.retrieval_set import Corpus
from isoglot.common.atomic import write_whole
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.pairs.texts import ArrowTexts, batches_of, identity, write_batches

Rows = Callable[[Callable[[int], None]], Iterable[tuple[str, str]]]
"""Gives ids and texts when called; it calls its argument with each advance, in the units of `size`."""

_FORMAT = "2"  # of the files; part of their name
_SCHEMA = pa.schema([("id", pa.large_string()), ("text", pa.large_string())])


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
    """One corpus of stored ones of several languages, whose ids must differ; nothing is read or copied."""
    ids, texts = (ArrowTexts.joined([getattr(corpus, column) for corpus in corpora]) for column in ("ids", "texts"))
    language = np.repeat(np.arange(len(corpora)), [len(corpus.ids) for corpus in corpora])
    return Corpus(ids, texts, [corpus.languages[0] for corpus in corpora], language)


def _write(path: Path, rows: Rows, name: str, size: int) -> None:
    with write_whole(path) as temporary, progress(f"Reading {name}", size) as advance:
        write_batches(temporary, _SCHEMA, batches_of(rows(advance), _SCHEMA))
        ids = ArrowTexts.mapped(temporary, ("id",))
        if not len(ids):
            raise InputError(f"{name}: the corpus is empty; it must hold passages")
        keys = ids.hashes()  # eight bytes stand for an id, so that millions are cheap to compare
        keys.sort()
        again = keys[1:][keys[1:] == keys[:-1]]
        if len(again):
            twice = ids[int(np.flatnonzero(ids.hashes() == again[0])[1])]
            raise InputError(f"{name}: the passage id {twice!r} occurs twice; ids must be unique")
