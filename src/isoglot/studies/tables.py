"""A study's figures as tables, the same for Markdown and for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from isoglot.common.languages import language_name
from isoglot.report.systems import BIAS, Column, column_of, mark_of
from isoglot.report.tables import CONTRAST_COLUMNS, MARKS, contrast_row, write_interval
from isoglot.studies.answers import AGREEMENT
from isoglot.studies.figures import EVERYTHING, Figures, Gains, Part, consistency, gains
from isoglot.studies.recipe import BASE


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what it shows.
        header: of its columns; the first names the rows.
        rows: of its cells.
        words: whether the cells are words, not figures.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


def tables_of(figures: Figures) -> list[Table]:
    """All tables: systems, differences, views, languages, optima, amounts of data."""
    tables: list[Table] = []
    for part in figures.parts:
        if part.view == EVERYTHING and part.baseline == BASE:
            tables.append(systems_table(figures, part))
    for part in figures.parts:
        tables.append(_contrasts_table(part))
    for part in figures.parts:
        if part.view == EVERYTHING and part.baseline == BASE:
            tables += _language_tables(figures, part)
    tables += _optima_table(figures)
    tables += [gains_table(found) for found in gains(figures)]
    return [table for table in tables if table.rows]


def systems_table(figures: Figures, part: Part) -> Table:
    """Every system's figures with intervals and marks, and those that others published below them."""
    columns = columns_of(part)
    marks = {(one.system, column_of(one)): MARKS[mark_of(one)] for one in part.comparison.contrasts if not one.language}
    values = {
        (one.system, one.setting, one.measure): f"{column_for(one.setting, one.measure).write(one.value)} "
        f"{write_interval(column_for(one.setting, one.measure), (one.low, one.high))}"
        for one in part.comparison.estimates
        if one.language is None
    }
    rows = []
    for system in part.comparison.systems:
        cells = [
            f"{values.get((system, column.setting, column.measure), '-')} {marks.get((system, column), '')}".strip()
            for column in columns
        ]
        rows.append((figures.label(system, part.model), *cells))
    for other in figures.study.published:
        if other.benchmark == part.benchmark:
            cells = [column.write(other.figures.get(_key(column))) for column in columns]
            rows.append((f"published, not ours: {other.system} ({other.source})", *cells))
    title = (
        f"{_title(part)}: means over seeds, 95 % intervals, ▲ better and ▼ worse than {part.baseline} after correction"
    )
    return Table(title, ("system", *(column.heading for column in columns)), tuple(rows))


def columns_of(part: Part) -> list[Column]:
    """The figures that a part has, in order of measures, then settings."""
    found = [column_for(one.setting, one.measure) for one in part.comparison.estimates if one.language is None]
    return list(dict.fromkeys(found))


def column_for(setting: str, measure: str) -> Column:
    """The column of a figure."""
    return {column.measure: column for column in BIAS}.get(measure) or Column(setting, measure)


def _contrasts_table(part: Part) -> Table:
    found = [one for one in part.comparison.contrasts if one.language is None]
    rows = tuple(tuple(contrast_row(one)) for one in found)
    return Table(f"{_title(part)}: differences to {part.baseline}", tuple(CONTRAST_COLUMNS), rows)


def _language_tables(figures: Figures, part: Part) -> Iterator[Table]:
    """Figures by query language, and how evenly they fall on the languages."""
    means = figures.means[part.benchmark]
    labels = [figures.label(system, part.model) for system in part.comparison.systems]
    by_language = {label: means[label].get("by_query_language") or {} for label in labels}
    tags = list(by_language[labels[0]])
    if len(tags) < 2:
        return
    first = by_language[labels[0]][tags[0]]
    main = next(key.removeprefix("monolingual_") for key in first if key.startswith("monolingual_"))
    keys = [f"monolingual_{main}", f"cross_lingual_{main}", f"multilingual_{main}", "rank_distance", AGREEMENT]
    for key in keys:
        rows = [(label, *(_figure(by_language[label].get(tag, {}).get(key)) for tag in tags)) for label in labels]
        if any(cell != "-" for row in rows for cell in row[1:]):
            title = f"{_title(part)}: {key.replace('_', ' ')} by query language"
            yield Table(title, ("system", *tags), tuple(rows))
    even = [key for key in keys if consistency(means[labels[0]], key)[0] == consistency(means[labels[0]], key)[0]]
    rows = []
    for label in labels:
        pairs = [consistency(means[label], key) for key in even]
        rows.append((label, *(f"{_figure(mean)} ± {_figure(spread)}" for mean, spread in pairs)))
    header = ("system", *(key.replace("_", " ") for key in even))
    yield Table(f"{_title(part)}: mean ± standard deviation over query languages", header, tuple(rows))
    rows = []
    alignment = {label: means[label].get("alignment") or {} for label in labels}
    names = list(alignment[labels[0]])
    for label in labels:
        rows.append((label, *(_figure(alignment[label].get(name)) for name in names)))
    if names:
        header = ("system", *(name.replace("_", " ") for name in names))
        yield Table(f"{_title(part)}: alignment of the vectors", header, tuple(rows))


def _optima_table(figures: Figures) -> list[Table]:
    rows = []
    for o in figures.optima:
        column = column_for(o.setting, o.measure)
        flat = ", ".join(f"{x:g}" for x in o.flat)
        where = f"{o.benchmark}, {column.heading}, {o.languages}"
        rows.append(
            (where, f"{o.x:g}", f"{o.low:g} to {o.high:g}", column.write(o.value), flat, column.write(o.spread))
        )
    header = ("figure", "best at", "95 % interval", "mean there", "not told apart", "best minus worst")
    return [Table(f"Optima along {figures.study.x_title or 'the axis'}", header, tuple(rows))]


def gains_table(found: Gains) -> Table:
    """Gains by the amount of training text."""
    rows = [
        (language_name(tag), f"{amount:,}" if amount else "unseen", f"{gain:+.3f}") for tag, amount, gain in found.rows
    ]
    return Table(found.title, ("query language", "pairs of text", "gain"), tuple(rows))


def _title(part: Part) -> str:
    return f"{part.benchmark}, {part.model}" + ("" if part.view == EVERYTHING else f", {part.view}")


def _key(column: Column) -> str:
    return column.measure if column.lower_is_better else f"{column.setting}_{column.measure}"


def _figure(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"
