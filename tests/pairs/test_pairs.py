import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot.batching.plan import plan_batches
from isoglot.common.errors import InputError
from isoglot.common.text import is_blank
from isoglot.pairs import ParallelPairs, read_pairs, write_pairs
from isoglot.pairs.duplicates import Shared, connected

Row = dict[str, Any]

FAMILY = "Frobnicate is a library that turns widgets into gadgets and back again, quickly, on every kind of machine."


def row(name: str, language: str, query: str | None = None, passage: str | None = None, **more: Any) -> Row:
    unsaid = f"{name} {language}"
    return {"id": name, "language": language, "query": query or f"q {unsaid}", "passage": passage or unsaid, **more}


def some_pairs(examples: int, *languages: str) -> ParallelPairs:
    return ParallelPairs.from_rows(row(f"e{n}", tag) for n in range(examples) for tag in languages)


def ids(pairs: ParallelPairs) -> set[str]:
    return set(pairs.example_ids)


# --- to and from files ---

NASTY = ['"', '""', "\t", "\n", "\r\n", "\r", ",", "\u2028", "\u0085", "\x1c", "\u202e", "\ufeff", "שלום", "\\", "\x0b"]
letters = st.characters(exclude_categories=("Cs",), exclude_characters="\0") | st.sampled_from(NASTY)
text = st.lists(letters, min_size=1, max_size=20).map("".join).filter(lambda t: not is_blank(pa.array([t]))[0].as_py())
row_values = st.fixed_dictionaries(
    {
        "query": st.none() | text,
        "passage": text,
        "negatives": st.none() | st.lists(text, max_size=3),
        "dataset": text,
    }
)
row_keys = st.tuples(text, st.sampled_from(["de", "en", "zh-CN", "pt-BR"]))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
@given(rows=st.dictionaries(row_keys, row_values, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, rows: dict[tuple[str, str], Row]) -> None:
    given_rows = [{"id": key, "language": tag, **values} for (key, tag), values in rows.items()]
    pairs = ParallelPairs.from_rows(given_rows)
    write_pairs(pairs, tmp_path / f"pairs{suffix}")
    back = read_pairs(tmp_path / f"pairs{suffix}")
    assert list(back.rows()) == given_rows
    assert back.fingerprint == pairs.fingerprint


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('\ufeff{"id": "1", "language": "DE", "query": null, "passage": "p", "note": 3}\n\n', "utf-8")
    assert list(read_pairs(path).rows()) == [
        {"id": "1", "language": "de", "query": None, "passage": "p", "negatives": None, "dataset": "own"}
    ]


PARQUET_NAMES = ("id", "language", "query", "passage", "negatives", "dataset")


@pytest.mark.parametrize("wrong", PARQUET_NAMES)
def test_text_of_a_parquet_file_that_is_not_utf_8_is_named(tmp_path: Path, wrong: str) -> None:
    def column(name: str) -> pa.Array:
        good = b"de" if name == "language" else name.encode()
        cells = [good + b"%d" % n if name == "id" else good for n in range(3)]
        texts = pa.array([*cells[:2], b"caf\xe9" if name == wrong else cells[2]]).view(pa.string())
        return pa.ListArray.from_arrays([0, 0, 1, 3], texts) if name == "negatives" else texts

    pq.write_table(pa.table({name: column(name) for name in PARQUET_NAMES}), tmp_path / "own.parquet")
    named = "a negative is null, empty or not UTF-8" if wrong == "negatives" else f'"{wrong}" is not UTF-8'
    with pytest.raises(InputError, match=rf"own\.parquet row 3: {named}"):
        read_pairs(tmp_path / "own.parquet")


def test_two_columns_of_one_name_in_a_parquet_file_are_refused(tmp_path: Path) -> None:
    names = ["id", "language", "query", "passage", "query"]
    pq.write_table(pa.Table.from_arrays([pa.array(["de"])] * 5, names=names), tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r'own\.parquet: the column "query" stands twice'):
        read_pairs(tmp_path / "own.parquet")


def test_parquet_with_other_string_types_is_read(tmp_path: Path) -> None:
    columns = {name: pa.array([name]).dictionary_encode() for name in ("id", "query", "passage")}
    table = pa.table({**columns, "language": pa.array(["EN"], pa.large_string())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_pairs(tmp_path / "a.parquet").languages == ("en",)


GOOD = '{"id": "1", "language": "de", "query": "q", "passage": "p"}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "2", "language": ', r"line 3: not JSON \(Expecting value, column \d+\); each line must be one object"),
        ("[1, 2]", r"line 3: not an object; a row needs id, language, query"),
        ('{"id": "2", "language": "de", "query": "q"}', r'line 3: no "passage"; a row needs id, language'),
        (GOOD.replace('"1"', "2"), r'line 3: "id" must be a Unicode string, got 2'),
        (GOOD.replace('"1"', '"\\ud800"'), r'line 3: "id" must be a Unicode string, got .*ud800'),
        (GOOD.replace('"q"', '["q"]'), r"""line 3: "query" must be a Unicode string, got \['q'\]"""),
        (GOOD.replace('"p"', '"p", "negatives": "n"'), r'line 3: "negatives" must be a list of Unicode strings, got'),
        (
            GOOD.replace('"1"', '"2"').replace('"p"', '"p", "negatives": ["n", " "]'),
            r"line 3: a negative is null, empty",
        ),
        (GOOD.replace('"p"', "null"), r'line 3: "passage" is null; a row needs'),
        (GOOD.replace('"p"', '" \\u3000"'), r'line 3: "passage" is empty; it must hold some text'),
        (GOOD.replace('"q"', '""'), r'line 3: "query" is empty'),
        (GOOD.replace('"p"', '"\\u200b\\ufeff"'), r'line 3: "passage" is empty; it must hold some text'),
        (GOOD.replace('"p"', '"a\\u0000b"'), r'line 3: "passage" holds a NUL character; take it out'),
        (GOOD.replace("de", "xx"), r'line 3: unknown language "xx"; give a BCP 47 tag such as "de"'),
        (
            GOOD.replace("de", "DE"),
            r'line 3: id "1" has "de" already \(.*line 1\); one translation per language and id',
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(InputError, match=rf"own\.jsonl {message}") as caught:
        read_pairs(path)
    assert "\n" not in str(caught.value)


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_bytes(GOOD.encode() + b'\n{"id": "\xe9"}\n')
    with pytest.raises(InputError, match=r"own\.jsonl line 2: byte 9 is not UTF-8; save the file as UTF-8"):
        read_pairs(tmp_path / "own.jsonl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,language,query\n", r'line 1: no column "passage"; it has id, language, query; a row needs id'),
        ("id,language,query,passage\n1,de,q\n", r"line 2: not as many cells as the header has"),
        ("id,language,query,passage\n1,de,q,p,n\n", r"line 2: not as many cells as the header has"),
        ("id,language,query,passage,query\n", r'line 1: the column "query" stands twice'),
        ("src,tgt\na,b\n", r'line 1: no column "id"; it has src, tgt'),
        (
            "id,en,de\na tree,a,b\n",
            r'line 2: "id" is to name the row, and is \'a tree\'; call a column of Indonesian "ind"',
        ),
        ('id,language,query,passage\n1,de,q,"p"x\n', r"line 2: the quote that opens here does not close"),
        ('id,language,query,passage\n1,de,q,"two\nlines"\n2,xx,q,p\n', r'line 4: unknown language "xx"'),
        ("id,language,query,passage,negatives\n1,de,q,p,n\n", r'line 2: "negatives" must be a JSON list'),
        (f"id,language,query,passage,negatives\n1,de,q,p,{'[' * 99999}\n", r'line 2: "negatives" must be a JSON list'),
        (f"id,language,query,passage,negatives\n1,de,q,p,[{'7' * 5000}]\n", r'line 2: "negatives" must be a JSON list'),
    ],
)
def test_a_wrong_csv_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.csv").write_text(content)
    with pytest.raises(InputError, match=rf"own\.csv {message}"):
        read_pairs(tmp_path / "own.csv")


def test_beside_two_languages_id_names_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,en,de\n7,a tree,ein Baum\n")
    (tmp_path / "b.csv").write_text("id,en\nsebuah pohon,a tree\n")
    assert {(row["id"], row["language"]) for row in read_pairs(tmp_path / "a.csv").rows()} == {("7", "en"), ("7", "de")}
    assert {row["language"] for row in read_pairs(tmp_path / "b.csv").rows()} == {"id", "en"}


HEAD = "id,language,query,passage\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('1,de,q,"p\n' + "2,de,q,p\n" * 50, 2),  # to the end of the file
        ('1,de,"a\nb",p\n2,de,q,"p\n3,de,q,p\n', 4),  # after a cell of two lines
        ('1,de,q,p\n2,de,"q,p\n3,de,"q",p\n', 3),  # to the next quote
        ('1,de,"a ""word"" b",p\n2,de,"a"b",p\n', 3),  # a quote that is not doubled
        ('1,de,"a\nb""c",p\n\n2,de,q,"\n', 5),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_an_open_quote_is_named_where_it_opens(tmp_path: Path, content: str, line: int, suffix: str) -> None:
    whole = (HEAD + content).replace(",", "\t" if suffix == "tsv" else ",")
    (tmp_path / f"own.{suffix}").write_text(whole)
    with pytest.raises(InputError, match=rf"own\.{suffix} line {line}: the quote that opens here does not close"):
        read_pairs(tmp_path / f"own.{suffix}")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_a_byte_order_mark_is_no_text_and_another_encoding_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"own{suffix}"
    write_pairs(some_pairs(2, "de"), path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8-sig")
    assert len(read_pairs(path)) == 2
    path.write_text(text, encoding="utf-16")
    with pytest.raises(InputError, match=r"line 1: this file is UTF-16, not UTF-8; save the file as UTF-8"):
        read_pairs(path)
    path.write_text(text, encoding="utf-16-le")
    with pytest.raises(InputError, match=r"line 1: holds a NUL character; .* save a UTF-16 file as UTF-8"):
        read_pairs(path)


def test_a_gzipped_file_is_read(tmp_path: Path) -> None:
    write_pairs(some_pairs(2, "de"), tmp_path / "own.tsv")
    (tmp_path / "own.tsv.gz").write_bytes(gzip.compress((tmp_path / "own.tsv").read_bytes()))
    assert read_pairs(tmp_path / "own.tsv.gz").fingerprint == read_pairs(tmp_path / "own.tsv").fingerprint


def test_columns_that_are_languages_hold_aligned_sentences(tmp_path: Path) -> None:
    (tmp_path / "talks.tsv").write_text('en\tde_DE\nHello.\tHallo.\n\t\n"One\ntwo"\tEins\n', encoding="utf-8")
    assert [tuple(row.values())[:4] for row in read_pairs(tmp_path / "talks.tsv").rows()] == [
        ("talks/2", "en", "Hello.", "Hello."),
        ("talks/2", "de-DE", "Hallo.", "Hallo."),
        ("talks/4", "en", "One\ntwo", "One\ntwo"),
        ("talks/4", "de-DE", "Eins", "Eins"),
    ]
    (tmp_path / "talks.tsv").write_text("en\tde\nHello.\t \n")
    with pytest.raises(InputError, match=r"talks\.tsv line 2: empty in de only; it must hold the sentence"):
        read_pairs(tmp_path / "talks.tsv")


def test_paths_are_read_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NAME", "own")
    write_pairs(some_pairs(1, "de"), "~/$NAME.jsonl")
    assert len(read_pairs("${HOME}/own.jsonl")) == 1
    with pytest.raises(InputError, match="variable NO_SUCH is not set"):
        write_pairs(some_pairs(1, "de"), "$NO_SUCH/own.jsonl")


def test_a_long_csv_cell_is_read(tmp_path: Path) -> None:
    with (tmp_path / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "language", "query", "passage"], ["1", "de", "", "p" * 200_000]])
    assert len(read_pairs(tmp_path / "own.csv").texts("passage")[0] or "") == 200_000


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jsonl: no such file"):
        read_pairs(tmp_path / "gone.jsonl")
    with pytest.raises(
        InputError, match=r"own\.txt: cannot tell the format; name it \.jsonl, \.csv, \.tsv or \.parquet"
    ):
        read_pairs(tmp_path / "own.txt")
    (tmp_path / "own.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"own\.parquet: not a readable Parquet file"):
        read_pairs(tmp_path / "own.parquet")
    pq.write_table(pa.table({"id": [1]}), tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r'own\.parquet: no column "language"; it has .*; a row needs'):
        read_pairs(tmp_path / "own.parquet")
    columns = {name: ["a", None] for name in ("id", "language", "query", "passage")}
    pq.write_table(pa.table(columns), tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r'own\.parquet row 2: "id" is null'):
        read_pairs(tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r"own\.txt: cannot tell the format"):
        write_pairs(some_pairs(1, "de"), tmp_path / "own.txt")
    assert not (tmp_path / "own.txt").exists()


def test_no_rows_are_pairs_too(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    empty = read_pairs(tmp_path / "none.jsonl")
    assert (len(empty), empty.languages, empty.example_count) == (0, (), 0)
    assert empty.deduplicate()[1].examples_after == 0
    assert "0 examples" in str(empty.describe())
    assert len(ParallelPairs.concatenate([])) == 0


# --- parts of a table ---


@given(examples=st.integers(2, 30), share=st.floats(0.05, 0.95), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_split_keeps_translations_together(examples: int, share: float, seed: int) -> None:
    pairs = some_pairs(examples, "de", "en", "fi")
    count = min(max(1, round(share * examples)), examples - 1)
    train, held_out = pairs.split(count, seed)
    assert held_out.example_count == count
    assert not ids(train) & ids(held_out)
    assert ids(train) | ids(held_out) == ids(pairs)
    assert len(train) + len(held_out) == len(pairs)


def test_a_split_can_be_a_share_and_is_repeated_by_its_seed() -> None:
    pairs = some_pairs(20, "de", "en")
    assert pairs.split(0.25, seed=1)[1].example_count == 5
    assert pairs.split(5, seed=1)[1].fingerprint == pairs.split(0.25, seed=1)[1].fingerprint
    assert pairs.split(5, seed=2)[1].fingerprint != pairs.split(5, seed=1)[1].fingerprint
    for wrong in (0, 20, 0.001, -1):
        with pytest.raises(InputError, match=r"leaves a part empty; give a number from 1 to 19 or a share"):
            pairs.split(wrong, seed=1)


def test_a_sample_has_all_translations_in_the_order_of_the_table() -> None:
    pairs = some_pairs(20, "de", "en")
    drawn = pairs.sample(7, seed=3)
    assert (drawn.example_count, len(drawn)) == (7, 14)
    kept = ids(drawn)
    assert drawn.texts("passage") == [text for text in pairs.texts("passage") if text and text.split()[0] in kept]
    with pytest.raises(InputError, match="cannot draw 21 of 20 examples"):
        pairs.sample(21, seed=3)


def test_languages_are_filtered_by_any_of_their_codes() -> None:
    pairs = some_pairs(2, "de", "en", "pt-BR")
    assert pairs.filter_languages(["pt_BR", "deu_Latn"]).languages == ("de", "pt-BR")
    with pytest.raises(InputError, match='no rows in "fr"; there are de, en, pt-BR'):
        pairs.filter_languages(["fr"])


def test_one_id_in_two_tables_gets_its_data_set_in_front() -> None:
    one = ParallelPairs.from_rows([row("1", "de")], dataset="one")
    two = ParallelPairs.from_rows([row("1", "en")], dataset="two")
    other = ParallelPairs.from_rows([row("2", "en")], dataset="two")
    assert ids(ParallelPairs.concatenate([one, other])) == {"1", "2"}
    assert ids(ParallelPairs.concatenate([one, two])) == {"one/1", "two/1"}
    with pytest.raises(InputError, match=r'row 2 of the concatenated tables: id "one/1" has "de" already'):
        ParallelPairs.concatenate([one, one])


def test_the_fingerprint_is_of_the_content_alone() -> None:
    pairs = some_pairs(4, "de", "en")
    first = np.arange(len(pairs)) < 4
    chunked = ParallelPairs.concatenate([pairs.select_rows(first), pairs.select_rows(~first)])
    assert chunked.fingerprint == pairs.fingerprint
    rows = list(pairs.rows())
    for change in ({"query": None}, {"passage": "other"}, {"negatives": []}, {"negatives": ["n"]}, {"dataset": "d"}):
        changed = ParallelPairs.from_rows([{**rows[0], **change}, *rows[1:]])
        assert changed.fingerprint != pairs.fingerprint, change
    moved = [{**rows[0], "query": rows[0]["query"] + "q"}, {**rows[1], "query": rows[1]["query"][1:]}, *rows[2:]]
    assert ParallelPairs.from_rows(moved).fingerprint != pairs.fingerprint


# --- duplicates ---


def kept(*rows: Row) -> set[str]:
    return ids(ParallelPairs.from_rows(rows).deduplicate()[0])


def test_one_passage_in_any_language_makes_one_example_the_richest_kept() -> None:
    rows = [
        row("a", "de", passage="Ein Satz."),
        row("b", "de", passage="EIN  SATZ!"),
        row("b", "en", passage="A sentence."),
        row("c", "en", passage="A sentence"),
        row("d", "en", passage="Another."),
    ]
    pairs, report = ParallelPairs.from_rows(rows).deduplicate()
    assert ids(pairs) == {"b", "d"}
    assert (report.same_passage, report.near_passage, report.same_query) == (2, 0, 0)
    assert (report.examples_before, report.examples_after, report.rows_before, report.rows_after) == (4, 2, 5, 3)
    assert str(report).startswith("4 examples -> 2 (5 rows -> 3); dropped 2 with the same passage")


def test_a_family_with_one_long_first_paragraph_is_one_example() -> None:
    rows = [
        row("lib1", "en", passage=FAMILY),
        row("lib-dev", "en", passage=FAMILY + "\n\nThis package contains headers."),
        row("lib-doc", "en", passage=FAMILY + "\n\nThis package contains pages."),
        row("short", "en", passage="A library.\n\nThis package contains headers."),
        row("short-dev", "en", passage="A library.\n\nThis package contains pages."),
    ]
    pairs, report = ParallelPairs.from_rows(rows).deduplicate()
    assert ids(pairs) == {"lib1", "short", "short-dev"}
    assert report.near_passage == 2


def test_numbers_tell_short_passages_apart_but_not_long_ones() -> None:
    assert kept(row("a", "en", passage="In 1950."), row("b", "en", passage="In 1960.")) == {"a", "b"}
    assert kept(row("a", "en", passage=FAMILY + " 1.20"), row("b", "en", passage=FAMILY + " 1.3")) == {"a"}


def test_punctuation_alone_is_compared_as_it_is() -> None:
    assert kept(row("a", "en", passage="?!"), row("b", "en", passage="...")) == {"a", "b"}


def test_what_nobody_sees_tells_nothing_apart() -> None:
    for unseen in ("\u200b", "\u200f", "\ufeff", "\u00ad", "\ufe0f"):
        assert kept(row("a", "en", passage="It works."), row("b", "en", passage=f"It wo{unseen}rks.")) == {"a"}
        assert kept(row("a", "en", "who?"), row("b", "en", f"{unseen}who?")) == {"a"}


def test_one_query_in_one_language_is_asked_once() -> None:
    rows = [row("a", "de", "Was ist C?"), row("b", "de", "was  ist C?"), row("b", "en"), row("c", "de", "Was ist C++?")]
    pairs, report = ParallelPairs.from_rows(rows).deduplicate()
    assert ids(pairs) == {"b", "c"}
    assert report.same_query == 1
    assert kept(row("a", "de", "Taxi"), row("b", "en", "Taxi")) == {"a", "b"}


def test_a_second_deduplication_drops_nothing() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(f"e{n}", tag, f"query {rng.integers(90)}", f"passage {rng.integers(90)}")
        for n in range(100)
        for tag in ("de", "en")
    ]
    once, _ = ParallelPairs.from_rows(rows).deduplicate()
    twice, report = once.deduplicate()
    assert report.examples_before == report.examples_after
    assert twice.fingerprint == once.fingerprint


@given(
    links=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 8)), max_size=24),
    others=st.lists(st.tuples(st.integers(0, 11), st.integers(-1, 8)), max_size=24),
)
@settings(max_examples=150, deadline=None)
def test_groups_are_connected_components(links: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    kinds = [[link for link in part if link[1] >= 0] for part in (links, others)]
    group = list(range(12))
    for part in kinds * 12:  # the slow way: relabel whole groups, key by key, until nothing changes
        for value in {key for _, key in part}:
            joined = {group[example] for example, key in part if key == value}
            group = [min(joined) if label in joined else label for label in group]
    arrays = [np.array(part, np.int64).reshape(-1, 2).T for part in kinds]
    found = connected([Shared(example, np.zeros_like(example), key) for example, key in arrays], 12)
    assert found.tolist() == group


# --- what others see ---


def test_translations_are_the_shape_of_the_table() -> None:
    rows = [
        row("a", "en", "red", "Red."),
        row("a", "de", "rot", "Rot."),
        {"id": "b", "language": "de", "query": None, "passage": "Nur da."},
        row("c", "en", "same text", "same text"),
        row("d", "de", "anders", "rot", dataset="late"),
    ]
    shape = ParallelPairs.from_rows(rows, dataset="early").translations()
    assert shape.languages == ("de", "en")
    every, each = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
    assert shape.row_of(every, each).reshape(4, 2).tolist() == [[1, 0], [-1, -1], [-1, 3], [4, -1]]
    assert (shape.datasets, shape.dataset.tolist()) == (("early", "late"), [0, 0, 0, 1])
    assert shape.group.tolist() == [0, 1, 2, 0]
    assert shape.identical[shape.pattern].tolist() == [[False, False], [False, False], [False, True], [False, False]]


def test_a_plan_can_be_made_of_the_translations() -> None:
    pairs = some_pairs(40, "de", "en", "fi")
    shape = pairs.translations()
    plan = plan_batches(shape, "cross-lingual", batch_size=8, steps=4, seed=0)
    queries, passages = plan.table_rows(shape)
    assert (pairs.example[queries] == pairs.example[passages]).all()


def test_a_description_counts_pairs_of_languages() -> None:
    rows = [
        row("a", "de"),
        row("a", "en"),
        row("b", "de"),
        {"id": "b", "language": "fi", "query": None, "passage": "p"},
    ]
    description = ParallelPairs.from_rows(rows, dataset="toy").describe(
        lambda texts, role: [len(text.split()) + (role == "query") for text in texts]
    )
    assert (description.examples, description.rows) == (2, 4)
    assert description.languages == {"de": 2, "en": 1, "fi": 1}
    assert description.datasets == {"toy": 2}
    assert description.pairs.tolist() == [[2, 1, 1], [1, 1, 0], [0, 0, 0]]
    assert description.token_lengths == {"query": [4, 4, 4, 4], "passage": [2, 2, 2, 2]}
    assert json.loads(json.dumps(description.to_dict()))["pairs"][0] == [2, 1, 1]
    table = str(description).splitlines()
    assert table[0] == "2 examples, 4 rows, 3 languages"
    assert table[-3:] == ["de     2   1   1", "en     1   1   0", "fi     0   0   0"]


@pytest.mark.parametrize("sign", ["\u200b", "\u200f", "\u202b", "\u2060", "\ufeff", "\u00ad", "\ufe0f"])
def test_what_nobody_sees_hides_no_duplicate(sign: str) -> None:
    texts = ("भारत की राजधानी", f"भारत{sign} की राज{sign}धानी")
    pairs = ParallelPairs.from_rows(row(str(n), "hi", passage=text) for n, text in enumerate(texts))
    assert pairs.deduplicate()[1].same_passage == 1
    pairs = ParallelPairs.from_rows(row(str(n), "hi", query=text) for n, text in enumerate(texts))
    assert pairs.deduplicate()[1].same_query == 1
