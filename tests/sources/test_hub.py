import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.sources import load_pairs
from isoglot.sources.hub import parse_hub_spec, sentence_with

README = """---
configs:
- config_name: qa-de
  data_files: [{split: train, path: de.parquet}]
- config_name: qa-fi
  data_files: [{split: train, path: fi.parquet}]
---
"""


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def hub_folder(tmp_path: Path) -> Path:
    """A folder as the hub has them: data files, and a README whose head says which configuration has which."""
    folder = tmp_path / "faq"
    folder.mkdir()
    (folder / "README.md").write_text(README)
    for language, words in {"de": ["Frage", "Antwort"], "fi": ["kysymys", "vastaus"]}.items():
        texts = {name: [f"{word} {n}" for n in range(3)] for name, word in zip(["q", "a"], words, strict=True)}
        pq.write_table(pa.table({"key": [1, 2, 3], **texts}), folder / f"{language}.parquet")
    return folder


@pytest.fixture
def line_folder(tmp_path: Path) -> Path:
    """A folder without configurations, one file of JSON lines."""
    (tmp_path / "lines").mkdir()
    return tmp_path / "lines"


def rows_of(spec: str, tmp_path: Path, languages: list[str] | None = None) -> list[dict[str, str]]:
    pairs = load_pairs(spec, languages=languages, cache_dir=tmp_path / "cache")
    return [{name: row[name] for name in ("id", "language", "query", "passage")} for row in pairs.rows()]


def test_a_configuration_per_language_joins_on_the_id(hub_folder: Path, tmp_path: Path) -> None:
    spec = f"hub:{hub_folder}?query=q&passage=a&id=key&config.de=qa-de&config.fi=qa-fi"
    rows = rows_of(spec, tmp_path)
    assert rows[0] == {"id": "faq/1", "language": "de", "query": "Frage 0", "passage": "Antwort 0"}
    assert rows[3] == {"id": "faq/1", "language": "fi", "query": "kysymys 0", "passage": "vastaus 0"}
    assert {row["language"] for row in rows_of(spec, tmp_path, ["fi"])} == {"fi"}


def test_a_column_can_name_the_language(line_folder: Path, tmp_path: Path) -> None:
    write_lines(
        line_folder / "train.jsonl",
        [{"q": f"{tag} q{n}", "a": f"{tag} a{n}", "lang": tag, "key": n} for n in range(2) for tag in ("de", "pt_BR")],
    )
    rows = rows_of(f"hub:{line_folder}?query=q&passage=a&id=key&language=lang", tmp_path)
    assert [(row["id"], row["language"]) for row in rows[:2]] == [("lines/0", "de"), ("lines/0", "pt-BR")]


def test_sentences_side_by_side_become_rows_flaws_left_out(line_folder: Path, tmp_path: Path) -> None:
    english = "An English sentence that is quite a bit longer than the longest id that is kept as it is."
    pairs = [{"en": english, "de": "Ein Satz."}, {"en": english, "de": "Noch einmal."}, {"en": " ", "de": "Leer."}]
    write_lines(line_folder / "train.jsonl", [{"translation": pair} for pair in pairs])
    rows = rows_of(f"hub:{line_folder}?de=translation.de&en=translation.en&id=translation.en", tmp_path)
    assert [(row["language"], row["query"], row["passage"]) for row in rows] == [
        ("de", "Ein Satz.", "Ein Satz."),
        ("en", english, english),
    ]
    assert rows[0]["id"] == rows[1]["id"]
    assert len(rows[0]["id"]) == len("lines/") + 16


def test_what_is_null_is_as_empty_as_what_is_blank(line_folder: Path, tmp_path: Path) -> None:
    sentences = [
        {"de": "Tag", "en": "day", "fr": "jour"},
        {"de": "Nacht", "en": "night", "fr": None},
        {"de": None, "en": "lost", "fr": " "},
    ]
    write_lines(line_folder / "train.jsonl", [{"t": row} for row in sentences])
    rows = rows_of(f"hub:{line_folder}?de=t.de&en=t.en&fr=t.fr", tmp_path)
    assert [(row["id"], row["language"]) for row in rows] == [
        ("lines/0", "de"),
        ("lines/0", "en"),
        ("lines/0", "fr"),
        ("lines/1", "de"),
        ("lines/1", "en"),
    ]


@pytest.mark.parametrize("name", ["q", "a", "lang", "key"])
def test_a_row_without_a_text_an_id_or_a_language_is_left_out(name: str, line_folder: Path, tmp_path: Path) -> None:
    rows = [{"q": f"q{n}", "a": f"a{n}", "lang": "de", "key": f"k{n}", "bad": ["n", None, ""]} for n in range(3)]
    write_lines(line_folder / "train.jsonl", [rows[0], {**rows[1], name: None}, rows[2]])
    spec = f"hub:{line_folder}?query=q&passage=a&language=lang&id=key&negatives=bad"
    pairs = load_pairs(spec, cache_dir=tmp_path / "cache")
    assert pairs.texts("query") == ["q0", "q2"]
    assert pairs.negatives() == [["n"], ["n"]]


def test_a_column_of_lists_is_named_with_its_row(line_folder: Path, tmp_path: Path) -> None:
    write_lines(line_folder / "train.jsonl", [{"q": "q", "a": ["one", "two"]}, {"q": "r", "a": None}])
    with pytest.raises(InputError, match=r'row 1: "a" holds a list; name one of it, such as a\.0'):
        rows_of(f"hub:{line_folder}?query=q&passage=a&config.en=", tmp_path)
    assert len(rows_of(f"hub:{line_folder}?query=q&passage=a.0&config.en=", tmp_path)) == 1


def test_one_id_in_one_language_counts_once_however_it_is_written(line_folder: Path, tmp_path: Path) -> None:
    write_lines(
        line_folder / "train.jsonl", [{"q": tag, "a": "a", "lang": tag, "key": 1} for tag in ("pt_BR", "pt-br")]
    )
    assert len(rows_of(f"hub:{line_folder}?query=q&passage=a&language=lang&id=key", tmp_path)) == 1


def test_folders_of_one_name_are_told_apart(hub_folder: Path, tmp_path: Path) -> None:
    spec = "hub:{}?query=q&passage=a&id=key&config.de=qa-de"
    other = tmp_path / "other" / hub_folder.name
    shutil.copytree(hub_folder, other)
    pq.write_table(pa.table({"key": [1], "q": ["andere"], "a": ["Antwort"]}), other / "de.parquet")
    assert len(rows_of(spec.format(hub_folder), tmp_path)) == 3
    assert [row["query"] for row in rows_of(spec.format(other), tmp_path)] == ["andere"]
    pq.write_table(pa.table({"key": [1], "q": ["neue"], "a": ["Antwort"]}), other / "de.parquet")
    assert [row["query"] for row in rows_of(spec.format(other), tmp_path)] == ["neue"]


def test_a_limit_streams_the_first_rows(hub_folder: Path, tmp_path: Path) -> None:
    spec = f"hub:{hub_folder}?query=q&passage=a&config.de=qa-de&config.fi=qa-fi&limit=2"
    rows = rows_of(spec, tmp_path)
    assert [row["id"] for row in rows] == ["faq/0", "faq/1", "faq/0", "faq/1"]
    assert not (tmp_path / "cache" / "parquet").exists()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query=q&passage=a", "name a data set and say what its columns hold: owner/name"),
        ("query=nope&passage=a&config.de=qa-de", 'no column "nope"; it has key, q, a'),
        ("query=q&passage=a&config.de=qa-sv", "cannot be read"),
        ("query=q&passage=a&config.de=qa-de&split=nope", "cannot be read"),
        ("query=q&passage=a&config.de=qa-de&limit=some", 'limit must be a number of rows from 1, got "some"'),
        ("query=q&passage=a&language=l&de=x&en=y", 'says "query" beside "de"; say either owner/name'),
        ("de=x&en=y&answer=z", 'says "answer" beside "de"; say either owner/name'),
        ("quary=q", 'unknown key "quary"; keys are id, language, query'),
    ],
)
def test_what_is_wrong_is_said_in_one_line(hub_folder: Path, tmp_path: Path, query: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        rows_of(f"hub:{hub_folder}?{query}", tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("cannot be read") == (message == "cannot be read")


def test_a_data_set_without_a_name_is_not_the_current_folder() -> None:
    with pytest.raises(InputError, match="name a data set and say what its columns hold"):
        parse_hub_spec("?query=q&passage=a&config.en=")


def test_a_registered_name_brings_its_columns() -> None:
    table, limit = parse_hub_spec("talks?limit=5")
    assert table.hub_id == "sentence-transformers/parallel-sentences-talks"
    assert (table.configs["de"], table.texts["*"], limit) == ("en-de", "non_english", 5)
    with pytest.raises(InputError, match='talks has its own columns; of it one may say split and limit, not "query"'):
        parse_hub_spec("talks?query=q")


PARAGRAPH = "Ada Lovelace met C. Babbage in 1833. She wrote the first program! Was it ever run?"


@pytest.mark.parametrize("answer", [PARAGRAPH.index("first"), "first program"])
def test_an_answer_cuts_the_passage_to_its_sentence(line_folder: Path, tmp_path: Path, answer: int | str) -> None:
    rows = [
        {"key": "a", "q": "What did she write?", "text": PARAGRAPH, "answers": {"at": [answer]}},
        {"key": "b", "q": "Without an answer?", "text": PARAGRAPH, "answers": {"at": []}},
        {
            "key": "c",
            "q": "Elsewhere?",
            "text": "Short." if isinstance(answer, int) else "x",
            "answers": {"at": [answer]},
        },
    ]
    pq.write_table(pa.Table.from_pylist(rows), line_folder / "train.parquet")
    spec = f"hub:{line_folder}?id=key&query=q&passage=text&answer=answers.at.0&config.en="
    assert rows_of(spec, tmp_path) == [
        {"id": "lines/a", "language": "en", "query": rows[0]["q"], "passage": "She wrote the first program!"}
    ]


LETTERS = st.text(st.sampled_from("ab Zé.!?。\n東 "), max_size=60)


@given(LETTERS, st.data())
def test_a_sentence_holds_its_answer(text: str, data: st.DataObject) -> None:
    places = [n for n, sign in enumerate(text) if sign.strip()]
    assume(places)
    start = data.draw(st.sampled_from(places))
    stop = data.draw(st.sampled_from([n + 1 for n in places if n >= start]))
    by_text, by_place = sentence_with(text, text[start:stop]), sentence_with(text, start)
    assert text[start:stop] in by_text
    assert by_place in text
    assert text[start] in by_place
    assert by_place == by_place.strip()


def test_sentences_end_where_readers_end_them() -> None:
    text = "Er kam 1901 zurück. Wann? Dr. Müller (geb. 1870) weiß es."
    assert [sentence_with(text, word, "de") for word in ("1901", "Wann", "1870")] == [
        "Er kam 1901 zurück.",
        "Wann?",
        "Dr. Müller (geb. 1870) weiß es.",
    ]
    assert sentence_with("यह है। वह नहीं।", "नहीं", "hi") == "वह नहीं।"
    assert sentence_with("One line\nand another", "another") == "and another"


def test_rows_are_kept_by_a_column(line_folder: Path, tmp_path: Path) -> None:
    rows = [{"q": f"q{n}", "a": f"a{n}", "label": n % 2} for n in range(4)]
    write_lines(line_folder / "train.jsonl", rows)
    found = rows_of(f"hub:{line_folder}?query=q&passage=a&config.en=&keep.label=1", tmp_path)
    assert [row["query"] for row in found] == ["q1", "q3"]
    with pytest.raises(InputError, match='no column "lable"'):
        rows_of(f"hub:{line_folder}?query=q&passage=a&config.en=&keep.lable=1", tmp_path)


def test_a_single_negative_becomes_a_list(line_folder: Path, tmp_path: Path) -> None:
    write_lines(line_folder / "train.jsonl", [{"q": "q", "a": "a", "wrong": "n"}])
    spec = f"hub:{line_folder}?query=q&passage=a&negatives=wrong&config.en="
    assert load_pairs(spec, cache_dir=tmp_path / "cache").negatives() == [["n"]]
