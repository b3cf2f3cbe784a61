"""The documentation says what is so: examples run, commands and keys exist, the site builds."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
import yaml

import isoglot
from command import run
from isoglot.cli import app
from isoglot.common.errors import InputError
from isoglot.training import TrainConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
COMMANDS: Any = typer.main.get_command(app)
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, *kinds: str) -> list[str]:
    return [block for kind, block in FENCE.findall(text) if kind in kinds]


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each isoglot command line in the shell blocks of a page."""
    for block in blocks(text, "bash", "console", "sh", ""):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "isoglot":
                yield words[1:]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and what is left of them; None for the root."""
    command = COMMANDS
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    own = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return own.union({"--help"}, *(options_of(child) for child in getattr(command, "commands", {}).values()))


def run_example(name: str, *arguments: object) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [sys.executable, str(DOCS / "examples" / name), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_drop_in_sampler_runs(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    run_example("drop_in_sampler.py", tiny_encoder_folder, tmp_path, 3)
    assert isoglot.load_encoder(tmp_path / "model").encode(["one"]).shape == (1, 32)


def test_the_quickstart_runs(tiny_encoder_folder: Path, pairs_file: Path, tmp_path: Path) -> None:
    run_example("quickstart.py", tiny_encoder_folder, pairs_file, tmp_path, 2)
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize(
    ("name", "example"), [("sampler.md", "drop_in_sampler.py"), ("quickstart.md", "quickstart.py")]
)
def test_pages_show_the_very_code_that_runs(name: str, example: str) -> None:
    assert (DOCS / "examples" / example).read_text(encoding="utf-8") in blocks(page(name), "python")


@pytest.mark.parametrize("remedy", ["lir", "shift"])
def test_the_map_is_applied_by_the_numpy_that_is_shown(
    remedy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isoglot.vectors.remedies import AffineMap

    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    mapping = AffineMap(np.eye(4) + 0.1, np.arange(4.0))
    fitted: Any = mapping if remedy == "lir" else {"de": mapping, "*": AffineMap(np.eye(4), np.zeros(4))}
    made = isoglot.VectorMap.of(remedy, fitted, normalise=True)
    made.save("fair/map.npz")
    name, languages = ("fair", ()) if remedy == "lir" else ("fair_by_language", (["de", "fi"] * 3,))
    scope: dict[str, Any] = {}
    exec(next(block for block in blocks(page("vectors.md"), "python") if f"def {name}(" in block), scope)
    assert scope[name](x, *languages) == pytest.approx(made.apply(x, *languages), abs=1e-6)


def test_the_split_of_the_quickstart_runs(
    pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pairs.jsonl").write_text(pairs_file.read_text())
    monkeypatch.chdir(tmp_path)
    words = next(words for words in commands_of(page("quickstart.md")) if words[:2] == ["data", "split"])
    assert run(monkeypatch, *words) == 0
    for name in ("training", "held-out"):
        assert f"pairs/{name}.jsonl" in page("quickstart.md")
        assert len(isoglot.read_pairs(f"pairs/{name}.jsonl")) > 0


def test_the_quickstart_configuration_loads(tmp_path: Path) -> None:
    (block,) = blocks(page("quickstart.md"), "yaml")
    (tmp_path / "run.yaml").write_text(block)
    assert isoglot.load_config(tmp_path / "run.yaml").debias is not None


def test_the_smallest_configuration_and_its_additions_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "data")
    smallest, *additions = map(yaml.safe_load, blocks(page("training.md"), "yaml"))
    for addition in [{}, *additions]:
        TrainConfig.model_validate({**smallest, **addition})


def test_the_tables_of_keys_are_written_from_the_configuration() -> None:
    keys = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "examples" / "_training_keys.py")))
    assert keys.written(page("training.md")) == page("training.md"), "run python docs/examples/_training_keys.py"
    in_tables = [row[0] for row in keys.ROW.findall(page("training.md"))]
    assert sorted(in_tables) == sorted(key for key, _, meaning in keys.fields(TrainConfig) if meaning)
    assert len(in_tables) == len(list(keys.fields(TrainConfig))), "every key says what it means"


def test_every_recipe_is_documented() -> None:
    for recipe in (ROOT / "recipes").rglob("*.yaml"):
        assert f"`{recipe.name}`" in page("training.md")


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: path.stem)
def test_every_command_line_would_parse(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # folders that they write must not be there
    text = path.read_text(encoding="utf-8")
    for words in commands_of(text):
        command, rest = command_of(words)
        command.make_context(command.name, rest, resilient_parsing=False)


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda path: path.stem)
def test_every_command_and_option_in_the_text_exists(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`]+)`", text):
        words = code.split()
        known = options_of(COMMANDS)
        if words[0] == "isoglot" and len(words) > 1:
            command, _ = command_of(words[1:])
            known = options_of(command)
        elif not words[0].startswith("--"):
            continue
        for option in re.findall(r"--[a-z][\w-]*", code):
            assert option in known, code


def test_every_source_and_benchmark_is_documented() -> None:
    from isoglot.benchmarks import BENCHMARKS
    from isoglot.sources import SOURCES

    for name in SOURCES:
        assert f"`{name}`" in page("data.md"), name
    for name in BENCHMARKS:
        assert f"`{name}`" in page("benchmarks.md"), name
    assert SOURCES["debian"].licence.replace(
        "(its debian/copyright file)", "(its `debian/copyright` file)"
    ) in " ".join(page("data.md").split())


def test_every_measure_is_documented() -> None:
    from isoglot.evaluation.measures import MEASURES

    for name in MEASURES:
        assert f"`{name}`" in page("measures.md")


GOOD = '{"id": "1", "language": "de", "query": "rot", "passage": "rot und gruen"}\n'
SECOND = '{"id": "2", "language": "de", "query": "x", "passage": "y"}\n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.jsonl", GOOD + "{not json}\n"),
        ("pairs.jsonl", GOOD + '"text"\n'),
        ("pairs.jsonl", GOOD + SECOND.replace(', "passage": "y"', "")),
        ("pairs.jsonl", GOOD + SECOND.replace('"y"', '" "')),
        ("pairs.jsonl", GOOD + SECOND.replace('"2"', "2")),
        ("pairs.jsonl", GOOD + SECOND.replace('"de"', '"klingonisch"')),
        ("pairs.jsonl", GOOD + GOOD),
        ("pairs.jsonl", GOOD + SECOND.replace('"y"', '"y", "negatives": "z"')),
        ("pairs.jsonl", GOOD + SECOND.replace('"y"', '"y", "negatives": [""]')),
        ("pairs.jsonl", GOOD.encode() + '{"id": "ü"}'.encode("latin-1")),
        ("pairs.csv", "id,language,query\n1,de,x\n"),
        ("pairs.csv", "id,language,query,passage\n1,de,x,y,z\n"),
        ("pairs.txt", GOOD),
    ],
)
def test_messages_are_documented_word_for_word(
    name: str, content: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        isoglot.read_pairs(name)
    assert f"`{caught.value}`" in page("data.md")


def test_results_are_documented(tiny_encoder: Any, pairs: isoglot.ParallelPairs) -> None:
    results = isoglot.audit(tiny_encoder, pairs, name="tiny")
    names = {*results.summary, *results.summary["model"], *results.summary["language_bias"]}
    by_language = next(iter(results.summary["by_query_language"].values()))
    for name in {*names, *by_language, *results.per_query.column_names}:
        assert f"`{name}`" in page("measures.md"), name


def test_the_site_builds_without_warnings_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [Path(sys.executable).parent / "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for built in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(r"<(?:link|script|img)\b[^>]*?(?:href|src)=\"?(https?:[^\" >]+)", built.read_text())
        assert not loaded, built.name
