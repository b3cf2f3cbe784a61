"""BEIR's format, from folders and from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from formats import fresh_caches, write_hub_folder, write_json_lines, write_lines

from isoglot.benchmarks import RetrievalSet, beir, load_beir, load_benchmark
from isoglot.common.errors import InputError
from shared_data import SHARED_DATA

__all__ = ["fresh_caches"]

CORPUS = [
    {"_id": "d1", "title": "Ulm", "text": "A city on the Danube."},
    {"_id": "d2", "title": "", "text": "A river."},
    {"_id": "q2", "title": "Same", "text": "as the query"},
]
QUERIES = [
    {"_id": "q1", "text": "where is ulm"},
    {"_id": "q2", "text": "same as the query"},
    {"_id": "q3", "text": "?"},
]
QRELS = [("q1", "d1", 2), ("q1", "d2", 1), ("q2", "d2", 1), ("q2", "q2", 1), ("q3", "d1", 0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    write_json_lines(folder / "corpus.jsonl", CORPUS)
    write_json_lines(folder / "queries.jsonl", QUERIES)
    write_lines(folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *("\t".join(map(str, q)) for q in QRELS)])
    return folder


def test_right_answers_that_are_left_out_for_their_ids_are_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lines(folder / "qrels" / "test.tsv", ["q2\tq2\t1", "q1\td1\t1"])
    load_benchmark("beir", folder)
    assert "1 right answers have the id of their query, and are left out" in capsys.readouterr().err


def graded(data: RetrievalSet) -> dict[tuple[str, str], int]:
    return {
        (data.query_example[q], data.passage_ids[p]): int(grade)
        for q, p, grade in zip(data.judgement_query, data.judgement_passage, data.judgement_grade, strict=True)
    }


def test_a_folder_has_title_and_text_joined_grades_and_no_query_as_its_own_answer(folder: Path) -> None:
    data = load_benchmark("beir", folder)
    assert (data.name, data.languages) == ("beir:toy", ("en",))
    assert list(data.passage_texts) == ["Ulm A city on the Danube.", "A river.", "Same as the query"]
    assert list(data.query_texts) == ["where is ulm", "same as the query"]  # nothing answers the third
    assert graded(data) == {("q1", "d1"): 2, ("q1", "d2"): 1, ("q2", "d2"): 1}
    assert [data.query_example[n] for n in data.ignored_query] == ["q2"]
    assert [data.passage_ids[n] for n in data.ignored_passage] == ["q2"]


@pytest.mark.parametrize("form", ["{}\t{}\t{}.0", "{} 0 {} {}", "{}\t0\t{}\t{}.00"])
def test_grades_are_read_as_others_write_them(folder: Path, form: str) -> None:
    before = load_benchmark("beir", folder).fingerprint
    text = "".join(form.format(*judgement) + "\n" for judgement in QRELS)
    (folder / "qrels" / "test.tsv").write_text(text, encoding="utf-8-sig")
    assert load_benchmark("beir", folder).fingerprint == before


def test_a_byte_order_mark_is_no_part_of_the_first_row(folder: Path) -> None:
    before = load_benchmark("beir", folder).fingerprint
    for name in ("corpus.jsonl", "queries.jsonl"):
        path = folder / name
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert load_benchmark("beir", folder).fingerprint == before


def test_a_folder_is_in_the_language_asked_for(folder: Path) -> None:
    assert load_benchmark("beir", folder, languages=["deu"]).languages == ("de",)
    with pytest.raises(InputError, match="one language; say which, not de, en"):
        load_benchmark("beir", folder, languages=["de", "en"])


def test_the_hub_gives_the_same_set(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beir, "HUB_ID", str(tmp_path / "hub" / "{}"))
    hub = tmp_path / "hub" / "scifact"
    write_hub_folder(
        hub,
        {("corpus", "corpus"): CORPUS, ("queries", "queries"): [{"title": "", **query} for query in QUERIES]},
    )
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, q)) for q in QRELS)]
    write_lines(hub.with_name("scifact-qrels") / "test.tsv", rows)
    data = load_benchmark("beir:scifact")
    assert data.name == "beir:scifact"
    assert data.fingerprint == load_beir(folder).fingerprint
    with pytest.raises(InputError, match="beir:scifact: no language 'de'; there are en"):
        load_benchmark("beir:scifact", languages=["de"])


def test_numbers_on_the_hub_are_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In MS MARCO's judgements the hub's library finds numbers, in the corpus strings."""
    monkeypatch.setattr(beir, "HUB_ID", str(tmp_path / "hub" / "{}"))
    write_hub_folder(
        tmp_path / "hub" / "msmarco",
        {
            ("corpus", "corpus"): [{"_id": "7", "title": "", "text": "seven"}],
            ("queries", "queries"): [{"_id": "1", "title": "", "text": "one"}],
        },
    )
    write_lines(tmp_path / "hub" / "msmarco-qrels" / "dev.tsv", ["query-id\tcorpus-id\tscore", "1\t7\t1"])
    assert graded(load_benchmark("beir:msmarco")) == {("1", "7"): 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{"_id": \n', r"corpus\.jsonl line 2: not JSON \(Expecting value"),
        ("corpus.jsonl", '{"_id": "d1"}\n', r'corpus\.jsonl line 1: no "text"; it has _id'),
        ("corpus.jsonl", '{"_id": "d1", "text": null}\n', r'corpus\.jsonl line 1: "text" must be a string, got None'),
        ("corpus.jsonl", '{"_id": "d1", "text": "a\\ud83d"}\n', r'corpus\.jsonl line 1: "text" holds half a character'),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "a\\ud83d"}\n',
            r'queries\.jsonl line 1: "text" holds half a character',
        ),
        (
            "corpus.jsonl",
            f'{{"_id": "d1", "n": {"9" * 5000}}}\n',
            r"corpus\.jsonl line 1: not JSON \(Exceeds the limit",
        ),
        ("corpus.jsonl", "[1]\n", r"corpus\.jsonl line 1: not an object; each line must be one object with _id, text"),
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n', r"toy: a judgement names the passage 'd2', which is not in"),
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n', r"passage id 'a' occurs twice"),
        ("corpus.jsonl", "", r"corpus\.jsonl: the corpus is empty"),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "x"}\n',
            r"test\.tsv line 4: names the query 'q2', which is not",
        ),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": null}\n',
            r'queries\.jsonl line 1: "text" must hold some text, got None',
        ),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": ["x"]}\n',
            r'queries\.jsonl line 1: "text" must hold some text, got \[',
        ),
        ("queries.jsonl", '{"_id": null, "text": "x"}\n', r'queries\.jsonl line 1: "_id" must be a string, got None'),
        ("corpus.jsonl", '{"_id": "d1", "text": ["x"]}\n', r'corpus\.jsonl line 1: "text" must be a string, got \['),
        ("corpus.jsonl", '{"_id": "d1", "text": "x", "title": ["y"]}\n', r'line 1: "title" must be a string'),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "x"}\n{"_id": "q2", "text": "y"}\n{"_id": "q1", "text": "z"}\n',
            r"queries\.jsonl line 3: the query id 'q1' has another text already; ids must be unique",
        ),
        ("qrels/test.tsv", "q1\td1\t1.5\n", r'test\.tsv line 1: "q1.d1.1\.5" is no judgement; .* a whole number'),
        ("qrels/test.tsv", "q1\td1\t1e30\n", r'test\.tsv line 1: "q1.d1.1e30" is no judgement'),
        ("qrels/test.tsv", "q1\td1\tnan\n", r'test\.tsv line 1: "q1.d1.nan" is no judgement'),
        ("queries.jsonl", b"\xff\n", r"queries\.jsonl line 1: byte 1 is not UTF-8"),
        ("qrels/test.tsv", "q1\td1\n", r'test\.tsv line 1: "q1.d1" is no judgement; a line holds a query id'),
        ("qrels/test.tsv", "q1\td1\tgood\n", r'test\.tsv line 1: "q1.d1.good" is no judgement'),
        ("qrels/test.tsv", "q1\td1\t0\n", "no query has a relevant passage"),
        ("qrels/test.tsv", None, r"test\.tsv: no such judgements; of qrels/SPLIT\.tsv there are: none"),
        ("corpus.jsonl", None, r"toy: no corpus\.jsonl or corpus\.jsonl\.gz or corpus\.parquet here"),
        ("queries.jsonl", None, r"toy: no queries\.jsonl or queries\.jsonl\.gz here"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, name: str, content: Any, message: str) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        load_benchmark("beir", folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["corpus.jsonl.gz", "corpus.parquet"])
def test_a_damaged_file_is_named(folder: Path, name: str) -> None:
    (folder / "corpus.jsonl").unlink()
    (folder / name).write_bytes(b"not what it says")
    with pytest.raises(InputError, match=rf"{name}( line 1: cannot be unpacked|: not a readable Parquet file)"):
        load_benchmark("beir", folder)


def test_what_is_wrong_on_the_hub_is_named_by_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beir, "HUB_ID", str(tmp_path / "hub" / "{}"))
    hub = tmp_path / "hub" / "scifact"
    good, null = {"_id": "q1", "title": "", "text": "x"}, {"_id": "q2", "title": "", "text": None}
    tables = {("corpus", "corpus"): CORPUS, ("queries", "queries"): [good, null]}
    write_hub_folder(hub, tables)
    with pytest.raises(InputError, match='scifact queries queries row 2: "text" must hold some text, got None'):
        load_benchmark("beir:scifact")
    monkeypatch.setattr(beir, "HUB_ID", str(tmp_path / "other" / "{}"))
    write_hub_folder(tmp_path / "other" / "scifact", {**tables, ("queries", "queries"): [good, {**good, "text": "y"}]})
    with pytest.raises(InputError, match="scifact queries queries row 2: the query id 'q1' has another text already"):
        load_benchmark("beir:scifact")


def test_a_hub_table_without_a_column_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beir, "HUB_ID", str(tmp_path / "hub" / "{}"))
    write_hub_folder(tmp_path / "hub" / "scifact", {("corpus", "corpus"): [{"docid": "1", "text": "x"}]})
    with pytest.raises(InputError, match='scifact corpus corpus: no column "_id"; it has docid, text'):
        load_benchmark("beir:scifact")


@pytest.mark.data
@pytest.mark.skipif(not (SHARED_DATA / "beir").exists(), reason="BEIR's sets are not beside the checkout")
def test_scifact_is_whole() -> None:
    data = load_benchmark("beir", SHARED_DATA / "beir" / "scifact")
    assert (len(data.query_texts), len(data.passage_texts), len(data.judgement_query)) == (300, 5183, 339)
    mini = load_benchmark("beir", SHARED_DATA / "beir" / "msmarco-mini")
    assert set(mini.judgement_grade.tolist()) == {1, 2, 3}
