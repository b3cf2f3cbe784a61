from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import retrieval_set_of
from isoglot.errors import InputError
from isoglot.evaluation import evaluate
from isoglot.pairs import ParallelPairs
from isoglot.report import grid_table, html_report, markdown_table, save_report, systems_rows, text_table
from isoglot.results import Results


@pytest.fixture
def results(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> list[Results]:
    data = retrieval_set_of(pairs, "toy")
    return [evaluate(tiny_encoder, data, name=name) for name in ("base", "<b>other</b> & co")]


def test_the_page_needs_nothing_from_outside_and_escapes_names(results: list[Results]) -> None:
    page = html_report(results)
    assert not re.search(r"""(src|href)\s*=|url\(|@import|<script""", page)
    assert "&lt;b&gt;other&lt;/b&gt; &amp; co" in page
    assert "<b>other</b>" not in page
    assert page.count('class="heat"') == 2
    for name in ("German", "English", "Spanish"):
        assert name in page


def test_markdown_holds_one_row_per_system(results: list[Results], tmp_path: Path) -> None:
    save_report(results, tmp_path / "r.md")
    lines = [line for line in (tmp_path / "r.md").read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert all(f"{results[0].setting('monolingual'):.3f}" in line for line in lines[2:])


def test_measures_that_were_not_taken_show_as_a_dash(results: list[Results]) -> None:
    summary = {**results[0].summary, "language_bias": {"rank_distance": None}}
    assert systems_rows([replace(results[0], summary=summary)])[0][4:] == ["-", "-"]


def test_results_that_do_not_belong_together_are_refused(results: list[Results], tmp_path: Path) -> None:
    other = replace(results[1], summary={**results[1].summary, "benchmark_fingerprint": "x"})
    with pytest.raises(InputError, match="different benchmarks"):
        html_report([results[0], other])
    with pytest.raises(InputError, match="no results"):
        html_report([])
    with pytest.raises(InputError, match=r"ends in \.html or \.md"):
        save_report(results, tmp_path / "r.pdf")
    assert not list(tmp_path.iterdir())


def test_names_with_square_brackets_are_shown_in_the_terminal(results: list[Results]) -> None:
    summary = {**results[0].summary, "model": {**results[0].summary["model"], "name": "tiny [bold] x"}}
    named = replace(results[0], summary=summary)
    console = Console(file=StringIO(), width=200)
    console.print(text_table([named]), grid_table(named))
    assert console.file.getvalue().count("tiny [bold] x") == 2  # type: ignore[attr-defined]


def test_a_pipe_in_a_name_does_not_end_its_cell() -> None:
    assert markdown_table(["system", "mAP"], [["a|b", "0.5"]]).splitlines()[2] == "| a&#124;b | 0.5 |"


def test_the_page_shows_every_figure_of_the_grid(results: list[Results]) -> None:
    page = html_report(results[:1])
    for row in results[0].summary["grid"]["values"]:
        for value in row:
            assert f">{value:.2f}</td>" in page
