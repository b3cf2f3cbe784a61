"""What a study leaves: study.json, answer.md, page.md with its plots, and report.html, each written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isoglot.common.atomic import write_json, write_text
from isoglot.evaluation.results import versions
from isoglot.report.frame import Section, html_page
from isoglot.report.markup import Html, details, element, figure, join, plot_svg, table
from isoglot.studies.drawing import grids_of, plots_of
from isoglot.studies.figures import Figures
from isoglot.studies.markdown import Findings, answer_page, plot_names, question, study_page, title
from isoglot.studies.origins import origins
from isoglot.studies.phrases import limits
from isoglot.studies.tables import Table, tables_of

STUDY_FILE = "study.json"


def write_study(
    figures: Figures, answer: Sequence[str], notes: Sequence[str], arms: Sequence[Mapping[str, Any]], folder: Path
) -> dict[str, Any]:
    """Write all files.

    Args:
        figures: of the study.
        answer: its paragraphs; lines below the first of one are a list.
        notes: what was left out.
        arms: record and results of every arm.
        folder: where to.

    Returns:
        What `study.json` holds.
    """
    known = [*limits(figures), *notes]
    record: dict[str, Any] = {
        "study": figures.study.model_dump(mode="json"),
        "quick": figures.study.quick,
        "question": question(figures),
        "answer": list(answer),
        "limits": known,
        "comparisons": [
            {"benchmark": p.benchmark, "model": p.model, "view": p.view, **p.comparison.as_dict()}
            for p in (*figures.parts, *figures.against_best)
        ],
        "optima": [asdict(one) for one in figures.optima],
        "amounts": {label: dict(counts) for label, counts in figures.amounts.items()},
        "means": figures.means,
        "arms": list(arms),
        "versions": versions(),
    }
    found = Findings(figures, answer, known, tables_of(figures), list(plots_of(figures)), arms)
    for (spec, _, _), name in zip(found.plots, plot_names(found.plots), strict=True):
        write_text(folder / name, plot_svg(spec))
    write_text(folder / "answer.md", answer_page(found))
    write_text(folder / "page.md", study_page(found))
    write_text(folder / "report.html", _html(found))
    write_json(folder / STUDY_FILE, json.loads(json.dumps(record), parse_constant=lambda _: None))
    return record


def _html(found: Findings) -> str:
    """One page that needs nothing from outside itself, in the style of `isoglot.report`."""
    figures = found.figures
    asked = element("p", element("em", question(figures)))
    plots = [*found.plots, *grids_of(figures)]
    return html_page(
        title(figures),
        [
            Section("answer", "Answer", join([asked, *(_paragraph(one) for one in found.answer)])),
            Section("limits", "Limits", _listed(found.limits)),
            Section("plots", "Plots", join([figure(spec, said, _html_table(behind)) for spec, said, behind in plots])),
            Section("tables", "Tables", join([details(one.title, _html_table(one)) for one in found.tables])),
            Section("arms", "Where this comes from", join([_html_table(one) for one in origins(found.arms)])),
        ],
    )


def _paragraph(text: str) -> Html:
    first, *items = text.split("\n")
    return join([element("p", first), *([_listed(items)] if items else [])])


def _listed(lines: Sequence[str]) -> Html:
    return element("ul", *(element("li", line) for line in lines))


def _html_table(one: Table) -> Html:
    return table(one.title, one.header, one.rows, class_="words" if one.words else "figures")
