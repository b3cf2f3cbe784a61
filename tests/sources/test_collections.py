"""Training pairs of retrieval collections: BEIR's folders and mMARCO's files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs
from isoglot.sources import load_pairs, mmarco


def write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_beir(folder: Path, tag: str, split: str = "train") -> None:
    passages = [{"_id": f"d{n}", "title": "T" if n else "", "text": f"{tag} passage {n}"} for n in range(4)]
    write(folder / "corpus.jsonl", map(json.dumps, passages))
    write(folder / "queries.jsonl", (json.dumps({"_id": f"q{n}", "text": f"{tag} query {n}"}) for n in range(3)))
    judged = ["query-id\tcorpus-id\tscore", "q0\td1\t1", "q0\td2\t2.0", "q0\td3\t0", "q1\td0\t1", "q2\td1\t0"]
    write(folder / "qrels" / f"{split}.tsv", judged)


def rows_of(spec: Any, **options: Any) -> list[tuple[Any, ...]]:
    return [
        tuple(row[key] for key in ("id", "language", "query", "passage")) for row in load_pairs(spec, **options).rows()
    ]


def test_a_beir_folder_gives_each_query_its_best_passage(tmp_path: Path) -> None:
    write_beir(tmp_path / "own", "de")
    pairs = load_pairs(tmp_path / "own", languages=["deu"])
    assert rows_of(tmp_path / "own", languages=["de"]) == [
        ("own/q0", "de", "de query 0", "T de passage 2"),
        ("own/q1", "de", "de query 1", "de passage 0"),
    ]
    assert pairs.negatives() == [["T de passage 3"], []]
    assert load_pairs(tmp_path / "own").languages == ("en",)
    with pytest.raises(InputError, match="own: a BEIR folder is in one language; say which, not de, en"):
        load_pairs(tmp_path / "own", languages=["de", "en"])


def test_folders_by_language_are_translations_of_each_other(tmp_path: Path) -> None:
    for tag in ("de", "pt_BR"):
        write_beir(tmp_path / tag, tag, split="test")  # the only split
    pairs = load_pairs(tmp_path)
    assert (pairs.languages, pairs.example_count, len(pairs)) == (("de", "pt-BR"), 2, 4)
    assert load_pairs(tmp_path, languages=["de"]).languages == ("de",)
    with pytest.raises(InputError, match="no language 'fr'; there are de, pt-BR"):
        load_pairs(tmp_path, languages=["fr"])
    write(tmp_path / "de" / "qrels" / "dev.tsv", ["q0\td1\t1"])
    with pytest.raises(InputError, match=r"train\.tsv: no such judgements; there are: dev\.tsv, test\.tsv"):
        load_pairs(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q9\td1\t1", r"train\.tsv line 1: names the query 'q9', which is not among the queries"),
        ("q0\td9\t1", r"train\.tsv line 1: names the passage 'd9', which is not in the corpus"),
    ],
)
def test_what_a_judgement_names_must_be_there(tmp_path: Path, line: str, message: str) -> None:
    write_beir(tmp_path / "own", "de")
    write(tmp_path / "own" / "qrels" / "train.tsv", [line])
    with pytest.raises(InputError, match=message):
        load_pairs(tmp_path / "own")


TRIPLES = "../triples.train.ids.small.tsv"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "google"
    for name in ("german", "english"):
        write(folder / "collections" / f"{name}_collection.tsv", (f'{n}\t"{name} passage {n}' for n in range(6)))
        write(folder / "queries" / "train" / f"{name}_queries.train.tsv", (f"{n}\t{name} query {n}" for n in (7, 9)))
    write(folder.parent / "triples.train.ids.small.tsv", ["7\t2\t5", "9\t0\t1", "7\t2\t1"])
    return folder


def test_mmarco_is_read_language_by_language(release: Path) -> None:
    assert rows_of(release, languages=["en", "de"]) == [
        (f"mmarco/{n}", tag, f"{name} query {query}", f'"{name} passage {passage}')
        for tag, name in (("de", "german"), ("en", "english"))
        for n, query, passage in ((1, 7, 2), (2, 9, 0), (3, 7, 2))
    ]
    assert load_pairs(release).negatives()[0] == ['"german passage 5']
    assert rows_of(f"{release}?limit=2", languages=["en"])[-1][0] == "mmarco/2"


def test_each_text_is_kept_once_and_blank_ones_are_left_out(release: Path) -> None:
    assert len(load_pairs(release).store) == 2 * (2 + 4)  # of queries and passages that a triple names
    german = release / "collections" / "german_collection.tsv"
    german.write_text(german.read_text().replace('"german passage 5', " "))
    assert [row[:2] for row in rows_of(release) if row[1] == "de"] == [("mmarco/2", "de"), ("mmarco/3", "de")]
    assert load_pairs(release).example_count == 3
    assert load_pairs(release, languages=["de"]).example_count == 2


def test_pairs_of_numbers_are_those_of_rows(release: Path) -> None:
    pairs = load_pairs(release)
    again = ParallelPairs.from_rows(pairs.rows())
    assert list(again.rows()) == list(pairs.rows())
    assert again.fingerprint == pairs.fingerprint
    np.testing.assert_array_equal(again.describe().pairs, pairs.describe().pairs)


def test_without_triples_the_judgements_are_read(release: Path) -> None:
    (release.parent / "triples.train.ids.small.tsv").unlink()
    write(release / "qrels.train.tsv", ["7\t0\t2\t1", "9\t0\t0\t1"])
    assert [row[2:] for row in rows_of(release, languages=["en"])] == [
        ("english query 7", '"english passage 2'),
        ("english query 9", '"english passage 0'),
    ]


def test_blank_lines_of_mmarco_are_passed_over(release: Path) -> None:
    before = load_pairs(f"{release}?limit=2")
    (release / TRIPLES).write_text("\n7\t2\t5\n \n9\t0\t1\n7\t2\t1\n\n")
    assert load_pairs(f"{release}?limit=2").fingerprint == before.fingerprint
    (release / TRIPLES).write_text("\n\n")
    with pytest.raises(InputError, match="holds no pairs"):
        load_pairs(release)


@pytest.mark.parametrize("line", ["7\t2\t1", "7", "7\t0\t2\t1\t1", "7\t0\t-2\t1"])
def test_a_judgement_of_mmarco_is_two_ids(release: Path, line: str) -> None:
    (release / TRIPLES).unlink()
    write(release / "qrels.train.tsv", ["9\t0\t0\t1", "7\t2", line])
    with pytest.raises(InputError, match=r"qrels\.train\.tsv line 3: .* is not 2 ids"):
        load_pairs(release)


def test_the_hub_gives_the_same_pairs(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(hub_id: str, name: str) -> Path:
        fetched.append(name)
        assert hub_id == "unicamp-dl/mmarco"
        return release.parents[1] / name

    monkeypatch.setattr(mmarco, "fetch_file", fetch)
    pairs = load_pairs("hub:mmarco?limit=2", languages=["de"])
    assert pairs.fingerprint == load_pairs(f"{release}?limit=2", languages=["de"]).fingerprint
    assert fetched == [
        "data/triples.train.ids.small.tsv",
        "data/google/queries/train/german_queries.train.tsv",
        "data/google/collections/german_collection.tsv",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}?limit=x", 'limit must be a number of rows from 1, got "x"'),
        ("hub:mmarco?split=dev", 'of mMARCO one may say limit, not "split"'),
        ("{}/collections?limit=3", "limit is for mMARCO's files"),
    ],
)
def test_a_wrong_limit_is_named(release: Path, spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_pairs(spec.format(release))


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        (TRIPLES, "7\ttwo\t1", "line 1: '7.ttwo.t1' is not 3 ids; they are whole numbers up to 2147483647; correct"),
        (TRIPLES, "7\t2", r"line 1: '7.t2' is not 3 ids"),
        (TRIPLES, "7\t2\t5\n7\t2\t5\t9", "line 2: .* is not 3 ids"),
        (TRIPLES, "7\t-1\t5", "line 1: .* is not 3 ids"),
        (TRIPLES, "7\t2147483648\t5", "line 1: .* is not 3 ids"),
        (TRIPLES, "7\t2\t" + "9" * 5000, "line 1: .* is not 3 ids"),
        (TRIPLES, "7\t99\t1", "line 1: names the id 99, which german does not have"),
        (TRIPLES, "\n7\t2\t5\n\n7\t99\t1", "line 4: names the id 99, which german does not have"),
        ("collections/german_collection.tsv", "0\ta\tb", "line 1: 3 cells; a line holds an id and a text"),
        (TRIPLES, None, r"qrels\.train\.tsv: no such file, nor one folder up"),
    ],
)
def test_what_is_wrong_with_mmarco_is_said(release: Path, name: str, line: str | None, message: str) -> None:
    if line is None:
        (release / name).unlink()
    else:
        write(release / name, [line])
    with pytest.raises(InputError, match=message):
        load_pairs(release)
