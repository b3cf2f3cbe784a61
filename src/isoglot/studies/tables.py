"""A study's figures as tables: one for the page that people read, more for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isoglot.common.languages import language_name
from isoglot.report.parts import errors_table, named_figures, number
from isoglot.report.systems import MARKS, Column, measure_name, verdict_of
from isoglot.report.tables import Table, contrasts_table, overall, systems_table
from isoglot.statistics.comparison import SETTINGS
from isoglot.studies.figures import AGREEMENT, EVERYTHING, Figures, Gains, Part, consistency, gains, main_columns
from isoglot.studies.recipe import BASE

_DIGITS = 12  # of a fingerprint
_RETRIEVAL = ("monolingual", "cross_lingual", "multilingual")
_FAIRNESS = "fair_share_distance@1"  # tested as the distance of `same_language_share@1` from the fair share


def page_table(figures: Figures) -> Table:
    """Every system on every benchmark, a row each: three settings, rank distance and distance from the fair share."""
    study, rows = figures.study, []
    measures = list(dict.fromkeys(spec.measures[0] for spec in study.benchmarks.values()))
    for part in figures.select(view=EVERYTHING, baseline=BASE):
        measure = study.benchmarks[part.benchmark].measures[0]
        about = f"{part.benchmark}{f' ({measure_name(measure)})' if len(measures) > 1 else ''}: "
        before = about if len(study.benchmarks) > 1 else ""
        columns = [*(Column(setting, measure) for setting in _RETRIEVAL), Column("multilingual", "rank_distance")]
        for system, cells in zip(part.comparison.systems, part.cells, strict=True):
            known = {cell.column: f"{cell.text} {cell.mark}".strip() for cell in cells}
            values = (known.get(column, "-") for column in columns)
            rows.append((before + study.label(system, part.model), *values, _fairness(figures, part, system)))
        for other in study.published if part.model == next(iter(study.models)) else ():
            if other.benchmark == part.benchmark:
                values = (column.write(other.figures.get(column.key)) for column in columns)
                rows.append((f"{before}published, not ours: {other.system} ({other.source})", *values, "-"))
    names = [
        f"{SETTINGS[setting]}{f' {measure_name(measures[0])}' if len(measures) == 1 else ''}" for setting in _RETRIEVAL
    ]
    title = "Means over seeds; ▲ better and ▼ worse than base by a paired test, corrected"
    return Table(title, ("system", *names, "rank distance", "fair-share distance"), tuple(rows))


def tables_of(figures: Figures) -> list[Table]:
    """All tables of the report: systems, differences, views, languages, optima, amounts of data."""
    whole = figures.select(view=EVERYTHING, baseline=BASE)
    tables = [part_table(figures, part) for part in whole]
    for part in (*figures.parts, *figures.against_best):
        title = f"{part.title}: differences to {part.baseline}"
        tables.append(contrasts_table(title, overall(part.comparison)))
    for part in whole:
        tables += _language_tables(figures, part)
        means = {label: figures.means[part.benchmark][label] for label in labels_of(figures, part)}
        tables.append(errors_table(f"{part.title}: errors, preference and agreement over the pool", means))
    tables.append(_optima_table(figures))
    tables += [gains_table(found) for found in gains(figures)]
    return [table for table in tables if table.rows]


def part_table(figures: Figures, part: Part) -> Table:
    """Every system's figures with intervals and marks."""
    says = f"means over seeds, 95 % intervals, ▲ better and ▼ worse than {part.baseline} after correction"
    return systems_table(f"{part.title}: {says}", labels_of(figures, part), part.cells)


def gains_table(found: Gains) -> Table:
    """Gains by the amount of training text."""
    rows = (
        (language_name(tag), f"{amount:,}" if amount else "unseen", f"{gain:+.3f}") for tag, amount, gain in found.rows
    )
    return Table(found.title, ("query language", "pairs of text", "gain"), tuple(rows))


def origins(arms: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Where a study's figures come from, by the arms of `study.json`: what was read and scored on, what each arm is."""
    read = {(name, fingerprint[:_DIGITS]) for arm in arms for name, fingerprint in arm["data"].items()}
    sets, weights = set(), []
    for arm in arms:
        for name, result in arm["results"].items():
            sizes = (f"{result['queries']:,}", f"{result['passages']:,}", " ".join(result["languages"]))
            sets.add((name, result["benchmark_fingerprint"][:_DIGITS], *sizes))
        scored = ", ".join(sorted({one["model"]["fingerprint"][:_DIGITS] for one in arm["results"].values()}))
        known = (arm["key"][:_DIGITS], (arm["text"] or "-")[:_DIGITS], initial_model(arm), scored, arm["isoglot"])
        weights.append((arm["name"], *known))
    title = "Arms: what determines each in one hash, the text it was trained on, the weights that were scored"
    columns = ("benchmark", "fingerprint", "queries", "passages", "languages")
    of_arms = ("arm", "key", "training text", "initial model", "weights", "isoglot")
    return [
        Table("Text of training and remedies", ("data", "fingerprint"), tuple(sorted(read)), words=True, code=(1,)),
        Table("Benchmarks", columns, tuple(sorted(sets)), words=True, code=(1,)),
        Table(title, of_arms, tuple(weights), words=True, code=(1, 2, 4)),
    ]


def initial_model(arm: Mapping[str, Any]) -> str:
    """What others read of the model: a hub id, or of a folder its name alone, for fingerprints tell the rest."""
    name: str = arm["model"]["name"]
    return Path(name).name if Path(name).is_absolute() else name


def labels_of(figures: Figures, part: Part) -> list[str]:
    """What tables call the systems of a comparison."""
    return [figures.study.label(system, part.model) for system in part.comparison.systems]


def _fairness(figures: Figures, part: Part, system: str) -> str:
    """How far the share of passages in the query's language in first place lies from the fair one, with its mark."""
    means = figures.means[part.benchmark][figures.study.label(system, part.model)]
    value = (means.get("language_bias") or {}).get(_FAIRNESS)
    tests = (one for one in overall(part.comparison) if (one.system, one.measure) == (system, "same_language_share@1"))
    return "-" if value is None else f"{value:.1%} {MARKS[verdict_of(next(tests, None))]}".strip()


def _language_tables(figures: Figures, part: Part) -> Iterator[Table]:
    """Figures by query language, and how evenly they fall on the languages."""
    means = figures.means[part.benchmark]
    labels = labels_of(figures, part)
    by_language = {label: means[label].get("by_query_language") or {} for label in labels}
    tags = list(by_language[labels[0]])
    if len(tags) < 2:
        return
    keys = [column.key for column in main_columns(means[labels[0]]["grid"]["measure"])] + [AGREEMENT]
    for key in keys:
        rows = tuple((label, *(number(by_language[label].get(tag, {}).get(key)) for tag in tags)) for label in labels)
        if any(cell != "-" for row in rows for cell in row[1:]):
            yield Table(f"{part.title}: {key.replace('_', ' ')} by query language", ("system", *tags), rows)
    spreads = {label: {key: consistency(means[label], key) for key in keys} for label in labels}
    even = [key for key in keys if spreads[labels[0]][key][0] == spreads[labels[0]][key][0]]
    rows = tuple((label, *(" ± ".join(map(number, spreads[label][key])) for key in even)) for label in labels)
    header = ("system", *(key.replace("_", " ") for key in even))
    yield Table(f"{part.title}: mean ± standard deviation over query languages", header, rows)
    alignment = {label: means[label].get("alignment") or {} for label in labels}
    yield named_figures(f"{part.title}: alignment of the vectors", alignment)


def _optima_table(figures: Figures) -> Table:
    rows = []
    for o in figures.optima:
        column = Column(o.setting, o.measure)
        place = (f"{o.x:g}", f"{o.low:g} to {o.high:g}", column.write(o.value), ", ".join(f"{x:g}" for x in o.flat))
        rows.append((f"{o.benchmark}, {column.heading}, {o.languages}", *place, column.write(o.spread)))
    header = ("figure", "best at", "95 % interval", "mean there", "not told apart", "best minus worst")
    return Table(f"Optima along {figures.study.x_title or 'the axis'}", header, tuple(rows))
