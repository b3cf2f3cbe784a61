"""Rows are read as they are, whatever the format, and nothing shifts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import FORMATS, toy, vector_column, write

from isoglot.common.errors import InputError
from isoglot.vectors.columns import Columns, as_text, find_columns
from isoglot.vectors.rows import VectorRows, lists_of, numbers_of, open_vectors

KINDS = [
    pa.list_(pa.float16()),
    pa.list_(pa.float32(), 3),
    pa.large_list(pa.float64()),
    pa.fixed_shape_tensor(pa.float32(), [3]),
]


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_rows(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VectorRows, "part_rows", 7)
    rows = toy()
    opened = open_vectors(write(tmp_path / f"v{suffix}", rows))
    assert (len(opened), opened.dimensions) == (60, 8)
    parts = list(opened.parts(opened.columns.named()))
    assert len(parts) > 1
    assert np.concatenate([part.vectors()[0] for part in parts]).tolist() == rows["vector"].tolist()
    assert [key for part in parts for key in part.text("id").to_pylist()] == rows["id"]
    assert [code for part in parts for code in part.languages().to_pylist()] == rows["language"]
    assert [part.first for part in parts] == np.cumsum([0, *map(len, parts)])[:-1].tolist()


def test_a_folder_of_shards_is_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, seed in (("b", 1), ("a", 0)):
        write(tmp_path / f"{name}.parquet", toy(examples=3, seed=seed))
    (tmp_path / "notes.txt").write_text("not one of them")
    opened = open_vectors(tmp_path)
    read = np.concatenate([part.vectors()[0] for part in opened.parts(["vector"])])
    assert read.tolist() == np.concatenate([toy(examples=3, seed=seed)["vector"] for seed in (0, 1)]).tolist()
    assert [part.first for part in opened.parts(["vector"])] == [0, 9]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(st.data())
def test_lists_keep_their_places(kind: Any, data: st.DataObject) -> None:
    """Null, short and long lists take no place of their own, in slices as in whole columns."""
    fixed = not pa.types.is_list(kind) and not pa.types.is_large_list(kind)
    length = st.just(3) if fixed else st.integers(0, 5)
    some = st.lists(st.one_of(st.none(), length), min_size=1, max_size=12)
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    number = np.dtype(f"float{storage.value_type.bit_width}").type
    given_rows = [None if n is None else [number(place)] * n for place, n in enumerate(data.draw(some))]
    column = pa.array(given_rows, storage)
    start = data.draw(st.integers(0, len(given_rows)))
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.ExtensionArray.from_storage(kind, column)
    vectors, whole, lengths = numbers_of(column.slice(start), 3)
    expected = given_rows[start:]
    assert lengths.tolist() == [-1 if row is None else len(row) for row in expected]
    assert whole.tolist() == [row is not None and len(row) == 3 for row in expected]
    assert vectors.tolist() == [row if row is not None and len(row) == 3 else [0.0] * 3 for row in expected]
    back = lists_of(vectors, kind)
    assert back.type == kind
    assert numbers_of(back, 3)[0].tolist() == vectors.tolist()


def test_a_null_within_a_vector_is_no_number() -> None:
    vectors, whole, _ = numbers_of(pa.array([[1.0, None], [2.0, 3.0]], pa.list_(pa.float32())), 2)
    assert whole.all()
    assert np.isnan(vectors).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["id", "_id", "vector"], "id and _id could each be the id; say which with --id-column"),
        (["id", "vector", "embedding"], "vector and embedding could each be the vector"),
        (["id", "values"], "no column for the vector, such as vector, embedding.*it has id, values; name one"),
    ],
)
def test_columns_are_named_where_two_or_none_could_be_meant(columns: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_columns(Path("v.parquet"), columns, required=["vector"])
    assert find_columns(Path("v"), columns, Columns(id="id", vector=columns[-1])).vector == columns[-1]


def test_ids_are_text_to_the_byte() -> None:
    keys = ["7", "07", "é", "e\u0301", str(UUID(int=5)), "x" * 1000]
    assert as_text(pa.array(keys), "").to_pylist() == keys
    assert as_text(pa.array(keys).dictionary_encode(), "").to_pylist() == keys
    assert as_text(pa.array([2**63], pa.uint64()), "").to_pylist() == [str(2**63)]
    if hasattr(pa, "uuid"):
        assert as_text(pa.array([UUID(int=5).bytes], pa.uuid()), "").to_pylist() == [str(UUID(int=5))]
    with pytest.raises(InputError, match="holds double; it must hold text or whole numbers"):
        as_text(pa.array([7.0]), 'v.parquet: the column "id"')


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "v.parquet", toy(examples=2))
    (tmp_path / "broken.parquet").write_bytes(good.read_bytes()[:100])
    np.save(tmp_path / "flat.npy", np.zeros(3))
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    write(tmp_path / "int.parquet", {"vector": [[1, 2]]}, pa.list_(pa.int8()))
    write(tmp_path / "none.parquet", {"vector": [None, None]})
    write(tmp_path / "view.arrow", {"vector": [[1.0]]}, pa.list_view(pa.float32()))
    short = write(tmp_path / "short.npy", toy(examples=2))
    short.with_suffix(".jsonl").write_text('{"id": "a", "language": "de"}\n\n')
    for name, message in (
        ("missing.parquet", "no such file"),
        ("broken.parquet", "not a readable Parquet file"),
        ("flat.npy", r"holds float64 \(3,\); it must be \(rows, dimensions\)"),
        ("objects.npy", "not a readable .npy file"),
        ("int.parquet", "a vector is a list of numbers, float16 to float64"),
        ("none.parquet", "no row has a vector"),
        ("view.arrow", "holds list_view.*; a vector is a list of numbers"),
        ("short.npy", r"short.npy has 6 rows, .*short.jsonl 1 lines"),
        ("v.csv", "no such file"),
        ("", "holds .* and .* files; keep those of one format"),
    ):
        with pytest.raises(InputError, match=message):
            open_vectors(tmp_path / name)
    with pytest.raises(InputError, match='has a column "language"; a language for the whole file is for one without'):
        open_vectors(good, language="de")
    with pytest.raises(InputError, match='unknown language "xyzzy"'):
        open_vectors(write(tmp_path / "bare.parquet", {"vector": [[1.0]]}), language="xyzzy")


def test_columns_are_those_of_any_line(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npy", toy(examples=1))
    path.with_suffix(".jsonl").write_text('{"id": "a"}\n{"id": "b", "group": "g"}\n{"id": "\\ud83d", "group": "g"}\n')
    rows = open_vectors(path)
    assert rows.columns == Columns(id="id", group="group", vector="vector")
    (part,) = rows.parts(["id", "group"])
    assert part.text("group").to_pylist() == [None, "g", "g"]
    assert part.text("id").to_pylist() == ["a", "b", None]  # half a character is no id


def test_a_file_may_begin_with_rows_without_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoglot.vectors.rows._LOOKED_AT", 2)
    path = write(tmp_path / "v.parquet", {"vector": [None, None, None, [], [1.0, 2.0]]})
    assert open_vectors(path).dimensions == 2


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a list of open files")
@pytest.mark.parametrize("suffix", FORMATS)
def test_shards_that_are_not_read_are_not_open(suffix: str, tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}{suffix}", toy(examples=2))
    before = len([*Path("/proc/self/fd").iterdir()])
    rows = open_vectors(tmp_path)
    assert sum(map(len, rows.parts(["id", "vector"]))) == 18
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_lance_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "v.lance").mkdir()
    try:
        import lance  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"pip install 'isoglot\[lance\]'"):
            open_vectors(tmp_path / "v.lance")


def test_lance_is_read(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="needs the extra lance")
    rows = toy(examples=3)
    table = pa.table({**rows, "vector": vector_column(rows["vector"], pa.list_(pa.float32(), 8))})
    lance.write_dataset(table, str(tmp_path / "v.lance"))
    opened = open_vectors(tmp_path / "v.lance")
    (part,) = opened.parts(None)
    assert part.vectors()[0].tolist() == rows["vector"].tolist()
    assert part.text("id").to_pylist() == rows["id"]
