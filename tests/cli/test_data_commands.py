"""`isoglot data show`, `negatives` and `overlap`: they say what the modules found, and bad calls cost nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from command import run as run_isoglot
from isoglot.benchmarks import load_benchmark
from isoglot.benchmarks.contamination import find_overlap
from isoglot.enrich.negatives import mine_negatives
from isoglot.pairs import ParallelPairs, read_pairs, write_pairs
from isoglot.sources import SOURCES

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `isoglot data` with these words in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(run_isoglot, monkeypatch, "data")


@pytest.mark.parametrize("name", SOURCES)
def test_show_says_in_words_whether_a_source_is_for_any_use(
    run: Run, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = SOURCES[name]
    assert run("show", name) == 0
    assert f"non-commercial: {'yes' if source.non_commercial else 'no'}\n" in capsys.readouterr().out
    assert run("show", name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["non_commercial"] is source.non_commercial


def test_negatives_are_those_of_the_library(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    pairs_file: Path,
    tiny_encoder: SentenceTransformer,
    tiny_encoder_folder: Path,
) -> None:
    words = ["--number", 2, "--language", "any", "--margin", 0.9, "--skip", 1, "--draw-from", 9, "--seed", 7]
    call = ["negatives", pairs_file, "--model", tiny_encoder_folder, *words]
    assert run(*call, "--out", "mined.jsonl", "--work-dir", "work") == 0
    wanted = mine_negatives(
        read_pairs(pairs_file), tiny_encoder, number=2, language="any", margin=0.9, skip=1, draw_from=9, seed=7
    )
    assert list(read_pairs("mined.jsonl").rows()) == list(wanted.rows())
    counts = [len(row) for row in wanted.negatives() if row]
    said = f"mined.jsonl: {len(counts)} of 180 rows have negatives, {sum(counts) / len(counts):.1f} each on average\n"
    assert capsys.readouterr().out == said
    assert len(counts) > 0
    assert any(Path("work").iterdir())


def test_rows_without_candidates_are_counted(
    run: Run, capsys: pytest.CaptureFixture[str], tiny_encoder_folder: Path
) -> None:
    write_pairs(ParallelPairs.from_rows([{"id": "1", "language": "en", "query": "a", "passage": "b"}]), "one.csv")
    assert run("negatives", "one.csv", "--model", tiny_encoder_folder, "--out", "mined.csv") == 0
    assert capsys.readouterr().out == "mined.csv: 0 of 1 rows have negatives, 0.0 each on average\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("negatives PAIRS --model nowhere --out there.csv", "exists already"),
        ("negatives PAIRS --model nowhere --out mined.txt", ".jsonl, .csv or .parquet"),
        ("negatives none.jsonl --model nowhere --out mined.csv", "none.jsonl"),
        ("negatives PAIRS --model MODEL --out mined.csv --number 0", "at least 1"),
        ("negatives PAIRS --model MODEL --out mined.csv --language both", "one of query, passage, any"),
        ("negatives PAIRS --model MODEL --out mined.csv --margin 2", "between 0 and 1"),
        ("negatives PAIRS --model MODEL --out mined.csv --draw-from 1", "at least number"),
        ("negatives there.csv --model MODEL --out mined.csv", "no row has a query"),
        ("negatives PAIRS --out mined.csv", "--model"),
        ("overlap PAIRS --benchmark nonsense --data PAIRS", "use one of"),
        ("overlap PAIRS --benchmark parallel --data nowhere", "not there"),
        ("overlap none.jsonl --benchmark parallel --data PAIRS", "none.jsonl"),
        ("overlap PAIRS", "--benchmark"),
    ],
)
def test_bad_calls_are_one_line_exit_code_2_and_write_nothing(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    pairs_file: Path,
    tiny_encoder_folder: Path,
    words: str,
    said: str,
) -> None:
    Path("there.csv").write_text("id,language,query,passage\n1,en,,only a candidate\n")
    before = sorted(Path().iterdir())
    filled = [{"PAIRS": pairs_file, "MODEL": tiny_encoder_folder}.get(word, word) for word in words.split()]
    assert run(*filled) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_overlap_is_what_the_library_finds_and_strict_makes_it_an_error(
    run: Run, capsys: pytest.CaptureFixture[str], pairs_file: Path
) -> None:
    pairs = read_pairs(pairs_file)
    write_pairs(pairs.filter_languages(["de"]), "german.jsonl")
    call = ["overlap", pairs_file, "--benchmark", "parallel", "--data", "german.jsonl"]
    wanted = find_overlap(pairs, load_benchmark("parallel", "german.jsonl"))
    assert len(wanted) > 60
    assert run(*call) == 0
    assert capsys.readouterr().out == f"{wanted}\n"
    assert run(*call, "--strict", "--json") == 1
    assert json.loads(capsys.readouterr().out) == wanted.to_dict()


def test_no_overlap_is_no_error(run: Run, capsys: pytest.CaptureFixture[str], pairs_file: Path) -> None:
    other = [{"id": "1", "language": "fr", "query": "quelle heure est-il?", "passage": "il est midi"}]
    write_pairs(ParallelPairs.from_rows(other), "french.jsonl")
    assert run("overlap", "french.jsonl", "--benchmark", "parallel", "--data", pairs_file, "--strict") == 0
    assert "0 training examples hold texts of" in capsys.readouterr().out
