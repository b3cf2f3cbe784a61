"""A report as a file: HTML, Markdown or LaTeX, by the file's ending."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isoglot.common.atomic import write_text
from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.report.page import html_report
from isoglot.report.runs import LossLog
from isoglot.report.systems import Systems, by_benchmark
from isoglot.report.tables import (
    contrasts_table,
    latex_table,
    markdown_table,
    markdown_text,
    systems_table,
)
from isoglot.report.words import DEFAULT_TITLE, in_words


def save_report(
    results: Sequence[Results],
    path: str | Path,
    title: str = DEFAULT_TITLE,
    *,
    logs: Sequence[LossLog | None] = (),
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
        parts = [f"# {markdown_text(title)}", *(_markdown(systems) for systems in by_benchmark(results))]
        write_text(path, "\n\n".join(parts) + "\n")
    elif suffix == ".tex":
        write_text(path, "\n\n".join(latex_table(systems) for systems in by_benchmark(results)) + "\n")
    else:
        raise InputError(f"{path}: a report ends in .html, .md or .tex")


def _markdown(systems: Systems) -> str:
    parts = [
        f"## {markdown_text(systems.benchmark)}",
        *(markdown_text(sentence) for sentence in in_words(systems)),
        markdown_table(*systems_table(systems)),
    ]
    if systems.comparison:
        parts += [
            f"▲ better, ▼ worse than {markdown_text(systems.names[0])}, significant after correction; "
            "in brackets 95 % intervals.",
            f"### Differences to {markdown_text(systems.names[0])}",
            markdown_table(*contrasts_table(systems)),
            *(markdown_text(note) for note in systems.comparison.notes),
        ]
    return "\n\n".join(parts)
