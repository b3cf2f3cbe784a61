"""MIRACL, from its own files and from the hub."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from formats import fresh_caches, write_hub_folder, write_lines

from isoglot.benchmarks import RetrievalSet, load_benchmark, miracl
from isoglot.common.errors import InputError

__all__ = ["fresh_caches"]

# The same ids in both languages: they mean nothing across languages.
TEXTS = {"ar": ("سؤال", "جواب"), "sw": ("swali", "jibu")}
QRELS = [("q1", "1#0", 1), ("q1", "1#1", 0), ("q2", "11#0", 1), ("q2", "2#0", 1)]


def passages(tag: str) -> list[dict[str, str]]:
    return [
        {"docid": docid, "title": f"T{docid}", "text": f"{TEXTS[tag][1]} {docid}"}
        for docid in ("1#0", "1#1", "2#0", "11#0")
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "miracl"
    for tag in TEXTS:
        release = f"miracl-v1.0-{tag}"
        write_lines(
            folder / release / "topics" / f"topics.{release}-dev.tsv",
            [f"{key}\t{TEXTS[tag][0]} {key}" for key in ("q1", "q2", "q3")],
        )
        write_lines(
            folder / release / "qrels" / f"qrels.{release}-dev.tsv", [f"{q}\tQ0\t{p}\t{grade}" for q, p, grade in QRELS]
        )
        (folder / f"miracl-corpus-v1.0-{tag}").mkdir()
        for place, row in enumerate(passages(tag)):
            line = json.dumps(row, ensure_ascii=False) + "\n"
            # More than nine files: their order is that of their numbers.
            name = f"docs-{place if place < 2 else place + 8}.jsonl.gz"
            (folder / f"miracl-corpus-v1.0-{tag}" / name).write_bytes(gzip.compress(line.encode()))
    return folder


def relevant(data: RetrievalSet) -> list[tuple[str, str]]:
    ids = data.query_ids
    return [(ids[q], data.passage_ids[p]) for q, p in zip(data.judgement_query, data.judgement_passage, strict=True)]


def test_each_language_is_judged_over_its_own_passages(folder: Path) -> None:
    data = load_benchmark("miracl", folder)
    assert data.languages == ("ar", "sw")
    assert relevant(data) == [
        (f"{tag}/{query}@{tag}", f"{tag}/{passage}")
        for tag in ("ar", "sw")
        for query, passage in (("q1", "1#0"), ("q2", "2#0"), ("q2", "11#0"))
    ]
    assert list(data.passage_texts)[:2] == ["T1#0 جواب 1#0", "T1#1 جواب 1#1"]
    assert len(data.query_texts) == 4


def test_only_the_languages_asked_for_are_read(folder: Path) -> None:
    (folder / "miracl-v1.0-ar" / "topics" / "topics.miracl-v1.0-ar-dev.tsv").unlink()
    data = load_benchmark("miracl", folder, languages=["swh"])
    assert data.languages == ("sw",)
    with pytest.raises(InputError, match=r"topics\.miracl-v1\.0-ar-dev\.tsv: no such file"):
        load_benchmark("miracl", folder)
    with pytest.raises(InputError, match="no language 'de'; there are ar, sw"):
        load_benchmark("miracl", folder, languages=["de"])


def test_the_hub_gives_the_same_set(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub"
    monkeypatch.setattr(miracl, "HUB_ID", str(hub))
    tables: dict[tuple[str, str], list[dict[str, object]]] = {}
    for tag in TEXTS:
        tables[f"{tag}-corpus", "dev"] = [
            {"_id": row["docid"], "title": row["title"], "text": row["text"]} for row in passages(tag)
        ]
        tables[f"{tag}-queries", "dev"] = [{"_id": key, "text": f"{TEXTS[tag][0]} {key}"} for key in ("q1", "q2", "q3")]
        tables[f"{tag}-qrels", "dev"] = [{"query-id": q, "corpus-id": p, "score": grade} for q, p, grade in QRELS]
    write_hub_folder(hub, tables)
    data = load_benchmark("miracl", languages=["ar", "sw"])
    assert data.fingerprint == load_benchmark("miracl", folder).fingerprint
    with pytest.raises(InputError, match="miracl: no language 'it'; there are ar, bn, de"):
        load_benchmark("miracl", languages=["it"])
    with pytest.raises(InputError, match="yo-corpus dev: cannot be read"):
        load_benchmark("miracl", languages=["yo"])


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("topics/topics", "q1", r"topics\.miracl-v1\.0-ar-dev\.tsv line 1: 1 cells; a line holds a question's id and"),
        ("topics/topics", "q9\t?", r"qrels\.miracl-v1\.0-ar-dev\.tsv line 1: names the query 'q1', which is not among"),
        ("qrels/qrels", "q1\tQ0\t9#9\t1", "miracl: a judgement names the passage 'ar/9#9', which is not in the corpus"),
        ("qrels/qrels", "q1 Q0 1#0", r'line 1: "q1 Q0 1#0" is no judgement'),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, name: str, line: str, message: str) -> None:
    write_lines(folder / "miracl-v1.0-ar" / f"{name}.miracl-v1.0-ar-dev.tsv", [line])
    with pytest.raises(InputError, match=message):
        load_benchmark("miracl", folder)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folders such as miracl-v1\.0-ar here"):
        load_benchmark("miracl", tmp_path)
    (tmp_path / "miracl-v1.0-ar").mkdir()
    with pytest.raises(InputError, match=r"miracl-corpus-v1\.0-ar: no docs-0\.jsonl\.gz here"):
        load_benchmark("miracl", tmp_path)
