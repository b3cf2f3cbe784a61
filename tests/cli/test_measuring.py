"""What the measuring commands print, and runs of other systems from evaluation to report."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from command import run
from isoglot.common import progress
from isoglot.common.arrays import FloatArray
from isoglot.common.roles import Role
from isoglot.models.text_encoder import ModelEncoder


@pytest.fixture
def model(tiny_encoder_folder: Path) -> str:
    return str(tiny_encoder_folder)


def figures_table() -> Table:
    table = Table(title="differences to intfloat/multilingual-e5-small")
    for heading in ("system", "measure", "difference", "95 % interval", "verdict"):
        table.add_column(heading)
    for name in ("intfloat/multilingual-e5-base", "intfloat/multilingual-e5-large"):
        table.add_row(name, "multilingual mAP", "-0.123", "[-0.456, +0.789]", "no difference shown")
    return table


@pytest.mark.parametrize("width", [20, 40, 79, 80, 120, progress.WIDE])
def test_no_figure_is_cut_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    file = io.StringIO()
    monkeypatch.setattr(progress, "out", Console(file=file, width=width, force_terminal=True, color_system=None))
    progress.show_table(figures_table())
    text = file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for word in ("-0.123", "[-0.456,", "+0.789]", "difference", "shown"):
        assert text.count(word) >= 2
    assert "intfloat/multilingual-e5-large" in text.replace("\n", "")


def test_a_pipe_has_no_width() -> None:
    assert progress.out.width == progress.WIDE


def test_a_shallow_run_is_compared_and_reported_without_what_it_lacks(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", model, "--benchmark", "parallel", "--data", pairs_file, "--trec-depth", "1000000"]
    assert run(monkeypatch, *call, "--out", tmp_path / "deep") == 0
    lines = (tmp_path / "deep" / "run.trec").read_text().splitlines()
    assert len(lines) == 180 * 180  # as deep as the pool
    shallow = tmp_path / "shallow.trec"
    shallow.write_text("".join(f"{line}\n" for line in lines if int(line.split()[3]) <= 2))
    call[1] = f"run:{shallow}"
    assert run(monkeypatch, *call, "--out", tmp_path / "shallow", "--name", "bm25") == 0
    assert json.loads((tmp_path / "shallow" / "results.json").read_text())["language_bias"]["rank_distance"] is None
    again = (tmp_path / "shallow" / "run.trec").read_text()  # a run is written again as it was
    assert [line.split()[:4] for line in again.splitlines()] == [
        line.split()[:4] for line in shallow.read_text().splitlines()
    ]
    for pair in (("deep", "shallow"), ("shallow", "deep")):
        folders = [tmp_path / name for name in pair]
        capsys.readouterr()
        assert run(monkeypatch, "compare", *folders) == 0
        said = capsys.readouterr().out
        assert "multilingual mAP" in said.partition("differences of")[2]
        assert "rank distance" not in said.partition("differences of")[2]
        for page in ("r.html", "r.md"):
            assert run(monkeypatch, "report", *folders, "--out", tmp_path / page) == 0


def test_compare_takes_what_it_is_asked_to_test(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", model, "--benchmark", "parallel", "--data", pairs_file, "--out"]
    assert run(monkeypatch, *call, tmp_path / "a") == 0
    assert run(monkeypatch, *call, tmp_path / "b", "--remedy", "lir", "--directions", "2", "--fit-on", pairs_file) == 0
    asked = "ndcg@20,semantic_error,preference_rate,same_language_bias@10,mrc@20,tlr@20"
    capsys.readouterr()
    assert run(monkeypatch, "compare", tmp_path / "a", tmp_path / "b", "--measures", asked, "--json") == 0
    contrasts = json.loads(capsys.readouterr().out)["contrasts"]
    always = ("rank_distance", "same_language_share@1", "success@10")
    assert {row["measure"] for row in contrasts} == {*asked.split(","), *always}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["evaluate", "MODEL", "--benchmark", "parallel", "--data", "PAIRS", "--out", "PAIRS"],
            "is a file; name a folder",
        ),
        (["audit", "MODEL", "--pairs", "PAIRS", "--out", "PAIRS"], "is a file; name a folder"),
        (["audit", "MODEL", "--pairs", "PAIRS", "--require", "map>=0", "--junit", "."], "is a folder; name a file"),
        (["compare", "a", "b", "--out", "."], "is a folder; name a file"),
        (["debias", "MODEL", "--remedy", "leace", "--directions", "2"], "--directions is for lir and linear-lir"),
        (["debias", "MODEL", "--source-language", "de"], "--source-language is for --remedy shift"),
        (["audit", "MODEL", "--corpus", "PAIRS", "--group-column", "id"], "--group-column does not go with --corpus"),
    ],
)
def test_what_could_not_be_used_is_refused_before_anything_is_read(
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    new = ["--pairs", pairs_file, "--out", "new"] if words[0] == "debias" else []
    stand_for = {"MODEL": "no-such-model", "PAIRS": str(pairs_file)}
    assert run(monkeypatch, *(stand_for.get(word, word) for word in words), *new) == 2
    assert message in capsys.readouterr().err


def test_a_run_of_another_system_does_not_stay_beside_its_results(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["evaluate", model, "--benchmark", "parallel", "--data", pairs_file, "--out", tmp_path]
    (tmp_path / "qrels.trec").write_text("mine")
    assert run(monkeypatch, *call) == 0
    assert (tmp_path / "qrels.trec").read_text() == "mine"  # of no evaluation
    assert run(monkeypatch, *call, "--trec-depth", "5") == 0
    assert (tmp_path / "run.trec").exists()
    assert run(monkeypatch, *call, "--remedy", "leace", "--fit-on", "benchmark") == 0
    assert not (tmp_path / "run.trec").exists()
    assert not (tmp_path / "qrels.trec").exists()


def test_passages_that_stand_in_shards_are_not_encoded_again(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "encode", pairs_file, "--model", model, "--out", tmp_path / "shards") == 0
    call = ["evaluate", model, "--benchmark", "parallel", "--data", pairs_file]
    assert run(monkeypatch, *call, "--out", tmp_path / "text") == 0
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path / "empty"))
    asked: list[str] = []
    encode = ModelEncoder.encode

    def noted(self: ModelEncoder, texts: list[str], role: Role) -> FloatArray:
        asked.append(role)
        return encode(self, texts, role)

    monkeypatch.setattr(ModelEncoder, "encode", noted)
    assert run(monkeypatch, *call, "--vectors", tmp_path / "shards", "--out", tmp_path / "shards-used") == 0
    assert set(asked) == {"query"}
    text, shards = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("text", "shards-used"))
    assert shards["settings"]["multilingual"] == pytest.approx(text["settings"]["multilingual"], abs=1e-6)
    assert shards["model"]["shards"]["weights"] == text["model"]["fingerprint"]
    assert shards["model"]["shards"]["taken"] == 180
    capsys.readouterr()
    assert run(monkeypatch, *call, "--vectors", tmp_path, "--out", tmp_path / "none") == 2
    assert "isoglot encode" in capsys.readouterr().err
