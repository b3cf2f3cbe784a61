from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.report import (
    comparison_tables,
    grid_tables,
    latex_table,
    markdown_table,
    save_report,
    sentences,
    text_table,
)
from isoglot.report.sentences import in_words
from isoglot.report.systems import Column, Systems, by_benchmark
from isoglot.report.tables import latex_text, markdown_text
from isoglot.statistics.comparison import compare

Make = Callable[..., Results]


def printed(*tables: Table) -> str:
    """What is printed, in one line: rich breaks a title to its table's width."""
    console = Console(file=StringIO(), width=300)
    console.print(*tables)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def rows(table: Table) -> list[list[Any]]:
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def renamed(result: Results, name: str) -> Results:
    return replace(result, summary={**result.summary, "model": {**result.summary["model"], "name": name}})


def test_figures_of_the_systems_are_those_of_the_results(results: list[Results]) -> None:
    for row, result in zip(rows(text_table(results)), results, strict=True):
        assert row[1:4] == [f"{result.setting(s):.3f}" for s in ("monolingual", "cross_lingual", "multilingual")]
        assert row[4:6] == [f"{result.bias('rank_distance'):,.1f}", f"{result.bias('same_language_share@1'):.1%}"]
        assert row[6:] == [f"{result.setting(s, 'success@10'):.3f}" for s in ("mixed_own", "mixed_other")]


def test_measures_that_were_not_taken_show_as_a_dash(results: list[Results]) -> None:
    summary = {**results[0].summary, "language_bias": {"rank_distance": None}}
    summary |= {"settings": {"monolingual": {"map": 0.5}}, "mixed": {"mixed_own": {"success@10": None}}}
    assert rows(text_table([replace(results[0], summary=summary)]))[0][4:] == ["-"] * 4


def test_another_main_measure_is_named(results: list[Results]) -> None:
    summary = {
        **results[0].summary,
        "grid": {**results[0].summary["grid"], "measure": "answer_recall@20"},
        "settings": {"cross_lingual": {"answer_recall@20": 0.25}},
        "language_bias": {},
    }
    table = printed(text_table([replace(results[0], summary=summary)]))
    assert "mono, cross, multi: answer recall@20 within a language" in table
    assert "0.250" in table


def test_marks_follow_the_corrected_test_and_the_direction_of_the_measure(make_results: Make) -> None:
    systems = by_benchmark([make_results(), make_results("up", shift=0.5), make_results("same", shift=0.1)])[0]
    marks = {c.heading: [systems.cell(n, c).verdict for n in range(3)] for c in systems.columns}
    assert marks["multilingual mAP"] == ["", "better", ""]
    assert marks["rank distance"] == ["", "better", ""]  # it fell
    down = by_benchmark([make_results("up", shift=0.5), make_results()])[0]
    assert {c.measure: down.cell(1, c).verdict for c in down.columns}["rank_distance"] == "worse"


def test_avoiding_the_language_asked_in_is_no_better_than_favouring_it(make_results: Make) -> None:
    fair, shy, fond = (make_results(name, shift) for name, shift in (("fair", 0.57), ("shy", 0.95), ("fond", -0.1)))
    column = Column("multilingual", "same_language_share@1")
    assert (column.arrow, column.compared) == ("≈", "distance from fair share")
    for biased, way in ((shy, "away from"), (fond, "towards")):
        assert by_benchmark([fair, biased])[0].cell(1, column).verdict == "worse"
        better = by_benchmark([biased, fair])[0]
        assert better.cell(1, column).verdict == "better"
        assert f"severely biased {way} the query's language" in " ".join(in_words(better))
        assert any(
            said.startswith(f"fair is better than {better.names[0]} in distance from fair share (-")
            for said in sentences(compare([biased, fair]))
        )


def test_intervals_hold_their_figures(results: list[Results]) -> None:
    systems = by_benchmark(results)[0]
    for number in range(2):
        for column in systems.columns:
            cell = systems.cell(number, column)
            assert cell.interval is not None
            assert cell.interval[0] <= cell.value <= cell.interval[1]


def test_markdown_holds_one_row_per_system_with_interval_and_mark(results: list[Results], tmp_path: Path) -> None:
    save_report(results, tmp_path / "r.md", title="A *title*")
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("# A \\*title\\*\n")
    base, other = [line for line in text.splitlines() if line.startswith("| ")][1:3]
    assert other.startswith("| &lt;b>other&lt;/b> &amp; co | ")
    assert f"{results[0].setting('monolingual'):.3f} [" in base
    assert "▲" in other
    assert "### Differences to base" in text


def test_latex_is_a_booktabs_table(results: list[Results], tmp_path: Path) -> None:
    save_report([renamed(results[0], "50 % of a_b"), results[1]], tmp_path / "r.tex")
    text = (tmp_path / "r.tex").read_text()
    assert r"50 \% of a\_b & " in text
    assert r"<b>other</b> \& co" in text
    assert "$^{+}$" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(lines) == 4
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {7}


def test_a_single_system_has_no_statistics(results: list[Results], tmp_path: Path) -> None:
    save_report(results[:1], tmp_path / "r.md")
    save_report(results[:1], tmp_path / "r.tex")
    for name in ("r.md", "r.tex"):
        text = (tmp_path / name).read_text()
        assert f"{results[0].bias('rank_distance'):,.1f}" in text
        assert "interval" not in text


@given(st.text())
def test_no_text_ends_a_markdown_cell_or_a_latex_row(text: str) -> None:
    assert len(re.findall(r"(?<!\\)\|", markdown_table(["a", "b"], [[text, "x"]]).splitlines()[2])) == 3
    assert not re.search(r"<[a-zA-Z/!?]", markdown_text(text))
    assert not re.search(r"(?<!\\)[&%$#_]", latex_text(text).replace("\\textbackslash{}", ""))


def test_the_terminal_table_says_what_the_comparison_says(results: list[Results]) -> None:
    comparison = compare([renamed(results[0], "tiny [bold] x"), results[1]], resamples=200, permutations=500)
    (table,) = comparison_tables(comparison)
    shown = [contrast for contrast in comparison.contrasts if contrast.language is None]
    assert len(shown) == 7
    for contrast, row in zip(shown, rows(table), strict=True):
        assert row[-1].endswith(contrast.verdict) or (row[-1], contrast.verdict) == ("", "no difference shown")
        if contrast.measure == "map":
            assert row[1] == f"{contrast.difference:+.3f}"
    assert "differences of <b>other</b> & co to tiny [bold] x" in printed(table)


def test_names_with_square_brackets_are_shown_in_the_terminal(results: list[Results]) -> None:
    named = renamed(results[0], "tiny [bold] x")
    assert printed(text_table([named]), grid_tables(named)[0]).count("tiny [bold] x") == 2


def test_of_a_grid_too_wide_for_a_page_the_ends_are_shown(results: list[Results]) -> None:
    tags = [f"l{number:02}" for number in range(40)]
    values = [[None if i == j == 7 else (i * 40 + j) / 1600 for j in range(40)] for i in range(40)]
    summary = {**results[0].summary, "languages": tags, "grid": {**results[0].summary["grid"], "values": values}}
    (table,) = grid_tables(replace(results[0], summary=summary), "folder")
    shown = rows(table)
    assert [row[0] for row in shown] == ["l39", "l38", "l37", "l36", "l35", "(30 more)", *tags[4::-1]]
    assert shown[0] == ["l39", "1.00", "0.99", "1.00", "l38", "0.97", "l00"]
    assert "folder/results.json holds the whole grid" in printed(table)


def test_systems_of_one_name_are_told_apart(make_results: Make) -> None:
    assert by_benchmark([make_results(), make_results(), make_results()])[0].names == ("base", "base (2)", "base (3)")


def test_results_that_do_not_belong_together_are_refused(results: list[Results], tmp_path: Path) -> None:
    other = replace(results[1], summary={**results[1].summary, "benchmark_fingerprint": "x"})
    with pytest.raises(InputError, match="different benchmarks"):
        save_report([results[0], other], tmp_path / "r.md")
    with pytest.raises(InputError, match="no results"):
        save_report([], tmp_path / "r.md")
    with pytest.raises(InputError, match=r"ends in \.html, \.md or \.tex"):
        save_report(results, tmp_path / "r.pdf")
    assert not list(tmp_path.iterdir())


def test_latex_of_systems_without_bias_leaves_its_columns_out(results: list[Results]) -> None:
    bare = replace(results[0], summary={**results[0].summary, "language_bias": {}})
    assert "rank distance" not in latex_table(Systems((bare,), ("base",)))
