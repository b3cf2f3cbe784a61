"""The command line: what it writes, and that every wrong input gets one line, exit code 2 and no file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from sentence_transformers import SentenceTransformer

from conftest import parallel_rows
from isoglot import __version__, cli, encoders
from isoglot.results import load_results


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["isoglot", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    monkeypatch.setattr(encoders, "_hub_is_reachable", lambda: False)
    monkeypatch.setenv("COLUMNS", "200")
    return call


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Twelve examples in three languages: enough for the command line, quick to encode."""
    return write_rows(tmp_path / "few.jsonl", parallel_rows(12))


@pytest.fixture
def work(tmp_path: Path, tiny_encoder_folder: Path, few: Path) -> dict[str, Path]:
    """Good inputs of every kind, and some bad ones, by the names that the cases below use."""
    config = {
        "model": str(tiny_encoder_folder),
        "output": str(tmp_path / "run"),
        "data": [{"source": str(few)}],
        "batches": {"size": 4},
        "steps": 2,
        "validation": {"examples": 0},
        "bf16": False,
    }
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    no_weights = shutil.copytree(tiny_encoder_folder, tmp_path / "no-weights")
    for file in no_weights.rglob("*.safetensors"):
        file.unlink()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "not.yaml").write_text("a: [1\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    german = write_rows(tmp_path / "german.jsonl", [row for row in parallel_rows(12) if row["language"] == "de"])
    return {
        "tmp": tmp_path,
        "model": tiny_encoder_folder,
        "pairs": few,
        "german": german,
        "config": tmp_path / "train.yaml",
        "no_weights": no_weights,
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_refused(run: Run, folder: Path, arguments: list[object], message: str) -> None:
    before = files_below(folder)
    outcome = run(*arguments)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("isoglot: ")
    assert message in outcome.err
    assert outcome.out == ""
    assert files_below(folder) == before


GOOD = {"id": "1", "language": "en", "query": "red house", "passage": "a red house"}


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        (['{"id": "1", '], ["bad.jsonl line 1", "JSON"]),
        ([json.dumps(GOOD), "[1, 2]"], ["bad.jsonl line 2"]),
        ([json.dumps({k: v for k, v in GOOD.items() if k != "passage"})], ["bad.jsonl line 1", '"passage"', "needs"]),
        ([json.dumps(GOOD), "", json.dumps({**GOOD, "id": "2", "passage": " \t"})], ["bad.jsonl line 3", "passage"]),
        ([json.dumps({**GOOD, "query": ""})], ["bad.jsonl line 1", "query"]),
        ([json.dumps({**GOOD, "language": "klingonese"})], ["bad.jsonl line 1", "klingonese"]),
        ([json.dumps(GOOD), json.dumps(GOOD)], ["bad.jsonl line 2", '"1"', '"en"', "line 1"]),
        ([json.dumps({**GOOD, "id": 1.5})], ["bad.jsonl line 1", "id"]),
    ],
    ids=["cut", "no-object", "column", "blank", "empty", "language", "twice", "type"],
)
def test_a_wrong_file_of_pairs_names_its_line(run: Run, tmp_path: Path, lines: list[str], messages: list[str]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(line + "\n" for line in lines))
    for message in messages:
        assert_refused(run, tmp_path, ["data", "check", bad], message)


def test_a_file_that_is_not_utf_8_names_its_line(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(json.dumps(GOOD).encode() + b'\n{"id": "2\xff"}\n')
    assert_refused(run, tmp_path, ["data", "check", bad], "bad.jsonl line 2: byte 10 is not UTF-8")


# Arguments with {names} from `work`, `~` for a space within one; `{tmp}/new` never exists.
REFUSED = {
    "no such file": ("data check {tmp}/nothing.jsonl", "named data sets are debian"),
    "no such data set": ("data check hub:nonsense", "nonsense"),
    "unknown suffix": ("data fetch {pairs} --out {tmp}/new.txt", ".jsonl, .csv or .parquet"),
    "language not there": ("data fetch {pairs} --languages fr --out {tmp}/new.jsonl", 'no rows in "fr"'),
    "nothing to show": ("data show nonsense", "isoglot data list names what there is"),
    "alpha": ("train {config} --set batches.alpha=1.5", "batches.alpha"),
    "negative alpha": ("train {config} --set batches.alpha=-0.1", "batches.alpha"),
    "alpha is a word": ("train {config} --set batches.alpha=half", "batches.alpha"),
    "unknown key": ("train {config} --set batches.alhpa=0.3", "unknown key batches.alhpa"),
    "unknown key at the top": ("train {config} --set stesp=3", "unknown key stesp"),
    "no value": ("train {config} --set batches.alpha", "write key=value"),
    "a key in a value": ("train {config} --set steps.more=1", "holds a value"),
    "unknown strategy": ("train {config} --set batches.strategy=bilingual", "batches.strategy"),
    "batch of one": ("train {config} --set batches.size=1", "batches.size"),
    "fewer examples than a batch": ("train {config} --set batches.size=500", "batch of 500"),
    "one language across": (
        "train {config} --set batches.strategy=cross-lingual --set data=[{{source:~{german}}}]",
        "two languages",
    ),
    "unknown source": ("train {config} --set data=[{{source:~nonsense}}]", '"nonsense"'),
    "steps and epochs": ("train {config} --set epochs=1", "either steps or epochs"),
    "no such configuration": ("train {tmp}/nothing.yaml", "no such configuration"),
    "not yaml": ("train {tmp}/not.yaml", "not YAML"),
    "no mapping": ("train {tmp}/list.yaml", "mapping"),
    "nothing to resume in a foreign folder": ("train {config} --set output={tmp}/taken", "taken"),
    "unknown benchmark": (
        "evaluate {model} --benchmark squad --data {pairs} --out {tmp}/new",
        "use one of mlqa-r, parallel, xquad-r",
    ),
    "no such benchmark data": (
        "evaluate {model} --benchmark parallel --data {tmp}/nothing.jsonl --out {tmp}/new",
        "not there",
    ),
    "no language files": ("evaluate {model} --benchmark xquad-r --data {tmp}/taken --out {tmp}/new", "de.json"),
    "unknown candidate": (
        "evaluate {model} --benchmark parallel --data {pairs} --candidate page --out {tmp}/new",
        "'sentence' or 'sentence+context'",
    ),
    "candidate of another benchmark": (
        "evaluate {model} --benchmark parallel --data {pairs} --candidate sentence+context --out {tmp}/new",
        "parallel pairs have no context",
    ),
    "benchmark without the language": (
        "evaluate {model} --benchmark parallel --data {pairs} --languages de,fr --out {tmp}/new",
        "no language 'fr'",
    ),
    "no weights": (
        "evaluate {no_weights} --benchmark parallel --data {pairs} --out {tmp}/new",
        "no weights (*.safetensors)",
    ),
    "no model folder": ("audit {tmp}/nothing --pairs {pairs} --out {tmp}/new", "no such folder"),
    "not a model folder": ("audit {tmp}/taken --pairs {pairs} --out {tmp}/new", "neither modules.json nor config.json"),
    "no such model": ("audit nobody/nothing --pairs {pairs} --out {tmp}/new", "cannot load the model"),
    "no such built-in": ("audit builtin:nothing --pairs {pairs} --out {tmp}/new", "builtin:multilingual-e5-small"),
    "too many tokens": ("audit {model} --pairs {pairs} --max-tokens 5000 --out {tmp}/new", "max_tokens 5000"),
    "too few tokens": ("audit {model} --pairs {pairs} --max-tokens 1 --out {tmp}/new", "max_tokens 1"),
    "audit of nothing": ("audit {model} --pairs nonsense --out {tmp}/new", '"nonsense"'),
    "output exists": ("debias {model} --pairs {pairs} --out {tmp}/taken", "exists already"),
    "one language": ("debias {model} --pairs {german} --out {tmp}/new", "two languages or more"),
    "unknown remedy": ("debias {model} --pairs {pairs} --remedy magic --out {tmp}/new", "lir, leace, means"),
    "no directions": ("debias {model} --pairs {pairs} --directions 0 --out {tmp}/new", "directions 0"),
    "no examples": ("debias {model} --pairs {pairs} --examples 0 --out {tmp}/new", "examples 0"),
    "no results": ("report {tmp}/taken --out {tmp}/new.html", "no results here"),
    "option missing": ("audit {model}", "--pairs"),
    "unknown option": ("audit {model} --pairs {pairs} --nonsense", "--nonsense"),
    "unknown command": ("nonsense", "nonsense"),
    "a word for a number": ("audit {model} --pairs {pairs} --max-tokens many", "--max-tokens"),
    "output within a file": ("audit {model} --pairs {pairs} --out {tmp}/file/results", "file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_input_gets_one_line_and_leaves_nothing(run: Run, work: dict[str, Path], case: str) -> None:
    command, message = REFUSED[case]
    arguments: list[object] = [part.format(**work) for part in command.split(" ")]
    assert_refused(run, work["tmp"], [str(part).replace("~", " ") for part in arguments], message)


def test_an_environment_variable_that_is_not_set_is_named(run: Run, work: dict[str, Path]) -> None:
    arguments: list[object] = ["train", work["config"], "--set", "data=[{source: $ISOGLOT_NOWHERE/pairs.jsonl}]"]
    assert_refused(run, work["tmp"], arguments, "$ISOGLOT_NOWHERE")


@pytest.fixture
def results(run: Run, work: dict[str, Path]) -> Path:
    folder = work["tmp"] / "results"
    outcome = run("audit", work["model"], "--pairs", work["pairs"], "--out", folder)
    assert outcome.code == 0, outcome.err
    return folder


def test_results_of_different_benchmarks_are_not_put_on_one_page(
    run: Run, work: dict[str, Path], results: Path
) -> None:
    other = work["tmp"] / "other"
    run("audit", work["model"], "--pairs", work["pairs"], "--languages", "de,en", "--out", other)
    assert_refused(
        run, work["tmp"], ["report", results, other, "--out", work["tmp"] / "new.html"], "different benchmarks"
    )


def test_results_that_cannot_be_read_are_refused(run: Run, work: dict[str, Path], results: Path) -> None:
    new = work["tmp"] / "new.html"
    assert_refused(run, work["tmp"], ["report", results, "--out", work["tmp"] / "new.pdf"], ".html or .md")
    summary = (results / "results.json").read_text()
    (results / "results.json").write_text(summary.replace('"schema": 1', '"schema": 99'))
    assert_refused(run, work["tmp"], ["report", results, "--out", new], "this version reads schema 1")
    (results / "results.json").write_text(summary[:-40])
    assert_refused(run, work["tmp"], ["report", results, "--out", new], "cannot be read")
    (results / "results.json").write_text(summary)
    (results / "per_query.parquet").write_bytes(b"PAR1")
    assert_refused(run, work["tmp"], ["report", results, "--out", new], "cannot be read")
    (results / "per_query.parquet").unlink()
    assert_refused(run, work["tmp"], ["report", results, "--out", new], "per_query.parquet is missing")


def test_version_and_help(run: Run) -> None:
    assert run("--version").out.strip() == __version__
    shown = run("--help")
    assert shown.code == 0
    assert all(command in shown.out for command in ("demo", "data", "train", "evaluate", "audit", "debias", "report"))


def test_data_list_and_show(run: Run) -> None:
    listed = json.loads(run("data", "list", "--json").out)
    assert {"debian", "xquad-r", "parallel"} <= {entry["name"] for entry in listed}
    assert all(entry["use"] in ("training", "benchmark") for entry in listed)
    assert "xquad-r" in run("data", "list").out
    shown = json.loads(run("data", "show", "xquad-r", "--json").out)
    assert shown["licence"] == "CC BY-SA 4.0"
    assert "CC BY-SA 4.0" in run("data", "show", "xquad-r").out


def test_data_check_describes(run: Run, work: dict[str, Path]) -> None:
    plain = run("data", "check", work["pairs"])
    assert plain.code == 0
    assert all(word in plain.out for word in ("12", "36", "de", "en", "es"))
    assert "token" in run("data", "check", work["pairs"], "--model", work["model"]).out


def test_data_fetch_converts_and_keeps_languages(run: Run, work: dict[str, Path]) -> None:
    to = work["tmp"] / "some.csv"
    assert run("data", "fetch", work["pairs"], "--languages", "de, en", "--out", to).code == 0
    again = work["tmp"] / "again.parquet"
    assert run("data", "fetch", to, "--out", again).code == 0
    table = pq.read_table(again)
    assert set(table["language"].to_pylist()) == {"de", "en"}
    assert table.num_rows == 24


def test_audit_says_in_words_and_in_json(run: Run, work: dict[str, Path], results: Path) -> None:
    plain = run("audit", work["model"], "--pairs", work["pairs"])
    assert "query's language" in plain.out
    assert "ranks apart" in plain.out
    parsed = json.loads(run("audit", work["model"], "--pairs", work["pairs"], "--json").out)
    saved = load_results(results).summary
    assert parsed["settings"] == saved["settings"]
    assert parsed["verdict"]


def test_evaluate_writes_results_and_trec_files(run: Run, work: dict[str, Path]) -> None:
    folder = work["tmp"] / "eval"
    arguments = ["evaluate", work["model"], "--benchmark", "parallel", "--data", work["pairs"], "--out", folder]
    outcome = run(*arguments, "--trec-depth", "7", "--name", "tiny [x]", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == load_results(folder).summary
    assert load_results(folder).summary["model"]["name"] == "tiny [x]"
    assert sorted(path.name for path in folder.iterdir()) == [
        "per_query.parquet",
        "qrels.trec",
        "results.json",
        "run.trec",
    ]
    assert len((folder / "run.trec").read_text().splitlines()) == 36 * 7
    assert len((folder / "qrels.trec").read_text().splitlines()) == 36 * 3
    plain = run(*arguments, "--name", "tiny [x]")
    assert "tiny [x]" in plain.out, "square brackets in a name are not markup"


def test_debias_makes_a_plain_model_and_evaluate_can_leave_it_off(run: Run, work: dict[str, Path]) -> None:
    folder = work["tmp"] / "debiased"
    outcome = run("debias", work["model"], "--pairs", work["pairs"], "--directions", "2", "--out", folder)
    assert outcome.code == 0, outcome.err
    assert SentenceTransformer(str(folder), device="cpu").encode(["rot"]).shape == (1, 32)
    settings = {}
    for name, model, *options in (
        ("base", work["model"]),
        ("with", folder),
        ("without", folder, "--without-debias"),
    ):
        to = work["tmp"] / name
        run("evaluate", model, "--benchmark", "parallel", "--data", work["pairs"], "--out", to, *options)
        settings[name] = load_results(to).summary["language_bias"]
    assert settings["without"] == settings["base"]
    assert settings["with"] != settings["base"]


def test_report_of_two_systems(run: Run, work: dict[str, Path], results: Path) -> None:
    for name in ("page.html", "page.md"):
        outcome = run("report", results, results, "--out", work["tmp"] / name)
        assert outcome.code == 0, outcome.err
        assert "36" in (work["tmp"] / name).read_text() or name.endswith(".md")


def test_train_leaves_a_model(run: Run, work: dict[str, Path]) -> None:
    outcome = run("train", work["config"], "--set", "batches.alpha=0.3")
    assert outcome.code == 0, outcome.err
    assert SentenceTransformer(str(work["tmp"] / "run" / "model"), device="cpu").encode(["rot"]).shape == (1, 32)
    assert_refused(run, work["tmp"], ["train", work["config"]], "run")
