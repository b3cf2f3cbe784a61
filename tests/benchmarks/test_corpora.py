"""Corpora on disk: written once, whole or not at all, and never held in memory."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoglot.benchmarks import Corpus, Query, RetrievalSet
from isoglot.benchmarks.beir import load_corpus
from isoglot.benchmarks.corpora import joined, stored_corpus
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.pairs.texts import ArrowTexts

LARGE = 100_000
TEXT = 10 * "A passage of an encyclopedia has several hundred letters, and more in some languages than in others. "


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path / "fresh"))


def stored(rows: list[tuple[str, str]], source: str = "here", language: str = "de") -> Corpus:
    return stored_corpus([source], lambda _: rows, language=language, size=len(rows))


def files_in_cache() -> list[str]:
    return sorted(path.name for path in (cache_folder() / "corpora").iterdir())


def test_a_source_is_read_once() -> None:
    reads = []

    def rows(advance: Callable[[int], None]) -> Iterator[tuple[str, str]]:
        reads.append(advance)
        yield from [("1", "eins"), ("2", "zwei")]

    for _ in range(2):
        corpus = stored_corpus(["here"], rows, language="de", size=2)
        assert (list(corpus.ids), list(corpus.texts)) == (["1", "2"], ["eins", "zwei"])
    assert len(reads) == 1
    stored_corpus(["elsewhere"], rows, language="de", size=2)
    assert len(reads) == 2


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text('{"_id": "1", "title": "T", "text": "alt"}\n')
    assert list(load_corpus(tmp_path, "de").texts) == ["T alt"]
    file.write_text('{"_id": "1", "title": "T", "text": "neu"}\n')
    os.utime(file, ns=(1, 1))
    assert list(load_corpus(tmp_path, "de").texts) == ["T neu"]


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz", "corpus.parquet"])
def test_every_format_gives_the_same_corpus(tmp_path: Path, name: str) -> None:
    rows = [{"_id": str(n), "title": f"T{n}" if n % 2 else "", "text": f"Absatz\u2028{n}"} for n in range(9)]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(gzip.compress(lines) if name.endswith("gz") else lines)
    corpus = load_corpus(tmp_path, "de")
    assert list(corpus.ids) == [str(n) for n in range(9)]
    assert list(corpus.texts) == [f"T{n} Absatz\u2028{n}" if n % 2 else f"Absatz\u2028{n}" for n in range(9)]


def test_what_fails_leaves_nothing_behind() -> None:
    def broken(_: Callable[[int], None]) -> Iterator[tuple[str, str]]:
        yield "1", "eins"
        raise InputError("line 2 is wrong")

    with pytest.raises(InputError, match="line 2 is wrong"):
        stored_corpus(["here"], broken, language="de", size=2)
    with pytest.raises(InputError, match="here: the passage id 'b' occurs twice"):
        stored([("a", "x"), ("b", "x"), ("c", "x"), ("b", "y")])
    with pytest.raises(InputError, match="here: the corpus is empty"):
        stored([])
    assert files_in_cache() == []


def test_a_damaged_file_is_named() -> None:
    stored([("1", "eins")])
    path = cache_folder() / "corpora" / files_in_cache()[0]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=r"\.arrow: not readable .* delete the file, and it is made again"):
        stored([("1", "eins")])


def test_corpora_of_several_languages_are_joined() -> None:
    corpus = joined([stored([("d1", "eins"), ("d2", "zwei")]), stored([("e1", "one")], "there", "en")])
    assert (list(corpus.ids), list(corpus.texts)) == (["d1", "d2", "e1"], ["eins", "zwei", "one"])
    assert [corpus.languages[n] for n in corpus.language] == ["de", "de", "en"]


def test_a_large_corpus_is_never_held_in_memory() -> None:
    """All that is done with a corpus before it is encoded takes a small part of the memory its text would."""
    size = LARGE * len(TEXT)

    def rows(_: Callable[[int], None]) -> Iterator[tuple[str, str]]:
        return ((f"p{n}", f"{TEXT}{n}") for n in range(LARGE))

    arrow_before = pa.total_allocated_bytes()
    tracemalloc.start()
    corpus = stored_corpus(["large"], rows, language="en", size=LARGE)
    other = stored([("e1", "eins")], "small")
    queries = [Query("q", "en", "Which?"), Query("q", "de", "Welche?")]
    data = RetrievalSet.build("large", queries, joined([corpus, other]), [("q", f"p{LARGE - 1}"), ("q", "e1")])
    part = data.in_languages(["en"])
    assert len(part.fingerprint) == 64
    last = part.passage_texts[LARGE - 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 5
    assert pa.total_allocated_bytes() - arrow_before < size / 100
    assert last == f"{TEXT}{LARGE - 1}"
    assert isinstance(part.passage_texts, ArrowTexts)
    assert part.judgement_passage.tolist() == [LARGE - 1]
