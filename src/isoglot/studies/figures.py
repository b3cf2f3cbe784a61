"""From results to figures: means over runs, comparisons with a baseline, and parts of the queries looked at apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from isoglot.evaluation.averages import SECTIONS
from isoglot.evaluation.results import Results
from isoglot.report.systems import Cell, Column, cells_of
from isoglot.statistics import significance as stats
from isoglot.statistics.comparison import LOWER_IS_BETTER, SETTINGS, Comparison, Contrast, Estimate, compare
from isoglot.studies.curve import Optimum
from isoglot.studies.recipe import BASE, ComparisonSpec, Study, ViewSpec
from isoglot.studies.views import restrict, views_of

EVERYTHING = "all"
"""The view that leaves nothing out."""
AGREEMENT = "ranking_agreement@10"
"""The measure of consistency: how far the translations of a question get the same ranking."""
Runs = Mapping[str, Sequence[Results]]


@dataclass(frozen=True)
class Part:
    """Systems of one initial model held against one baseline, over one view of a benchmark.

    Attributes:
        benchmark: the recipe's name for it.
        model: short name of the initial model.
        view: `EVERYTHING` or the name of a part of the queries.
        baseline: the baseline as the recipe names it.
        comparison: the statistics. Where there are several views, p-values of those other than `EVERYTHING` are
            corrected over all of them together.
    """

    benchmark: str
    model: str
    view: str
    baseline: str
    comparison: Comparison

    @property
    def title(self) -> str:
        """What it is a part of."""
        return f"{self.benchmark}, {self.model}" + ("" if self.view == EVERYTHING else f", {self.view}")

    @property
    def cells(self) -> list[list[Cell]]:
        """Figures over all query languages, a row for each system, in order of measures, then settings."""
        found = {place[:2]: cell for place, cell in cells_of(self.comparison).items() if place[2] is None}
        columns = list(dict.fromkeys(column for _, column in found))
        return [
            [found.get((system, column), Cell(column, float("nan"))) for column in columns]
            for system in self.comparison.systems
        ]


@dataclass(frozen=True)
class Figures:
    """All that a study's answer is made of.

    Attributes:
        study: the recipe, without what was left out.
        parts: comparisons; those with `base` come first.
        means: benchmark, then system's label: `results.json`'s figures, averaged over seeds.
        amounts: system's label: pairs that it was trained on, by language.
        optima: what `isoglot.studies.curve` finds, where arms have a place on an axis.
        against_best: comparisons of everything with systems that have the best figure somewhere, so that what is level
            with the best is found by paired tests, too.
    """

    study: Study
    parts: tuple[Part, ...]
    means: Mapping[str, Mapping[str, Mapping[str, Any]]]
    amounts: Mapping[str, Mapping[str, int]]
    optima: tuple[Optimum, ...] = ()
    against_best: tuple[Part, ...] = ()

    def select(self, **wanted: str) -> list[Part]:
        """The parts with these attributes, such as `view=EVERYTHING, baseline=BASE`."""
        return [part for part in self.parts if all(getattr(part, name) == value for name, value in wanted.items())]


@dataclass(frozen=True)
class Gains:
    """A system's gains over a baseline beside the amount of its training text.

    Attributes:
        system: as the recipe names it.
        part: the comparison with the baseline.
        figure: setting and measure.
        rows: query language, pairs of training text in it, and the gain there; most text first.
    """

    system: str
    part: Part
    figure: tuple[str, str]
    rows: tuple[tuple[str, int, float], ...]

    @property
    def title(self) -> str:
        """What is held against what."""
        heading = Column(*self.figure).heading
        return f"{self.part.title}: {heading} of {self.system} minus {self.part.baseline}, by pairs of training text"


def gains(figures: Figures) -> Iterator[Gains]:
    """Gains of the systems under `gain_by_amount`, over every baseline that they are compared with."""
    for system in figures.study.gain_by_amount:
        for part in figures.select(view=EVERYTHING):
            measure = figures.study.benchmarks[part.benchmark].measures[0]
            amounts = figures.amounts.get(figures.study.label(system, part.model), {})
            rows = [
                (str(one.language), amount_in(amounts, str(one.language)), one.difference)
                for one in contrasts(part, measure, languages=True)
                if (one.system, one.setting) == (system, "multilingual")
            ]
            if rows:
                rows.sort(key=lambda row: -row[1])
                yield Gains(system, part, ("multilingual", measure), tuple(rows))


def amount_in(amounts: Mapping[str, int], tag: str) -> int:
    """Pairs in a language, its regional forms among them.

    >>> amount_in({"zh-CN": 2, "zh-TW": 1, "de": 5}, "zh")
    3
    """
    return sum(count for known, count in amounts.items() if known == tag or known.split("-")[0] == tag)


def compare_parts(study: Study, benchmark: str, runs: Runs, model: str) -> list[Part]:
    """All comparisons of one benchmark for one initial model.

    Args:
        study: the recipe.
        benchmark: the recipe's name.
        runs: system, as the recipe names it, to its results with each seed.
        model: short name of the initial model.
    """
    spec = study.benchmarks[benchmark]
    languages = next(iter(runs.values()))[0].summary["languages"]
    views = views_of(study, languages)
    parts = []
    for wanted in (ComparisonSpec(baseline=BASE), *study.comparisons):
        others = [name for name in (wanted.systems or runs) if name != wanted.baseline]
        for view, restriction in {EVERYTHING: ViewSpec(), **views}.items():
            seen = {name: [restrict(run, restriction) for run in runs[name]] for name in (wanted.baseline, *others)}
            if _too_few(seen[wanted.baseline][0]):
                continue
            if view == EVERYTHING:
                comparison = _compare(seen, spec.measures, languages=True)
            else:
                tests = len(others) * len(views) * len(SETTINGS)
                comparison = _compare(seen, spec.measures, permutations=stats.enough_permutations(tests))
            parts.append(Part(benchmark, model, view, wanted.baseline, comparison))
    return _corrected_over_views(parts)


def compare_best(study: Study, benchmark: str, runs: Runs, model: str, parts: Sequence[Part]) -> list[Part]:
    """Comparisons with those systems that have the best main figure in a setting, or in rank distance.

    Args:
        study: the recipe.
        benchmark: the recipe's name.
        runs: as for `compare_parts`.
        model: short name of the initial model.
        parts: what `compare_parts` gave; a baseline that everything was compared with is not compared with again.
    """
    spec = study.benchmarks[benchmark]
    wanted = [*((setting, spec.measures[0]) for setting in SETTINGS), ("multilingual", "rank_distance")]
    whole = [part for part in parts if part.view == EVERYTHING]
    leaders = [one.system for where in wanted if (one := best_of(whole[0], *where)) is not None]
    done = {part.baseline for part in whole if len(part.comparison.systems) == len(runs)}
    made = []
    for leader in dict.fromkeys(leaders):
        if leader not in done:
            seen = {name: [restrict(run, ViewSpec()) for run in runs[name]] for name in (leader, *runs)}
            made.append(Part(benchmark, model, EVERYTHING, leader, _compare(seen, spec.measures[:1])))
    return made


def best_of(part: Part, setting: str, measure: str) -> Estimate | None:
    """The best system's estimate over all query languages; None where nothing was measured."""
    sign = -1.0 if measure in LOWER_IS_BETTER else 1.0
    return max(estimates(part, setting, measure), key=lambda one: sign * one.value, default=None)


def mean_figures(runs: Sequence[Results]) -> dict[str, Any]:
    """`results.json`'s figures, averaged over runs; what some run lacks is left out."""
    keys = ("queries", "settings", *SECTIONS, "by_query_language", "alignment", "grid")
    return {key: _mean([run.summary.get(key) for run in runs]) for key in keys}


def estimates(part: Part, setting: str, measure: str) -> list[Estimate]:
    """Every system's estimate over all query languages of the part."""
    wanted = (setting, measure, None)
    return [one for one in part.comparison.estimates if (one.setting, one.measure, one.language) == wanted]


def trade_off(part: Part, measure: str) -> dict[str, tuple[float, float]]:
    """Monolingual score and rank distance of each system that has both."""
    score, bias = (
        {one.system: one.value for one in estimates(part, *where)}
        for where in (("monolingual", measure), ("multilingual", "rank_distance"))
    )
    return {name: (score[name], bias[name]) for name in score if name in bias}


def contrasts(part: Part, measure: str, *, languages: bool = False) -> list[Contrast]:
    """The part's contrasts in a measure, over all query languages or of each."""
    mine = (one for one in part.comparison.contrasts if one.measure == measure)
    return [one for one in mine if (one.language is not None) == languages]


def consistency(figures: Mapping[str, Any], measure: str) -> tuple[float, float]:
    """Mean and standard deviation over query languages of a figure by language; nan where there is none.

    >>> consistency({"by_query_language": {"de": {"multilingual_map": 0.5}, "en": {"multilingual_map": 0.7}}},
    ...     "multilingual_map")
    (0.6, 0.1)
    """
    rows = [row.get(measure) for row in (figures.get("by_query_language") or {}).values()]
    values = np.array([value for value in rows if value is not None], np.float64)
    return (round(float(values.mean()), 6), round(float(values.std()), 6)) if len(values) else (np.nan, np.nan)


def _compare(
    runs: Runs, wanted: Sequence[str], *, languages: bool = False, permutations: int | None = None
) -> Comparison:
    table = next(iter(runs.values()))[0].per_query
    measured = {name for name in table.column_names if table[name].null_count < len(table)}
    measures = [measure for measure in wanted if measure in measured]
    return compare(
        list(runs.values()), names=list(runs), measures=measures, languages=languages, permutations=permutations
    )


def _too_few(run: Results) -> bool:
    return len(pc.unique(run.per_query["example"])) < 2


def _corrected_over_views(parts: Sequence[Part]) -> list[Part]:
    """Holm's correction over all views of a baseline and measure together."""
    contrasts_of = [list(part.comparison.contrasts) for part in parts]
    families: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for p, part in enumerate(parts):
        if part.view != EVERYTHING:
            for c, contrast in enumerate(contrasts_of[p]):
                families.setdefault((part.baseline, contrast.measure), []).append((p, c))
    for family in families.values():
        corrected = stats.holm([contrasts_of[p][c].p_value for p, c in family]).tolist()
        for (p, c), p_value in zip(family, corrected, strict=True):
            contrasts_of[p][c] = replace(contrasts_of[p][c], p_corrected=p_value)
    return [
        replace(part, comparison=replace(part.comparison, contrasts=tuple(mine)))
        for part, mine in zip(parts, contrasts_of, strict=True)
    ]


def _mean(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, Mapping):
        whole = [value if isinstance(value, Mapping) else {} for value in values]
        return {key: _mean([value.get(key) for value in whole]) for key in first}
    if isinstance(first, list):
        return [_mean(list(rows)) for rows in zip(*values, strict=True)]
    if isinstance(first, str):
        return first
    return None if any(value is None for value in values) else round(float(np.mean(values)), 6)
