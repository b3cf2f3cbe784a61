"""The parts of the page that tell of one benchmark."""

from __future__ import annotations

from collections.abc import Sequence

from isoglot.common.languages import language_name
from isoglot.report.markup import Html, details, element, figure, join, table
from isoglot.report.plots import Values, heat_map, language_bars, systems_plot
from isoglot.report.sentences import sentences
from isoglot.report.systems import BIAS, Column, Systems, measure_name
from isoglot.report.tables import CONTRAST_COLUMNS, MARKS, contrast_row, overall, write_interval
from isoglot.report.words import best, in_words, main_column

_SAID = {"better": "significantly better", "worse": "significantly worse"}


def summary_part(systems: Systems) -> Html:
    """What the figures say, and the four that matter most, large."""
    what, *found = (element("p", sentence) for sentence in in_words(systems))
    return join([what, element("div", *_tiles(systems), class_="tiles"), *found])


def systems_part(systems: Systems) -> Html:
    """Every system's figures, as a table and as a plot."""
    rows = [
        [name, *(_cell(systems, number, column) for column in systems.columns)]
        for number, name in enumerate(systems.names)
    ]
    header = ["system", *(f"{column.heading}\N{NO-BREAK SPACE}{_arrow(column)}" for column in systems.columns)]
    caption = f"Systems on {systems.benchmark}"
    notes = ["↑ higher is better, ↓ lower is better."]
    if systems.comparison:
        notes.append(
            f"Small: 95 % intervals. ▲ better and ▼ worse than {systems.names[0]}, significant after correction."
        )
    fair = systems.results[0].bias("fair_share@1")
    if fair == fair:
        notes.append(f"A ranking blind to language puts the query's own language first {fair:.1%} of the time.")
    figures = table(caption, header, rows, class_="systems")
    plot = (
        figure(systems_plot(systems), "The same figures as a plot", _figures_table(systems))
        if len(rows) > 1
        else Html()
    )
    return join([figures, element("p", " ".join(notes), class_="note"), plot])


def significance_part(systems: Systems) -> Html | None:
    """Differences to the first system with intervals, tests and effect sizes; None for a single system."""
    if systems.comparison is None:
        return None
    comparison = systems.comparison
    first = systems.names[0]
    parts = [
        table(
            f"Differences to {first}",
            CONTRAST_COLUMNS,
            [contrast_row(contrast) for contrast in overall(comparison)],
        ),
        element(
            "p",
            "Each question with all its translations counts as one observation. Effect size: the mean difference in "
            "standard deviations of the questions' differences. Better / worse: the share of questions that gained and "
            "lost.",
            class_="note",
        ),
        details("In words", element("ul", *(element("li", sentence) for sentence in sentences(comparison)))),
    ]
    by_language = [contrast for contrast in comparison.contrasts if contrast.language is not None]
    if by_language:
        rows = [
            [language_name(contrast.language or ""), *contrast_row(contrast)]
            for contrast in sorted(by_language, key=lambda one: systems.languages.index(one.language or ""))
        ]
        header = ["query language", *CONTRAST_COLUMNS]
        parts.append(details("By query language", table(f"Differences to {first} by query language", header, rows)))
    return join(parts)


def languages_part(systems: Systems) -> Html:
    """A heat map of every system, and of its difference to the first."""
    grids = [result.summary["grid"]["values"] for result in systems.results]
    present = [value for values in grids for row in values for value in row if value is not None]
    domain = (min(present), max(present)) if len(set(present)) > 1 else (0.0, 1.0)
    differences = [_difference(values, grids[0]) for values in grids[1:]]
    largest = max((abs(v) for values in differences for row in values for v in row if v is not None), default=0) or 1e-6
    measure, name = measure_name(systems.measure), systems.names
    first, figures = _grid_figure(systems, f"{measure} of {name[0]}", grids[0], domain), []
    for number, difference in enumerate(differences, 1):
        figures.append(_grid_figure(systems, f"{measure} of {name[number]}", grids[number], domain))
        caption = f"{name[number]} minus {name[0]}"
        figures.append(_grid_figure(systems, caption, difference, (-largest, largest), diverging=True))
    lead = (
        "Rows: the language asked in. Columns: the language of the corpus. The diagonal is the monolingual setting, "
        "the rest is cross-lingual."
    )
    if figures:
        lead += f" All maps of {measure} share their colours, and so do all maps of differences."
    return join([element("p", lead), first, *([element("div", *figures, class_="pairs")] if figures else [])])


def bias_part(systems: Systems) -> Html | None:
    """Rank distance and same-language share by query language; None where neither was measured."""
    shown = [column for column in BIAS if column in systems.columns]
    if not shown:
        return None
    lead = "Panels: systems. "
    if len(systems.names) > 1:
        lead += f"Ring: the same figure of {systems.names[0]}. "
    lead += "Lower is better."
    captions = {
        "rank_distance": "Rank distance: how far the best and the worst of the parallel right answers lie apart",
        "same_language_share@1": "How often a passage of the query's own language comes first; upright line: of a "
        "ranking blind to language",
    }
    figures = []
    for column in shown:
        fair = "fair_share@1" if column.measure == "same_language_share@1" else None
        behind = _bias_table(systems, column, fair)
        figures.append(figure(language_bars(systems, column, fair), captions[column.measure], behind))
    return join([element("p", lead), *figures])


def mix_part(systems: Systems) -> Html | None:
    """Languages among the first ten passages by query language; None where no system has them."""
    mixes = [
        (name, result.summary.get("language_mix")) for name, result in zip(systems.names, systems.results, strict=True)
    ]
    known = [(name, mix) for name, mix in mixes if mix]
    if not known:
        return None
    largest = max(value for _, mix in known for row in mix["values"] for value in row)
    cutoff = known[0][1]["cutoff"]
    figures = []
    for name, mix in known:
        caption = f"{name}: languages of the first {cutoff}"
        spec = heat_map(
            f"{name}: share of each passage language among the first {cutoff} passages, by query language",
            mix["rows"],
            mix["columns"],
            mix["values"],
            titles=("query language", "passage language"),
            domain=(0.0, largest),
            form=".0%",
        )
        behind = _square_table(caption, mix["rows"], mix["columns"], mix["values"], ".1%")
        figures.append(figure(spec, caption, behind))
    lead = (
        f"Of the first {cutoff} passages over the pool of all languages, the share in each language. A strong diagonal "
        "is a system that answers in the language it was asked in; a strong column is a language it prefers whatever "
        "it was asked in. Every row sums to 100 %."
    )
    return join([element("p", lead), element("div", *figures, class_="pairs")])


def alignment_part(systems: Systems) -> Html | None:
    """Measures of the embeddings themselves; None where no system has any."""
    measured = [result.summary.get("alignment") or {} for result in systems.results]
    names = list(dict.fromkeys(name for one in measured for name in one))
    if not names:
        return None
    rows = [
        [system, *("-" if one.get(name) is None else f"{one[name]:.3f}" for name in names)]
        for system, one in zip(systems.names, measured, strict=True)
    ]
    header = ["system", *(name.replace("_", " ") for name in names)]
    return table("From the vectors of parallel passages", header, rows)


def _tiles(systems: Systems) -> list[Html]:
    chosen = best(systems)
    monolingual = Column("monolingual", systems.measure)
    wanted = dict.fromkeys([main_column(systems), monolingual, *BIAS])
    tiles = []
    for column in (column for column in wanted if column in systems.columns):
        after = element("strong", column.write(systems.cell(chosen, column).value))
        before = [element("span", f"{column.write(systems.cell(0, column).value)} → ")] if chosen else []
        who = systems.names[chosen] if not chosen else f"{systems.names[0]} → {systems.names[chosen]}"
        value = element("p", *before, after, class_="value")
        heading = element("p", f"{column.heading} {_arrow(column)}", class_="heading")
        tiles.append(element("div", heading, value, element("p", who, class_="who", dir="auto"), class_="tile"))
    return tiles


def _arrow(column: Column) -> str:
    return "↓" if column.lower_is_better else "↑"


def _cell(systems: Systems, number: int, column: Column) -> Html:
    cell = systems.cell(number, column)
    parts = [Html(element("span", column.write(cell.value), class_="figure"))]
    if cell.mark:
        parts.append(element("span", f" {MARKS[cell.mark]}", class_=cell.mark, aria_hidden="true"))
        parts.append(element("span", f" {_SAID[cell.mark]}", class_="visually-hidden"))
    if cell.interval:
        parts.append(element("small", write_interval(column, cell.interval), class_="interval"))
    return join(parts, "")


def _figures_table(systems: Systems) -> Html:
    rows = []
    for number, name in enumerate(systems.names):
        for column in systems.columns:
            cell = systems.cell(number, column)
            low, high = cell.interval or (None, None)
            rows.append([name, column.heading, column.write(cell.value), column.write(low), column.write(high)])
    return table("Figures and 95 % intervals", ["system", "measure", "value", "low", "high"], rows)


def _difference(values: Values, first: Values) -> list[list[float | None]]:
    return [
        [None if a is None or b is None else a - b for a, b in zip(row, other, strict=True)]
        for row, other in zip(values, first, strict=True)
    ]


def _grid_figure(
    systems: Systems, caption: str, values: Values, domain: tuple[float, float], diverging: bool = False
) -> Html:
    spec = heat_map(
        f"{caption}, by query language and corpus language",
        systems.languages,
        systems.languages,
        values,
        titles=("query language", "corpus language"),
        domain=domain,
        form="+.2f" if diverging else ".2f",
        diverging=diverging,
    )
    behind = _square_table(caption, systems.languages, systems.languages, values, "+.3f" if diverging else ".3f")
    return figure(spec, caption, behind)


def _square_table(caption: str, rows: Sequence[str], columns: Sequence[str], values: Values, form: str) -> Html:
    lines = [
        [tag, *("-" if value is None else format(value, form) for value in line)]
        for tag, line in zip(rows, values, strict=True)
    ]
    return table(f"{caption}: query language in rows, passage language in columns", ["", *columns], lines)


def _bias_table(systems: Systems, column: Column, fair: str | None) -> Html:
    rows = []
    for tag, figures in systems.results[0].summary["by_query_language"].items():
        cells = [systems.language_cell(number, column, tag) for number in range(len(systems.names))]
        shown = [f"{column.write(cell.value)} {MARKS[cell.mark]}".strip() for cell in cells]
        rows.append([language_name(tag), *shown, *([column.write(figures.get(fair))] if fair else [])])
    header = ["queries in", *systems.names, *(["blind to language"] if fair else [])]
    return table(f"{column.heading} by query language", header, rows)
