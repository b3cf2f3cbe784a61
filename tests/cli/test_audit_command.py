"""`isoglot audit`: where its texts come from, and its verdict for a pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from command import run
from isoglot.benchmarks import sample
from isoglot.pairs import ParallelPairs


@pytest.fixture
def model(tiny_encoder_folder: Path) -> str:
    return str(tiny_encoder_folder)


def test_bounds_decide_the_exit_code(
    model: str, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["audit", model, "--pairs", pairs_file, "--require", "multilingual_map>=0"]
    assert run(monkeypatch, *call) == 0
    said = capsys.readouterr()
    assert "95 % intervals over 60 examples: same_language_share@1" in said.out
    assert "not met" not in said.err
    unmet = ["--require", "multilingual_map > 1", "--require", "rank_distance<1", "--junit", tmp_path / "junit.xml"]
    assert run(monkeypatch, *call, *unmet, "--json", "--out", tmp_path / "r") == 1
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if "not met" in line]
    assert [line.partition(":")[0] for line in lines] == ["multilingual_map>1", "rank_distance<1"]
    printed = json.loads(said.out)
    assert [each["met"] for each in printed["requirements"]] == [True, False, False]
    assert {"figure", "value", "low", "high", "examples"} == set(printed["figures"][0])
    assert ElementTree.parse(tmp_path / "junit.xml").getroot()[0].attrib["failures"] == "2"
    assert (tmp_path / "r" / "results.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--require", "accuracy>=0.6"], "no figure 'accuracy'; there are monolingual_map"),
        (["--require", "multilingual_map"], "write a figure, <=, >=, < or >, and a number"),
        (["--junit", "a.xml"], "--junit goes with --require"),
        (["--corpus", "a.jsonl"], "--pairs does not go with --corpus"),
        (["--documents", "7"], "--documents goes with --corpus"),
        (["--text-column", "x"], "--text-column goes with --vectors or --corpus"),
    ],
)
def test_a_bad_call_is_one_line_before_any_work(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "audit", "no/such/model", "--pairs", "none.jsonl", *words) == 2
    assert message in capsys.readouterr().err


def test_without_texts_it_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "audit", "no/such/model") == 2
    assert "--pairs FILE, --corpus FILE or --languages de,en,ja" in capsys.readouterr().err


def test_languages_alone_fetch_a_sample_and_say_which(
    model: str, pairs: ParallelPairs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sample, "load_debian_in", pairs.filter_languages)
    assert run(monkeypatch, "audit", model, "--languages", "de,en") == 0
    assert "Measured on 60 examples of debian, in each of de, en" in capsys.readouterr().out


def test_a_corpus_shows_its_mix(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"key": f"{tag}{n}", "lang": tag, "body": f"{start} number {n}. {more} {n}."}
        for tag, start, more in (("en", "A red house", "Trees and birds"), ("de", "Ein rotes Haus", "Baum und Vogel"))
        for n in range(20)
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(monkeypatch, "audit", model, "--corpus", path, "--id-column", "key", "--documents", "30") == 0
    said = capsys.readouterr().out
    assert "Languages of the first ten results" in said
    assert "30 of 40 documents are searched" in said
    assert "95 % intervals over 30 examples: same_language_share@10" in said
