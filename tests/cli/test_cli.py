"""The command line: what works, and that what does not ends in one line, exit code 2 and nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer

from command import run

GOOD = '{"id": "1", "language": "de", "query": "rot", "passage": "rot und gruen"}\n'
AGAINST = ["--benchmark", "parallel", "--data", "PAIRS", "--out", "out"]


@pytest.fixture
def model(tiny_encoder_folder: Path) -> str:
    return str(tiny_encoder_folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{not json}\n", "line 1"),
        (GOOD + '{"id": "2", "language": "de", "query": "x"}\n', "line 2"),
        (GOOD.replace("rot und gruen", "   "), "line 1"),
        (GOOD.replace('"de"', '"klingonisch"'), "klingonisch"),
        (GOOD + GOOD, "line 2"),
        ("", "bad.jsonl"),
    ],
)
def test_bad_pairs_are_one_line_and_exit_code_2(
    content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    assert run(monkeypatch, "data", "check", file) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("isoglot: ")
    assert said in error


def test_bytes_that_are_not_utf_8_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_bytes(GOOD.encode() + '{"id": "ü'.encode("latin-1") + b'"}\n')
    assert run(monkeypatch, "data", "check", tmp_path / "bad.jsonl") == 2
    error = capsys.readouterr().err
    assert "line 2" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "none.yaml"], "no such configuration"),
        (["train", "good.yaml", "--set", "batches.alpha=3"], "batches.alpha"),
        (["train", "good.yaml", "--set", "nonsense=3"], "unknown key nonsense"),
        (["train", "good.yaml", "--set", "batches.size=500"], "different examples"),
        (["train", "good.yaml", "--set", "batches.strategy=monolingual", "--set", "batches.size=61"], "smaller batch"),
        (["train", "good.yaml", "--set", "model=./nowhere"], "no such folder"),
        (["evaluate", "MODEL", "--benchmark", "nope", "--data", "x", "--out", "out"], "use one of beir, belebele"),
        (["evaluate", "MODEL", "--benchmark", "xquad-r", "--data", "nowhere", "--out", "out"], "nowhere: not there"),
        (["evaluate", "MODEL", "--benchmark", "xquad-r", "--data", ".", "--out", "out"], "no language files"),
        (
            ["evaluate", "MODEL", "--benchmark", "parallel", "--data", "PAIRS", "--out", "out", "--languages", "fr"],
            "fr",
        ),
        (
            ["evaluate", "MODEL", "--benchmark", "parallel", "--data", "PAIRS", "--out", "o", "--candidate", "page"],
            "page",
        ),
        (["evaluate", "empty", "--benchmark", "parallel", "--data", "PAIRS", "--out", "out"], "not a model folder"),
        (["audit", "MODEL", "--pairs", "nowhere.jsonl"], "nowhere.jsonl"),
        (["debias", "MODEL", "--pairs", "PAIRS", "--out", "empty"], "exists already"),
        (["debias", "MODEL", "--pairs", "PAIRS", "--out", "out", "--remedy", "magic"], "use one of lir"),
        (["report", "empty", "--out", "r.html"], "no results here"),
        (["data", "show", "nope"], "isoglot data list"),
        (["data", "fetch", "nope", "--out", "x.jsonl"], "nope"),
        (["frobnicate"], "frobnicate"),
        (["train"], "CONFIG"),
        (["demo", "--out", "full"], "something else here"),
        (["train", "good.yaml", "--set", "batches.alpha"], "write key=value"),
        (["train", "good.yaml", "--set", "batches.alpha=half"], "batches.alpha"),
        (["train", "good.yaml", "--set", "batches.alhpa=0.3"], "unknown key batches.alhpa"),
        (["train", "good.yaml", "--set", "steps.more=1"], "holds a value"),
        (["train", "good.yaml", "--set", "batches.strategy=bilingual"], "batches.strategy"),
        (["train", "good.yaml", "--set", "epochs=1"], "either steps or epochs"),
        (["train", "good.yaml", "--set", "data=[{source: nonsense}]"], '"nonsense"'),
        (["train", "good.yaml", "--set", "data=[{source: $ISOGLOT_NOWHERE/x.jsonl}]"], "$ISOGLOT_NOWHERE"),
        (
            ["train", "good.yaml", "--set", "data=[{source: german.jsonl}]", "--set", "batches.strategy=cross-lingual"],
            "two languages",
        ),
        (["train", "cut.yaml"], "not YAML"),
        (["train", "list.yaml"], "mapping"),
        (["evaluate", "weightless", "--benchmark", "parallel", "--data", "PAIRS", "--out", "out"], "no weights"),
        (["audit", "nobody/nothing", "--pairs", "PAIRS", "--out", "out"], "cannot load the model"),
        (["audit", "builtin:nothing", "--pairs", "PAIRS", "--out", "out"], "builtin:multilingual-e5-small"),
        (["audit", "MODEL", "--pairs", "PAIRS", "--max-tokens", "5000", "--out", "out"], "max_tokens 5000"),
        (["audit", "MODEL", "--pairs", "PAIRS", "--max-tokens", "many", "--out", "out"], "--max-tokens"),
        (["audit", "MODEL", "--pairs", "PAIRS", "--nonsense", "x"], "--nonsense"),
        (["audit", "MODEL", "--pairs", "german.jsonl", "--out", "good.yaml/results"], "good.yaml"),
        (["debias", "MODEL", "--pairs", "german.jsonl", "--out", "out"], "two languages or more"),
        (["debias", "MODEL", "--pairs", "PAIRS", "--directions", "0", "--out", "out"], "directions 0"),
        (["debias", "MODEL", "--pairs", "PAIRS", "--examples", "0", "--out", "out"], "examples 0"),
        (
            ["evaluate", "MODEL", "--benchmark", "parallel", "--data", "PAIRS", "--trec-depth", "-1", "--out", "out"],
            "--trec-depth",
        ),
        (
            ["evaluate", "run:r.trec", *AGAINST, "--query-prompt", "query"],
            "--query-prompt goes with a model; run:r.trec",
        ),
        (["evaluate", "MODEL", *AGAINST, "--directions", "3"], "--directions goes with --remedy lir"),
        (["evaluate", "MODEL", *AGAINST, "--strength", ".9"], "--strength goes with --remedy lir"),
        (
            ["debias", "./none", "--pairs", "none.csv", "--strength", "2", "--out", "out"],
            "strength 2: above 0 and at most 1",
        ),
        (["debias", "MODEL", "--pairs", "PAIRS", "--out", "full"], "exists already; choose another folder"),
        (["trim", "MODEL", "--pairs", "PAIRS", "--out", "full"], "exists already; choose another folder"),
        (["data", "fetch", "PAIRS", "--out", "x.txt"], ".jsonl, .csv, .tsv or .parquet"),
    ],
)
def test_bad_calls_are_one_line_exit_code_2_and_write_nothing(
    words: list[str],
    said: str,
    model: str,
    pairs_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    (tmp_path / "good.yaml").write_text(
        f"model: {model}\noutput: out\ndata: [{{source: {pairs_file}}}]\nsteps: 2\nvalidation: {{examples: 0}}\n"
    )
    (tmp_path / "cut.yaml").write_text("data: [1\n")
    (tmp_path / "list.yaml").write_text("- data\n")
    (tmp_path / "german.jsonl").write_text("".join(GOOD.replace('"1"', f'"{n}"') for n in range(40)))
    shutil.copytree(model, tmp_path / "weightless", ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr("isoglot.models.encoders.hub_is_reachable", lambda: False)
    before = sorted(tmp_path.rglob("*"))
    filled = [{"MODEL": model, "PAIRS": str(pairs_file)}.get(word, word) for word in words]
    assert run(monkeypatch, *filled) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert said in error
    assert sorted(tmp_path.rglob("*")) == before


def test_results_of_different_benchmarks_are_not_reported_together(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", model, "--benchmark", "parallel", "--data", pairs_file, "--out"]
    assert run(monkeypatch, *call, tmp_path / "a") == 0
    assert run(monkeypatch, *call, tmp_path / "b", "--languages", "de,en") == 0
    capsys.readouterr()
    assert run(monkeypatch, "report", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "r.html") == 2
    assert "different benchmarks" in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_the_way_from_audit_to_report(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "audit", model, "--pairs", pairs_file, "--out", tmp_path / "audit", "--json") == 0
    audited = json.loads(capsys.readouterr().out)
    assert "would be expected of a fair model" in audited["verdict"][0]
    fair = tmp_path / "fair"
    call = ["debias", model, "--pairs", pairs_file, "--directions", "2", "--max-tokens", "30"]
    assert run(monkeypatch, *call, "--out", fair) == 0
    assert SentenceTransformer(str(fair), device="cpu").max_seq_length == 64
    assert SentenceTransformer(str(fair), device="cpu").encode(["rot"]).shape == (1, 32)
    call = ["evaluate", fair, "--benchmark", "parallel", "--data", pairs_file, "--trec-depth", "5"]
    assert run(monkeypatch, *call, "--out", tmp_path / "fair-results", "--json") == 0
    assert (tmp_path / "fair-results" / "run.trec").read_text().count("\n") == 180 * 5
    assert run(monkeypatch, *call, "--out", tmp_path / "raw-results", "--without-debias") == 0
    results = [tmp_path / name for name in ("audit", "raw-results")]
    maps = [json.loads((r / "results.json").read_text())["settings"]["multilingual"]["map"] for r in results]
    assert maps[0] == pytest.approx(maps[1], abs=1e-6)
    assert (
        run(monkeypatch, "report", tmp_path / "raw-results", tmp_path / "fair-results", "--out", tmp_path / "r.html")
        == 0
    )
    assert (tmp_path / "r.html").exists()


def test_systems_of_one_name_are_compared_by_their_folders(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate", model, "--benchmark", "parallel", "--data", pairs_file, "--out"]
    remedy = ["--remedy", "lir", "--directions", "2", "--fit-on", pairs_file]
    base, lir, twin = (tmp_path / name for name in ("base", "lir", "twin"))
    assert run(monkeypatch, *call, base) == 0
    assert run(monkeypatch, *call, lir, *remedy) == 0
    assert run(monkeypatch, *call, twin, *remedy) == 0
    capsys.readouterr()
    for folders, names in (((base, lir), [model, f"{model} + lir"]), ((base, lir, twin), ["base", "lir", "twin"])):
        assert run(monkeypatch, "compare", *folders, "--json") == 0
        estimates = json.loads(capsys.readouterr().out)["estimates"]
        assert list(dict.fromkeys(row["system"] for row in estimates)) == names
    assert run(monkeypatch, "compare", base, base) == 2
    assert "given twice" in capsys.readouterr().err


def test_data_commands_describe_and_convert(
    pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "data", "check", pairs_file) == 0
    assert "60" in capsys.readouterr().out
    target = tmp_path / "de.parquet"
    assert run(monkeypatch, "data", "fetch", pairs_file, "--out", target, "--languages", "de,en") == 0
    assert "60 examples, 120 translations in de, en" in capsys.readouterr().out.replace("\n", " ")
    assert run(monkeypatch, "data", "list", "--json") == 0
    assert {"debian", "xquad-r"} <= {entry["name"] for entry in json.loads(capsys.readouterr().out)}
    assert run(monkeypatch, "data", "show", "xquad-r") == 0
    assert "CC BY-SA 4.0" in capsys.readouterr().out


def test_results_that_cannot_be_read_are_one_line(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = tmp_path / "a", tmp_path / "r.html"
    assert run(monkeypatch, "audit", model, "--pairs", pairs_file, "--out", results) == 0
    summary = (results / "results.json").read_text()

    def refused(said: str) -> None:
        capsys.readouterr()
        assert run(monkeypatch, "report", results, "--out", page) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert said in error
        assert not page.exists()

    for content, said in (
        (summary.replace('"schema": 1', '"schema": 99'), "this version reads schema 1"),
        ("[]", "this version reads schema 1"),
        (summary[:-40], "cannot be read"),
    ):
        (results / "results.json").write_text(content)
        refused(said)
    (results / "results.json").write_text(summary)
    (results / "per_query.parquet").write_bytes(b"PAR1")
    refused("not a readable Parquet file")
    (results / "per_query.parquet").unlink()
    refused("per_query.parquet is missing")


def test_square_brackets_in_a_path_or_a_name_are_not_markup(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "[bold]"
    assert run(monkeypatch, "data", "fetch", pairs_file, "--out", folder / "some.csv", "--languages", "de,en") == 0
    assert "[bold]/some.csv" in capsys.readouterr().out
    call = ["evaluate", model, "--benchmark", "parallel", "--data", folder / "some.csv", "--name", "tiny [x]"]
    assert run(monkeypatch, *call, "--out", folder / "results") == 0
    assert capsys.readouterr().out.count("tiny [x]") == 2
    assert run(monkeypatch, "report", folder / "results", "--out", folder / "page.html") == 0
    assert "[bold]/page.html" in capsys.readouterr().out


def test_a_full_disk_is_one_line(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "results.json")

    monkeypatch.setattr("isoglot.evaluation.results.write_json", full)
    call = ["audit", model, "--pairs", pairs_file, "--out", tmp_path / "a"]
    assert run(monkeypatch, *call) == 2
    assert capsys.readouterr().err == "isoglot: results.json: No space left on device\n"


def test_help_and_version_come_without_heavy_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    heavy = {"torch", "numpy", "pyarrow", "pydantic", "httpx2", "yaml", "langcodes"}
    code = f"import sys, isoglot.cli; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"set()\n"
    assert run(monkeypatch, "--version") == 0


def test_help_fits_80_columns_without_type_words_that_say_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in (["audit"], ["data", "check"], []):
        assert run(monkeypatch, *words, "--help") == 0
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines())) <= 80
        for cut in ("…", "<bool>", "list[", "range>", "[["):
            assert cut not in text
        for panel in ("Data", "Columns", "Model", "Output"):
            assert (f"─ {panel} ─" in text) == (words == ["audit"] or (panel, words) == ("Data", []))


def test_every_grouped_option_is_one_of_a_command() -> None:
    import typer

    from isoglot.cli import app
    from isoglot.cli.help import PANELS

    def names(command: Any) -> set[str]:
        own = {parameter.name for parameter in command.params}
        return own.union(*(names(child) for child in getattr(command, "commands", {}).values()))

    assert {name for group in PANELS.values() for name in group} <= names(typer.main.get_command(app))
