"""Tables as a terminal of 80 columns and as a pipe have them."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from isoglot.common import progress
from isoglot.evaluation.results import Results
from isoglot.report import comparison_tables, grid_tables, text_table
from isoglot.statistics.comparison import compare

LONG = "a/path/to/a/model/that/is/wider/than/any/terminal/should/be/asked/to/show/in/one/line"


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The lines that `show_table` prints of tables at a width."""

    def show(width: int, *tables: object) -> list[str]:
        file = io.StringIO()
        monkeypatch.setattr(progress, "out", Console(file=file, width=width))
        progress.show_table(*tables)  # type: ignore[arg-type]
        return file.getvalue().splitlines()

    return show


def test_in_a_pipe_there_are_no_blank_lines_and_no_trailing_blanks(
    results: list[Results], printed: Callable[..., list[str]]
) -> None:
    for tables in ([text_table(results)], grid_tables(results[0])):
        lines = printed(progress.WIDE, *tables)
        assert lines == [line.rstrip() for line in lines if line]


@pytest.mark.parametrize("name", ["base", LONG])
def test_on_80_columns_figures_stand_in_tables_whatever_the_name(
    make_results: Callable[..., Results], printed: Callable[..., list[str]], name: str
) -> None:
    results = [make_results(name), make_results("other", shift=0.5, seed=1)]
    comparison = comparison_tables(compare(results, resamples=200, permutations=500))
    for table, wanted in ((text_table(results), "system"), (comparison[0], "measure")):
        lines = printed(80, table)
        assert max(map(len, lines)) <= 80
        assert any(line.startswith(f"{wanted} ") for line in lines)
        assert any(set(line) == {"─"} for line in lines)
        assert "…" not in "".join(lines)


def test_what_has_no_room_gives_way_to_what_has(results: list[Results], printed: Callable[..., list[str]]) -> None:
    whole, ends = grid_tables(results[0])
    assert "query language by corpus language" in printed(80, whole, ends)[0]
    for column in whole.columns[1:]:
        column.min_width = 40
    assert printed(80, whole, ends)[0] == "mAP of base by query language"
