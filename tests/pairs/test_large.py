"""Tables that are on disk, in many pieces or past two gigabytes say what small ones say."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs, files, numbers, parallel, read_pairs, rows, schema, texts, write_pairs
from isoglot.pairs.numbers import Column, first_places, numbered
from isoglot.pairs.texts import ArrowTexts, hashes

Row = dict[str, Any]
TAGS = ("de", "en", "fr")


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything on disk, in pieces of a few rows."""
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path / "own-cache"))
    monkeypatch.setattr(texts, "LARGE", 0)
    monkeypatch.setattr(numbers, "LARGE", 0)
    for module, name in (
        (numbers, "_NUMBERS_AT_A_TIME"),
        (numbers, "_SORTED_AT_A_TIME"),
        (rows, "_SORTED_AT_A_TIME"),
        (texts, "_TEXTS_AT_A_TIME"),
        (parallel, "ROWS_AT_A_TIME"),
        (schema, "ROWS_AT_A_TIME"),
        (files, "ROWS_AT_A_TIME"),
    ):
        monkeypatch.setattr(module, name, 3)


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Rows in any order, with shared texts, missing queries, aligned sentences and negatives."""
    keys = draw(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(TAGS)), min_size=1, max_size=18, unique=True))
    said = st.sampled_from([f"text {n}" for n in range(6)])
    found = []
    for number, tag in keys:
        passage = draw(said)
        found.append(
            {
                "id": f"e{number}",
                "language": tag,
                "query": draw(st.sampled_from([None, passage]) | said),
                "passage": passage,
                "negatives": draw(st.none() | st.lists(said, max_size=3)),
                "dataset": draw(st.sampled_from(["one", "two"])),
            }
        )
    return found


def deduplicated(given: list[Row]) -> list[Row]:
    """What `ParallelPairs.deduplicate` keeps, by comparing every row with every other."""
    names = list(dict.fromkeys(row["id"] for row in given))
    group = {name: n for n, name in enumerate(names)}
    for _ in names:
        for a in given:
            for b in given:
                if a["passage"] == b["passage"]:
                    group[a["id"]] = group[b["id"]] = min(group[a["id"]], group[b["id"]])
    order = sorted(names, key=lambda name: -sum(row["id"] == name for row in given))
    first = {}
    for name in order:
        first.setdefault(group[name], name)
    kept = [row for row in given if first[group[row["id"]]] == row["id"]]
    asked: dict[tuple[str, str], str] = {}
    for name in order:
        for row in kept:
            if row["id"] == name and row["query"] is not None:
                asked.setdefault((row["query"], row["language"]), name)
    late = {row["id"] for row in kept if row["query"] and asked[row["query"], row["language"]] != row["id"]}
    return [row for row in kept if row["id"] not in late]


@pytest.mark.usefixtures("in_pieces")
@given(given=tables(), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_in_pieces_on_disk_agrees_with_a_list(given: list[Row], seed: int, data: st.DataObject) -> None:
    pairs = ParallelPairs.from_rows(given)
    names = list(dict.fromkeys(row["id"] for row in given))
    assert list(pairs.rows()) == given
    assert list(pairs.example_ids) == names
    assert [names[n] for n in pairs.example] == [row["id"] for row in given]
    assert [pairs.languages[n] for n in pairs.language] == [row["language"] for row in given]
    assert pairs.negatives() == [row["negatives"] or [] for row in given]
    assert pickle.loads(pickle.dumps(pairs)).fingerprint == pairs.fingerprint
    some = np.array(data.draw(st.lists(st.integers(0, len(given) - 1))), np.int64)
    assert list(pairs.rows(some)) == [given[n] for n in some]

    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=len(given), max_size=len(given))))
    part, rest = pairs.select_rows(chosen), pairs.select_rows(~chosen)
    left = [row for row, kept in zip(given, chosen, strict=True) if kept]
    assert list(part.rows()) == left
    assert list(part.example_ids) == list(dict.fromkeys(row["id"] for row in left))
    assert part.languages == tuple(sorted({row["language"] for row in left}))
    assert set(part.datasets) == {row["dataset"] for row in left}
    if not set(part.example_ids) & set(rest.example_ids):
        both = ParallelPairs.concatenate([part, rest])
        assert list(both.rows()) == left + [row for row, kept in zip(given, chosen, strict=True) if not kept]

    assert list(pairs.deduplicate()[0].rows()) == deduplicated(given)
    sampled = pairs.sample(len(names) // 2, seed)
    assert list(sampled.rows()) == [row for row in given if row["id"] in set(sampled.example_ids)]
    shape = pairs.translations()
    for n, name in enumerate(names):
        for number, tag in enumerate(pairs.languages):
            place = next((at for at, row in enumerate(given) if (row["id"], row["language"]) == (name, tag)), -1)
            asked = place >= 0 and given[place]["query"] is not None
            assert shape.row_of(np.array([n]), number)[0] == (place if asked else -1)
            same = asked and given[place]["query"] == given[place]["passage"]
            assert shape.identical[shape.pattern[n], number] == same


@given(st.lists(st.integers(0, 5), max_size=40))
@pytest.mark.usefixtures("in_pieces")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_of_numbers_grow_and_are_numbered(values: list[int]) -> None:
    column = Column(np.int32)
    for value in values:
        column.append([value])
    found = column.finish()
    assert found.tolist() == values
    distinct = list(dict.fromkeys(values))
    number, first = numbered(np.array(values, np.uint64) << np.uint64(61))
    assert number.tolist() == [distinct.index(value) for value in values]
    assert first.tolist() == [values.index(value) for value in distinct]
    assert first_places(found, 6).tolist() == [values.index(n) if n in values else -1 for n in range(6)]


@given(st.lists(st.lists(st.text(max_size=4), max_size=4), min_size=1, max_size=9), st.data())
def test_a_take_does_not_show_the_chunks(chunks: list[list[str]], data: st.DataObject) -> None:
    everything = [text for chunk in chunks for text in chunk]
    arrays = [pa.array(chunk, pa.large_string()) for chunk in chunks]
    found = ArrowTexts(pa.chunked_array(arrays, pa.large_string()))
    at = np.array(data.draw(st.lists(st.integers(0, len(everything) - 1))) if everything else [], np.int64)
    assert found.take(at) == found.gather(at).to_pylist() == [everything[n] for n in at]
    assert list(ArrowTexts.joined([found, found.select(at)])) == everything + [everything[n] for n in at]
    assert found.hashes().tolist() == hashes(pa.array(everything, pa.large_string())).tolist()


def test_texts_behind_two_gigabytes_are_found(tmp_path: Path) -> None:
    """One column of more bytes than 32 bits count; the file has a hole, so it takes no room."""
    start = (1 << 31) + 5
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(start)
        file.write(b"zweidrei")
    content = np.memmap(tmp_path / "sparse", np.uint8, "r")
    offsets = np.array([0, start, start + 4, start + 8], np.int64)
    column = pa.Array.from_buffers(pa.large_string(), 3, [None, pa.py_buffer(offsets), pa.py_buffer(content)])
    found = ArrowTexts(pa.chunked_array([column, pa.array(["vier"], pa.large_string())]))
    assert found.take(np.array([3, 2, 1])) == found.gather(np.array([3, 2, 1])).to_pylist() == ["vier", "drei", "zwei"]
    wanted = np.array([False, True, True, False])
    assert found.hashes(wanted)[1:3].tolist() == hashes(pa.array(["zwei", "drei"], pa.large_string())).tolist()


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_large_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    given = [{"id": f"{n}", "language": tag, "query": "q", "passage": f"p {n}"} for n in range(9) for tag in TAGS]
    path = tmp_path / f"pairs{suffix}"
    write_pairs(ParallelPairs.from_rows(given), path)
    pairs = read_pairs(path)
    monkeypatch.setattr(schema, "is_blank", None)  # reading again would fail
    again = read_pairs(path)
    assert list(again.rows()) == list(pairs.rows())
    sent = pickle.dumps(again.store)
    assert len(sent) < 1000  # another process maps the file, it is not sent
    assert list(pickle.loads(sent)) == list(again.store)


@pytest.mark.usefixtures("in_pieces")
def test_a_wrong_large_file_leaves_nothing(tmp_path: Path) -> None:
    line = '{"id": "1", "language": "de", "query": "q", "passage": "p"}\n'
    (tmp_path / "pairs.jsonl").write_text(line * 9)
    with pytest.raises(InputError, match=r'line 2: id "1" has "de" already'):
        read_pairs(tmp_path / "pairs.jsonl")
    (tmp_path / "pairs.jsonl").write_text(line + line.replace("de", "xx"))
    with pytest.raises(InputError, match=r'line 2: unknown language "xx"'):
        read_pairs(tmp_path / "pairs.jsonl")
    assert not list((cache_folder() / "pairs").iterdir())


@pytest.mark.usefixtures("in_pieces")
def test_temporary_files_go_with_the_table() -> None:
    given = [{"id": f"{n}", "language": "de", "query": f"q{n}", "passage": "p"} for n in range(3)]
    pairs = ParallelPairs.from_rows(given)
    part = pairs.select_rows(np.array([True, False, True]))
    held = len(list((cache_folder() / "temporary").iterdir()))
    del pairs
    gc.collect()
    assert len(list((cache_folder() / "temporary").iterdir())) < held
    assert pickle.loads(pickle.dumps(part)).texts("query") == ["q0", "q2"]
    assert len(pickle.dumps(part)) < 4000  # names of files, not what is in them
    several = ParallelPairs.from_rows([{**row, "id": f"{n} {row['id']}"} for row in given for n in range(3000)])
    assert len(pickle.dumps(several)) < 80_000  # nor of a column the one number that it holds, again and again
    del several
    del part
    gc.collect()
    assert not list((cache_folder() / "temporary").iterdir())


@pytest.mark.slow
def test_more_than_two_gigabytes_in_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path))
    long = "A sentence that is said again and again. " * 1500

    def given() -> Iterator[Row]:
        return ({"id": f"{n}", "language": "en", "query": f"q {n}", "passage": f"{n} {long}"} for n in range(36_000))

    pairs = ParallelPairs.from_rows(given())
    last = np.array([35_999])
    assert pairs.texts("passage", last) == [f"35999 {long}"]
    part = ParallelPairs.concatenate(
        [pairs.sample(35_000, seed=0), ParallelPairs.from_rows([{**next(given()), "id": "x"}])]
    )
    assert part.texts("passage", np.array([35_000])) == [f"0 {long}"]
    assert len(part.translations().group) == 35_001
