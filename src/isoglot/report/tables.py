"""Tables of systems, of differences and of languages, for the terminal, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from isoglot.evaluation.results import Results
from isoglot.report.systems import (
    Cell,
    Column,
    Systems,
    column_of,
    columns,
    mark_of,
)
from isoglot.statistics.comparison import Comparison, Contrast

MARKS = {"better": "▲", "worse": "▼", "": ""}
CONTRAST_COLUMNS = (
    "system",
    "measure",
    "difference",
    "95 % interval",
    "p, corrected",
    "effect size",
    "better / worse",
    "verdict",
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_LATEX_MARKS = {"better": "$^{+}$", "worse": "$^{-}$", "": ""}


def systems_rows(results: Sequence[Results]) -> list[list[str]]:
    """One row per system: mAP in the three settings, rank distance, share of same-language passages in first place.

    Where a measure has a direction, only rank distance and the same-language share are better when lower.
    """
    rows = []
    for result in results:
        shown = columns(result.summary["grid"]["measure"])
        cells = [Systems((result,), ("",)).cell(0, column).value for column in shown]
        name = str(result.summary["model"]["name"])
        rows.append([name, *(column.write(value) for column, value in zip(shown, cells, strict=True))])
    return rows


def text_table(results: Sequence[Results], title: str | None = None) -> Table:
    """The systems as a table for the terminal."""
    measure = results[0].summary["grid"]["measure"] if results else "map"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for number, heading in enumerate(["system", *(column.heading for column in columns(measure))]):
        table.add_column(heading, justify="left" if number == 0 else "right")
    for row in systems_rows(results):
        table.add_row(escape(row[0]), *row[1:])
    return table


def grid_table(result: Results) -> Table:
    """The main measure of one system by query language (rows) and corpus language (columns), for the terminal."""
    languages, values = grid(result)
    name = escape(str(result.summary["model"]["name"]))
    measure = columns(result.summary["grid"]["measure"])[0]
    table = Table(title=f"{measure.heading.removeprefix('monolingual ')} of {name}: query language by corpus language")
    table.box = SIMPLE_HEAD
    table.add_column("")
    for tag in languages:
        table.add_column(tag, justify="right")
    for tag, row in zip(languages, values, strict=True):
        table.add_row(tag, *("-" if value != value else f"{value:.2f}" for value in row))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Every system's differences to the first over all languages, as a table for the terminal."""
    title = f"{comparison.benchmark}: differences to {comparison.baseline}"
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD)
    for number, heading in enumerate(CONTRAST_COLUMNS):
        table.add_column(heading, justify="left" if number in (0, 1, 7) else "right")
    for contrast in overall(comparison):
        table.add_row(*(escape(text) for text in contrast_row(contrast)))
    return table


def overall(comparison: Comparison | None) -> list[Contrast]:
    """The differences over all languages, without those of single languages."""
    return [contrast for contrast in comparison.contrasts if contrast.language is None] if comparison else []


def contrast_row(contrast: Contrast) -> list[str]:
    """A difference as the words of `CONTRAST_COLUMNS`."""
    column = column_of(contrast)
    mark = mark_of(contrast)
    return [
        contrast.system,
        column.heading,
        column.write(contrast.difference, "+"),
        write_interval(column, (contrast.low, contrast.high), "+"),
        p_value(contrast.p_corrected),
        "-" if contrast.effect_size != contrast.effect_size else f"{contrast.effect_size:+.2f}",
        f"{contrast.better:.0%} / {contrast.worse:.0%}",
        f"{MARKS[mark]} {contrast.verdict}".strip(),
    ]


def write_interval(column: Column, interval: tuple[float, float], sign: str = "") -> str:
    """Both ends of an interval in the column's form."""
    low, high = (column.write(end, sign).removesuffix(" points") for end in interval)
    return f"[{low}, {high}]"


def p_value(value: float) -> str:
    """A p-value to three places; below them only that it is.

    >>> p_value(0.0234), p_value(0.0001)
    ('0.023', '< 0.001')
    """
    return "-" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def systems_table(systems: Systems) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the systems with intervals and marks, for Markdown."""
    rows = []
    for number, name in enumerate(systems.names):
        cells = [(column, systems.cell(number, column)) for column in systems.columns]
        rows.append([name, *(_marked(column, cell) for column, cell in cells)])
    return ["system", *(column.heading for column in systems.columns)], rows


def contrasts_table(systems: Systems) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the differences to the first system."""
    return list(CONTRAST_COLUMNS), [contrast_row(contrast) for contrast in overall(systems.comparison)]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left and the others to the right.

    What Markdown or HTML would take for markup stands as itself.

    >>> print(markdown_table(["system", "mAP"], [["base", "0.5"], ["a|<b>", "0.6"]]))
    | system | mAP |
    |---|---:|
    | base | 0.5 |
    | a&#124;&lt;b> | 0.6 |
    """
    rule = "|---|" + "---:|" * (len(header) - 1)
    lines = [f"| {' | '.join(markdown_text(cell) for cell in row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]])


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> markdown_text("my_*model* [x](y) [0.1, 0.2]")
    'my\\_\\*model\\* [x\\](y) [0.1, 0.2]'
    """
    plain = " ".join(text.split()).replace("&", "&amp;").replace("|", "&#124;")
    plain = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", plain)
    return re.sub(r"([\\`*_]|\](?=[(\[:]))", r"\\\1", plain)


def latex_table(systems: Systems) -> str:
    """The systems as a LaTeX table for the `booktabs` package; intervals under the figures, marks behind them."""
    header = ["system", *(column.heading for column in systems.columns)]
    lines = []
    for number, name in enumerate(systems.names):
        cells = [(column, systems.cell(number, column)) for column in systems.columns]
        figures = [latex_text(column.write(cell.value)) + _LATEX_MARKS[cell.mark] for column, cell in cells]
        lines.append(f"{' & '.join([latex_text(name), *figures])} \\\\")
        if any(cell.interval for _, cell in cells):
            small = [f"\\scriptsize {latex_text(_interval(column, cell))}" for column, cell in cells]
            lines.append(f"{' & '.join(['', *small])} \\\\".lstrip())
    note = f"{latex_text(systems.benchmark)}. "
    if systems.comparison:
        note += (
            f"In brackets 95\\,\\% intervals. $^{{+}}$ and $^{{-}}$: significantly better and worse than "
            f"{latex_text(systems.names[0])} after correction."
        )
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{note.strip()}}}",
            rf"\begin{{tabular}}{{l{'r' * len(systems.columns)}}}",
            r"\toprule",
            f"{' & '.join(latex_text(text) for text in header)} \\\\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def latex_text(text: str) -> str:
    r"""Text that LaTeX shows as it is.

    >>> latex_text("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return "".join(_LATEX.get(sign, sign) for sign in text)


def grid(result: Results) -> tuple[list[str], list[list[float]]]:
    """Languages and the square of their main measure, nan where nothing was asked."""
    summary: dict[str, Any] = result.summary
    values = [[float("nan") if value is None else value for value in row] for row in summary["grid"]["values"]]
    return list(summary["languages"]), values


def _marked(column: Column, cell: Cell) -> str:
    return " ".join(part for part in (column.write(cell.value), _interval(column, cell), MARKS[cell.mark]) if part)


def _interval(column: Column, cell: Cell) -> str:
    return "" if cell.interval is None else write_interval(column, cell.interval)
