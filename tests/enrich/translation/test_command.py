"""`isoglot data translate`: options reach the engine, results reach the file, errors are one line; the page is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from engines import Habit, backwards

from command import run as run_isoglot
from isoglot.common.errors import IsoglotError
from isoglot.enrich.translation import ENGINES, load_engine
from isoglot.enrich.translation.quality import faults
from isoglot.pairs import read_pairs

ROW = '{"id": "1", "language": "en", "query": "Where is bread?", "passage": "Bread is under the stone."}\n'
PAGE = (Path(__file__).parents[3] / "docs" / "translation.md").read_text(encoding="utf-8")

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `isoglot data translate pairs.jsonl` with more words in a folder that holds the file."""
    monkeypatch.chdir(tmp_path)
    Path("pairs.jsonl").write_text(ROW)
    return partial(run_isoglot, monkeypatch, "data", "translate", "pairs.jsonl")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the classes of engines were given; each makes one that turns words around."""
    given: list[tuple[str, dict[str, Any]]] = []

    def make(rest: str = "", **settings: Any) -> Habit:
        given.append((rest, settings))
        return Habit(backwards)

    names = ("ApertiumEngine", "CTranslate2Engine", "TransformersEngine", "HttpEngine")
    classes = SimpleNamespace(**dict.fromkeys(names, make))
    monkeypatch.setattr("isoglot.enrich.translation.engines.import_module", lambda _: classes)
    return given


@pytest.mark.usefixtures("made")
def test_pairs_are_translated_and_it_says_how_many(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--to", "de,es", "--engine", "apertium", "--out", "all.parquet") == 0
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first.startswith("all.parquet: 2 of 2 translations, ")
    assert second == "all.translations.jsonl: all of them; 0 dropped"
    assert said.err == ""
    assert read_pairs("all.parquet").languages == ("de", "en", "es")


@pytest.mark.usefixtures("made")
def test_what_was_dropped_is_said_with_the_reason(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--to", "ru", "--engine", "apertium")
    assert run(*words, "--out", "a.jsonl") == 0
    assert "1 dropped (script 1)" in capsys.readouterr().out
    assert run(*words, "--out", "b.jsonl", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["out"], report["rows"], report["kept"], report["dropped"]) == ("b.jsonl", 1, 0, 1)
    assert report["reasons"] == {"script": 1}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("--engine apertium", ("", {})),
        ("--engine ctranslate2 --model folder --batch-size 64", ("folder", {"batch_tokens": 64})),
        ("--engine transformers:owner/name --beam-size 1", ("owner/name", {"beam_size": 1})),
        ("--engine http --url http://e.org:5000 --batch-size 8", ("http://e.org:5000", {"texts_per_request": 8})),
        ("--engine https://e.org --requests-per-minute 20", ("https://e.org", {"requests_per_minute": 20.0})),
    ],
)
def test_options_reach_the_engine(run: Run, made: list[Any], words: str, given: tuple[str, dict[str, Any]]) -> None:
    assert run("--to", "de", "--out", "all.jsonl", *words.split()) == 0
    assert made == [given]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--to de --engine babelfish", "no engine"),
        ("--to de --engine apertium", "apt-get install apertium"),
        ("--to de --engine ctranslate2", "ctranslate2:FOLDER"),
        ("--to de --engine transformers --model ./none", "give a folder or a hub id"),
        ("--to de --engine http", "http://HOST:PORT"),
        ("--to de --engine http --url ftp://e.org", "no engine"),
        ("--to de --engine apertium --url http://e.org", "--url goes with --engine http alone"),
        ("--to de --engine http --url http://e.org --model m", "--url goes with --engine http alone"),
        ("--to de --engine http://e.org --beam-size 4", "no such setting ('beam_size')"),
        ("--to de --engine http://e.org --requests-per-minute 0", "requests_per_minute is 0"),
        ("--to de --engine transformers:m --batch-size 0", "--batch-size"),
        ("--to klingonisch --engine apertium", "klingonisch"),
        ("--to , --engine apertium", '"," is a list of nothing'),
        ("--to de,en --from en --engine apertium", "is the source and a target"),
        ("--to de --from fr --engine apertium", 'no rows in "fr"'),
        ("--to en --engine apertium", "nothing to translate"),
        ("--to de --engine apertium --out pairs.jsonl", "exists already"),
        ("--to de --engine apertium --out all.csv", ".jsonl or .parquet"),
        ("--to de", "--engine"),
    ],
)
def test_bad_calls_are_one_line_exit_code_2_and_write_nothing(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.setenv("PATH", "")  # no apertium
    before = sorted(Path().iterdir())
    given = words.split()
    assert run(*given, *(() if "--out" in given else ("--out", "all.jsonl"))) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("name", ENGINES)
def test_the_page_names_every_engine(name: str) -> None:
    assert f"| `{name}`" in PAGE


@pytest.mark.parametrize(
    ("reason", "source", "translation"),
    [
        ("empty", "text", " "),
        ("length", "text", "текст " * 40),
        ("untranslated", "this stays as it is", "this stays as it is"),
        ("script", "this is in no other script", "dies ist in keiner anderen Schrift"),
        ("repetition", "text", "текст " * 4),
        ("numbers", "7 texts", "тексты"),
        ("placeholders", "{name} is here", "он здесь"),
    ],
)
def test_the_page_names_every_reason(reason: str, source: str, translation: str) -> None:
    assert reason in faults(source, translation, "en", "ru")
    assert f"| `{reason}` |" in PAGE


@pytest.mark.usefixtures("made")
def test_the_page_has_the_messages_word_for_word(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(IsoglotError) as caught:
        load_engine("babelfish")
    said = [str(caught.value)]
    Path("translated.jsonl").touch()
    for words in ("--from en --to en", "--to en", "--to es --from de", "--to es --out translated.jsonl"):
        given = words.split()
        assert run("--engine", "apertium", *given, *(() if "--out" in given else ("--out", "all.jsonl"))) == 2
        said.append(capsys.readouterr().err.strip().removeprefix("isoglot: "))
    for message in said:
        assert f"`{message}`" in PAGE
