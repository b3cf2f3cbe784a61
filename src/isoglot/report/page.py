"""One HTML page over several systems that needs nothing from outside itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from isoglot.report.explorer import explorer
from isoglot.report.markup import Html, element, join, plot_library
from isoglot.report.parts import (
    alignment_part,
    bias_part,
    languages_part,
    mix_part,
    significance_part,
    summary_part,
    systems_part,
)
from isoglot.report.provenance import provenance_part
from isoglot.report.runs import LossLog
from isoglot.report.systems import Systems, by_benchmark
from isoglot.report.training import training_part
from isoglot.report.words import DEFAULT_TITLE
from isoglot.results import Results

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
_OF_A_BENCHMARK = {
    "systems": ("Systems", systems_part),
    "differences": ("Which differences are real", significance_part),
    "languages": ("Language by language", languages_part),
    "bias": ("Bias by query language", bias_part),
    "mix": ("Languages of the first passages", mix_part),
    "alignment": ("Alignment of the embeddings", alignment_part),
}


@dataclass(frozen=True)
class _Section:
    """A part of the page with a heading: its id, its title, what it shows and the sections inside it."""

    key: str
    title: str
    content: Html | None = None
    inside: tuple[_Section, ...] = ()

    def html(self, level: int = 2) -> Html:
        heading = element(f"h{level}", self.title, id=f"{self.key}-title", dir="auto")
        inside = [section.html(level + 1) for section in self.inside]
        parts = [heading, *([self.content] if self.content else []), *inside]
        return element("section", join(parts), id=self.key, aria_labelledby=f"{self.key}-title")

    def entry(self) -> Html:
        """The section in the table of contents."""
        link = element("a", self.title, href=f"#{self.key}", dir="auto")
        inside = [element("ul", *(section.entry() for section in self.inside))] if self.inside else []
        return element("li", link, *inside)


def html_report(results: Sequence[Results], title: str = DEFAULT_TITLE, *, logs: Sequence[LossLog | None] = ()) -> str:
    """The page: a summary in words, then per benchmark the systems, their differences and languages; then questions.

    The browser is told to load nothing from anywhere; the plots are drawn by Vega-Lite, which is inside.

    Args:
        results: of any number of benchmarks; of each, the system to compare with first.
        title: of the page.
        logs: losses of the training runs that the systems came from, as `load_run` gives them.

    Raises:
        InputError: if there are none, or two benchmarks go by one name.
        MissingExtraError: if the library that draws the plots is not installed.
    """
    groups, library = by_benchmark(results), plot_library()
    sections = _sections(groups, logs)
    head = join(
        [
            Html('<meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            element("title", title),
            element("style", _asset("report.css")),
        ]
    )
    contents = element("ul", *(section.entry() for section in sections))
    body = join(
        [
            element("a", "Skip to the report", href="#summary", class_="skip"),
            element("header", element("h1", title, dir="auto")),
            element("nav", contents, aria_label="Contents"),
            element("main", join([section.html() for section in sections])),
            element("script", library),
            element("script", _asset("report.js")),
        ]
    )
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def _sections(groups: Sequence[Systems], logs: Sequence[LossLog | None]) -> list[_Section]:
    """What the page has something to show for."""
    parts = [_Section("summary", "Summary", join([summary_part(systems) for systems in groups]))]
    for number, systems in enumerate(groups, 1):
        key = f"benchmark-{number}"
        inside = ((f"{key}-{name}", title, part(systems)) for name, (title, part) in _OF_A_BENCHMARK.items())
        parts.append(_Section(key, systems.benchmark, None, _filled(inside)))
    training = training_part(logs)
    questions = _filled(
        (f"questions-{number}", f"Questions of {systems.benchmark}", explorer(systems, number))
        for number, systems in enumerate(groups, 1)
    )
    if training:
        parts.append(_Section("training", "Training", training))
    if questions:
        parts.append(_Section("questions", "See for yourself", _ABOUT_QUESTIONS, questions))
    origins = join([provenance_part(systems) for systems in groups])
    return [*parts, _Section("provenance", "Where this comes from", origins)]


def _filled(sections: Iterable[tuple[str, str, Html | None]]) -> tuple[_Section, ...]:
    return tuple(_Section(key, title, content) for key, title, content in sections if content)


_ABOUT_QUESTIONS = element(
    "p",
    "Choose a question and see what each system puts first for it over the pool of all languages. Then ask the same in "
    "another language: a system that ranks by meaning shows the same answers. Colours stand for languages, whose tags "
    "stand beside them.",
)


def _asset(name: str) -> Html:
    return Html((files("isoglot.report") / "assets" / name).read_text(encoding="utf-8"))
