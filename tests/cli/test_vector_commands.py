"""audit and debias from vectors, as a shell calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command import run

LANGUAGES = ("de", "en", "sw")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Vectors of passages and of queries, 20 rows in each of three languages."""
    rng = np.random.default_rng(0)
    meaning, offsets = rng.normal(size=(20, 1, 8)), rng.normal(size=(3, 8))
    for name in ("p", "q"):
        x = (meaning + offsets + 0.3 * rng.normal(size=(20, 3, 8))).reshape(60, 8)
        np.save(tmp_path / f"{name}.npy", (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
        rows = [{"_id": f"e{n}", "lang": tag, "url": f"/{n}"} for n in range(20) for tag in LANGUAGES]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "p.npy", tmp_path / "q.npy"


def test_from_audit_to_audit(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passages, queries = files
    assert run(monkeypatch, "audit", "--vectors", passages, "--query-vectors", queries, "--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    assert "Scored by cosine, assumed" in said
    assert "biased towards the query's language" in said
    assert json.loads((tmp_path / "r" / "results.json").read_text())["notes"]
    words = ["--vectors", passages, "--language-column", "lang", "--out", tmp_path / "fair"]
    assert run(monkeypatch, "debias", *words) == 0
    said = capsys.readouterr().out
    assert "Fitted on these rows by language: de 20, en 20, sw 20." in said
    assert "Rows: 60 in, 60 mapped, 0 left out." in said
    words = ["--apply", tmp_path / "fair" / "map.npz", "--vectors", queries, "--out", tmp_path / "asked"]
    assert run(monkeypatch, "debias", *words) == 0
    capsys.readouterr()
    words = ["--vectors", tmp_path / "fair", "--query-vectors", tmp_path / "asked", "--json"]
    assert run(monkeypatch, "audit", *words) == 0
    before = json.loads((tmp_path / "r" / "results.json").read_text())
    after = json.loads(capsys.readouterr().out)
    name = "rank_distance"
    assert after["language_bias"][name] < before["language_bias"][name] / 2
    assert run(monkeypatch, "audit", "--vectors", passages, "--query-vectors", tmp_path / "asked") == 2
    assert "apply one map to both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audit"], "--corpus FILE or --languages de,en,ja; or --vectors FILE and --query-vectors FILE"),
        (["audit", "M", "--pairs", "P", "--qrels", "F"], "--qrels goes with --vectors"),
        (["audit", "--vectors", "V"], "give the queries' with --query-vectors FILE"),
        (["audit", "M", "--vectors", "V"], "MODEL does not go with --vectors"),
        (["debias", "M", "--out", "D"], "debias takes MODEL and --pairs FILE, or --vectors FILE"),
        (["debias", "M", "--pairs", "P", "--skip-bad", "F", "--out", "D"], "--skip-bad goes with --vectors"),
        (["debias", "--vectors", "V", "--bf16", "--out", "D"], "--bf16 does not go with --vectors"),
        (["debias", "--vectors", "V", "--language", "de", "--out", "D"], "--language goes with --apply"),
        (["debias", "--vectors", "V", "--apply", "M", "--remedy", "lir", "--out", "D"], "--remedy is for a fit"),
        (["debias", "--vectors", "V", "--apply", "M", "--examples", "9", "--out", "D"], "--examples is for a fit"),
        (["debias", "--vectors", "none.npy", "--out", "D"], "none.npy: no such file"),
        (["debias", "--vectors", "V", "--remedy", "magic", "--out", "D"], "remedy 'magic' is unknown"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_vectors_are_debiased_without_torch(files: tuple[Path, Path], tmp_path: Path) -> None:
    program = (
        "import sys; from isoglot.cli import app; app(sys.argv[1:], standalone_mode=False); "
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", program, "debias", "--vectors", files[0], "--out", tmp_path / "fair"]
    subprocess.run(command, check=True, capture_output=True)
