"""What a study leaves: study.json, answer.md, tables.md and report.html, each written whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isoglot.atomic import write_json, write_text
from isoglot.report.frame import Section, html_page
from isoglot.report.markup import Html, details, element, figure, join, table
from isoglot.report.tables import markdown_table, markdown_text
from isoglot.results import versions
from isoglot.studies.drawing import plots_of
from isoglot.studies.figures import Figures
from isoglot.studies.phrases import limits
from isoglot.studies.tables import Table, tables_of

STUDY_FILE = "study.json"


def write_study(
    figures: Figures, answer: Sequence[str], notes: Sequence[str], arms: Sequence[Mapping[str, Any]], folder: Path
) -> dict[str, Any]:
    """Write all files.

    Args:
        figures: of the study.
        answer: sentences.
        notes: what was left out.
        arms: record and results of every arm.
        folder: where to.

    Returns:
        What `study.json` holds.
    """
    known = [*limits(figures), *notes]
    tables = tables_of(figures)
    record: dict[str, Any] = {
        "study": figures.study.model_dump(mode="json"),
        "quick": figures.study.quick,
        "question": _question(figures),
        "answer": list(answer),
        "limits": known,
        "comparisons": [
            {"benchmark": p.benchmark, "model": p.model, "view": p.view, **p.comparison.as_dict()}
            for p in figures.parts
        ],
        "optima": [asdict(one) for one in figures.optima],
        "amounts": {label: dict(counts) for label, counts in figures.amounts.items()},
        "means": figures.means,
        "arms": list(arms),
        "versions": versions(),
    }
    write_text(folder / "answer.md", _answer_page(figures, answer, known))
    write_text(folder / "tables.md", _tables_page(figures, tables))
    write_text(folder / "report.html", _page(figures, answer, known, tables, record["arms"]))
    write_json(folder / STUDY_FILE, json.loads(json.dumps(record), parse_constant=lambda _: None))
    return record


def _question(figures: Figures) -> str:
    return " ".join(figures.study.question.split())


def _title(figures: Figures) -> str:
    return figures.study.title + (" (quick form)" if figures.study.quick else "")


def _answer_page(figures: Figures, answer: Sequence[str], known: Sequence[str]) -> str:
    parts = [f"# {markdown_text(_title(figures))}", f"*{markdown_text(_question(figures))}*"]
    parts += [markdown_text(paragraph) for paragraph in answer]
    parts += ["## Limits", "\n".join(f"- {markdown_text(line)}" for line in known)]
    return "\n\n".join(parts) + "\n"


def _tables_page(figures: Figures, tables: Sequence[Table]) -> str:
    parts = [f"# {markdown_text(_title(figures))}: tables"]
    for one in tables:
        parts += [f"## {markdown_text(one.title)}", markdown_table(one.header, one.rows)]
    return "\n\n".join(parts) + "\n"


def _page(
    figures: Figures,
    answer: Sequence[str],
    known: Sequence[str],
    tables: Sequence[Table],
    arms: Sequence[Mapping[str, Any]],
) -> str:
    """One page that needs nothing from outside itself, in the style of `isoglot.report`."""
    plots = [figure(spec, caption, _html_table(behind)) for spec, caption, behind in plots_of(figures)]
    return html_page(
        _title(figures),
        [
            Section(
                "answer",
                "Answer",
                join([element("p", element("em", _question(figures))), *(element("p", one) for one in answer)]),
            ),
            Section("limits", "Limits", element("ul", *(element("li", line) for line in known))),
            Section("plots", "Plots", join(plots)),
            Section("tables", "Tables", join([details(one.title, _html_table(one)) for one in tables])),
            Section("arms", "Where this comes from", _provenance(arms)),
        ],
    )


def _provenance(arms: Sequence[Mapping[str, Any]]) -> Html:
    rows = []
    for arm in arms:
        weights = {result["model"]["fingerprint"][:12] for result in arm["results"].values()}
        rows.append([arm["name"], arm["key"][:12], arm["model"]["name"], ", ".join(sorted(weights)), arm["isoglot"]])
    header = ("arm", "key", "initial model", "weights", "isoglot")
    return table(
        "Arms, what determines each in one hash, and the weights that were scored", header, rows, class_="words"
    )


def _html_table(one: Table) -> Html:
    return table(one.title, one.header, one.rows)
