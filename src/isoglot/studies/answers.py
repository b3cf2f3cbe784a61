"""The answers of the studies, one per kind of question: from figures to paragraphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from isoglot.evaluation.results import leaning_of
from isoglot.report.sentences import said
from isoglot.report.systems import Column
from isoglot.statistics.comparison import NOT_SHOWN, Contrast
from isoglot.studies.curve import Optimum, pareto_front
from isoglot.studies.figures import AGREEMENT, EVERYTHING, Figures, consistency, contrasts, gains, trade_off
from isoglot.studies.phrases import by_language, by_view, leaders, optimum, sentences
from isoglot.studies.recipe import BASE

Piece = Callable[[Figures, str, str, str], Iterable[str]]
"""Paragraphs about a benchmark, an initial model, and the benchmark's main measure."""


@dataclass(frozen=True)
class Answer:
    """What answers a kind of question: paragraphs about every benchmark, and those before and after them all."""

    pieces: tuple[Piece, ...]
    before: Callable[[Figures], Iterable[str]] = lambda figures: ()
    after: Callable[[Figures], Iterable[str]] = lambda figures: ()

    def __call__(self, figures: Figures) -> list[str]:
        """The paragraphs."""
        study = figures.study
        places = [(name, model, spec.measures[0]) for model in study.models for name, spec in study.benchmarks.items()]
        about = [text for place in places for piece in self.pieces for text in piece(figures, *place)]
        return [text for text in (*self.before(figures), *about, *self.after(figures)) if text]


def _best(figures: Figures, benchmark: str, model: str, measure: str) -> Iterator[str]:
    """Which system has the best figures, and what is level with it."""
    yield f"{benchmark}, {model}: {leaders(figures, benchmark, model, measure)}"


def _tested(*more: str) -> Piece:
    """What is tested in the main measure and more, baseline by baseline."""

    def said_of(figures: Figures, benchmark: str, model: str, measure: str) -> list[str]:
        parts = figures.select(benchmark=benchmark, model=model, view=EVERYTHING)
        return sentences(one for part in parts for name in (measure, *more) for one in contrasts(part, name))

    return said_of


def _views(figures: Figures, benchmark: str, model: str, measure: str) -> Iterator[str]:
    """What is tested of each part of the queries."""
    yield f"{benchmark}, {model}."
    found = figures.select(benchmark=benchmark, model=model)
    for view in dict.fromkeys(part.view for part in found if part.view != EVERYTHING):
        yield from sentences((one for part in found if part.view == view for one in contrasts(part, measure)), view)


def _leanings(figures: Figures, benchmark: str, model: str, _: str) -> Iterator[str]:
    """How far, and which way, each system leans by the query's language, where that was measured."""
    systems: dict[str, list[str]] = {}
    for system in figures.study.systems:
        if leaning := leaning_of(figures.means[benchmark][figures.study.label(system, model)]):
            systems.setdefault(str(leaning), []).append(system)
    if systems:
        told = "; ".join(f"{', '.join(names)}: {leaning}" for leaning, names in systems.items())
        yield f"{benchmark}, {model}, by the language of what stands first: {told}."


def _for_whom(figures: Figures, benchmark: str, model: str, measure: str) -> Iterator[str]:
    """For which languages, and groups of them, each system improves or hinders."""
    for part in figures.select(benchmark=benchmark, model=model, view=EVERYTHING):
        found = contrasts(part, measure)
        pooled = any(one.setting == "multilingual" for one in found)
        column = Column("multilingual" if pooled else "cross_lingual", measure)
        for system in dict.fromkeys(one.system for one in found):
            yield by_language(part, system, column)
            yield by_view(figures, part, system, column)


def _front(figures: Figures, benchmark: str, model: str, measure: str) -> Iterator[str]:
    """Systems that no other beats in both monolingual score and rank distance."""
    found = trade_off(figures.select(benchmark=benchmark, model=model, view=EVERYTHING, baseline=BASE)[0], measure)
    if front := [list(found)[n] for n in pareto_front(list(found.values()))]:
        what = "by their means, on the front of monolingual score against rank distance"
        yield f"{benchmark}: {what}: {', '.join(front)}."


def _spreads(figures: Figures, benchmark: str, model: str, _: str) -> Iterator[str]:
    """Mean and spread over languages of the consistency of rankings."""
    rows = []
    for system in figures.study.systems:
        mean, spread = consistency(figures.means[benchmark][figures.study.label(system, model)], AGREEMENT)
        if mean == mean:
            rows.append(f"{system} {mean:.3f} ± {spread:.3f}")
    if rows:
        yield f"{benchmark}, agreement of rankings over translations, mean ± spread over languages: {', '.join(rows)}."


def _gains(figures: Figures) -> Iterator[str]:
    """How gain goes with the amount of text."""
    for found in gains(figures):
        amounts = [f"{tag} {amount or 'unseen'} {gain:+.3f}" for tag, amount, gain in found.rows]
        yield f"{found.title}: {', '.join(amounts)}."
        yield by_language(found.part, found.system, found.column)


def _objectives(figures: Figures) -> Iterator[str]:
    """What each system adds to the first baseline: fairness over languages, and its price in English."""
    study = figures.study
    baseline = study.comparisons[0].baseline if study.comparisons else BASE
    for model, system in product(study.models, study.systems):
        if found := list(_against(figures, system, baseline, model)):
            english, fair = (
                _differences(figures, [(name, one) for name, one, alone in found if alone == wanted])
                for wanted in (True, False)
            )
            yield f"{system} against {baseline}. English alone: {english} Over languages: {fair}"


def _against(figures: Figures, system: str, baseline: str, model: str) -> Iterator[tuple[str, Contrast, bool]]:
    """A system's contrasts with a baseline in main measures, with the benchmark and whether that is in one language."""
    for part in figures.select(model=model, baseline=baseline, view=EVERYTHING):
        alone = {one.setting for one in part.comparison.estimates} == {"monolingual"}
        for measure in (*figures.study.benchmarks[part.benchmark].measures, "rank_distance"):
            for one in contrasts(part, measure):
                if one.system == system:
                    yield part.benchmark, one, alone


def _alignment(figures: Figures) -> Iterator[str]:
    """Measures of the vectors themselves, which are not tested."""
    for benchmark, systems in figures.means.items():
        rows = {label: means.get("alignment") or {} for label, means in systems.items()}
        for measure in ("strong_alignment", "bitext_precision@1", "language_probe_accuracy", "linear_cka"):
            known = [f"{label} {row[measure]:.3f}" for label, row in rows.items() if row.get(measure) is not None]
            if known:
                yield f"{benchmark}, {measure.replace('_', ' ')} (means, not tested): {', '.join(known)}."


def _optima(figures: Figures) -> Iterator[str]:
    """Where the optima lie on the axis, how flat they are, and for whom they differ."""
    yield f"Places are of {figures.study.x_title}."
    for whole in figures.optima:
        if whole.languages == EVERYTHING:
            yield _optimum(figures, whole)


def _optimum(figures: Figures, whole: Optimum) -> str:
    """Where the optimum lies, then where it lies for parts of the queries and for single languages."""
    figure = (whole.benchmark, whole.setting, whole.measure)
    others = [o for o in figures.optima if (o.benchmark, o.setting, o.measure) == figure and o is not whole]
    parts = [o for o in others if o.languages in figures.study.views]
    alone = [o for o in others if o.languages not in figures.study.views]
    apart = [o for o in alone if o.low > whole.high or o.high < whole.low]
    said_of = [[f"{o.languages}: {o.x:g} ({o.low:g} to {o.high:g})" for o in several] for several in (parts, apart)]
    text = f"{whole.benchmark}: {optimum(whole)}"
    if parts:
        text += f" The place for {'; for '.join(said_of[0])}."
    if alone:
        listed = ", ".join(said_of[1]) or "none"
        text += f" Single languages whose interval of the place does not overlap with it: {listed}."
    return text


def _differences(figures: Figures, found: list[tuple[str, Contrast]]) -> str:
    """What differs in main measures and rank distance; of other measures, in how many figures which way."""
    if not found:
        return "not measured."
    main = {name: (spec.measures[0], "rank_distance") for name, spec in figures.study.benchmarks.items()}
    lines = [said(one, name) for name, one in found if one.verdict != NOT_SHOWN and one.measure in main[name]]
    others = Counter(one.verdict for name, one in found if one.measure not in main[name])
    lines += [
        f"{verdict} in {_figures(others[verdict])} of other measures"
        for verdict in ("better", "worse")
        if others[verdict]
    ]
    if many := sum(one.verdict == NOT_SHOWN for _, one in found):
        lines.append(f"{NOT_SHOWN} in {'the other ' if lines else ''}{_figures(many)}")
    return "; ".join(lines) + "."


def _figures(many: int) -> str:
    return f"{many} figure{'s' if many > 1 else ''}"


ANSWERS = {
    "strategies": Answer((_best, _tested("rank_distance", "same_language_share@1"), _leanings)),
    "low-resource": Answer((_views, _leanings), after=_gains),
    "domains": Answer((_best, _tested("rank_distance", "same_language_share@1"), _leanings)),
    "mkqa": Answer((_best, _tested(), _leanings, _for_whom), after=_alignment),
    "losses": Answer((_best, _leanings), before=_objectives),
    "ratio": Answer((_front, _tested(AGREEMENT), _leanings, _spreads), before=_optima),
}
"""What answers, by the name that a recipe gives."""
