"""The report's plots as Vega-Lite specifications: plain dicts, with the data inside.

Colours are not here: a specification names scales, and the page's script gives them ranges for light and for dark.
Nothing is told by colour alone. Text in a coloured cell is black or white, whichever stands out from the cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
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
    """A plot as a page shows it: in Vega-Lite, with what it shows, and its figures."""

    spec: Spec
    caption: str
    table: Table


def nominal(field: str, **more: Any) -> Spec:
    """A channel of names, without a title."""
    return {"field": field, "type": "nominal", "title": None, **more}


def quantity(field: str, **more: Any) -> Spec:
    """A channel of figures."""
    return {"field": field, "type": "quantitative", **more}


def layer(mark: str, encoding: Spec, /, **style: Any) -> Spec:
    """Marks of one kind."""
    return {"mark": {"type": mark, **style}, "encoding": encoding}


def systems_plot(description: str, names: Sequence[str], cells: Sequence[Sequence[Cell]]) -> Spec:
    """The same figures of every system with their intervals, one panel per figure; the baseline is the first system.

    The description says what the plot shows to readers who cannot see it.
    """
    panels = [
        _systems_panel(names, column, first=n % _ACROSS == 0) for n, column in enumerate(zip(*cells, strict=True))
    ]
    shared = {"scale": {"color": "shared", "shape": "shared"}}
    return {"description": description, "concat": panels, "columns": _ACROSS, "spacing": 14, "resolve": shared}


def _systems_panel(names: Sequence[str], cells: Sequence[Cell], first: bool) -> Spec:
    column = cells[0].column
    verdicts = [_VERDICTS[0], *(cell.verdict or _VERDICTS[3] for cell in cells[1:])]
    rows = [row | {"verdict": verdict} for row, verdict in zip(points(names, cells), verdicts, strict=True)]
    labels = {"labelLimit": 190, "domain": False, "ticks": False} if first else None
    ticks = {"format": _axis_form(column), "tickCount": 3, "title": None}
    x = quantity("value", scale={"zero": False, "nice": True}, axis=ticks)
    legend = {"orient": "bottom"} if len(names) > 1 else None
    verdict = nominal("verdict", scale={"domain": _VERDICTS}, legend=legend)
    shape = {**verdict, "scale": {"domain": _VERDICTS, "range": _SHAPES}}
    tooltip = [{"field": "system"}, {"field": "shown", "title": column.heading}, {"field": "verdict"}]
    ends = layer("rule", {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": verdict}, strokeWidth=2)
    ends["transform"] = [{"filter": "isValid(datum.low)"}]
    encoding = {"x": x, "color": verdict, "shape": shape, "tooltip": tooltip}
    value = layer("point", encoding, filled=True, size=90, opacity=1)
    value["transform"] = [{"filter": "isValid(datum.value)"}]
    return {
        "title": {"text": f"{column.heading} {column.arrow}", "fontSize": 12},
        "width": 165,
        "height": {"step": 26},
        "data": {"values": rows},
        "encoding": {"y": nominal("system", sort=list(names), axis=labels)},
        "layer": [ends, value] if any(cell.interval for cell in cells) else [value],
    }


def points(names: Sequence[str], cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One figure of each system with its interval."""
    rows = []
    for name, cell in zip(names, cells, strict=True):
        low, high = (None, None) if cell.interval is None else map(_rounded, cell.interval)
        rows.append({"system": name, "value": _rounded(cell.value), "low": low, "high": high, "shown": cell.text})
    return rows


def _axis_form(column: Column) -> str:
    """The column's form, shorter: an axis of scores may span a hundredth, so they keep the digits that are not zero."""
    return {",.1f": ",.0f", ".1%": ".0%"}.get(column.form, ".3~f")


def _rounded(value: float) -> float | None:
    """To six places: rounding errors of equal means would be all that an axis shows."""
    return None if value != value else round(value, 6)


def language_map(
    caption: str,
    tags: Sequence[str],
    values: Values,
    domain: tuple[float, float],
    *,
    queries: Sequence[str] | None = None,
    found: str = "corpus language",
    form: str = ".2f",
    diverging: bool = False,
) -> Plot:
    """Values by query language (rows) and another (columns).

    Args:
        caption: what the plot shows.
        tags: of the columns' languages.
        values: `(rows, columns)`; None where there is none, which leaves the cell empty.
        domain: smallest and largest value of the colours, the same for plots that are compared.
        queries: tags of the rows' languages where they are not those of the columns.
        found: what the columns' languages are of.
        form: how values are written in cells, a digit shorter than elsewhere.
        diverging: whether colours part at 0.
    """
    rows, titles = tags if queries is None else queries, ("query language", found)
    longer = form.replace(".2f", ".3f").replace(".0%", ".1%")
    data = [
        {"row": row, "column": column, "value": value, "rows": language_name(row), "columns": language_name(column)}
        for row, line in zip(rows, values, strict=True)
        for column, value in zip(tags, line, strict=True)
        if value is not None and value == value
    ]
    step = 37 if len(tags) <= 13 else 18
    parted = {"range": "diverging", "domainMid": 0} if diverging else {"range": "heatmap"}
    scale = {"domain": list(domain), **parted}
    legend = {"title": None, "format": form, "gradientLength": {"expr": "min(height, 200)"}}
    tooltip = [
        {"field": "rows", "title": titles[0]},
        {"field": "columns", "title": titles[1]},
        {"field": "value", "title": "value", "format": longer},
    ]
    layers = [layer("rect", {"color": quantity("value", scale=scale, legend=legend), "tooltip": tooltip})]
    if step > 20:
        text = {"text": quantity("value", format=form)}
        layers.append(layer("text", text, fontSize=10, fill={"expr": _TEXT_ON_CELL}, tooltip=None))
    axis = {"orient": "top", "labelAngle": 0 if step > 20 else -90}
    spec: Spec = {
        "description": f"{caption}, by query language and {found}",
        "width": {"step": step},
        "height": {"step": min(step, 28)},
        "data": {"values": data},
        "encoding": {
            "y": nominal("row", sort=list(rows), title=titles[0]),
            "x": nominal("column", sort=list(tags), title=titles[1], axis=axis),
        },
        "layer": layers,
    }
    title = f"{caption}: query language in rows, {found} in columns"
    return Plot(spec, caption, grid(title, rows, tags, values, longer))


def difference_maps(captions: Sequence[str], tags: Sequence[str], grids: Sequence[Values]) -> list[Plot]:
    """How all grids but the first differ from the first, by query and corpus language; in the same colours."""
    changes = [
        [
            [None if a is None or b is None else a - b for a, b in zip(row, under, strict=True)]
            for row, under in zip(values, grids[0], strict=True)
        ]
        for values in grids[1:]
    ]
    end = max((abs(v) for values in changes for row in values for v in row if v is not None), default=0.0) or 1.0
    drawn = partial(language_map, tags=tags, domain=(-end, end), form="+.2f", diverging=True)
    return [drawn(caption, values=values) for caption, values in zip(captions, changes, strict=True)]


def language_bars(systems: Systems, column: Column, fair: str | None = None) -> Spec:
    """A measure of bias by query language, a panel per system.

    `fair` is the measure that holds what is expected of a ranking blind to language; it is drawn as a tick.
    """
    rows = []
    for number, name in enumerate(systems.names):
        by_language = systems.results[number].summary["by_query_language"]
        for tag, figures in by_language.items():
            first = _rounded(systems.language_cell(0, column, tag).value) if number else None
            about = {"system": name, "language": language_name(tag), "value": figures.get(column.measure)}
            rows.append({**about, "fair": figures.get(fair) if fair else None, "first": first})
    order = list(dict.fromkeys(row["language"] for row in rows))
    axis: Spec = {"format": _axis_form(column), "tickCount": 3, "title": None}
    more: Spec = {"axis": axis}
    if column.form.endswith("%"):
        axis["values"], more["scale"] = [0, 0.5, 1], {"domain": [0, 1]}
    value = {"field": "value", "title": column.heading, "format": column.form}
    tooltip = [{"field": "system"}, {"field": "language"}, value]
    layers = [layer("bar", {"x": quantity("value", **more), "tooltip": tooltip}, height={"band": 0.66})]
    if len(systems.names) > 1:
        layers.append(layer("point", {"x": quantity("first", **more)}, size=34, color="currentColor", filled=False))
    if fair:
        line = {"thickness": 2, "height": {"band": 0.95}, "color": "currentColor"}
        layers.append(layer("tick", {"x": quantity("fair", **more)}, **line))
    return {
        "description": f"{column.heading} by query language, for each system",
        "data": {"values": rows},
        "columns": min(4, len(systems.names)),
        "facet": nominal("system", sort=list(systems.names)),
        "spec": {
            "width": 180 if len(systems.names) > 1 else 420,
            "height": {"step": 18},
            "encoding": {"y": nominal("language", sort=order)},
            "layer": layers,
        },
    }


def loss_plot(logs: Sequence[LossLog]) -> Spec:
    """Loss by kind of batch over the steps of each training run, with a running mean."""
    rows = [{"run": log.name, **row} for log in logs for kind in log.kinds for row in loss_curve(log, kind)]
    kind = nominal("kind", legend={"orient": "bottom", "symbolStrokeWidth": 2.5, "symbolSize": 300})
    y = {"title": "loss", "scale": {"zero": False}}
    tooltip = [{"field": "kind"}, {"field": "step"}, {"field": "mean", "title": "running mean", "format": ".3f"}]
    points = {"y": quantity("loss", **y), "fill": {**kind, "legend": None}}
    line = {"y": quantity("mean", **y), "stroke": kind, "strokeDash": kind, "tooltip": tooltip}
    return {
        "description": "Training loss by kind of batch over the steps of each run",
        "data": {"values": rows},
        "columns": min(3, len(logs)),
        "facet": nominal("run", sort=[log.name for log in logs]),
        "spec": {
            "width": {1: 760, 2: 420}.get(len(logs), 270),
            "height": 220,
            "encoding": {"x": quantity("step", axis={"format": "~s", "tickCount": 5})},
            "layer": [
                layer("point", points, filled=True, size=14, opacity=0.35, tooltip=None),
                layer("line", line, strokeWidth=2.5),
            ],
        },
    }


def loss_curve(log: LossLog, kind: str) -> list[dict[str, Any]]:
    """Points of one kind's curve and their running mean; long runs are averaged in bins of equally many batches.

    Looks at held-out pairs are few and each is a mean already: they are not smoothed.
    """
    points, curve = log.losses(kind), []
    size = max(1, -(-len(points) // _MOST_BINS))
    recent: deque[float] = deque(maxlen=1 if kind == HELD_OUT else _SMOOTHED)
    for first in range(0, len(points), size):
        steps, losses = zip(*points[first : first + size], strict=True)
        recent.append(fmean(losses))
        curve.append({"kind": kind, "step": steps[-1], "loss": recent[-1], "mean": fmean(recent)})
    return curve
