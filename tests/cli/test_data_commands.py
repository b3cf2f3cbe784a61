"""`isoglot data show`, `negatives` and `overlap`: they say what the modules found, and bad calls cost nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
from sentence_transformers import SentenceTransformer

from command import run as run_isoglot
from isoglot.benchmarks import BENCHMARKS, load_benchmark
from isoglot.benchmarks.contamination import find_overlap
from isoglot.common.roles import Role
from isoglot.enrich.negatives import mine_negatives
from isoglot.models.loading import load_text_encoder
from isoglot.pairs import ParallelPairs, read_pairs, write_pairs
from isoglot.sources import SOURCES

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `isoglot data` with these words in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(run_isoglot, monkeypatch, "data")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.de-en.tsv", "Hallo\tHello\n"),
        ("a.tsv", "de\ten\nHallo\tHello\n"),
        (
            "a.tmx",
            '<tmx><tu><tuv lang="de"><seg>Hallo</seg></tuv><tuv lang="en"><seg>Hello</seg></tuv></tu></tmx>',
        ),
        ("de.po", 'msgid "Hello"\nmsgstr "Hallo"\n'),
    ],
)
def test_check_reads_every_format(run: Run, capsys: pytest.CaptureFixture[str], name: str, content: str) -> None:
    Path(name).write_text(content)
    assert run("check", name) == 0
    assert capsys.readouterr().out.startswith("1 examples, 2 rows, 2 languages")


@pytest.mark.parametrize("source", ["", " ", "?limit=3"])
def test_no_source_is_not_the_current_folder(run: Run, capsys: pytest.CaptureFixture[str], source: str) -> None:
    Path("de.txt").write_text("Hallo\n")
    Path("en.txt").write_text("Hello\n")
    assert run("check", ".") == 0
    capsys.readouterr()
    assert run("check", source) == 2
    assert (
        f'"{source}" names no source; name a file, a folder (. for this one) or a data set' in capsys.readouterr().err
    )


def test_check_says_that_two_ids_have_one_passage(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": str(n), "language": "en", "query": f"q{n}", "passage": "same\u200b" if n else "Same"} for n in (0, 1)
    ]
    write_pairs(ParallelPairs.from_rows(rows), "twins.jsonl")
    assert run("check", "twins.jsonl") == 0
    said = "1 ids have a passage that another id has too: each makes the other's right answer wrong."
    assert said in capsys.readouterr().out


def test_fetch_writes_where_a_shell_would(
    run: Run, capsys: pytest.CaptureFixture[str], pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    monkeypatch.setenv("PAIRS", str(pairs_file))
    assert run("fetch", "$PAIRS", "--out", "~/here.csv") == 0
    assert read_pairs("home/here.csv").fingerprint == read_pairs(pairs_file).fingerprint
    assert run("fetch", "$PAIRS", "--out", "$NO_SUCH/here.csv") == 2
    assert run("fetch", "nothing at all", "--out", "here.txt") == 2  # a wrong name is found before the work is done
    assert "cannot tell the format; name it .jsonl" in capsys.readouterr().err


def test_split_and_convert_write_what_they_say(run: Run, capsys: pytest.CaptureFixture[str], pairs_file: Path) -> None:
    assert run("split", pairs_file, "--parts", "train=.8,test=.2", "--out", "parts", "--format", "csv") == 0
    parts = {name: read_pairs(f"parts/{name}.csv") for name in ("train", "test")}
    assert sum(part.example_count for part in parts.values()) == 60
    assert run("convert", "parts/test.csv", "--out", "beir", "--format", "beir", "--languages", "de,en") == 0
    assert run("convert", "beir", "--out", "back.parquet") == 0
    assert read_pairs("back.parquet").example_count == parts["test"].example_count
    said = [f"parts/{name}.csv: {parts[name].example_count} examples" for name in parts]
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" examples")[0] + " examples" for line in lines[:2]] == said
    assert lines[-1].endswith(" translations in de, en")
    for words in (["--out", "x.doc"], ["--out", "new", "--format", "csv"], ["--out", "beir", "--format", "beir"]):
        assert run("convert", "no-such-source", *words) == 2  # before the source is looked at
        assert "no-such-source" not in capsys.readouterr().err


@pytest.mark.parametrize("name", SOURCES)
def test_show_says_in_words_whether_a_source_is_for_any_use(
    run: Run, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = SOURCES[name]
    assert run("show", name) == 0
    assert f"non-commercial: {'yes' if source.non_commercial else 'no'}\n" in capsys.readouterr().out
    assert run("show", name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["non_commercial"] is source.non_commercial


def test_list_is_a_line_for_each_set_that_fits_a_terminal(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    heading, *lines, note = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*SOURCES, *BENCHMARKS]
    assert max(map(len, (heading, *lines, note))) <= 80
    numbers = {line.split()[0]: line.split()[2] for line in lines}
    assert (numbers["xquad-r"], numbers["belebele"], numbers["parallel"]) == ("11", "122", "*")


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
        ("negatives PAIRS --model nowhere --out mined.txt", ".jsonl, .csv, .tsv or .parquet"),
        ("negatives none.jsonl --model nowhere --out mined.csv", "none.jsonl"),
        ("negatives PAIRS --model MODEL --out mined.csv --number 0", "at least 1"),
        ("negatives PAIRS --model MODEL --out mined.csv --language both", "one of query, passage, any"),
        ("negatives PAIRS --model MODEL --out mined.csv --margin 2", "between 0 and 1"),
        ("negatives PAIRS --model MODEL --out mined.csv --draw-from 1", "at least number"),
        ("negatives there.csv --model MODEL --out mined.csv", "no row has a query"),
        ("negatives PAIRS --out mined.csv", "--model"),
        ("overlap PAIRS --benchmark nonsense --data PAIRS", "use one of"),
        ("overlap PAIRS --benchmark parallel --data nowhere", 'no file, folder or data set "nowhere"'),
        ("overlap none.jsonl --benchmark parallel --data PAIRS", "none.jsonl"),
        ("overlap PAIRS", "--benchmark"),
        ("split PAIRS --out parts --parts a=.5,b=.4", "add up to 1"),
        ("split PAIRS --out parts --parts a=.5,b", "give every part a share"),
        ("split PAIRS --out parts --parts a=.5,a=.5", "a name of its own"),
        ("split PAIRS --out parts --parts a/b=.5,c=.5", "a name of its own"),
        ("split PAIRS --out parts --parts a=.5,b=.5 --format xml", "name it .jsonl"),
        ("convert PAIRS --out x.tmx", "a query and a passage of its own"),
        ("convert PAIRS --out x --format xml", "use one of beir, sentences"),
        ("convert PAIRS --out x.csv --languages ,", '"," is a list of nothing; put names into it'),
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


@pytest.mark.parametrize("export_format", [None, "onnx"])
def test_check_counts_tokens_of_models_of_any_kind(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    pairs_file: Path,
    tiny_encoder_folder: Path,
    exported_folders: Callable[[str], Path],
    export_format: str | None,
) -> None:
    model = tiny_encoder_folder if export_format is None else exported_folders(export_format)
    assert run("check", pairs_file, "--model", model, "--json") == 0
    counted = json.loads(capsys.readouterr().out)["token_lengths"]
    encoder = load_text_encoder(tiny_encoder_folder)
    for role in get_args(Role):
        texts = [row[role] for row in read_pairs(pairs_file).rows() if row[role]]
        assert counted[role][-1] == max(encoder.count_tokens(texts, role))
