"""Benchmarks by name."""

from __future__ import annotations

import re
from pathlib import Path

import datasets
import huggingface_hub.constants
import pytest
from formats import fresh_caches, write_json_lines, write_lines

from isoglot.benchmarks import BENCHMARKS, find_benchmark, load_benchmark
from isoglot.benchmarks.beir import HUB_SETS
from isoglot.benchmarks.registry import judgements_with_twins
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.evaluation.averages import ANSWER_CUTOFFS
from isoglot.evaluation.measures import measure

__all__ = ["fresh_caches"]

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
ON_HUB = [name for name, entry in BENCHMARKS.items() if entry.hub_id]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_entry_says_what_a_reader_must_know(name: str) -> None:
    entry = BENCHMARKS[name]
    shown = {key: value for key, value in vars(entry).items() if isinstance(value, str)}
    assert shown.keys() == vars(entry).keys() - {"load"}
    assert all(shown[key] for key in ("summary", "languages", "licence", "data", "measure"))
    if entry.languages.startswith("ar "):
        assert [normalize_language(tag) for tag in entry.languages.split()] == entry.languages.split()
    if entry.measure.startswith("answer_recall@"):
        assert int(entry.measure.partition("@")[2]) in ANSWER_CUTOFFS
    else:
        assert callable(measure(entry.measure))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_entry_is_documented(name: str) -> None:
    row = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |"))
    entry = BENCHMARKS[name]
    assert f"`{entry.measure}`" in row
    assert entry.licence in row
    assert (f"`{entry.hub_id}`" in row) if entry.hub_id else True


def test_the_page_names_the_sets_of_beir() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert set(HUB_SETS) <= set(re.findall(r"`([a-z0-9-]+)`", text))


def test_names_are_found() -> None:
    assert find_benchmark("beir:scifact") is BENCHMARKS["beir"]
    for name in ("nothing", "beir:", "mkqa:de", ""):
        with pytest.raises(InputError, match=rf"benchmark '{name}' is unknown; use one of beir, .* or beir:NAME"):
            find_benchmark(name)
    with pytest.raises(InputError, match="beir:nothing: no such set on the hub; there are arguana, "):
        load_benchmark("beir:nothing")


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name not in ON_HUB])
def test_what_is_not_on_the_hub_needs_data(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} needs data: a .*; the hub has belebele, miracl, mmarco and beir:"):
        load_benchmark(name)


def test_parallel_takes_what_pairs_are_read_from(tmp_path: Path) -> None:
    for tag, text in (("de", "ein Baum\n"), ("en", "a tree\n")):
        (tmp_path / f"c.de-en.{tag}").write_text(text)
    assert load_benchmark("parallel", tmp_path / "c.de-en").languages == (
        "de",
        "en",
    )  # Moses' files, named by what they share
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        load_benchmark("parallel", tmp_path / "nowhere")


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "parallel"])
def test_data_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"nowhere: not there; benchmark {name} needs {BENCHMARKS[name].data[:9]}"):
        load_benchmark(name, tmp_path / "nowhere")


def test_a_candidate_with_context_needs_a_context(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"candidate 'sentence\+context' is for xquad-r and mlqa-r; bitext has no"):
        load_benchmark("bitext", tmp_path, candidate="sentence+context")


@pytest.mark.parametrize("name", [*ON_HUB, "beir:scifact"])
def test_without_a_network_the_hub_is_refused_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    languages = None if name.startswith("beir") else ["id"] if name == "miracl" else ["de"]
    with pytest.raises(
        InputError, match=r"hub:.*: cannot be read \(.*\); check the network, or get the files"
    ) as caught:
        load_benchmark(name, languages=languages)
    assert "\n" not in str(caught.value)


def test_right_answers_that_have_a_twin_are_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"d1": "Ulm", "d2": "Ulm", "d3": "Bonn", "d4": "Bonn", "d5": "Kiel"}
    write_json_lines(tmp_path / "corpus.jsonl", [{"_id": key, "text": text} for key, text in texts.items()])
    write_json_lines(tmp_path / "queries.jsonl", [{"_id": f"q{n}", "text": f"q{n}"} for n in range(3)])
    write_lines(tmp_path / "qrels" / "test.tsv", ["q0\td1\t1", "q1\td3\t1", "q1\td4\t1", "q2\td5\t1"])
    assert judgements_with_twins(load_benchmark("beir", tmp_path)) == 1  # q0 alone: both of Bonn are right for q1
    assert "1 right answers have the very text of another passage that is not judged right" in capsys.readouterr().err
