"""Tables of systems and of languages, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from isoglot.results import Results

COLUMNS = (
    "system",
    "monolingual mAP",
    "cross-lingual mAP",
    "multilingual mAP",
    "rank distance",
    "same language first",
)


def systems_rows(results: Sequence[Results]) -> list[list[str]]:
    """One row per system: mAP in the three settings, rank distance, share of same-language passages in first place.

    Where a measure has a direction, only rank distance and the same-language share are better when lower.
    """
    rows = []
    for result in results:
        maps = [_number(result.setting(name), ".3f") for name in ("monolingual", "cross_lingual", "multilingual")]
        distance = _number(result.bias("rank_distance"), ",.1f")
        share = _number(result.bias("same_language_share@1"), ".1%")
        rows.append([str(result.summary["model"]["name"]), *maps, distance, share])
    return rows


def text_table(results: Sequence[Results], title: str | None = None) -> Table:
    """The systems as a table for the terminal."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in systems_rows(results):
        table.add_row(escape(row[0]), *row[1:])
    return table


def grid_table(result: Results) -> Table:
    """MAP of one system for every query language (rows) and corpus language (columns), for the terminal."""
    languages, values = grid(result)
    name = escape(str(result.summary["model"]["name"]))
    table = Table(title=f"mAP of {name}: query language by corpus language")
    table.box = SIMPLE_HEAD
    table.add_column("")
    for tag in languages:
        table.add_column(tag, justify="right")
    for tag, row in zip(languages, values, strict=True):
        table.add_row(tag, *(_number(value, ".2f") for value in row))
    return table


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right.

    >>> print(markdown_table(["system", "mAP"], [["base", "0.5"]]))
    | system | mAP |
    |---|---:|
    | base | 0.5 |
    """
    rule = "|---|" + "---:|" * (len(header) - 1)
    lines = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]])


def grid(result: Results) -> tuple[list[str], list[list[float]]]:
    """Languages and the square of their mAP, nan where nothing was asked."""
    summary: dict[str, Any] = result.summary
    values = [[float("nan") if value is None else value for value in row] for row in summary["grid"]["values"]]
    return list(summary["languages"]), values


def _number(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)
