"""Every bad row is found before anything is done, and counted."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import toy, unit, write

from isoglot.common.errors import InputError
from isoglot.common.languages import LanguageCodes
from isoglot.vectors.checking import Survey, leaving_out, survey
from isoglot.vectors.rows import VectorRows, open_vectors

NEEDS = ("id", "language", "text")


def damaged(**changes: Any) -> dict[str, Any]:
    """Toy rows with some cells changed: column to row to value."""
    rows = {**toy(examples=5), "text": [f"text {n}" for n in range(15)]}
    rows["vector"] = [row.tolist() for row in rows["vector"]]
    for column, cells in changes.items():
        for row, value in cells.items():
            rows[column][row] = value
    return rows


FAULTS: list[tuple[dict[str, dict[int, Any]], str]] = [
    ({"vector": {4: None, 7: None}}, r"row 5 \(id e01, en\): no vector \(null\); 2 rows are bad in all"),
    (
        {"vector": {4: [1.0] * 7, 9: [1.0] * 9}},
        r"row 5 \(id e01, en\): the vector has 7 numbers where other rows have 8",
    ),
    (
        {"vector": {4: [float("nan")] * 8}},
        "row 5 .*the vector is not finite; mend the file, or leave bad rows out with",
    ),
    ({"vector": {4: [float("inf")] * 8}}, "row 5 .*the vector is not finite"),
    ({"vector": {4: [0.0] * 8}}, "row 5 .*the vector is all zeros"),
    ({"id": {4: None}}, r"row 5 \(en\): no id"),
    ({"id": {4: ""}}, "row 5 .*no id"),
    ({"id": {4: "e00"}}, r"row 5 \(id e00, en\): this id stands twice in one language, first in .*row 2 "),
    ({"text": {4: " \u200b"}}, "row 5 .*the text is empty"),
    ({"language": {4: None, 6: "und", 7: "unknown"}}, r"row 5 \(id e01\): no language \(null\); 3 rows are bad in all"),
    ({"vector": {9: None}, "id": {4: ""}}, "row 5 .*no id; 2 rows are bad in all"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_the_first_bad_row_is_named_or_all_are_left_out(
    changes: dict[str, dict[int, Any]], message: str, tmp_path: Path
) -> None:
    rows = open_vectors(write(tmp_path / "v.parquet", damaged(**changes)))
    with pytest.raises(InputError, match=message):
        survey(rows, needs=NEEDS)
    bad = sorted({row for cells in changes.values() for row in cells})
    with leaving_out(tmp_path / "bad.jsonl") as leave_out:
        found = survey(rows, leave_out, needs=NEEDS)
    assert found.bad.tolist() == bad
    assert sum(found.rows_per_language().values()) == 15 - len(bad)
    written = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert sorted(row["row"] - 1 for row in written) == bad
    assert all(row["reason"] and row["file"] == str(tmp_path / "v.parquet") for row in written)
    assert f"{len(bad)} of 15 rows left out" in found.notes[-1]


def test_nothing_is_left_out_where_the_work_fails(tmp_path: Path) -> None:
    path = write(tmp_path / "v.parquet", damaged(vector={4: None}))
    with pytest.raises(ZeroDivisionError), leaving_out(tmp_path / "bad.jsonl") as leave_out:
        assert len(survey(open_vectors(path), leave_out).bad) / 0
    path.unlink()
    assert list(tmp_path.iterdir()) == []


def test_rows_left_out_replace_nothing_of_anybody_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, folder = write(tmp_path / "v.npy", toy(examples=2)), tmp_path / "corpus"
    folder.mkdir()
    (tmp_path / "notes.jsonl").write_text('{"id": "a"}\n')
    lines = vectors.with_suffix(".jsonl").read_bytes()
    for file, used, message in (
        (vectors, vectors, "belongs to .*v.npy, which is read or written; name another file"),
        (tmp_path / "v.jsonl", vectors, "belongs to .*v.npy"),
        (folder / "bad.jsonl", folder, "belongs to .*corpus"),
        (folder / "bad.jsonl", f"{folder}/*.jsonl", r"belongs to .*corpus/\*\.jsonl"),
        (tmp_path / "notes.jsonl", folder, "exists already, and holds no rows left out; name a new file"),
        (folder, vectors, "exists already"),
    ):
        with pytest.raises(InputError, match=message), leaving_out(file, used):
            pass
    assert vectors.with_suffix(".jsonl").read_bytes() == lines
    rows = open_vectors(write(tmp_path / "w.parquet", damaged(vector={4: None})))
    monkeypatch.setenv("PLACE", str(tmp_path))
    for _ in range(2):  # the same command again
        with leaving_out("$PLACE/bad.jsonl", rows.path) as leave_out:
            survey(rows, leave_out)
        assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 1


@given(st.integers(0, 100))
def test_a_part_at_a_time_or_all_at_once_finds_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = damaged()
    rows = {name: list(values) * 4 for name, values in rows.items()}
    rows["id"] = [f"{key}-{n // 15}" for n, key in enumerate(rows["id"])]
    for row in rng.choice(60, 5, replace=False).tolist():
        rows["vector"][row] = None
    rows["id"][int(rng.integers(30, 60))] = rows["id"][0]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder, "v.parquet"), rows)
        found: list[Survey] = []
        for size in (7, 1000):
            patch.setattr(VectorRows, "part_rows", size)
            found.append(survey(open_vectors(path), lambda _: None, needs=NEEDS))
    one, other = found
    assert one.bad.tolist() == other.bad.tolist()
    assert one.language.tolist() == other.language.tolist()
    assert one.notes == other.notes


def test_lengths_are_added_up_in_more_than_half_precision(tmp_path: Path) -> None:
    rows = toy(examples=5, dimensions=16)
    rows["vector"] = (unit(rows["vector"].astype(np.float64)) * 420).astype(np.float16)
    found = survey(open_vectors(write(tmp_path / "v.parquet", rows, pa.list_(pa.float16()))))
    assert found.lengths == pytest.approx((420, 420), rel=1e-3)
    assert not found.unit


def test_languages_are_merged_and_said(tmp_path: Path) -> None:
    rows = {**toy(examples=5), "language": ["de", "DE", "zh-Hans"] * 4 + ["zh-CN", "pt-PT", "pt-BR"]}
    rows["id"] = [str(n) for n in range(15)]
    rows["language"][0] = None
    found = survey(open_vectors(write(tmp_path / "v.parquet", rows)))
    assert found.rows_per_language() == {"de": 7, "pt": 1, "pt-PT": 1, "zh": 5}
    assert found.notes == (
        "Languages: de stands for DE, de; pt for pt-BR; zh for zh-CN, zh-Hans. Kept apart: pt, pt-PT.",
        "v.parquet: 1 rows without a language (null).",
    )
    assert not found.ids_shared


def test_an_id_without_a_language_stands_once_however_that_is_written(tmp_path: Path) -> None:
    """Else two rows would have one key."""
    rows = {**toy(examples=1, languages=("x", "y", "z", "w")), "language": ["unknown", None, "de", "und"]}
    path = write(tmp_path / "v.parquet", rows)
    with pytest.raises(InputError, match=r"row 2 .*stands twice without a language, first in .*row 1 .*; 2 rows are"):
        survey(open_vectors(path), needs=["id"])
    assert survey(open_vectors(path), lambda _: None, needs=["id"]).bad.tolist() == [1, 3]
    assert not len(survey(open_vectors(path)).bad)  # nothing goes by keys here


@given(st.lists(st.sampled_from([None, "", "und", "nan", "None", "de", "DEU", "nb", "no", "zh_Hant"]), max_size=8))
def test_no_language_is_never_one(codes: list[str | None]) -> None:
    tags = set(LanguageCodes.of(codes).tags.values())
    assert tags <= {None, "de", "no", "zh-TW"} | ({"nan"} if "nan" in codes else set())
