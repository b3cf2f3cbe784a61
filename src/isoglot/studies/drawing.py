"""A study's plots as Vega-Lite specifications, in the manner of `isoglot.report.plots`: colours come from the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from isoglot.report import plots
from isoglot.report.parts import number
from isoglot.report.plots import Plot, Spec
from isoglot.report.systems import Column
from isoglot.report.tables import Table
from isoglot.studies.figures import EVERYTHING, Figures, Gains, Part, gains, trade_off
from isoglot.studies.recipe import BASE
from isoglot.studies.tables import gains_table, labels_of, part_table

_PANEL_WIDTH = 260  # pixels


def page_plots(figures: Figures) -> list[Plot]:
    """Three at most: the first systems, what the study asks about most, and whether training had come to rest."""
    systems, curves, fronts = _by_kind(figures)
    most = [*map(_gain, gains(figures)), *curves, *systems[1:], *fronts]
    return [systems[0], *most[:1], *_losses(figures)]


def plots_of(figures: Figures) -> list[Plot]:
    """All of them: systems with intervals, curves along the axis, fronts, gain by amount, losses."""
    return [plot for kind in _by_kind(figures) for plot in kind] + [*map(_gain, gains(figures)), *_losses(figures)]


def _by_kind(figures: Figures) -> tuple[list[Plot], list[Plot], list[Plot]]:
    """Systems, curves along the axis if there is one, and fronts, each for every benchmark and model."""
    systems, curves, fronts = list[Plot](), list[Plot](), list[Plot]()
    for part in figures.select(view=EVERYTHING, baseline=BASE):
        behind = part_table(figures, part)
        dots = plots.systems_plot(f"Figures of each system on {part.benchmark}", part.comparison.systems, part.cells)
        systems.append(Plot(dots, f"{part.title}: systems with 95 % intervals", behind))
        if any(arm.x is not None for arm in figures.study.arms.values()):
            curves.append(Plot(_curves(figures, part), f"{part.title}: along {figures.study.x_title}", behind))
        fronts += _front(figures, part, behind)
    return systems, curves, fronts


def grids_of(figures: Figures) -> Iterator[Plot]:
    """Every system's difference to the base by query and corpus language."""
    for part in figures.select(view=EVERYTHING, baseline=BASE):
        means = figures.means[part.benchmark]
        own = [means[label] for label in labels_of(figures, part)]
        tags, grids = list(own[0]["by_query_language"]), [mean["grid"]["values"] for mean in own]
        if len(tags) == len(grids[0]) > 1:
            measure = own[0]["grid"]["measure"]
            names = [f"{part.title}: {measure} of {system} minus {BASE}" for system in part.comparison.systems[1:]]
            yield from plots.difference_maps(names, tags, grids)


def _curves(figures: Figures, part: Part) -> Spec:
    """Figures along the axis, a panel per figure and a line per series; what has no place on it as a level."""
    panels, arms = [], {name: arm for name, arm in figures.study.arms.items() if arm.x is not None}
    for cells in zip(*part.cells, strict=True):
        column, rows = cells[0].column, plots.points(part.comparison.systems, cells)
        placed = [{**row, "x": arm.x, "series": arm.series} for row in rows if (arm := arms.get(row["system"]))]
        levels = [row for row in rows if row["system"] not in arms]
        axis = {"values": sorted({row["x"] for row in placed}), "format": "~g"}
        x = plots.quantity("x", title=figures.study.x_title, scale={"zero": False}, axis=axis)
        y, low = (plots.quantity(name, title=None, scale={"zero": False}) for name in ("value", "low"))
        series = plots.nominal("series", legend={"symbolOpacity": 1})
        tooltip = [{"field": name} for name in ("system", "x", "value", "low", "high")]
        band = {"x": x, "y": low, "y2": {"field": "high"}, "color": series}
        line = {"x": x, "y": y, "color": series, "strokeDash": {**series, "legend": None}, "tooltip": tooltip}
        level = {"color": "currentColor", "strokeDash": [2, 4], "opacity": 0.7}
        on, off = {"data": {"values": placed}}, {"data": {"values": levels}}
        panels.append(
            {
                "title": {"text": f"{column.heading} {column.arrow}", "fontSize": 12},
                "width": _PANEL_WIDTH,
                "height": 200,
                "layer": [
                    on | plots.layer("area", band, opacity=0.18),
                    on | plots.layer("line", line, point=True),
                    off | plots.layer("rule", {"y": y, "tooltip": tooltip}, **level),
                    *_names(levels, y),
                ],
            }
        )
    described = f"Figures on {part.benchmark} along {figures.study.x_title}"
    return {"description": described, "concat": panels, "columns": 3}


def _names(levels: Sequence[dict[str, Any]], y: Spec) -> Iterator[Spec]:
    """Levels' names side by side, for the levels may lie close to each other."""
    label = {"align": "left", "dy": -5, "fontSize": 10, "fill": "currentColor"}
    for n, row in enumerate(levels):
        name = {"y": y, "x": {"value": 4 + n * _PANEL_WIDTH // len(levels)}, "text": {"field": "system"}}
        yield {"data": {"values": [row]}} | plots.layer("text", name, **label)


def _front(figures: Figures, part: Part, behind: Table) -> Iterator[Plot]:
    """Monolingual score against rank distance, a point per system."""
    column = Column("monolingual", figures.study.benchmarks[part.benchmark].measures[0])
    found = trade_off(part, column.measure)
    rows = [{"system": name, "score": round(score, 6), "bias": round(bias, 6)} for name, (score, bias) in found.items()]
    if rows:
        caption = f"{part.title}: {column.heading} against rank distance; the best corner is above on the left"
        plot = _scatter(rows, ("bias", "score", "system"), ("rank distance", column.heading), caption)
        if all(bias > 0 for _, bias in found.values()):  # the base lies far off
            plot["layer"][0]["encoding"]["x"]["scale"] = {"type": "log", "nice": False, "padding": 20}
        yield Plot(plot, caption, behind)


def _gain(found: Gains) -> Plot:
    """Gains against the amount of training text, a point per language."""
    rows = [
        {"language": tag, "pairs": amount + 1, "gain": gain, "text": "trained" if amount else "unseen"}
        for tag, amount, gain in found.rows
    ]
    titles = ("pairs of training text in the language, and 1", f"gain in {found.column.heading}")
    plot = _scatter(rows, ("pairs", "gain", "language"), titles, found.title)
    encoding = plot["layer"][0]["encoding"]
    encoding["x"]["scale"] = {"type": "log"}
    encoding["shape"] = encoding["color"] = plots.nominal("text")
    return Plot(plot, found.title, gains_table(found))


def _losses(figures: Figures) -> Iterator[Plot]:
    """Running means of the training loss with the first seed, a panel for each model and kind of batch."""
    rows, ends = [], []
    for label, (first, *_) in figures.runs.items():
        model = next((name for name in figures.study.models if label == name or label.startswith(f"{name} ")), "")
        for kind in first.log.kinds:
            curve = plots.loss_curve(first.log, kind)
            system, panel = label.removeprefix(f"{model} "), f"{kind}, {model}" if model else kind
            about = {"system": system, "panel": panel}
            rows += [{**about, "step": point["step"], "loss": round(point["mean"], 4)} for point in curve]
            ends.append((label, kind, number(curve[0]["mean"]), number(curve[-1]["mean"])))
    if rows:
        y = plots.quantity("loss", title="loss", scale={"zero": False})
        color = plots.nominal("system", legend={"orient": "bottom", "columns": 5})
        line = {
            "x": plots.quantity("step"),
            "y": y,
            "color": color,
            "tooltip": [{"field": "system"}, {"field": "loss"}],
        }
        spec = {
            "description": "Training loss over the steps, by kind of batch",
            "data": {"values": rows},
            "columns": 3,
            "facet": plots.nominal("panel"),
            "spec": {"width": 260, "height": 200, **plots.layer("line", line)},
            "resolve": {"scale": {"x": "independent", "y": "independent"}},
        }
        table = Table("Training losses, running means", ("system", "kind of batch", "first", "last"), tuple(ends))
        yield Plot(spec, "Training loss over the steps by kind of batch, running means, first seed", table)


def _scatter(rows: list[dict[str, Any]], fields: tuple[str, str, str], titles: tuple[str, str], caption: str) -> Spec:
    x, y = (
        plots.quantity(field, title=title, scale={"zero": False})
        for field, title in zip(fields[:2], titles, strict=True)
    )
    marks = {"x": x, "y": y, "tooltip": [{"field": name} for name in fields]}
    names = {"x": x, "y": y, "text": {"field": fields[2]}}
    return {
        "description": caption,
        "width": 520,
        "height": 320,
        "data": {"values": rows},
        "layer": [
            plots.layer("point", marks, filled=True, size=70),
            plots.layer("text", names, align="left", dx=7, fontSize=11, fill="currentColor"),
        ],
    }
