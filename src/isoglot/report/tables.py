"""Tables, made once and written in three forms: for the terminal, in Markdown, and in the page's HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table as RichTable

from isoglot.evaluation.results import Results
from isoglot.report.systems import (
    MARKS,
    Cell,
    Column,
    column_of,
    columns,
    figure,
    legend,
    measure_name,
    short_name,
    verdict_of,
)
from isoglot.statistics.comparison import NOT_SHOWN, Comparison, Contrast

if TYPE_CHECKING:
    from isoglot.evaluation.frontier import Frontier

Values = Sequence[Sequence[float | None]]
CONTRAST_HEADER = (
    *("system", "measure", "difference", "95 % interval"),
    *("p, corrected", "effect size", "better / worse", "verdict"),
)
_CONTRAST_SHORT = ("measure", "diff.", "95 %", "p", "effect", "+ / -", "verdict")
_CONTRAST_LEGEND = (
    "mono, cross, multi: within a language, across two, over the pool of all\n"
    "own, other: in mixed corpora, answer in the query's language or not\n"
    "p: corrected; effect: the difference in standard deviations; pp: points\n"
    f"+ / -: questions better and worse; no verdict: {NOT_SHOWN}"
)
_WHOLE_GRID = 16  # languages, from which a grid is too much for the terminal
_ENDS = 5  # query languages at either end, of more
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


@dataclass(frozen=True)
class Table:
    """A table, its columns' heads and its rows; the first column names the rows."""

    title: str
    header: tuple[str | Column, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    words: bool = False  # whether the cells are words, not figures
    code: tuple[int, ...] = ()  # numbers of columns, from 0, whose cells are fingerprints and the like


def systems_table(title: str, names: Sequence[str], cells: Sequence[Sequence[Cell]]) -> Table:
    """Figures of systems with intervals and marks."""
    header: tuple[str | Column, ...] = ("system", *(cell.column for cell in cells[0]))
    return Table(title, header, tuple((name, *row) for name, row in zip(names, cells, strict=True)))


def contrasts_table(title: str, contrasts: Iterable[Contrast]) -> Table:
    """Differences to a system."""
    return Table(title, CONTRAST_HEADER, tuple(contrast_row(contrast) for contrast in contrasts))


def grid(title: str, rows: Sequence[str], columns: Sequence[str], values: Values, form: str) -> Table:
    """Values by row and column language."""
    lines = (tuple("-" if value is None else format(value, form) for value in line) for line in values)
    return Table(title, ("", *columns), tuple((tag, *line) for tag, line in zip(rows, lines, strict=True)))


def contrast_row(contrast: Contrast) -> tuple[str, ...]:
    """A difference as the words of `CONTRAST_HEADER`."""
    column = column_of(contrast)
    return (
        contrast.system,
        column.compared,
        column.write(contrast.difference, "+"),
        column.write_interval((contrast.low, contrast.high), "+"),
        p_value(contrast.p_corrected),
        "-" if contrast.effect_size != contrast.effect_size else f"{contrast.effect_size:+.2f}",
        f"{contrast.better:.0%} / {contrast.worse:.0%}",
        f"{MARKS[verdict_of(contrast)]} {contrast.verdict}".strip(),
    )


def p_value(value: float) -> str:
    """A p-value to three places; below them only that it is.

    >>> p_value(0.0234), p_value(0.0001)
    ('0.023', '< 0.001')
    """
    return "-" if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def text_table(
    results: Sequence[Results], title: str | None = None, *, names: Sequence[str] | None = None
) -> RichTable:
    """The systems for the terminal: the main measure in three settings, language bias, and mixed corpora.

    Args:
        results: of the systems.
        title: above the table.
        names: what to call the systems; their models' names if None.
    """
    names = names or [str(result.summary["model"]["name"]) for result in results]
    measure = results[0].summary["grid"]["measure"] if results else "map"
    shown = columns(measure)
    rows = [
        (name, *(column.write(figure(result, column)) for column in shown))
        for name, result in zip(names, results, strict=True)
    ]
    header = ("system", *(column.short for column in shown))
    return _for_terminal(Table(title or "", header, tuple(rows)), legend(measure))


def grid_tables(result: Results, folder: str | Path | None = None) -> list[RichTable]:
    """The main measure of one system by query language and corpus language, for the terminal: whole, and its ends.

    Args:
        result: of many languages the ends alone are made.
        folder: where the whole grid is saved.
    """
    tags = result.summary["languages"]
    values = result.summary["grid"]["values"]
    name = f"{measure_name(result.summary['grid']['measure'])} of {result.summary['model']['name']}"
    whole = grid(f"{name}: query language by corpus language", tags, tags, values, ".2f")
    ends = Table(
        f"{name} by query language", ("query", "own", "mean", "best", "in", "worst", "in"), _ends(tags, values)
    )
    where = f"{folder}/results.json holds the whole grid" if folder else "--out DIR keeps the whole grid"
    meaning = "own: passages in the query's language; mean, best, worst: in each other language"
    tables = [_for_terminal(ends, f"{meaning}\n{where}", words=(0, 4, 6))]
    return [_for_terminal(whole), *tables] if len(tags) <= _WHOLE_GRID else tables


def mix_table(result: Results) -> RichTable:
    """Languages of the first ten results by query language (rows), and below them of the corpus, for the terminal."""
    mix, documents = result.summary["language_mix"], result.summary["corpus"]["documents"]
    corpus = [documents.get(tag, 0) / sum(documents.values()) for tag in mix["columns"]]
    title = f"Languages of the first ten results of {result.summary['model']['name']}: query language by language found"
    rows, values = [*mix["rows"], "corpus"], [*mix["values"], corpus]
    return _for_terminal(grid(title, rows, mix["columns"], values, ".2f"))


def _ends(tags: Sequence[str], values: Values) -> tuple[tuple[str, ...], ...]:
    """Of each query language its own corpus and the best and the worst of the others; of many those at the ends."""
    rows: list[tuple[float, tuple[str, ...]]] = []
    for number, (tag, line) in enumerate(zip(tags, values, strict=True)):
        others = [(value, other) for other, value in zip(tags, line, strict=True) if other != tag and value is not None]
        if others:
            (best, best_in), (worst, worst_in) = max(others), min(others)
            mean = sum(value for value, _ in others) / len(others)
            own = "-" if line[number] is None else f"{line[number]:.2f}"
            rows.append((mean, (tag, own, f"{mean:.2f}", f"{best:.2f}", best_in, f"{worst:.2f}", worst_in)))
    sorted_rows = [row for _, row in sorted(rows, reverse=True)]
    if len(rows) > 2 * _ENDS + 1:
        left_out = f"({len(rows) - 2 * _ENDS} more)"
        sorted_rows[_ENDS:-_ENDS] = [(left_out, *[""] * 6)]
    return tuple(sorted_rows)


def comparison_tables(comparison: Comparison) -> list[RichTable]:
    """Every system's differences to the first over all languages, a table for each, for the terminal."""
    tables = []
    for system in comparison.systems:
        rows = tuple(_short_row(one) for one in overall(comparison) if one.system == system)
        if rows:
            title = f"{comparison.benchmark}: differences of {system} to {comparison.baseline}"
            tables.append(_for_terminal(Table(title, _CONTRAST_SHORT, rows), _CONTRAST_LEGEND, words=(0, 6)))
    return tables


def _short_row(contrast: Contrast) -> tuple[str, ...]:
    """A difference as the words of `_CONTRAST_SHORT`."""
    _, _, difference, *figures, verdict = contrast_row(contrast)
    return (
        column_of(contrast).short_compared,
        difference.replace("points", "pp"),
        *figures,
        verdict.replace(NOT_SHOWN, ""),
    )


def frontier_table(frontier: Frontier) -> RichTable:
    """What every merged model of a search reached on every set, for the terminal; the chosen one is marked."""
    rows, names = [], next(iter(frontier.chosen.figures.values()))
    for point in frontier.points:
        weights = " / ".join(f"{weight:g}" for weight in point.weights)
        mark = " *" if point == frontier.chosen else ""
        for name, figures in point.figures.items():
            rows.append((weights + mark, name, *(f"{value:.4g}" for value in figures.values())))
    header = ("weights", "set", *map(short_name, names))
    title = f"Weights of {', '.join(frontier.names)}; * is chosen"
    return _for_terminal(Table(title, header, tuple(rows)), legend("map"), words=(0, 1))


def overall(comparison: Comparison) -> list[Contrast]:
    """The differences over all languages, without those of single languages."""
    return [contrast for contrast in comparison.contrasts if contrast.language is None]


def _for_terminal(table: Table, below: str = "", words: Sequence[int] = (0,)) -> RichTable:
    """The table as rich prints it, with a legend below; columns of words, by number, are set to the left."""
    made = RichTable(
        title=escape(table.title) or None,
        caption=escape(below) or None,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for number, heading in enumerate(table.header):
        made.add_column(str(heading), justify="left" if number in words else "right")
    for row in table.rows:
        made.add_row(*(escape(str(cell)) for cell in row))
    return made


def markdown_table(header: Sequence[str | Column], rows: Sequence[Sequence[str | Cell]]) -> str:
    """A Markdown table, the first column to the left and the others to the right.

    What Markdown or HTML would take for markup stands as itself.

    >>> print(markdown_table(["system", "mAP"], [["base", "0.5"], ["a|<b>", "0.6"]]))
    | system | mAP |
    |---|---:|
    | base | 0.5 |
    | a&#124;&lt;b> | 0.6 |
    """
    rule = "|---|" + "---:|" * (len(header) - 1)
    lines = [f"| {' | '.join(markdown_text(str(cell)) for cell in row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], rule, *lines[1:]])


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> markdown_text("my_*model* [x](y) [0.1, 0.2]")
    'my\\_\\*model\\* [x\\](y) [0.1, 0.2]'
    """
    plain = " ".join(text.split()).replace("&", "&amp;").replace("|", "&#124;")
    plain = re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", plain)
    return re.sub(r"([\\`*_]|\](?=[(\[:]))", r"\\\1", plain)


def latex_text(text: object) -> str:
    r"""Text that LaTeX shows as it is.

    >>> latex_text("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return "".join(_LATEX.get(sign, sign) for sign in str(text))
