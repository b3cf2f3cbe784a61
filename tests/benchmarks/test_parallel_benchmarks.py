"""Benchmarks whose questions or passages are translations of each other: MKQA, mMARCO, Belebele, aligned sentences."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from formats import fresh_caches, write_hub_folder, write_json_lines, write_lines

from isoglot.benchmarks import RetrievalSet, belebele, load_benchmark, mkqa
from isoglot.benchmarks.answers import has_answer
from isoglot.common.errors import InputError
from isoglot.sources import mmarco as mmarco_files
from shared_data import SHARED_DATA

__all__ = ["fresh_caches"]

QUESTIONS = {
    "en": {"1": ("who wrote it", ["Ann Lee"]), "2": ("is it true", ["yes", "Yes"]), "3": ("how long", [])},
    "zh_cn": {"1": ("谁写的", ["安李"]), "2": ("真的吗", ["yes"]), "3": ("多长", [])},
    "de": {"1": ("wer schrieb es", ["Ann Lee"]), "2": ("ist es wahr", ["ja"]), "3": ("wie lang", [])},
}


def relevant(data: RetrievalSet) -> set[tuple[str, str]]:
    ids = data.query_ids
    return {(ids[q], data.passage_ids[p]) for q, p in zip(data.judgement_query, data.judgement_passage, strict=True)}


@pytest.fixture
def mkqa_files(tmp_path: Path) -> Path:
    """A file per language; the German one is named and numbered as others do."""
    folder = tmp_path / "mkqa"
    for code, rows in QUESTIONS.items():
        name, ending = ("de.jsonl", "") if code == "de" else (f"mkqa-{code}.jsonl", f"_{code}")
        write_json_lines(
            folder / name,
            (
                {"id": f"{key}{ending}", "lang": code, "question": question, "answers": answers}
                for key, (question, answers) in rows.items()
            ),
        )
    return folder


@pytest.fixture
def mkqa_release(tmp_path: Path) -> Path:
    kinds = {"1": "entity", "2": "binary", "3": "unanswerable"}
    folder = tmp_path / "release"
    folder.mkdir()
    lines = []
    for key, kind in kinds.items():
        answers = {"type": kind, "text": "Ann Lee" if key == "1" else None}
        row = {
            "example_id": int(key),
            "queries": {code: rows[key][0] for code, rows in QUESTIONS.items()},
            "answers": {code: [answers | ({"aliases": ["A. Lee"]} if key == "1" else {})] for code in QUESTIONS},
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    (folder / "mkqa.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return folder


@pytest.mark.parametrize("form", ["mkqa_files", "mkqa_release"])
def test_mkqa_asks_for_the_other_translations(form: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(form)
    data = load_benchmark("mkqa", folder)
    tags = ("de", "en", "zh-CN")
    assert data.languages == tags
    assert relevant(data) == {
        (f"{key}@{asked}", f"{key}@{found}") for key in "123" for asked in tags for found in tags if asked != found
    }
    assert [data.query_ids[n] for n in data.ignored_query] == [data.passage_ids[n] for n in data.ignored_passage]
    assert len(data.ignored_query) == 9
    part = load_benchmark("mkqa", folder, languages=["zh_cn", "en"])
    assert part.languages == ("en", "zh-CN")
    assert relevant(part) == {pair for pair in relevant(data) if "@de" not in "".join(pair)}
    with pytest.raises(InputError, match="no language 'fi'; there are"):
        load_benchmark("mkqa", folder, languages=["fi"])


@pytest.mark.parametrize(("form", "answers"), [("mkqa_files", ["Ann Lee"]), ("mkqa_release", ["A. Lee", "Ann Lee"])])
def test_mkqa_over_passages_leaves_out_what_has_no_short_answer(
    form: str, answers: list[str], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(form)
    texts = ["It was written by Ann Lee.", "Nobody knows."]
    write_json_lines(
        folder / "corpus.jsonl", ({"_id": str(n), "title": "", "text": text} for n, text in enumerate(texts))
    )
    data = load_benchmark("mkqa-passages", folder, languages=["de", "zh-CN"])
    assert data.languages == ("de", "en", "zh-CN")
    assert sorted(data.query_ids) == ["1@de", "1@zh-CN"]
    assert data.answers == [answers, answers]
    assert [has_answer(text, data.answers[0]) for text in data.passage_texts] == [True, False]
    assert len(data.judgement_query) == 0


def test_mkqa_takes_passages_from_the_hub_where_there_are_none(
    mkqa_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mkqa, "HUB_ID", str(tmp_path / "hub" / "{}"))
    write_hub_folder(tmp_path / "hub" / "nq", {("corpus", "corpus"): [{"_id": "d", "title": "T", "text": "x"}]})
    assert list(load_benchmark("mkqa-passages", mkqa_files).passage_texts) == ["T x"]


def test_mkqa_over_passages_needs_the_english_answers(mkqa_files: Path) -> None:
    (mkqa_files / "mkqa-en.jsonl").unlink()
    with pytest.raises(InputError, match=r"no mkqa-en\.jsonl or en\.jsonl here; its answers decide"):
        load_benchmark("mkqa-passages", mkqa_files)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("de.jsonl", {"id": "1", "answers": []}, r'de\.jsonl line 1: no "question"; it has id, answers'),
        ("de.jsonl", {"id": "1", "question": " "}, r'de\.jsonl line 1: "question" must hold some text'),
        ("mkqa-en.jsonl", {"id": "1", "question": "?", "answers": "no"}, '"answers" must be a list of strings'),
        ("mkqa-en.jsonl", {"id": "1", "question": "?", "answers": []}, "no question has a short answer in English"),
        ("mkqa-de.jsonl", {"id": "1", "question": "?"}, r'mkqa-de\.jsonl: "de" is already in de\.jsonl'),
        ("mkqa.jsonl", {"example_id": 1, "queries": {}}, r'mkqa\.jsonl line 1: no "answers"'),
        ("mkqa.jsonl", {"example_id": 1, "queries": {"en": "?"}, "answers": {}}, "not of MKQA's form"),
        ("mkqa.jsonl", {"example_id": 1, "queries": {"en": "?"}, "answers": {"en": ["x"]}}, "not of MKQA's form"),
    ],
)
def test_what_is_wrong_with_mkqa_is_said(mkqa_files: Path, name: str, line: Any, message: str) -> None:
    write_json_lines(mkqa_files / name, [line])
    with pytest.raises(InputError, match=message):
        load_benchmark("mkqa-passages", mkqa_files)


def test_a_question_twice_in_a_language_is_refused(mkqa_files: Path) -> None:
    write_json_lines(mkqa_files / "de.jsonl", [{"id": "1", "question": "a"}, {"id": "1", "question": "b"}])
    with pytest.raises(InputError, match=r"de\.jsonl line 2: the question '1' occurs twice"):
        load_benchmark("mkqa", mkqa_files)


@pytest.fixture
def mmarco_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "google"
    for language in ("german", "english"):
        write_lines(
            folder / "collections" / f"{language}_collection.tsv", [f'{n}\t"{language} passage {n}' for n in range(4)]
        )
        write_lines(
            folder / "queries" / "dev" / f"{language}_queries.dev.tsv", [f"{n}\t{language} {n}" for n in (7, 8, 9)]
        )
    write_lines(folder.parent / "qrels.dev.small.tsv", ["7\t0\t2\t1", "9\t0\t0\t1", "9\t0\t3\t1"])
    return folder


def test_mmarco_is_parallel_by_its_ids(mmarco_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_benchmark("mmarco", mmarco_folder)
    assert data.languages == ("de", "en")
    assert list(data.passage_texts)[1] == '"german passage 1'  # quotes mean nothing
    assert sorted(set(data.query_example)) == ["7", "9"]
    assert relevant(data) == {
        (f"{query}@{asked}", f"{passage}@{found}")
        for query, passage in (("7", "2"), ("9", "0"), ("9", "3"))
        for asked in ("de", "en")
        for found in ("de", "en")
    }
    fetched = []

    def fetch(hub_id: str, name: str) -> Path:
        fetched.append(name)
        assert hub_id == "unicamp-dl/mmarco"
        return mmarco_folder.parents[1] / name

    monkeypatch.setattr(mmarco_files, "fetch_file", fetch)
    from_hub = load_benchmark("mmarco", languages=["en"])
    assert fetched == [
        "data/qrels.dev.small.tsv",
        "data/google/queries/dev/english_queries.dev.tsv",
        "data/google/collections/english_collection.tsv",
    ]
    assert from_hub.fingerprint == data.in_languages(["en"]).fingerprint


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        (
            "collections/german_collection.tsv",
            "1\ta\tb",
            r"german_collection\.tsv line 1: 3 cells; a line holds a",
        ),
        ("queries/dev/german_queries.dev.tsv", "1\ta", "names the query '7', which german does not have"),
        ("qrels.dev.small.tsv", "7\t0\t99\t1", "mmarco: a judgement names the passage '99@"),
    ],
)
def test_what_is_wrong_with_mmarco_is_said(mmarco_folder: Path, name: str, line: str, message: str) -> None:
    write_lines(mmarco_folder / name, [line])
    with pytest.raises(InputError, match=message):
        load_benchmark("mmarco", mmarco_folder)


def test_a_folder_without_mmarco_or_its_judgements_is_refused(mmarco_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no collections/german_collection\.tsv or the like here"):
        load_benchmark("mmarco", tmp_path)
    with pytest.raises(InputError, match="no language 'fr'; there are de, en"):
        load_benchmark("mmarco", mmarco_folder, languages=["fr"])
    (mmarco_folder.parent / "qrels.dev.small.tsv").unlink()
    with pytest.raises(InputError, match=r"qrels\.dev\.small\.tsv: no such file, nor one folder up"):
        load_benchmark("mmarco", mmarco_folder)


def belebele_rows(code: str) -> list[dict[str, Any]]:
    """Two questions on one passage, one on another."""
    return [
        {"link": link, "question_number": number, "flores_passage": f"{code} about {link}", "question": f"{code} {n}?"}
        for n, (link, number) in enumerate([("a", 1), ("a", 2), ("b", 1)])
    ]


def test_belebele_has_each_passage_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {"deu_Latn": "de", "hin_Latn": "hi-Latn"}
    for code in codes:
        write_json_lines(tmp_path / "files" / f"{code}.jsonl", belebele_rows(code))
    data = load_benchmark("belebele", tmp_path / "files")
    assert data.languages == ("de", "hi-Latn")
    assert (len(data.query_texts), len(data.passage_texts), len(data.judgement_query)) == (6, 4, 12)
    of_question = [data.passage_texts[p] for p in data.judgement_passage[data.judgement_query == 1]]
    assert of_question == ["deu_Latn about a", "hin_Latn about a"]
    monkeypatch.setattr(belebele, "HUB_ID", str(tmp_path / "hub"))
    write_hub_folder(tmp_path / "hub", {(code, "test"): belebele_rows(code) for code in codes})
    assert load_benchmark("belebele", languages=["de", "hi-Latn"]).fingerprint == data.fingerprint
    (tmp_path / "files" / "hin_Latn.jsonl").rename(tmp_path / "files" / "zho_Hant.jsonl")
    for tag in ("zh-TW", "zh-Hant"):
        assert load_benchmark("belebele", tmp_path / "files", languages=["de", tag]).languages == ("de", "zh-Hant")
    with pytest.raises(InputError, match="belebele: no language 'eo'; there are"):
        load_benchmark("belebele", languages=["eo"])
    with pytest.raises(InputError, match=r"no language files such as de\.jsonl here"):
        load_benchmark("belebele", tmp_path)


def test_belebele_has_122_languages() -> None:
    from isoglot.common.languages import normalize_language

    codes = belebele._CODES.split()
    assert len(codes) == len({normalize_language(code) for code in codes}) == 122


def test_aligned_sentences_find_their_translations_and_not_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "flores"
    for code in ("deu_Latn", "eng_Latn", "fin_Latn"):
        write_lines(folder / f"{code}.txt", [f"{code} {n}" for n in range(3)])
    data = load_benchmark("bitext", folder, languages=["de", "en"])
    assert (data.name, data.languages) == ("bitext:flores", ("de", "en"))
    assert [data.passage_texts[p] for p in data.judgement_passage[data.judgement_query == 0]] == ["eng_Latn 0"]
    assert len(data.ignored_query) == len(data.query_texts) == 6
    with pytest.raises(InputError, match="not a folder; bitext needs one text file per language"):
        load_benchmark("bitext", folder / "deu_Latn.txt")
    with pytest.raises(InputError, match="nothing to evaluate"):
        load_benchmark("bitext", folder, languages=["de"])


@pytest.mark.data
@pytest.mark.skipif(not (SHARED_DATA / "mkqa").exists(), reason="the benchmarks' data is not beside the checkout")
@pytest.mark.parametrize(
    ("name", "path", "queries", "passages"),
    [
        ("mkqa", "mkqa", 12 * 1758, 12 * 1758),
        ("bitext", "flores200", 30 * 1012, 30 * 1012),
        ("parallel", "legal/cc-by-4.0.jsonl", 337, 1620),
        ("parallel", "technical/cncf-glossary.jsonl", 898, 898),
        ("parallel", "technical/fastapi-docs.jsonl", 13843, 13843),
    ],
)
def test_real_data_is_whole(name: str, path: str, queries: int, passages: int) -> None:
    data = load_benchmark(name, SHARED_DATA / path)
    assert (len(data.query_texts), len(data.passage_texts)) == (queries, passages)
