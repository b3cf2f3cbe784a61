"""The answers of the studies: at most ten sentences, the most important first. All other figures are in tables.

What is told of is the first system of each of the recipe's comparisons, beside its baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product

import numpy as np
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from isoglot.evaluation.results import leaning_of
from isoglot.report.systems import Column, column_of
from isoglot.statistics.comparison import SETTINGS, Contrast
from isoglot.studies.curve import Optimum
from isoglot.studies.figures import EVERYTHING, Figures, Part, contrasts, gains, main_columns
from isoglot.studies.phrases import leader, listed, optimum, verdict
from isoglot.studies.recipe import BASE, Study

MOST = 10  # sentences
_GROUPED = 4  # pairs of systems that are told of by group of queries
Piece = Callable[[Figures], Iterator[str]]


def answer_of(figures: Figures) -> list[str]:
    """The sentences that answer the study's question."""
    told = (sentence for piece in ANSWERS[figures.study.answer] for sentence in piece(figures) if sentence)
    return list(islice((f"{sentence[0].upper()}{sentence[1:]}" for sentence in told), MOST))


def pairs_of(study: Study) -> list[tuple[str, str]]:
    """Systems and baselines that an answer tells of: the first that each comparison names, and it beside the base."""
    pairs = [(one.systems[0], one.baseline) for one in study.comparisons if one.systems]
    chief = pairs[0][0] if pairs else study.systems[-1]
    return pairs if BASE in (chief, *(b for s, b in pairs if s == chief)) else [*pairs, (chief, BASE)]


def first_comparison(study: Study) -> list[tuple[str, str]]:
    """Every system of the recipe's first comparison, and its baseline."""
    return [
        (name, one.baseline)
        for one in study.comparisons[:1]
        for name in one.systems or study.arms
        if name != one.baseline
    ]


def _best(figures: Figures) -> Iterator[str]:
    """Which system finds most in the pool of all languages and within a language."""
    benchmark, model = _places(figures)[0]
    best = [part for part in figures.against_best if (part.benchmark, part.model) == (benchmark, model)]
    whole = [*figures.select(benchmark=benchmark, model=model, view=EVERYTHING), *best]
    measure = figures.study.benchmarks[benchmark].measures[0]
    clauses = [leader(whole, Column(setting, measure)) for setting in ("multilingual", "monolingual")]
    if told := "; ".join(clause for clause in clauses if clause):
        yield f"{_where(figures, benchmark, model)}{told}."


def _pairs(figures: Figures) -> Iterator[str]:
    """Each pair of systems on the first benchmark, from the first model."""
    for pair in pairs_of(figures.study):
        yield _pair(figures, *_places(figures)[0], pair)


def _elsewhere(figures: Figures) -> Iterator[str]:
    """The first pair of systems on every other benchmark and from every other model."""
    for place in _places(figures)[1:]:
        yield _pair(figures, *place, pairs_of(figures.study)[0])


def _across(*settings: str, pairs: Callable[[Study], list[tuple[str, str]]] = pairs_of) -> Piece:
    """Each pair of systems over all benchmarks, in the first of the settings that each was measured in."""

    def across(figures: Figures) -> Iterator[str]:
        model = next(iter(figures.study.models))
        for pair in pairs(figures.study):
            found = []
            for name, spec in figures.study.benchmarks.items():
                mine = _contrasts(figures, name, model, pair)
                chosen = [one for setting in settings for one in mine if one.setting == setting]
                main = [one for one in chosen if one.measure == spec.measures[0]]
                found += [(name, one) for one in main[:1]]
            headings = {column_of(one).heading for _, one in found}
            if len(headings) > 1:
                found = [(f"{column_of(one).heading} on {name}", one) for name, one in found]
            told = verdict(*pair, found, "benchmarks")
            yield f"in {headings.pop()}, {told}" if len(headings) == 1 else told

    return across


def _languages(figures: Figures) -> Iterator[str]:
    """For which query languages the first pairs of systems differ."""
    benchmark, model = _places(figures)[0]
    column = _chief(figures, benchmark, model)
    for pair in pairs_of(figures.study)[:2]:
        mine = _contrasts(figures, benchmark, model, pair, languages=True)
        found = [(str(one.language), one) for one in mine if column_of(one) == column]
        if told := verdict(*pair, found, "query languages"):
            yield f"by query language, in {column.compared}, {told}"


def _views(figures: Figures) -> Iterator[str]:
    """Groups of queries and corpora in which each pair of systems differs."""
    study, model = figures.study, next(iter(figures.study.models))
    for pair in pairs_of(study)[:_GROUPED]:
        found = []
        for benchmark, spec in study.benchmarks.items():
            for part in figures.select(benchmark=benchmark, model=model, baseline=pair[1]):
                mine = [one for one in contrasts(part, spec.measures[0]) if one.system == pair[0]]
                ordered = [one for wanted in ("multilingual", "cross_lingual") for one in mine if one.setting == wanted]
                name = part.view if len(study.benchmarks) == 1 else f"{part.view} of {benchmark}"
                found += [(name, one) for one in ordered[:1] if part.view != EVERYTHING]
        if told := verdict(*pair, found, "groups of queries"):
            yield f"by group of queries, {told}"


def _text(figures: Figures) -> Iterator[str]:
    """How gain over the base goes with the amount of text."""
    for found in gains(figures):
        if found.part.baseline == BASE and len(found.rows) > 2:
            _, amounts, values = zip(*found.rows, strict=True)
            together = float(spearmanr(amounts, values).statistic)
            ends = [f"{gain:+.3f} in {tag} ({amount:,} pairs)" for tag, amount, gain in (found.rows[0], found.rows[-1])]
            yield (
                f"on {found.part.benchmark} the gain of {found.system} over {BASE} in {found.column.heading} is "
                f"{ends[0]}, which has most text, and {ends[1]}, which has least; over all languages the rank "
                f"correlation of gain and amount is {'none' if np.isnan(together) else f'{together:.2f}'}, not tested."
            )


def _leanings(figures: Figures) -> Iterator[str]:
    """How far, and which way, each system leans by the query's language, where that was measured."""
    benchmark, model = _places(figures)[0]
    systems: dict[str, list[str]] = {}
    for system in figures.study.systems:
        if leaning := leaning_of(figures.means[benchmark][figures.study.label(system, model)]):
            systems.setdefault(str(leaning), []).append(system)
    if not systems:
        return
    told = "; ".join(f"{', '.join(names)}: {leaning}" for leaning, names in systems.items())
    if len(systems) == 1:
        told = f"all systems are {next(iter(systems))}"
    yield f"{_where(figures, benchmark, model)}by the language of what stands first, {told}."


def _alignment(figures: Figures) -> Iterator[str]:
    """How often right passages in all languages come before all wrong ones in the query's."""
    benchmark, systems = next(iter(figures.means.items()))
    rows = {label: (means.get("alignment") or {}).get("strong_alignment") for label, means in systems.items()}
    if known := [f"{value:.3f} for {label}" for label, value in rows.items() if value is not None]:
        yield f"strong alignment on {benchmark} (means, not tested) is {listed(known)}."


def _optima(figures: Figures) -> Iterator[str]:
    """Where the optima of the first benchmark lie on the axis, how flat they are, and for whom they differ."""
    mine = [one for one in figures.optima if one.benchmark == next(iter(figures.optima)).benchmark]
    for whole in (one for one in mine if one.languages == EVERYTHING):
        yield optimum(whole)
    pooled = [one for one in mine if one.setting == "multilingual" and one.languages in figures.study.views]
    measures = dict.fromkeys(one.measure for one in pooled)
    if pooled:
        first = [one for one in pooled if one.measure == next(iter(measures))]
        heading = Column("multilingual", first[0].measure).heading
        yield f"for {heading} the place is {listed([_place(one) for one in first])}."


def _place(one: Optimum) -> str:
    return f"{one.x:g} ({one.low:g} to {one.high:g}) for {one.languages}"


def _pair(figures: Figures, benchmark: str, model: str, pair: tuple[str, str]) -> str:
    """A pair of systems in one place, in all main figures."""
    columns = main_columns(figures.study.benchmarks[benchmark].measures[0])
    mine = {column_of(one): one for one in _contrasts(figures, benchmark, model, pair)}
    told = verdict(*pair, [(column.compared, mine[column]) for column in columns if column in mine])
    return f"{_where(figures, benchmark, model)}{told}" if told else ""


def _contrasts(
    figures: Figures, benchmark: str, model: str, pair: tuple[str, str], *, languages: bool = False
) -> list[Contrast]:
    """All contrasts of a pair of systems, over all query languages or of each."""
    parts = figures.select(benchmark=benchmark, model=model, view=EVERYTHING, baseline=pair[1])
    found = [one for part in parts for one in part.comparison.contrasts if one.system == pair[0]]
    return [one for one in found if (one.language is not None) == languages]


def _places(figures: Figures) -> list[tuple[str, str]]:
    """Benchmarks and models, every benchmark from the first model first."""
    return [(benchmark, model) for model, benchmark in product(figures.study.models, figures.study.benchmarks)]


def _chief(figures: Figures, benchmark: str, model: str) -> Column:
    """The main measure in the pool of all languages, or in the first setting that was measured."""
    part: Part = figures.select(benchmark=benchmark, model=model, view=EVERYTHING)[0]
    measured = {one.setting for one in part.comparison.estimates}
    setting = next(one for one in ("multilingual", *SETTINGS) if one in measured)
    return Column(setting, figures.study.benchmarks[benchmark].measures[0])


def _where(figures: Figures, benchmark: str, model: str) -> str:
    """Words that say the benchmark and the model, each where there are several."""
    words = [f"on {benchmark}"] if len(figures.study.benchmarks) > 1 else []
    words += [f"from {model}"] if len(figures.study.models) > 1 else []
    return f"{', '.join(words)}, " if words else ""


ANSWERS: dict[str, tuple[Piece, ...]] = {
    "strategies": (_best, _pairs, _languages, _leanings, _elsewhere),
    "low-resource": (_views, _text, _leanings, _pairs),
    "domains": (_across("multilingual", "monolingual"), _across("monolingual"), _best, _leanings),
    "mkqa": (_best, _pairs, _languages, _alignment, _leanings),
    "losses": (_across("multilingual", "monolingual", pairs=first_comparison), _best, _leanings),
    "ratio": (_optima, _pairs, _leanings),
}
"""What an answer is made of, by the name that a recipe gives."""
