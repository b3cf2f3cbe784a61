"""All figures of a study as CSV, for whoever wants more than the page shows; a row is one figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from isoglot.evaluation.averages import SECTIONS
from isoglot.report.plots import loss_curve
from isoglot.studies.figures import Figures
from isoglot.studies.recipe import BASE
from isoglot.studies.tables import initial_model

Row = Mapping[str, Any]


def sheets_of(figures: Figures, arms: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """By file name, what the file holds and its text; without those that would be empty. Arms as in `study.json`."""
    made: dict[str, tuple[str, Iterator[Row]]] = {
        "figures.csv": (
            "every system's figures with 95 % intervals, over all queries, by language and group",
            _estimates(figures),
        ),
        "differences.csv": ("differences between systems with intervals and p-values", _contrasts(figures)),
        "means.csv": ("every measure of every system, not tested", _means(figures)),
        "optima.csv": ("places of the optima along the axis", (asdict(one) for one in figures.optima)),
        "losses.csv": ("training losses", _losses(figures)),
        "arms.csv": ("each run: its text, model and weights by fingerprint", map(_arm, arms)),
    }
    texts = ((name, what, _csv(list(rows))) for name, (what, rows) in made.items())
    return {name: (what, text) for name, what, text in texts if text}


def _estimates(figures: Figures) -> Iterator[Row]:
    for part in figures.select(baseline=BASE):
        where = {"benchmark": part.benchmark, "model": part.model, "queries": part.view}
        yield from (where | asdict(one) for one in part.comparison.estimates)


def _contrasts(figures: Figures) -> Iterator[Row]:
    for part in (*figures.parts, *figures.against_best):
        where = {"benchmark": part.benchmark, "model": part.model, "queries": part.view}
        yield from (where | asdict(one) | {"verdict": one.verdict} for one in part.comparison.contrasts)


def _means(figures: Figures) -> Iterator[Row]:
    for benchmark, systems in figures.means.items():
        for (label, means), section in product(
            systems.items(), (*SECTIONS, "settings", "mixed", "alignment", "by_query_language")
        ):
            for name, value in (means.get(section) or {}).items():
                where = {"benchmark": benchmark, "system": label, "section": section}
                for measure, each in value.items() if isinstance(value, Mapping) else [("", value)]:
                    yield where | {"of": name, "measure": measure, "value": each}


def _losses(figures: Figures) -> Iterator[Row]:
    for log in (run.log for runs in figures.runs.values() for run in runs):
        for kind in log.kinds:
            yield from ({"arm": log.name, **point} for point in loss_curve(log, kind))


def _arm(arm: Row) -> Row:
    scored = {one["model"]["fingerprint"] for one in arm["results"].values()}
    known = {name: arm[name] for name in ("name", "system", "seed", "key", "text", "isoglot")}
    return known | {
        "model": initial_model(arm),
        "model_fingerprint": arm["model"]["fingerprint"],
        "weights": " ".join(scored),
    }


def _csv(rows: Sequence[Row]) -> str:
    """Rows of equal keys, numbers to six digits; empty for none."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    if rows:
        writer.writeheader()
    for row in rows:
        writer.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
    return file.getvalue()
