"""One HTML page over several systems that needs nothing from outside itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isoglot.evaluation.results import Results
from isoglot.report.explorer import explorer
from isoglot.report.frame import Section, html_page
from isoglot.report.markup import Html, element, join
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

_OF_A_BENCHMARK = {
    "systems": ("Systems", systems_part),
    "differences": ("Which differences are real", significance_part),
    "languages": ("Language by language", languages_part),
    "bias": ("Bias by query language", bias_part),
    "mix": ("Languages of the first passages", mix_part),
    "alignment": ("Alignment of the embeddings", alignment_part),
}


def html_report(results: Sequence[Results], title: str = DEFAULT_TITLE, *, logs: Sequence[LossLog | None] = ()) -> str:
    """The page: a summary in words, then per benchmark the systems, their differences and languages; then questions.

    Args:
        results: of any number of benchmarks; of each, the system to compare with first.
        title: of the page.
        logs: losses of the training runs that the systems came from, as `load_run` gives them.

    Raises:
        InputError: if there are none, or two benchmarks go by one name.
        MissingExtraError: if the library that draws the plots is not installed.
    """
    return html_page(title, _sections(by_benchmark(results), logs))


def _sections(groups: Sequence[Systems], logs: Sequence[LossLog | None]) -> list[Section]:
    """What the page has something to show for."""
    parts = [Section("summary", "Summary", join([summary_part(systems) for systems in groups]))]
    for number, systems in enumerate(groups, 1):
        key = f"benchmark-{number}"
        inside = ((f"{key}-{name}", title, part(systems)) for name, (title, part) in _OF_A_BENCHMARK.items())
        parts.append(Section(key, systems.benchmark, None, _filled(inside)))
    training = training_part(logs)
    questions = _filled(
        (f"questions-{number}", f"Questions of {systems.benchmark}", explorer(systems, number))
        for number, systems in enumerate(groups, 1)
    )
    if training:
        parts.append(Section("training", "Training", training))
    if questions:
        parts.append(Section("questions", "See for yourself", _ABOUT_QUESTIONS, questions))
    origins = join([provenance_part(systems) for systems in groups])
    return [*parts, Section("provenance", "Where this comes from", origins)]


def _filled(sections: Iterable[tuple[str, str, Html | None]]) -> tuple[Section, ...]:
    return tuple(Section(key, title, content) for key, title, content in sections if content)


_ABOUT_QUESTIONS = element(
    "p",
    "Choose a question and see what each system puts first for it over the pool of all languages. Then ask the same in "
    "another language: a system that ranks by meaning shows the same answers. Colours stand for languages, whose tags "
    "stand beside them.",
)
