"""A report over several systems: a page, Markdown or LaTeX, by the file's ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isoglot.common.atomic import write_text
from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.report import parts
from isoglot.report.page import Section, html_page, render
from isoglot.report.runs import LossLog
from isoglot.report.sentences import in_words
from isoglot.report.systems import Systems, by_benchmark
from isoglot.report.tables import contrasts_table, overall, systems_table

DEFAULT_TITLE = "How these systems treat languages"
_OF_A_BENCHMARK = (
    ("systems", "Systems", "systems", parts.figures),
    ("differences", "Which differences are real", "differences", parts.differences),
    ("languages", "Language by language", "languages", parts.languages),
    ("bias", "Bias by query language", "plots", parts.bias),
    ("errors", "Errors and preference", "errors", parts.errors),
    ("mix", "Languages of the first passages", "first_passages", parts.first_passages),
    ("alignment", "Alignment of the embeddings", "tables", parts.alignment),
)
"""Sections of a benchmark: id, heading, macro, and what makes the macro's data."""


def save_report(
    results: Sequence[Results], path: str | Path, title: str = DEFAULT_TITLE, *, logs: Sequence[LossLog | None] = ()
) -> None:
    """Write a report as a page (`.html`), as Markdown (`.md`) or as LaTeX tables (`.tex`).

    Only the page shows training losses, and only it needs the extra `report`.

    Args:
        results: of any number of benchmarks; of each, the system to compare with first.
        path: where to write.
        title: of the page.
        logs: losses of the training runs that the systems came from, as `load_run` gives them.

    Raises:
        InputError: if there is nothing to report or the ending is none of the three.
        MissingExtraError: if a page is asked for and the library that draws its plots is not installed.
    """
    suffix = Path(path).suffix
    if suffix == ".html":
        write_text(path, html_report(results, title, logs=logs))
    elif suffix == ".md":
        write_text(path, _markdown(results, title))
    elif suffix == ".tex":
        write_text(path, "\n".join(latex_table(systems) for systems in by_benchmark(results)))
    else:
        raise InputError(f"{path}: a report ends in .html, .md or .tex")


def html_report(results: Sequence[Results], title: str = DEFAULT_TITLE, *, logs: Sequence[LossLog | None] = ()) -> str:
    """The page: a summary in words, then per benchmark the systems, their differences and languages; then questions.

    Arguments and errors are those of `save_report`.
    """
    return html_page(title, _sections(by_benchmark(results), logs))


def latex_table(systems: Systems) -> str:
    """The systems as a LaTeX table for the `booktabs` package; intervals under the figures, marks behind them."""
    table = systems_table(systems.benchmark, systems.names, systems.cells)
    return render("systems.tex", table=table, first=systems.names[0] if systems.comparison else None)


def _sections(groups: Sequence[Systems], logs: Sequence[LossLog | None]) -> list[Section]:
    """What the page has something to show for."""
    made = [Section("summary", "Summary", "summary", {"benchmarks": [parts.summary(systems) for systems in groups]})]
    for number, systems in enumerate(groups, 1):
        key = f"benchmark-{number}"
        found = [(name, title, macro, part(systems)) for name, title, macro, part in _OF_A_BENCHMARK]
        inside = [Section(f"{key}-{name}", title, macro, data) for name, title, macro, data in found if data]
        made.append(Section(key, systems.benchmark, inside=inside))
    if training := parts.training(logs):
        made.append(Section("training", "Training", "plots", training))
    explored = [(n, systems.benchmark, parts.explorer(systems)) for n, systems in enumerate(groups, 1)]
    questions = [
        Section(f"questions-{n}", f"Questions of {name}", "explorer", {"key": f"explorer-{n}", "questions": asked})
        for n, name, asked in explored
        if asked["queries"]
    ]
    if questions:
        made.append(Section("questions", "See for yourself", "about_questions", inside=questions))
    origins = {"benchmarks": [parts.provenance(systems) for systems in groups]}
    return [*made, Section("provenance", "Where this comes from", "provenance", origins)]


def _markdown(results: Sequence[Results], title: str) -> str:
    benchmarks = [
        {
            "systems": systems,
            "sentences": in_words(systems),
            "table": systems_table(systems.benchmark, systems.names, systems.cells),
            "differences": contrasts_table("", overall(systems.comparison)) if systems.comparison else None,
        }
        for systems in by_benchmark(results)
    ]
    return render("report.md", title=title, benchmarks=benchmarks)
