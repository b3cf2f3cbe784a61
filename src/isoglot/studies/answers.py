"""The answers of the studies: functions from figures to sentences, one per kind of question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from isoglot.evaluation.results import leaning_of
from isoglot.report.sentences import said
from isoglot.report.systems import Column
from isoglot.statistics.comparison import NOT_SHOWN, Contrast
from isoglot.studies.curve import Optimum, pareto_front
from isoglot.studies.figures import AGREEMENT, EVERYTHING, Figures, consistency, contrasts, gains, trade_off
from isoglot.studies.phrases import by_language, by_view, leaders, optimum, sentences
from isoglot.studies.recipe import BASE


def ranking(figures: Figures) -> list[str]:
    """Which system ranks best on each benchmark in each setting, and what the differences are worth."""
    answer = []
    for benchmark, model, measure in _each(figures):
        answer.append(f"{benchmark}, {model}: {leaders(figures, benchmark, model, measure)}")
        answer += sentences(_tests(figures, benchmark, model, (measure, "rank_distance", "same_language_share@1")))
        answer += _leanings(figures, benchmark, model)
    return answer


def low_resource(figures: Figures) -> list[str]:
    """How systems do for the chosen languages as these lose their data, and how gain goes with amount."""
    answer = []
    for benchmark, model, measure in _each(figures):
        answer.append(f"{benchmark}, {model}.")
        for view in dict.fromkeys(part.view for part in figures.select(benchmark=benchmark, model=model)):
            if view != EVERYTHING:
                answer += sentences(_tests(figures, benchmark, model, (measure,), view), view)
        answer += _leanings(figures, benchmark, model)
    for found in gains(figures):
        amounts = [f"{tag} {amount or 'unseen'} {gain:+.3f}" for tag, amount, gain in found.rows]
        answer += [f"{found.title}: {', '.join(amounts)}.", by_language(found.part, found.system, found.column)]
    return answer


def mkqa(figures: Figures) -> list[str]:
    """Whether the strategies improve or hinder alignment, for which languages, families and scripts."""
    answer = []
    for benchmark, model, measure in _each(figures):
        answer.append(f"{benchmark}: {leaders(figures, benchmark, model, measure)}")
        answer += sentences(_tests(figures, benchmark, model, (measure,)))
        answer += _leanings(figures, benchmark, model)
        for part in figures.select(benchmark=benchmark, model=model, view=EVERYTHING):
            found = contrasts(part, measure)
            pooled = any(one.setting == "multilingual" for one in found)
            column = Column("multilingual" if pooled else "cross_lingual", measure)
            for system in dict.fromkeys(one.system for one in found):
                answer += [by_language(part, system, column), by_view(figures, part, system, column)]
    return [*answer, *_alignment(figures)]


def losses(figures: Figures) -> list[str]:
    """What each objective adds to the first baseline: fairness over languages, and its price in English."""
    answer, study = [], figures.study
    baseline = study.comparisons[0].baseline if study.comparisons else BASE
    for model in study.models:
        for system in study.systems:
            if found := list(_against(figures, system, baseline, model)):
                english, fair = (
                    _differences(figures, [(name, one) for name, one, alone in found if alone == wanted])
                    for wanted in (True, False)
                )
                answer.append(f"{system} against {baseline}. English alone: {english} Over languages: {fair}")
        for benchmark, spec in study.benchmarks.items():
            answer.append(f"{benchmark}: {leaders(figures, benchmark, model, spec.measures[0])}")
            answer += _leanings(figures, benchmark, model)
    return answer


def ratio(figures: Figures) -> list[str]:
    """Where the optimum lies on the axis, how flat it is, and for whom it differs."""
    study = figures.study
    answer = [f"Places are of {study.x_title}."]
    answer += [_optimum(figures, found) for found in figures.optima if found.languages == EVERYTHING]
    for benchmark, model, measure in _each(figures):
        part = figures.select(benchmark=benchmark, model=model, view=EVERYTHING, baseline=BASE)[0]
        found = trade_off(part, measure)
        if front := [list(found)[n] for n in pareto_front(list(found.values()))]:
            what = "by their means, on the front of monolingual score against rank distance"
            answer.append(f"{benchmark}: {what}: {', '.join(front)}.")
        answer += sentences(_tests(figures, benchmark, model, (measure, AGREEMENT)))
        answer += _leanings(figures, benchmark, model)
        answer += _spreads(figures, benchmark, model)
    return answer


ANSWERS: dict[str, Callable[[Figures], list[str]]] = {
    "strategies": ranking,
    "low-resource": low_resource,
    "domains": ranking,
    "mkqa": mkqa,
    "losses": losses,
    "ratio": ratio,
}
"""Answer functions by the name that a recipe gives."""


def _each(figures: Figures) -> Iterator[tuple[str, str, str]]:
    """Every benchmark with every initial model, and the benchmark's main measure."""
    for model in figures.study.models:
        for name, spec in figures.study.benchmarks.items():
            yield name, model, spec.measures[0]


def _tests(
    figures: Figures, benchmark: str, model: str, measures: Sequence[str], view: str = EVERYTHING
) -> Iterator[Contrast]:
    """What is tested in these measures over one view, baseline by baseline."""
    for part in figures.select(benchmark=benchmark, model=model, view=view):
        for measure in measures:
            yield from contrasts(part, measure)


def _against(figures: Figures, system: str, baseline: str, model: str) -> Iterator[tuple[str, Contrast, bool]]:
    """A system's contrasts with a baseline in main measures, with the benchmark and whether that is in one language."""
    for part in figures.select(model=model, baseline=baseline, view=EVERYTHING):
        alone = {one.setting for one in part.comparison.estimates} == {"monolingual"}
        for measure in (*figures.study.benchmarks[part.benchmark].measures, "rank_distance"):
            for one in contrasts(part, measure):
                if one.system == system:
                    yield part.benchmark, one, alone


def _leanings(figures: Figures, benchmark: str, model: str) -> Iterator[str]:
    """How far, and which way, each system leans by the query's language, where that was measured."""
    systems: dict[str, list[str]] = {}
    for system in figures.study.systems:
        if leaning := leaning_of(figures.means[benchmark][figures.study.label(system, model)]):
            systems.setdefault(str(leaning), []).append(system)
    if systems:
        told = "; ".join(f"{', '.join(names)}: {leaning}" for leaning, names in systems.items())
        yield f"{benchmark}, {model}, by the language of what stands first: {told}."


def _alignment(figures: Figures) -> Iterator[str]:
    """Measures of the vectors themselves, which are not tested."""
    for benchmark, systems in figures.means.items():
        rows = {label: means.get("alignment") or {} for label, means in systems.items()}
        for measure in ("strong_alignment", "bitext_precision@1", "language_probe_accuracy", "linear_cka"):
            known = [f"{label} {row[measure]:.3f}" for label, row in rows.items() if row.get(measure) is not None]
            if known:
                yield f"{benchmark}, {measure.replace('_', ' ')} (means, not tested): {', '.join(known)}."


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


def _spreads(figures: Figures, benchmark: str, model: str) -> Iterator[str]:
    """Mean and spread over languages of the consistency of rankings."""
    rows = []
    for system in figures.study.systems:
        mean, spread = consistency(figures.means[benchmark][figures.study.label(system, model)], AGREEMENT)
        if mean == mean:
            rows.append(f"{system} {mean:.3f} ± {spread:.3f}")
    if rows:
        yield f"{benchmark}, agreement of rankings over translations, mean ± spread over languages: {', '.join(rows)}."


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
