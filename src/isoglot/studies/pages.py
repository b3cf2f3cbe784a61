"""What a study leaves: study.json, answer.md, page.md with plots and CSV files, and report.html, each written whole."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isoglot.common.atomic import write_json, write_text
from isoglot.common.versions import versions
from isoglot.report.page import Section, html_page, plot_svg, render
from isoglot.studies.drawing import grids_of, page_plots, plots_of
from isoglot.studies.figures import Figures
from isoglot.studies.phrases import limits
from isoglot.studies.recipe import Study
from isoglot.studies.sheets import sheets_of
from isoglot.studies.tables import origins, page_table, tables_of


def write_study(
    figures: Figures, answer: Sequence[str], notes: Sequence[str], arms: Sequence[Mapping[str, Any]], folder: Path
) -> dict[str, Any]:
    """Write all files and return what `study.json` holds.

    The answer is sentences. Notes say what was left out, and there is the record with the results of every arm.
    """
    study, known = figures.study, [*limits(figures), *notes]
    record: dict[str, Any] = {
        "study": study.model_dump(mode="json"),
        "quick": study.quick,
        "question": " ".join(study.question.split()),
        "answer": list(answer),
        "limits": known,
        "comparisons": [
            {"benchmark": p.benchmark, "model": p.model, "view": p.view, **p.comparison.as_dict()}
            for p in (*figures.parts, *figures.against_best)
        ],
        "optima": [asdict(one) for one in figures.optima],
        "amounts": {label: dict(figures.amounts(label)) for label in figures.runs},
        "means": figures.means,
        "arms": list(arms),
        "versions": versions(),
    }
    title = study.title + (" (quick form)" if study.quick else "")
    drawn = {f"plots/{number:02}.svg": plot for number, plot in enumerate(page_plots(figures), 1)}
    sheets = sheets_of(figures, arms)
    files = {name: plot_svg(plot.spec) for name, plot in drawn.items()} | {
        name: text for name, (_, text) in sheets.items()
    }
    shown = {**record, "title": title, "command": command(study), "plots": drawn, "table": page_table(figures)}
    shown["sheets"] = {name: what for name, (what, _) in sheets.items()}
    files |= {name: render(name, "isoglot.studies", **shown) for name in ("answer.md", "page.md")}
    sections = [
        Section("answer", "Answer", "answer", {"question": record["question"], "paragraphs": answer}),
        Section("limits", "Limits", "list", {"lines": known}),
        Section("plots", "Plots", "plots", {"plots": [*plots_of(figures), *grids_of(figures)]}),
        Section("tables", "Tables", "folded_tables", {"tables": tables_of(figures)}),
        Section("arms", "Where this comes from", "tables", {"tables": origins(arms)}),
    ]
    files["report.html"] = html_page(title, sections)
    for name, text in files.items():
        write_text(folder / name, text)
    write_json(folder / "study.json", json.loads(json.dumps(record), parse_constant=lambda _: None))
    return record


def command(study: Study) -> str:
    """The command that repeats a study.

    >>> command(Study.model_construct(name="ratio", command=("ratio", "--quick", "--set=seeds=[0]")))
    "isoglot study ratio --quick '--set=seeds=[0]' --out studies/ratio"
    """
    return shlex.join(["isoglot", "study", *(study.command or [study.name]), "--out", f"studies/{study.name}"])
