"""The report's plots as Vega-Lite specifications: plain dicts, with the data inside.

Colours are not here: a specification names scales, and the page's script gives them ranges for light and for dark.
Nothing is told by colour alone. Text in a coloured cell is black or white, whichever stands out from the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isoglot.common.languages import language_name
from isoglot.report.runs import HELD_OUT, LossLog
from isoglot.report.systems import Cell, Column, Systems
from isoglot.report.tables import Table, Values, grid

Spec = dict[str, Any]

_MOST_BINS = 300  # points of a loss curve; longer runs are averaged into so many
_SMOOTHED = 15  # batches of one kind in the running mean
_ACROSS = 4  # panels in a row
_TEXT_ON_CELL = "luminance(scale('color', datum.value)) > 0.18 ? '#111' : '#fff'"  # both reach a contrast of 4.5
_VERDICTS = ["first system", "better", "worse", "no clear difference"]
_SHAPES = ["diamond", "triangle-up", "triangle-down", "circle"]


@dataclass(frozen=True)
class Plot:
    """A plot as a page shows it.

    Attributes:
        spec: in Vega-Lite.
        caption: what it shows.
        table: its figures.
    """

    spec: Spec
    caption: str
    table: Table


def systems_plot(description: str, names: Sequence[str], cells: Sequence[Sequence[Cell]]) -> Spec:
    """Every system's figures with their intervals, one panel per figure.

    Args:
        description: what the plot shows, for readers who cannot see it.
        names: of the systems, the one that the others are compared with first.
        cells: the same figures of each system.
    """
    panels = [
        _systems_panel(names, column, first=n % _ACROSS == 0) for n, column in enumerate(zip(*cells, strict=True))
    ]
    shared = {"scale": {"color": "shared", "shape": "shared"}}
    return {"description": description, "concat": panels, "columns": _ACROSS, "spacing": 14, "resolve": shared}


def _systems_panel(names: Sequence[str], cells: Sequence[Cell], first: bool) -> Spec:
    rows, column = [], cells[0].column
    for number, (name, cell) in enumerate(zip(names, cells, strict=True)):
        low, high = (None, None) if cell.interval is None else map(_rounded, cell.interval)
        row = {"system": name, "value": _rounded(cell.value), "low": low, "high": high, "shown": cell.text}
        rows.append({**row, "verdict": _VERDICTS[0] if number == 0 else cell.verdict or _VERDICTS[3]})
    y: Spec = {"field": "system", "type": "nominal", "sort": list(names), "title": None}
    y["axis"] = {"labelLimit": 190, "domain": False, "ticks": False} if first else None
    ticks = {"format": _axis_form(column), "tickCount": 3, "title": None}
    x = {"field": "value", "type": "quantitative", "scale": {"zero": False, "nice": True}, "axis": ticks}
    verdict: Spec = {"field": "verdict", "type": "nominal", "scale": {"domain": _VERDICTS}, "title": None}
    verdict["legend"] = {"orient": "bottom"} if len(names) > 1 else None
    shape: Spec = {**verdict, "scale": {"domain": _VERDICTS, "range": _SHAPES}}
    tooltip = [{"field": "system"}, {"field": "shown", "title": column.heading}, {"field": "verdict"}]
    ends: Spec = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "transform": [{"filter": "isValid(datum.low)"}],
        "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": verdict},
    }
    value: Spec = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "transform": [{"filter": "isValid(datum.value)"}],
        "encoding": {"x": x, "color": verdict, "shape": shape, "tooltip": tooltip},
    }
    return {
        "title": {"text": f"{column.heading} {column.arrow}", "fontSize": 12},
        "width": 165,
        "height": {"step": 26},
        "data": {"values": rows},
        "encoding": {"y": y},
        "layer": [ends, value] if any(cell.interval for cell in cells) else [value],
    }


def _axis_form(column: Column) -> str:
    """The column's form, a digit shorter."""
    return {",.1f": ",.0f", ".1%": ".0%"}.get(column.form, ".2f")


def _rounded(value: float) -> float | None:
    """To six places: rounding errors of equal means would be all that an axis shows."""
    return None if value != value else round(value, 6)


def heat_map(
    description: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Values,
    *,
    titles: tuple[str, str] = ("query language", "corpus language"),
    domain: tuple[float, float],
    form: str = ".2f",
    diverging: bool = False,
) -> Spec:
    """Values by row and column language.

    Args:
        description: what the plot shows, for readers who cannot see it.
        rows: language tags.
        columns: language tags.
        values: `(rows, columns)`; None where there is none, which leaves the cell empty.
        titles: of the rows and of the columns.
        domain: smallest and largest value of the colours, the same for plots that are compared.
        form: how values are written.
        diverging: whether colours part at 0.
    """
    data = [
        {"row": row, "column": column, "value": value, "rows": language_name(row), "columns": language_name(column)}
        for row, line in zip(rows, values, strict=True)
        for column, value in zip(columns, line, strict=True)
        if value is not None and value == value
    ]
    step = 37 if len(columns) <= 13 else 18
    scale: Spec = {"domain": list(domain)}
    if diverging:
        scale["domainMid"] = 0
    color = {
        "field": "value",
        "type": "quantitative",
        "scale": {**scale, "range": "diverging" if diverging else "heatmap"},
        "legend": {"title": None, "format": form, "gradientLength": {"expr": "min(height, 200)"}},
    }
    tooltip = [
        {"field": "rows", "title": titles[0]},
        {"field": "columns", "title": titles[1]},
        {"field": "value", "title": "value", "format": form.replace(".2f", ".3f")},
    ]
    layers: list[Spec] = [{"mark": {"type": "rect"}, "encoding": {"color": color, "tooltip": tooltip}}]
    if step > 20:
        layers.append(
            {
                "mark": {"type": "text", "fontSize": 10, "fill": {"expr": _TEXT_ON_CELL}, "tooltip": None},
                "encoding": {"text": {"field": "value", "type": "quantitative", "format": form}},
            }
        )
    return {
        "description": description,
        "width": {"step": step},
        "height": {"step": min(step, 28)},
        "data": {"values": data},
        "encoding": {
            "y": {"field": "row", "type": "nominal", "sort": list(rows), "title": titles[0]},
            "x": {
                "field": "column",
                "type": "nominal",
                "sort": list(columns),
                "title": titles[1],
                "axis": {"orient": "top", "labelAngle": 0 if step > 20 else -90},
            },
        },
        "layer": layers,
    }


def grid_plot(
    caption: str, tags: Sequence[str], values: Values, domain: tuple[float, float], *, diverging: bool = False
) -> Plot:
    """A measure by query and corpus language, or with `diverging` its differences; else as `heat_map`."""
    sign = "+" if diverging else ""
    description = f"{caption}, by query language and corpus language"
    spec = heat_map(description, tags, tags, values, domain=domain, form=f"{sign}.2f", diverging=diverging)
    title = f"{caption}: query language in rows, corpus language in columns"
    return Plot(spec, caption, grid(title, tags, tags, values, f"{sign}.3f"))


def difference(values: Values, other: Values) -> list[list[float | None]]:
    """One square minus another; None where either has none."""
    return [
        [None if a is None or b is None else a - b for a, b in zip(row, under, strict=True)]
        for row, under in zip(values, other, strict=True)
    ]


def largest(squares: Sequence[Values]) -> float:
    """The largest value of all in size; 1 where there is nothing but 0."""
    return max((abs(v) for values in squares for row in values for v in row if v is not None), default=0.0) or 1.0


def language_bars(systems: Systems, column: Column, fair: str | None = None) -> Spec:
    """A measure of bias by query language, a panel per system.

    Args:
        systems: of one benchmark.
        column: the measure.
        fair: the measure that holds what is expected of a ranking blind to language; drawn as a tick.
    """
    rows = []
    for number, name in enumerate(systems.names):
        by_language = systems.results[number].summary["by_query_language"]
        for tag, figures in by_language.items():
            rows.append(
                {
                    "system": name,
                    "language": language_name(tag),
                    "value": figures.get(column.measure),
                    "fair": figures.get(fair) if fair else None,
                    "first": _rounded(systems.language_cell(0, column, tag).value) if number else None,
                }
            )
    order = list(dict.fromkeys(row["language"] for row in rows))
    axis: Spec = {"format": _axis_form(column), "tickCount": 3, "title": None}
    x: Spec = {"type": "quantitative", "axis": axis}
    if column.form.endswith("%"):
        axis["values"], x["scale"] = [0, 0.5, 1], {"domain": [0, 1]}
    tooltip = [
        {"field": "system"},
        {"field": "language"},
        {"field": "value", "title": column.heading, "format": column.form},
    ]
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "height": {"band": 0.66}},
            "encoding": {"x": {**x, "field": "value"}, "tooltip": tooltip},
        }
    ]
    if len(systems.names) > 1:
        layers.append(
            {
                "mark": {"type": "point", "size": 34, "color": "currentColor", "filled": False},
                "encoding": {"x": {**x, "field": "first"}},
            }
        )
    if fair:
        layers.append(
            {
                "mark": {"type": "tick", "thickness": 2, "height": {"band": 0.95}, "color": "currentColor"},
                "encoding": {"x": {**x, "field": "fair"}},
            }
        )
    return {
        "description": f"{column.heading} by query language, for each system",
        "data": {"values": rows},
        "columns": min(4, len(systems.names)),
        "facet": {"field": "system", "type": "nominal", "sort": list(systems.names), "title": None},
        "spec": {
            "width": 180 if len(systems.names) > 1 else 420,
            "height": {"step": 18},
            "encoding": {"y": {"field": "language", "type": "nominal", "sort": order, "title": None}},
            "layer": layers,
        },
    }


def loss_plot(logs: Sequence[LossLog]) -> Spec:
    """Loss by kind of batch over the steps of each training run, with a running mean."""
    rows = [{"run": log.name, **row} for log in logs for kind in log.kinds for row in loss_curve(log, kind)]
    kind = {"field": "kind", "type": "nominal", "title": None}
    legend = {"orient": "bottom", "symbolStrokeWidth": 2.5, "symbolSize": 300}
    y = {"type": "quantitative", "title": "loss", "scale": {"zero": False}}
    return {
        "description": "Training loss by kind of batch over the steps of each run",
        "data": {"values": rows},
        "columns": min(3, len(logs)),
        "facet": {"field": "run", "type": "nominal", "sort": [log.name for log in logs], "title": None},
        "spec": {
            "width": {1: 760, 2: 420}.get(len(logs), 270),
            "height": 220,
            "encoding": {"x": {"field": "step", "type": "quantitative", "axis": {"format": "~s", "tickCount": 5}}},
            "layer": [
                {
                    "mark": {"type": "point", "filled": True, "size": 14, "opacity": 0.35, "tooltip": None},
                    "encoding": {"y": {**y, "field": "loss"}, "fill": {**kind, "legend": None}},
                },
                {
                    "mark": {"type": "line", "strokeWidth": 2.5},
                    "encoding": {
                        "y": {**y, "field": "mean"},
                        "stroke": {**kind, "legend": legend},
                        "strokeDash": {**kind, "legend": legend},
                        "tooltip": [
                            {"field": "kind"},
                            {"field": "step"},
                            {"field": "mean", "title": "running mean", "format": ".3f"},
                        ],
                    },
                },
            ],
        },
    }


def loss_curve(log: LossLog, kind: str) -> list[dict[str, Any]]:
    """Points of one kind's curve and their running mean; long runs are averaged in bins of equally many batches.

    Looks at held-out pairs are few and each is a mean already: they are not smoothed.
    """
    points = log.losses(kind)
    size = -(-len(points) // _MOST_BINS)
    bins = [points[first : first + size] for first in range(0, len(points), size)] if points else []
    means = [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in bins]
    window = 1 if kind == HELD_OUT else _SMOOTHED
    curve = []
    for number, (step, loss) in enumerate(means):
        recent = [value for _, value in means[max(0, number + 1 - window) : number + 1]]
        curve.append({"kind": kind, "step": step, "loss": loss, "mean": sum(recent) / len(recent)})
    return curve
