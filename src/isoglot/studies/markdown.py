"""A study in Markdown: the answer alone, and a page of everything with the plots as drawings beside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isoglot.evaluation.results import versions
from isoglot.report.tables import markdown_table, markdown_text
from isoglot.studies.drawing import Plot
from isoglot.studies.figures import Figures
from isoglot.studies.origins import origins
from isoglot.studies.recipe import Study
from isoglot.studies.tables import Table


@dataclass(frozen=True, eq=False)
class Findings:
    """What the pages of a study are made of.

    Attributes:
        figures: of the study.
        answer: its paragraphs; lines below the first of one are a list.
        limits: what to know before trusting it.
        tables: of all figures.
        plots: what to look at first; they lie beside the page under `plot_names`.
        arms: as in `study.json`.
    """

    figures: Figures
    answer: Sequence[str]
    limits: Sequence[str]
    tables: Sequence[Table]
    plots: Sequence[Plot]
    arms: Sequence[Mapping[str, Any]]


def answer_page(found: Findings) -> str:
    """Question, answer and limits."""
    return _joined([*_beginning(found.figures), *_paragraphs(found.answer), "## Limits", _listed(found.limits)])


def study_page(found: Findings) -> str:
    """Everything: how to repeat it, answer, limits, plots, tables, and where the figures come from."""
    parts = [*_beginning(found.figures), f"```bash\n{command(found.figures.study)}\n```"]
    parts += ["## Answer", *_paragraphs(found.answer), "## Limits", _listed(found.limits), "## Plots"]
    for (_, caption, _), name in zip(found.plots, plot_names(found.plots), strict=True):
        parts += [f"### {markdown_text(caption)}", f"![{markdown_text(caption)}]({name})"]
    for heading, tables in (("Tables", found.tables), ("Where this comes from", origins(found.arms))):
        parts.append(f"## {heading}")
        for one in tables:
            parts += [f"### {markdown_text(one.title)}", markdown_table(one.header, one.rows)]
    parts.append(f"Versions: {', '.join(f'{name} {version}' for name, version in versions().items())}.")
    return _joined(parts)


def plot_names(plots: Sequence[Plot]) -> list[str]:
    """Where drawings of plots lie, beside the page."""
    return [f"plots/{number:02}.svg" for number, _ in enumerate(plots, 1)]


def command(study: Study) -> str:
    """The command that repeats a study.

    >>> command(Study.model_construct(name="ratio", command=("ratio", "--quick", "--set=seeds=[0]")))
    "isoglot study ratio --quick '--set=seeds=[0]' --out studies/ratio"
    """
    return shlex.join(["isoglot", "study", *(study.command or [study.name]), "--out", f"studies/{study.name}"])


def title(figures: Figures) -> str:
    """The recipe's title."""
    return figures.study.title + (" (quick form)" if figures.study.quick else "")


def question(figures: Figures) -> str:
    """The recipe's question, in one line."""
    return " ".join(figures.study.question.split())


def _beginning(figures: Figures) -> list[str]:
    return [f"# {markdown_text(title(figures))}", f"*{markdown_text(question(figures))}*"]


def _paragraphs(answer: Sequence[str]) -> list[str]:
    parts = []
    for paragraph in answer:
        first, *items = paragraph.split("\n")
        parts += [markdown_text(first), *([_listed(items)] if items else [])]
    return parts


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"
