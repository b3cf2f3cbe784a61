"""Corpora of every format give the same rows; what cannot be one is named by file and line."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from counting import rows_of, some_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot import encode_corpus, open_corpus, read_pairs, write_pairs
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.encoding import identification
from isoglot.vectors.columns import Columns
from isoglot.vectors.provenance import read_manifest


def read(path, **options):
    """The rows of a corpus as Python objects."""
    opened = open_corpus(path, **options).rows
    return [row for part in opened.parts(None) for row in part.batch.to_pylist()]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


PACKED = {
    "plain.jsonl": lambda parts: b"".join(parts),
    "members.jsonl.gz": lambda parts: b"".join(map(gzip.compress, parts)),
    "frames.jsonl.zst": lambda parts: b"".join(pa.Codec("zstd").compress(part, asbytes=True) for part in parts),
    "mark.ndjson": lambda parts: b"\xef\xbb\xbf" + b"".join(parts),
}


@pytest.mark.parametrize("name", PACKED)
def test_lines_are_read_however_they_are_packed(name, tmp_path):
    rows = some_rows()
    (tmp_path / name).write_bytes(PACKED[name]([lines(rows[:7]), lines(rows[7:12]), lines(rows[12:])]))
    assert read(tmp_path / name) == rows


@pytest.mark.parametrize("name", ["members.jsonl.gz", "frames.jsonl.zst"])
def test_a_file_that_was_cut_is_named(name, tmp_path):
    (tmp_path / name).write_bytes(PACKED[name]([lines(some_rows())])[:-9])
    with pytest.raises(InputError, match=rf"{name} line \d+: cannot be unpacked"):
        open_corpus(tmp_path / name)


def test_tables_give_the_same_rows_and_keep_their_types(tmp_path):
    rows = some_rows()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet", row_group_size=6)
    assert read(tmp_path / "c.parquet") == rows
    header, *cells = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
    (tmp_path / "c.csv").write_text("\n".join(",".join(line) for line in [header, *cells]) + "\n")
    assert read(tmp_path / "c.csv") == [{**row, "rank": str(row["rank"])} for row in rows]


def test_endings_may_be_written_in_capitals(tmp_path):
    pq.write_table(pa.Table.from_pylist(some_rows()), tmp_path / "C.PARQUET")
    assert read(tmp_path / "C.PARQUET") == some_rows()


@pytest.mark.parametrize("columns", [["id"], ["text"], ["id", "text"]])
def test_text_that_is_not_utf_8_is_named(columns, tmp_path, encoder):
    cells = {name: pa.array([b"a", b"caf\xe9" if name in columns else b"b", b"c"]) for name in ("id", "text")}
    pq.write_table(pa.table({name: column.view(pa.string()) for name, column in cells.items()}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match=rf'c\.parquet: the column "{columns[0]}": holds .*caf.xe9.*not UTF-8'):
        encode_corpus(tmp_path / "c.parquet", encoder, tmp_path / "v")


def test_whole_numbers_stay_to_the_unit_beside_numbers_with_a_point(write, encoder, tmp_path):
    values = [9007199254740993, 0.5, 7]
    rows = [{"id": n, "text": "t", "v": value} for n, value in enumerate(values)]
    assert [row["v"] for row in read(write(rows))] == ["9007199254740993", "0.5", "7"]
    assert [row["v"] for row in read(write(rows[1:]))] == [0.5, 7.0]
    for n in range(2):
        write(rows[n : n + 1], f"in/{n}.jsonl")
    with pytest.raises(InputError, match=r'0\.jsonl: the column "v" cannot be double, as it is with the other files'):
        encode_corpus(tmp_path / "in", encoder, tmp_path / "v")


def test_a_column_that_shards_cannot_hold_is_named(tmp_path, encoder):
    empty = pa.array([{}, {}], pa.struct([]))
    table = pa.table({"id": ["1", "2"], "text": ["a", "b"], "meta": empty})
    with pa.OSFile(str(tmp_path / "c.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(InputError, match=r'c\.arrow: the column "meta" holds struct<>, which Parquet cannot'):
        encode_corpus(tmp_path / "c.arrow", encoder, tmp_path / "v")
    assert encoder.seen == []


def test_two_columns_of_one_name_are_refused(tmp_path):
    (tmp_path / "c.csv").write_text("id,text,text\n1,a,b\n")
    table = pa.Table.from_arrays([pa.array(["1"])] * 3, names=["id", "text", "text"])
    pq.write_table(table, tmp_path / "c.parquet")
    for name in ("c.csv line 1", "c.parquet"):
        with pytest.raises(InputError, match=rf'{name}: the column "text" stands twice; name one of them otherwise'):
            open_corpus(tmp_path / name.split()[0])


def test_a_folder_and_a_pattern_are_read_in_the_order_of_names(tmp_path):
    rows = some_rows(9)
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / "a.jsonl").write_bytes(lines(rows[:4]))
    pq.write_table(pa.Table.from_pylist(rows[4:]), tmp_path / "in" / "b" / "more.parquet")
    for passed_over in ("_SUCCESS", ".hidden.jsonl", "README.md", "_old.jsonl"):
        (tmp_path / "in" / passed_over).write_text("not a row")
    (tmp_path / "in" / "empty.jsonl").touch()
    assert read(tmp_path / "in") == rows
    assert read(tmp_path / "in" / "**" / "*.parquet") == rows[4:]


def test_columns_of_one_file_that_another_lacks_are_null_there(tmp_path, encoder):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(lines([{"id": 1, "text": "a", "lang": "DE", "n": 1}]))
    (tmp_path / "in" / "b.jsonl").write_bytes(lines([{"_id": "07", "content": "b", "n": 1.5, "tags": ["x", {"y": 1}]}]))
    encode_corpus(tmp_path / "in", encoder, tmp_path / "v")
    one, two = ({**row, "vector": 0} for row in rows_of(tmp_path / "v"))
    common = {"group": None, "vector": 0}
    assert one == {"id": "1", "language": "de", "text": "a", "n": 1.0, "tags": None, **common}
    assert two == {"id": "07", "language": None, "text": "b", "n": 1.5, "tags": '["x", {"y": 1}]', **common}
    (tmp_path / "in" / "c.jsonl").write_bytes(lines([{"id": 3, "text": "c", "n": "three"}]))
    with pytest.raises(InputError, match=r"c\.jsonl: a column is of another type than in files before"):
        encode_corpus(tmp_path / "in", encoder, tmp_path / "w")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False),
            st.text(),
            st.lists(st.integers(0, 3), max_size=2),
        ),
        max_size=6,
    )
)
def test_other_columns_hold_what_stood_there(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "c.jsonl"
    path.write_bytes(
        lines([{"id": n, "text": "t", "any": value} for n, value in enumerate(values)] or [{"id": 0, "text": "t"}])
    )
    kinds = {type(value) for value in values if value is not None}
    small = all(type(value) is not int or -(2**63) <= value < 2**63 for value in values)
    exact = all(type(value) is not int or abs(value) <= 2**53 for value in values)
    typed = small and (kinds in ({bool}, {int}, {float}) or (kinds == {int, float} and exact))
    for row, value in zip(read(path), values, strict=False):
        expected = value if typed or value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        assert row["any"] == expected


BEIR = [
    {"_id": "d1", "title": "black tree", "text": "water"},
    {"_id": "d2", "title": "", "text": "river"},
    {"_id": "d3", "title": None, "text": "cloud"},
    {"_id": "d4", "text": "fire"},
    {"_id": "d5", "title": "bird", "text": ""},
    {"_id": "d6", "title": "bread", "text": "bread", "metadata": {"url": "/x"}},
]
JOINED = ["black tree water", "river", "cloud", "fire", "bird", "bread bread"]


@pytest.fixture
def beir(write):
    write([{"_id": "q", "text": "tree"}], "beir/queries.jsonl")
    return write(BEIR, "beir/corpus.jsonl")


def test_a_folder_of_beir_joins_title_and_text(beir, encoder, tmp_path):
    for given_path in (beir, beir.parent):
        assert [row["text"] for row in read(given_path)] == JOINED
    done = encode_corpus(beir.parent, encoder, tmp_path / "v", language="en")
    rows = rows_of(tmp_path / "v")
    assert [row["title"] for row in rows] == ["black tree", "", None, None, "bird", "bread"]
    assert rows[5]["metadata"] == '{"url": "/x"}'
    assert (done.languages, rows[0]["language"]) == ({"en": 6}, "en")
    assert "corpus.jsonl: title and text are joined, as BEIR has it." in done.sentences()
    pq.write_table(pa.Table.from_pylist(BEIR), tmp_path / "corpus.parquet")
    assert [row["text"] for row in read(tmp_path / "corpus.parquet")] == JOINED


def test_a_folder_of_beir_per_language_says_the_languages(write, tmp_path):
    for tag, rows in (("de", BEIR[:2]), ("en", BEIR[2:3])):
        write([{"_id": "q", "text": "tree"}], f"all/{tag}/queries.jsonl")
        write(rows, f"all/{tag}/corpus.jsonl")
    assert [(row["id"], row["language"]) for row in read(tmp_path / "all")] == [
        ("d1", "de"),
        ("d2", "de"),
        ("d3", "en"),
    ]


@pytest.fixture
def by_language(write, tmp_path):
    for tag, rows in (("de", BEIR[:2]), ("nb", BEIR[2:3])):
        write([{"_id": "q", "text": "tree"}], f"all/{tag}/queries.jsonl")
        write(rows, f"all/{tag}/corpus.jsonl")
    return tmp_path / "all"


def test_a_folder_of_a_language_needs_no_queries(by_language, write):
    write(BEIR[3:4], "all/fr/corpus.jsonl")
    assert [(row["id"], row["language"]) for row in read(by_language)] == [
        ("d1", "de"),
        ("d2", "de"),
        ("d4", "fr"),
        ("d3", "no"),
    ]


def test_two_folders_of_one_language_are_refused(by_language, write):
    write(BEIR[3:4], "all/no/corpus.jsonl")
    with pytest.raises(InputError, match=r'all/no: "no" is already in nb; keep one of them per language'):
        open_corpus(by_language)


@pytest.mark.parametrize("name", ["more.jsonl", "fr/other.jsonl", "rest/corpus.jsonl"])
def test_what_stands_beside_folders_by_language_is_not_left_out_in_silence(name, by_language, write, encoder):
    write(BEIR[3:4], f"all/{name}")
    with pytest.raises(InputError, match=rf"all/{name}: stands beside folders in BEIR's format and would be left out"):
        open_corpus(by_language)
    (by_language / name).unlink()
    write(BEIR[3:4], "all/_old/corpus.jsonl")
    for _ in range(2):
        assert encode_corpus(by_language, encoder, by_language / "vectors").rows == 3


@pytest.mark.parametrize("name", ["p.jsonl", "p.parquet", "p.csv"])
@pytest.mark.parametrize("role", ["passage", "query"])
def test_parallel_files_give_keys_of_id_and_language(name, role, pairs, encoder, tmp_path):
    write_pairs(pairs, tmp_path / name)
    encode_corpus(tmp_path / name, encoder, tmp_path / "v", role=role)
    assert [
        (row["id"], row["group"], row["language"], row["text"], row["dataset"]) for row in rows_of(tmp_path / "v")
    ] == [
        (f"{row['id']}@{row['language']}", row["id"], row["language"], row[role], "toy")
        for row in read_pairs(tmp_path / name).rows()
    ]
    assert set(rows_of(tmp_path / "v")[0]) == {"id", "group", "language", "text", "dataset", "vector"}


def test_ids_that_translations_share_become_keys_and_stay_so(write, encoder, tmp_path):
    rows = [{"id": "a", "language": tag, "text": f"a {tag}"} for tag in ("de", "en")] + [
        {"id": "b", "language": "de", "text": "b"}
    ]
    encode_corpus(write(rows), encoder, tmp_path / "v")
    assert [(row["id"], row["group"]) for row in rows_of(tmp_path / "v")] == [
        ("a@de", "a"),
        ("a@en", "a"),
        ("b@de", "b"),
    ]
    encode_corpus(write(rows[1:]), encoder, tmp_path / "v")
    assert [row["id"] for row in rows_of(tmp_path / "v")] == ["a@en", "b@de"]
    encode_corpus(write(rows[1:]), encoder, tmp_path / "w")
    assert [(row["id"], row["group"]) for row in rows_of(tmp_path / "w")] == [("a", None), ("b", None)]
    for said in ({"shared_ids": True}, {"columns": Columns(group="id")}):
        encode_corpus(write(rows[1:]), encoder, tmp_path / "x", **said)
        assert [row["id"] for row in rows_of(tmp_path / "x")] == ["a@en", "b@de"]


def test_a_group_of_its_own_is_kept(write, encoder, tmp_path):
    rows = [
        {"id": n, "document": f"g{n // 2}", "lang": tag, "body": f"{n}"}
        for n, tag in enumerate(["de", "en", "zh-Hans", "und"])
    ]
    done = encode_corpus(write(rows), encoder, tmp_path / "v")
    assert [(row["id"], row["group"], row["language"]) for row in rows_of(tmp_path / "v")] == [
        ("0", "g0", "de"),
        ("1", "g0", "en"),
        ("2", "g1", "zh"),
        ("3", "g1", None),
    ]
    assert 'corpus.jsonl: 1 rows without a language ("und").' in done.notes


def test_ids_are_kept_to_the_byte(write, encoder, tmp_path):
    ids = ["7", "07", "\u00e9", "e\u0301", "x" * 2000, "a@de", " "]
    encode_corpus(write([{"id": key, "text": f"text {n}"} for n, key in enumerate(ids)]), encoder, tmp_path / "v")
    assert [row["id"] for row in rows_of(tmp_path / "v")] == ids


def bad(row, **more):
    return [*some_rows(3), row, *some_rows(6)[4:], *more.get("then", [])]


FAULTS = [
    ({"id": "x", "text": ""}, r"line 4 \(id x\): the text is empty"),
    ({"id": "x", "text": "\u200b \n"}, r"line 4 \(id x\): the text is empty"),
    ({"id": "x", "text": None}, r"line 4 \(id x\): the text is empty"),
    ({"id": "x"}, r"line 4 \(id x\): the text is empty"),
    ({"id": "x", "text": ["a"]}, r"line 4 \(id x\): the text is empty"),
    ({"id": "x", "text": "half \ud800"}, r"line 4 \(id x\): the text is empty"),
    ({"id": None, "text": "a"}, r"line 4: no id"),
    ({"id": "", "text": "a"}, "line 4 .*no id"),
    ({"id": 1.5, "text": "a"}, r"line 4: no id"),
    (
        {"id": "d1", "language": "EN", "text": "a"},
        r"line 4 \(id d1, EN\): this id stands twice in one language, first in .*line 2 \(id d1, en\)",
    ),
]


@pytest.mark.parametrize(("row", "message"), FAULTS)
def test_a_bad_row_is_named_and_nothing_is_written_or_it_is_left_out(row, message, tmp_path, encoder):
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in bad(row)))
    with pytest.raises(InputError, match=message):
        encode_corpus(path, encoder, tmp_path / "v")
    assert not (tmp_path / "v").exists()
    assert encoder.seen == []
    done = encode_corpus(path, encoder, tmp_path / "v", skip_bad=tmp_path / "bad.jsonl")
    assert (done.rows, done.left_out, len(rows_of(tmp_path / "v"))) == (6, 1, 5)
    assert "Rows: 6 in, 5 out, 1 left out. Vectors: 5 made, 0 there already." in done.sentences()
    with pytest.raises(InputError, match=r"c\.jsonl, which is read or written; name another file for --skip-bad"):
        encode_corpus(path, encoder, tmp_path / "v", skip_bad=path)
    assert path.stat().st_size
    (left,) = map(json.loads, (tmp_path / "bad.jsonl").read_text().splitlines())
    assert (left["file"], left["line"]) == (str(path), 4)
    assert read_manifest(tmp_path / "v")["left_out"] == 1


def test_blank_lines_do_not_shift_the_places(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"\n" + lines(some_rows(2)) + b"\n\n" + lines(some_rows(3)[2:]))
    assert [open_corpus(path).files[0].place(n) for n in range(3)] == ["line 2", "line 3", "line 6"]


CANNOT = [
    ({"c.txt": b"text"}, {}, "no file of a corpus; they end in .jsonl"),
    ({}, {}, "no such file or folder"),
    ({"c.jsonl": b""}, {}, "holds no rows"),
    ({"c.jsonl": b'{"id": 1}'}, {}, "no column for the text, such as text, body, content; it has id"),
    (
        {"c.jsonl": b'{"id": 1, "_id": 2, "text": "a"}'},
        {},
        "id and _id could each be the id; say which with --id-column",
    ),
    ({"c.jsonl": b'{"id": 1, "text": "a"'}, {}, r"line 1: not JSON"),
    ({"c.jsonl": b'["a"]'}, {}, r"line 1: not an object; each line must be one object, with an id and a text"),
    ({"c.csv": b"id,text\n1,a,b\n"}, {}, "line 2: 3 cells where the header has 2"),
    (
        {"c.jsonl": b'{"id": 1, "text": "a", "lang": "de"}'},
        {"language": "en"},
        'has a column "lang"; a language for the',
    ),
    ({"c.jsonl": b'{"id": 1, "text": "a"}'}, {"language": "klingonese"}, 'unknown language "klingonese"'),
    ({"c.parquet": b"PAR1"}, {}, "not a readable Parquet file"),
    ({"c.parquet.gz": b""}, {}, r"of packed files only \.jsonl, \.ndjson, \.csv, \.tsv are read; unpack it"),
]


@pytest.mark.parametrize(("files", "options", "message"), CANNOT)
def test_what_is_no_corpus_is_said_in_one_line(files, options, message, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        open_corpus(tmp_path / next(iter(files), "none"), **options)
    assert "\n" not in str(raised.value)


def test_names_that_shards_use_otherwise_are_left_behind_and_said(write, encoder, tmp_path):
    rows = [{"id": n, "_id": f"x{n}", "text": "short", "body": f"long {n}", "embedding": [0.5, 1.0]} for n in range(3)]
    done = encode_corpus(write(rows), encoder, tmp_path / "v", columns=Columns(id="_id", text="body"))
    assert set(rows_of(tmp_path / "v")[0]) == {"id", "group", "language", "text", "vector"}
    assert [(row["id"], row["text"]) for row in rows_of(tmp_path / "v")] == [(f"x{n}", f"long {n}") for n in range(3)]
    assert any("embedding, id, text left behind" in note for note in done.notes)


SENTENCES = {
    "de": "Der schnelle braune Fuchs springt über den faulen Hund am Ufer des Flusses.",
    "en": "The quick brown fox jumps over the lazy dog on the bank of the river.",
    "el": "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",
    "zh": "敏捷的棕色狐狸跳过了懒狗，在河岸边。",
}


def test_languages_that_are_missing_are_identified(write, encoder, tmp_path):
    pytest.importorskip("py3langid", reason="the extra identify is not installed")
    rows = [{"id": "t", "lang": None, "text": text} for text in SENTENCES.values()]
    rows += [
        {"id": "kept", "lang": "FR", "text": SENTENCES["de"]},
        {"id": "nothing", "lang": "und", "text": "1234 --- 5"},
    ]
    encode_corpus(write(rows), encoder, tmp_path / "v", identify_languages=True)
    assert [row["language"] for row in rows_of(tmp_path / "v")] == [*SENTENCES, "fr", None]
    assert [row["id"] for row in rows_of(tmp_path / "v")] == [*(f"t@{tag}" for tag in SENTENCES), "kept@fr", "nothing@"]
    assert [
        row["language"] for row in read(write([{"id": 1, "text": SENTENCES["el"]}], "b.jsonl"), identify_languages=True)
    ] == ["el"]


def test_identification_without_its_library_says_what_to_install(write, encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "py3langid.langid", None)
    identification._identifier.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install .isoglot\[identify\]"):
        encode_corpus(write(some_rows()), encoder, tmp_path / "v", identify_languages=True)
    assert not (tmp_path / "v").exists()
