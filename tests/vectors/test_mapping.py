"""Vectors in, fair vectors out: every row and column, in order, through the right map."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy import FORMATS, read, toy, unit, vector_column, write

from isoglot.common.errors import InputError
from isoglot.vectors.checking import survey
from isoglot.vectors.fitting import fit_map
from isoglot.vectors.mapping import apply_map, debias_vectors
from isoglot.vectors.maps import VectorMap, load_map
from isoglot.vectors.provenance import Provenance, read_manifest, write_manifest
from isoglot.vectors.remedies import fit_leace, fit_linear_lir, fit_lir, fit_means, fit_shift
from isoglot.vectors.rows import VectorRows, open_vectors


def columns(examples: int = 20) -> dict[str, Any]:
    """Toy rows with columns that nobody asks for."""
    rows = toy(examples)
    count = len(rows["id"])
    return {**rows, "price": [n / 3 for n in range(count)], "tags": [["a", str(n)] for n in range(count)]}


@pytest.mark.parametrize("suffix", FORMATS)
def test_all_columns_travel_along_in_order(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VectorRows, "part_rows", 7)
    rows = columns()
    done = debias_vectors(write(tmp_path / f"v{suffix}", rows), tmp_path / "out", rows=1000)
    expected = unit(fit_linear_lir(rows["vector"], rows["language"])(rows["vector"]))
    out = read(tmp_path / "out" / f"v{suffix}")
    assert out.pop("vector") == pytest.approx(expected, abs=1e-5)
    assert out == {name: values for name, values in rows.items() if name != "vector"}
    assert (done.rows, done.written) == (60, 60)
    kept = {f"v{suffix}", "map.npz", "manifest.json", *(["v.jsonl"] if suffix == ".npy" else [])}
    assert {path.name for path in (tmp_path / "out").iterdir()} == kept
    again = apply_map(tmp_path / "out" / "map.npz", tmp_path / f"v{suffix}", tmp_path / "again")
    for write_to in (debias_vectors, partial(apply_map, done.map)):
        with pytest.raises(InputError, match="exists already"):  # the source's own folder, say
            write_to(tmp_path / f"v{suffix}", tmp_path)
    assert again.map.fingerprint == done.map.fingerprint
    assert (
        read(tmp_path / "again" / f"v{suffix}")["vector"].tolist()
        == read(tmp_path / "out" / f"v{suffix}")["vector"].tolist()
    )


@pytest.mark.parametrize("dtype", [pa.float16(), pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("kind", [pa.list_, pa.large_list, lambda of: pa.list_(of, 8)], ids=["list", "large", "fixed"])
def test_types_are_kept(kind: Any, dtype: pa.DataType, tmp_path: Path) -> None:
    rows = toy()
    languages = pa.array(rows["language"]).dictionary_encode()
    vectors = vector_column(rows["vector"].astype(f"float{dtype.bit_width}"), kind(dtype))
    table = pa.table({"_id": rows["id"], "lang": languages, "embedding": vectors}).replace_schema_metadata({"a": "b"})
    pq.write_table(table, tmp_path / "v.parquet")
    debias_vectors(tmp_path / "v.parquet", tmp_path / "out")
    out, given = pq.read_table(tmp_path / "out" / "v.parquet"), pq.read_table(tmp_path / "v.parquet")
    assert out.schema.equals(given.schema)
    assert out.schema.metadata[b"a"] == b"b"
    assert out.drop_columns("embedding").equals(given.drop_columns("embedding"))


def test_rows_that_are_left_out_are_nowhere_else(tmp_path: Path) -> None:
    rows = columns()
    rows["vector"][[3, 7]] = 0
    path = write(tmp_path / "v.npy", rows)
    with pytest.raises(InputError, match=r"row 4 .*all zeros; 2 rows are bad in all"):
        debias_vectors(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = debias_vectors(path, tmp_path / "out", skip_bad=tmp_path / "bad.jsonl")
    out, good = read(tmp_path / "out" / "v.npy"), np.delete(np.arange(60), [3, 7])
    assert out["id"] == [rows["id"][n] for n in good]
    assert out["price"] == [rows["price"][n] for n in good]
    expected = unit(fit_linear_lir(rows["vector"][good], np.array(rows["language"])[good])(rows["vector"][good]))
    assert out["vector"] == pytest.approx(expected, abs=1e-5)
    assert (done.rows, done.written) == (60, 58)
    assert [json.loads(line)["row"] for line in (tmp_path / "bad.jsonl").read_text().splitlines()] == [4, 8]
    for write_to in (partial(debias_vectors, path), partial(apply_map, done.map, path)):
        for bad in (path.with_suffix(".jsonl"), tmp_path / "new" / "bad.jsonl"):
            with pytest.raises(InputError, match="which is read or written"):
                write_to(tmp_path / "new", skip_bad=bad)
    assert len(path.with_suffix(".jsonl").read_text().splitlines()) == 60
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert (manifest["rows"], manifest["left_out"], manifest["languages"]) == (58, 2, {"de": 19, "en": 19, "sw": 20})


@pytest.mark.parametrize("remedy", ["linear-lir", "lir", "leace", "means", "shift"])
def test_a_map_is_the_one_of_the_remedy(remedy: Any, tmp_path: Path) -> None:
    rows = toy(pull=0.6)
    x, tags = rows["vector"], np.array(rows["language"])
    mapping = fit_map(survey(open_vectors(write(tmp_path / "v.parquet", rows))), remedy=remedy)
    if remedy in ("lir", "linear-lir"):
        expected = (fit_lir if remedy == "lir" else fit_linear_lir)(x, tags)(x)
    elif remedy == "leace":
        expected = fit_leace(x, tags)(x)
    elif remedy == "means":
        maps = fit_means(x, tags)
        expected = np.stack([maps[tag](x[n]) for n, tag in enumerate(tags)])
    else:
        maps = fit_shift(x, tags, rows["id"])
        factor = mapping.figures["factor"]
        assert mapping.figures["map_by_factor"][f"{factor}"] == max(mapping.figures["map_by_factor"].values())
        assert 0 < factor <= 1
        expected = np.stack([x[n] + factor * maps[tag].bias for n, tag in enumerate(tags)])
    assert mapping.apply(x, tags) == pytest.approx(unit(expected), abs=1e-5)
    share = mapping.figures["same_language_share"]
    assert share["after"] < share["before"]
    assert mapping.figures["rows"] == {"de": 20, "en": 20, "sw": 20}


@pytest.mark.parametrize("remedy", ["linear-lir", "means"])
def test_a_map_goes_as_far_as_its_strength(remedy: Any, tmp_path: Path) -> None:
    rows = toy(pull=0.6)
    x, tags = rows["vector"], np.array(rows["language"])
    write(tmp_path / "v.parquet", rows)
    done = debias_vectors(tmp_path / "v.parquet", tmp_path / "out", remedy=remedy, strength=0.5)
    maps = {tag: fit_linear_lir(x, tags) for tag in tags} if remedy == "linear-lir" else fit_means(x, tags)
    whole = np.stack([maps[tag](x[n]) for n, tag in enumerate(tags)])
    assert done.map.apply(x, tags) == pytest.approx(unit((x + whole) / 2), abs=1e-5)


def test_the_sample_comes_from_all_of_a_file(tmp_path: Path) -> None:
    """Sorted by language, with the second half of each another kind of text."""
    rows = toy(400)
    order = np.lexsort((np.arange(1200), rows["language"]))
    x, tags = rows["vector"][order].copy(), np.array(rows["language"])[order]
    late = np.tile(np.arange(400) >= 200, 3)
    x[late] += np.where(tags[late] == "de", 1, 0)[:, None]
    path = write(tmp_path / "v.parquet", {"id": [str(n) for n in range(1200)], "language": tags.tolist(), "vector": x})
    surveyed = survey(open_vectors(path))
    some, whole = (fit_map(surveyed, rows=count).apply(x) for count in (100, 400))
    means = [np.stack([y[tags == tag].mean(0) for tag in ("de", "en", "sw")]) for y in (some, whole)]
    assert np.abs(means[0] - means[0].mean(0)).max() < 0.1
    assert np.abs(means[1] - means[1].mean(0)).max() < 1e-5
    repeated = (fit_map(surveyed, rows=100, seed=seed).fingerprint for seed in (0, 0, 1))
    assert len(set(repeated)) == 2


def test_a_language_of_few_rows_takes_no_part_and_is_mapped(tmp_path: Path) -> None:
    rows = toy()
    lone = np.eye(8, dtype=np.float32)[:1]
    more = {
        "id": [*rows["id"], "y"],
        "language": [*rows["language"], "yo"],
        "vector": np.concatenate([rows["vector"], lone]),
    }
    done = debias_vectors(write(tmp_path / "v.npy", more), tmp_path / "out")
    assert "With too few rows to take part in the fit: yo (1)" in " ".join(done.sentences())
    expected = unit(fit_linear_lir(rows["vector"], rows["language"])(more["vector"]))
    assert read(tmp_path / "out" / "v.npy")["vector"] == pytest.approx(expected, abs=1e-5)
    (tmp_path / "q").mkdir()
    few = {name: values[1:40] for name, values in rows.items()}  # 13 of each language, of Swahili 1
    few["language"] = ["en" if tag == "sw" and n > 2 else tag for n, tag in enumerate(few["language"])]
    few["id"] = [str(n) for n in range(39)]
    queries = write(tmp_path / "q" / "q.npy", few)
    said = debias_vectors(write(tmp_path / "p.npy", rows), tmp_path / "both", query_vectors=queries).sentences()
    assert [each for each in said if "too few" in each] == [
        "With too few rows of queries to take part in the fit: sw (1); they are mapped all the same."
    ]
    with pytest.raises(InputError, match=r"at least two languages with 30 rows or more .*: de 20, en 20, sw 20, yo 1"):
        debias_vectors(tmp_path / "v.npy", tmp_path / "none", least_rows=30)


def test_rows_without_a_language_take_no_part_and_are_mapped(tmp_path: Path) -> None:
    rows = toy()
    silent = [0, 4, 8]
    some = {**rows, "language": [None if n in silent else tag for n, tag in enumerate(rows["language"])]}
    good = np.delete(np.arange(60), silent)
    for remedy in ("linear-lir", "means"):
        done = debias_vectors(write(tmp_path / "v.npy", some), tmp_path / remedy, remedy=remedy)  # type: ignore[arg-type]
        assert "v.npy: 3 rows without a language (null)." in done.sentences()
        mapped = read(tmp_path / remedy / "v.npy")["vector"]
        if remedy == "linear-lir":
            expected = fit_linear_lir(rows["vector"][good], np.array(rows["language"])[good])(rows["vector"])
        else:
            maps = fit_means(rows["vector"][good], np.array(rows["language"])[good]).values()
            expected = rows["vector"] + np.mean([mapping.bias for mapping in maps], axis=0)
        assert mapped[silent] == pytest.approx(unit(expected)[silent], abs=1e-5)
    named = {**rows, "language": ["German", "English", "Swahili"] * 20}
    with pytest.raises(
        InputError, match=r'by language: none\. named\.npy: 60 rows without a language \("German", "English"'
    ):
        debias_vectors(write(tmp_path / "named.npy", named), tmp_path / "none")


def test_queries_take_part_in_the_fit(tmp_path: Path) -> None:
    passages, queries = toy(), toy(seed=1)
    paths = [write(tmp_path / f"{name}.npy", rows) for name, rows in (("p", passages), ("q", queries))]
    done = debias_vectors(paths[0], tmp_path / "out", query_vectors=paths[1])
    groups = [*passages["language"], *(f"{tag}/query" for tag in queries["language"])]
    expected = fit_linear_lir(np.concatenate([passages["vector"], queries["vector"]]), groups)
    assert done.map.weight == pytest.approx(expected.weight, abs=1e-6)
    with pytest.raises(InputError, match="fit it without query vectors"):
        debias_vectors(paths[0], tmp_path / "none", query_vectors=paths[1], remedy="shift")


def test_maps_and_vectors_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    known = Provenance(fingerprint="a" * 64, similarity="cosine")
    for folder, seed in (("first", 0), ("second", 1)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "v.npy", toy(seed=seed))
        write_manifest(tmp_path / folder, known, files={"v.npy": 60})
    done = debias_vectors(tmp_path / "first", tmp_path / "out")
    mapping = tmp_path / "out" / "map.npz"
    manifest = read_manifest(tmp_path / "out" / "v.npy")
    assert manifest is not None
    assert manifest["provenance"]["map"] == done.map.fingerprint == load_map(mapping).fingerprint
    assert manifest["provenance"]["fingerprint"] == "a" * 64
    for again in (
        lambda out: debias_vectors(tmp_path / "out", out),
        lambda out: apply_map(mapping, tmp_path / "out" / "v.npy", out),
    ):
        with pytest.raises(InputError, match=f"has the map {done.map.fingerprint[:12]} applied"):
            again(tmp_path / "twice")
    assert "Nothing says which model" not in " ".join(
        apply_map(mapping, tmp_path / "second", tmp_path / "o2").sentences()
    )
    write_manifest(tmp_path / "second", Provenance(fingerprint="b" * 64), files={"v.npy": 60})
    with pytest.raises(InputError, match="made with different weights"):
        apply_map(mapping, tmp_path / "second", tmp_path / "o3")
    write(tmp_path / "long.npy", toy(dimensions=9))
    with pytest.raises(InputError, match="vectors of 9 numbers; the map takes 8"):
        apply_map(mapping, tmp_path / "long.npy", tmp_path / "o4")
    bare = apply_map(mapping, write(tmp_path / "bare.npy", toy(seed=2)), tmp_path / "o5")
    assert "Nothing says which model bare.npy is from" in " ".join(bare.sentences())


def test_a_shift_is_for_passages_and_needs_translations(tmp_path: Path) -> None:
    rows = toy()
    done = debias_vectors(write(tmp_path / "v.npy", rows), tmp_path / "out", remedy="shift")
    assert done.map.sides == "passages"
    assert read(tmp_path / "out" / "v.npy")["vector"][1] == pytest.approx(rows["vector"][1], abs=1e-6)  # in English
    (tmp_path / "q").mkdir()
    write(tmp_path / "q" / "q.npy", toy(seed=1))
    write_manifest(tmp_path / "q", Provenance(role="query"), files={"q.npy": 60})
    with pytest.raises(InputError, match="these are queries, which the map of shift leaves as they are"):
        apply_map(done.map, tmp_path / "q", tmp_path / "none")
    np.save(tmp_path / "new.npy", rows["vector"])
    with pytest.raises(InputError, match="no column for the language"):
        apply_map(done.map, tmp_path / "new.npy", tmp_path / "none")
    apply_map(done.map, tmp_path / "new.npy", tmp_path / "new", language="deu")
    german = done.map.apply(rows["vector"], ["de"] * 60)
    assert np.load(tmp_path / "new" / "new.npy").tolist() == german.tolist()
    assert not (tmp_path / "new" / "new.jsonl").exists()
    for language, like in (("de-AT", "de"), ("fi", "en")):
        said = apply_map(done.map, tmp_path / "new.npy", tmp_path / language, language=language).sentences()
        assert np.load(tmp_path / language / "new.npy").tolist() == done.map.apply(rows["vector"], [like] * 60).tolist()
        unknown = "The map knows nothing of fi (60 rows); they are mapped as any other language is."
        assert (unknown in said) == (language == "fi")
    with pytest.raises(InputError, match='unknown language "xyzzy"'):
        apply_map(done.map, tmp_path / "new.npy", tmp_path / "none", language="xyzzy")
    apart = {**rows, "id": [str(n) for n in range(60)]}
    with pytest.raises(InputError, match="shift needs 10 translations or more between en and another"):
        debias_vectors(write(tmp_path / "apart.npy", apart), tmp_path / "none", remedy="shift")
    grouped = {**apart, "group": [None, None, None, *rows["id"][3:]]}  # rows without a group are nobody's translation
    grouped["language"] = [*rows["language"][:-1], "yo"]
    shifted = debias_vectors(write(tmp_path / "grouped.npy", grouped), tmp_path / "g", remedy="shift").map
    assert shifted.figures["rows"] == {"de": 19, "en": 19, "sw": 18}
    assert shifted.figures["too_few_rows"] == {"yo": 1}


def test_numbers_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    rows = toy()
    half = {**rows, "vector": rows["vector"].astype(np.float16)}
    path = write(tmp_path / "v.parquet", half, pa.list_(pa.float16()))
    away = VectorMap("lir", np.eye(8, dtype=np.float32), np.full(8, 7e4, np.float32), (), False)
    with pytest.raises(InputError, match=r"v\.parquet row 1 .*: too large for half precision once mapped"):
        apply_map(away, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lance_comes_out_as_parquet(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="needs the extra lance")
    rows = columns()
    rows["vector"][3] = 0
    kind = pa.list_(pa.float32(), 8)
    lance.write_dataset(pa.table({**rows, "vector": vector_column(rows["vector"], kind)}), str(tmp_path / "v.lance"))
    done = debias_vectors(tmp_path / "v.lance", tmp_path / "out", skip_bad=tmp_path / "bad.jsonl")
    assert (done.rows, done.written) == (60, 59)
    rows = {name: [value for n, value in enumerate(values) if n != 3] for name, values in rows.items()}
    out = read(tmp_path / "out" / "v.parquet")
    assert out.pop("vector") == pytest.approx(done.map.apply(np.array(rows.pop("vector"))), abs=1e-6)
    assert out == rows
