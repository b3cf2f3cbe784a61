"""A study's plots as Vega-Lite specifications, in the manner of `isoglot.report.plots`: colours come from the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isoglot.report.plots import Spec, heat_map
from isoglot.report.systems import Column
from isoglot.studies.figures import EVERYTHING, Figures, Gains, Part, gains
from isoglot.studies.recipe import BASE
from isoglot.studies.tables import Table, column_for, columns_of, gains_table, systems_table

_ACROSS = 4  # panels in a row
Plot = tuple[Spec, str, Table]
"""Specification, caption, and the figures as a table."""


def plots_of(figures: Figures) -> Iterator[Plot]:
    """What to look at first: systems with intervals, curves and front along the axis, gain by amount."""
    for part in _against_base(figures):
        named, behind = f"{part.benchmark}, {part.model}", systems_table(figures, part)
        yield _dots(part), f"{named}: systems with 95 % intervals", behind
        if any(arm.x is not None for arm in figures.study.arms.values()):
            yield _curves(figures, part), f"{named}: along {figures.study.x_title}", behind
            yield from _front(figures, part, named, behind)
    for found in gains(figures):
        yield _gain(found)


def grids_of(figures: Figures) -> Iterator[Plot]:
    """Every system's difference to the base by query and corpus language."""
    for part in _against_base(figures):
        yield from _grids(figures, part, f"{part.benchmark}, {part.model}")


def _against_base(figures: Figures) -> list[Part]:
    return [part for part in figures.parts if (part.view, part.baseline) == (EVERYTHING, BASE)]


def _dots(part: Part) -> Spec:
    """Every system's figures with intervals, a panel per figure."""
    panels = []
    for number, column in enumerate(columns_of(part)):
        rows = _rows(part, column)
        y: Spec = {"field": "system", "type": "nominal", "sort": list(part.comparison.systems), "title": None}
        y["axis"] = {"labelLimit": 190, "domain": False, "ticks": False} if number % _ACROSS == 0 else None
        x: Spec = {"type": "quantitative", "scale": {"zero": False}, "axis": {"tickCount": 3, "title": None}}
        tooltip = [{"field": name} for name in ("system", "value", "low", "high")]
        layers: list[Spec] = [
            {"mark": {"type": "rule", "strokeWidth": 2, "color": "currentColor", "opacity": 0.6}},
            {"mark": {"type": "point", "filled": True, "size": 80, "color": "currentColor"}},
        ]
        layers[0]["encoding"] = {"x": {**x, "field": "low"}, "x2": {"field": "high"}}
        layers[1]["encoding"] = {"x": {**x, "field": "value"}, "tooltip": tooltip}
        panels.append(
            {
                "title": {"text": _titled(column), "fontSize": 12},
                "width": 165,
                "height": {"step": 24},
                "data": {"values": rows},
                "encoding": {"y": y},
                "layer": layers,
            }
        )
    return {
        "description": f"Figures of each system on {part.benchmark}",
        "concat": panels,
        "columns": _ACROSS,
        "spacing": 14,
    }


def _curves(figures: Figures, part: Part) -> Spec:
    """Figures along the axis, a panel per figure and a line per series; what has no place on it as a level."""
    panels = []
    for column in columns_of(part):
        rows = _rows(part, column)
        placed, levels = [], []
        for row in rows:
            arm = figures.study.arms.get(row["system"])
            if arm is not None and arm.x is not None:
                placed.append({**row, "x": arm.x, "series": arm.series})
            else:
                levels.append(row)
        x = {"field": "x", "type": "quantitative", "title": figures.study.x_title, "scale": {"zero": False}}
        x["axis"] = {"values": sorted({row["x"] for row in placed}), "format": "~g"}
        y = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
        series: Spec = {"field": "series", "type": "nominal", "title": None, "legend": {"symbolOpacity": 1}}
        tooltip = [{"field": name} for name in ("system", "x", "value", "low", "high")]
        band = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": series}
        line = {"x": x, "y": y, "color": series, "strokeDash": {**series, "legend": None}, "tooltip": tooltip}
        level = {"y": y, "tooltip": tooltip}
        panels.append(
            {
                "title": {"text": _titled(column), "fontSize": 12},
                "width": 260,
                "height": 200,
                "layer": [
                    {"data": {"values": placed}, "mark": {"type": "area", "opacity": 0.18}, "encoding": band},
                    {"data": {"values": placed}, "mark": {"type": "line", "point": True}, "encoding": line},
                    {
                        "data": {"values": levels},
                        "mark": {"type": "rule", "color": "currentColor", "strokeDash": [2, 4], "opacity": 0.7},
                        "encoding": level,
                    },
                    {
                        "data": {"values": levels},
                        "mark": {"type": "text", "align": "left", "dy": -5, "fontSize": 10, "fill": "currentColor"},
                        "encoding": {"y": y, "x": {"value": 4}, "text": {"field": "system"}},
                    },
                ],
            }
        )
    return {
        "description": f"Figures on {part.benchmark} along {figures.study.x_title}",
        "concat": panels,
        "columns": 3,
    }


def _front(figures: Figures, part: Part, named: str, behind: Table) -> Iterator[Plot]:
    """Monolingual score against rank distance, a point per system."""
    column = Column("monolingual", figures.study.benchmarks[part.benchmark].measures[0])
    scores = {row["system"]: row["value"] for row in _rows(part, column)}
    bias = {row["system"]: row["value"] for row in _rows(part, column_for("multilingual", "rank_distance"))}
    rows = [{"system": name, "score": scores[name], "bias": bias[name]} for name in scores if name in bias]
    if rows:
        caption = f"{named}: {column.heading} against rank distance; the best corner is above on the left"
        plot = _scatter(rows, ("bias", "score", "system"), ("rank distance", column.heading), caption)
        if all(row["bias"] > 0 for row in rows):  # the base lies far off
            plot["layer"][0]["encoding"]["x"]["scale"] = {"type": "log", "nice": False, "padding": 20}
        yield plot, caption, behind


def _gain(found: Gains) -> Plot:
    """Gains against the amount of training text, a point per language."""
    rows = [
        {"language": tag, "pairs": amount + 1, "gain": gain, "text": "trained" if amount else "unseen"}
        for tag, amount, gain in found.rows
    ]
    titles = ("pairs of training text in the language, and 1", f"gain in {Column(*found.figure).heading}")
    plot = _scatter(rows, ("pairs", "gain", "language"), titles, found.title)
    points = plot["layer"][0]["encoding"]
    points["x"]["scale"] = {"type": "log"}
    points["shape"] = points["color"] = {"field": "text", "type": "nominal", "title": None}
    return plot, found.title, gains_table(found)


def _grids(figures: Figures, part: Part, named: str) -> Iterator[Plot]:
    means = figures.means[part.benchmark]
    base = means[figures.label(BASE, part.model)]["grid"]
    tags = list(means[figures.label(BASE, part.model)]["by_query_language"])
    if len(base["values"]) < 2 or len(tags) != len(base["values"]):
        return
    systems = [system for system in part.comparison.systems if system != BASE]
    differences = {
        system: _minus(means[figures.label(system, part.model)]["grid"]["values"], base["values"]) for system in systems
    }
    largest = max((abs(v) for rows in differences.values() for row in rows for v in row if v is not None), default=0.0)
    for system, rows in differences.items():
        caption = f"{named}: {base['measure']} of {system} minus {BASE}"
        spec = heat_map(
            f"{caption}, by query language and corpus language",
            tags,
            tags,
            rows,
            titles=("query language", "corpus language"),
            domain=(-(largest or 1.0), largest or 1.0),
            form="+.2f",
            diverging=True,
        )
        cells = tuple(
            (tag, *("-" if v is None else f"{v:+.3f}" for v in row)) for tag, row in zip(tags, rows, strict=True)
        )
        yield spec, caption, Table(caption, ("", *tags), cells)


def _scatter(rows: list[dict[str, Any]], fields: tuple[str, str, str], titles: tuple[str, str], caption: str) -> Spec:
    x: Spec = {"field": fields[0], "type": "quantitative", "title": titles[0], "scale": {"zero": False}}
    y: Spec = {"field": fields[1], "type": "quantitative", "title": titles[1], "scale": {"zero": False}}
    tooltip = [{"field": name} for name in fields]
    label = {"type": "text", "align": "left", "dx": 7, "fontSize": 11, "fill": "currentColor"}
    return {
        "description": caption,
        "width": 520,
        "height": 320,
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "point", "filled": True, "size": 70}, "encoding": {"x": x, "y": y, "tooltip": tooltip}},
            {"mark": label, "encoding": {"x": x, "y": y, "text": {"field": fields[2]}}},
        ],
    }


def _rows(part: Part, column: Column) -> list[dict[str, Any]]:
    """Figures with their intervals, to six places: rounding errors of equal means would be all that an axis shows."""
    return [
        {"system": one.system, "value": round(one.value, 6), "low": round(one.low, 6), "high": round(one.high, 6)}
        for one in part.comparison.estimates
        if one.language is None and column_for(one.setting, one.measure) == column
    ]


def _titled(column: Column) -> str:
    return f"{column.heading} {'↓' if column.lower_is_better else '↑'}"


def _minus(values: list[list[float | None]], other: list[list[float | None]]) -> list[list[float | None]]:
    return [
        [None if a is None or b is None else a - b for a, b in zip(row, base, strict=True)]
        for row, base in zip(values, other, strict=True)
    ]
