"""Maps as files, applied by numpy alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import toy, unit

from isoglot.common.errors import InputError
from isoglot.vectors.maps import ANY, VectorMap, load_map
from isoglot.vectors.provenance import Provenance, read_manifest, refuse_mixing, write_manifest
from isoglot.vectors.remedies import AffineMap, fit_lir, fit_means


def fitted(remedy: str = "lir") -> tuple[VectorMap, dict[str, Any]]:
    rows = toy()
    made: Any = (
        fit_lir(rows["vector"], rows["language"]) if remedy == "lir" else fit_means(rows["vector"], rows["language"])
    )
    if remedy == "means":
        made[ANY] = AffineMap(np.eye(8), np.zeros(8))
    known = Provenance(fingerprint="abc", similarity="cosine")
    return VectorMap.of(remedy, made, normalise=True, provenance=known, figures={"rows": {"de": 20}}), rows  # type: ignore[arg-type]


@pytest.mark.parametrize("remedy", ["lir", "means"])
def test_a_map_is_what_it_was_when_it_is_read_again(remedy: str, tmp_path: Path) -> None:
    mapping, rows = fitted(remedy)
    mapping.save(tmp_path / "map.npz")
    again = load_map(tmp_path / "map.npz")
    assert again.fingerprint == mapping.fingerprint
    assert (again.provenance, again.figures, again.languages) == (
        mapping.provenance,
        mapping.figures,
        mapping.languages,
    )
    given = (rows["vector"], rows["language"])
    assert again.apply(*given).tolist() == mapping.apply(*given).tolist()


def test_a_map_takes_the_precision_that_it_is_given() -> None:
    mapping, rows = fitted()
    expected = unit(fit_lir(rows["vector"], rows["language"])(rows["vector"]))
    for dtype, wide, near in (
        (np.float16, np.float32, 2e-3),
        (np.float32, np.float32, 1e-6),
        (np.float64, np.float64, 1e-6),
    ):
        mapped = mapping.apply(rows["vector"].astype(dtype))
        assert mapped.dtype == wide
        assert mapped == pytest.approx(expected, abs=near)


def test_a_language_is_known_by_any_of_its_codes_and_another_is_any() -> None:
    mapping, rows = fitted("means")
    x = rows["vector"][:2]
    assert mapping.apply(x, ["deu_Latn", "DE"]).tolist() == mapping.apply(x, ["de", "de"]).tolist()
    assert mapping.apply(x, ["fi", "unknown"]) == pytest.approx(x, abs=1e-6)
    assert mapping.apply(x, ["de-AT", "en"]).tolist() == mapping.apply(x, ["de", "en"]).tolist()
    with pytest.raises(InputError, match=r"languages \(1,\) of vectors \(2, 8\): give one for each row"):
        mapping.apply(x, ["de"])
    with pytest.raises(InputError, match="needs the language of each row"):
        mapping.apply(x)
    with pytest.raises(InputError, match=r"vectors \(2, 7\): the map takes \(rows, 8\)"):
        mapping.apply(x[:, :7], ["de", "de"])


def test_fingerprints_tell_maps_apart() -> None:
    one, _ = fitted()
    other = VectorMap("lir", one.weight, one.bias + np.float32(1e-3), (), True)
    longer = VectorMap("lir", one.weight, one.bias, (), False)
    assert len({one.fingerprint, other.fingerprint, longer.fingerprint, fitted("means")[0].fingerprint}) == 4
    assert fitted()[0].fingerprint == one.fingerprint


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half"])
def test_a_file_that_is_no_map_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "map.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a map that isoglot wrote"):
        load_map(tmp_path / "map.npz")
    np.savez(tmp_path / "other.npz", weight=np.eye(2))
    np.save(tmp_path / "array.npy", np.eye(2))
    for name in ("other.npz", "array.npy"):
        with pytest.raises(InputError, match="not a map that isoglot wrote"):
            load_map(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        load_map(tmp_path / "none.npz")


def test_maps_are_applied_without_torch_or_arrow(tmp_path: Path) -> None:
    mapping, rows = fitted()
    mapping.save(tmp_path / "map.npz")
    np.save(tmp_path / "v.npy", rows["vector"])
    program = (
        "import sys, numpy; from isoglot import load_map; "
        "print(load_map(sys.argv[1]).apply(numpy.load(sys.argv[2])).shape); "
        "assert not {'torch', 'transformers', 'pyarrow'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, tmp_path / "map.npz", tmp_path / "v.npy"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "(60, 8)\n"


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({"fingerprint": "a" * 64}, {"fingerprint": "b" * 64}, "made with different weights"),
        ({"similarity": "cosine"}, {"similarity": "dot"}, "made with different similarity"),
        ({"map": "c" * 64}, {}, "one side has the map cccccccccccc applied, the other no map"),
        ({}, {"map": "c" * 64}, "one side has no map applied, the other the map cccccccccccc"),
        ({"map": "c" * 64}, {"map": "d" * 64}, "apply one map to both"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(one: Any, other: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        refuse_mixing(Provenance(**one), Provenance(**other), ("p", "q"))


def test_what_is_not_known_or_of_one_side_passes() -> None:
    known = Provenance(fingerprint="a", similarity="dot", prompt="query: ", role="query")
    refuse_mixing(known, Provenance(), ("p", "q"))
    refuse_mixing(known, Provenance(fingerprint="a", prompt="passage: ", role="passage"), ("p", "q"))
    refuse_mixing(Provenance(map="c", map_sides="passages"), Provenance(), ("p", "q"))


def test_manifests_speak_of_a_folder_and_of_the_files_they_name(tmp_path: Path) -> None:
    write_manifest(tmp_path, Provenance(model="m"), files={"v.npy": 3})
    for path, known in ((tmp_path, True), (tmp_path / "v.npy", True), (tmp_path / "other.npy", False)):
        assert (read_manifest(path) is not None) == known
    for others in (
        '{"name": "somebody else\'s"}',
        '{"provenance": {"by": "C2PA"}}',
        '{"schema": 1, "provenance": null}',
    ):
        (tmp_path / "manifest.json").write_text(others)
        assert read_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: not readable"):
        read_manifest(tmp_path)
