"""From results to figures: means over runs, comparisons with a baseline, and parts of the queries looked at apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc

from isoglot.evaluation.averages import SECTIONS
from isoglot.evaluation.results import Results
from isoglot.report.systems import Cell, Column, cells_of, columns
from isoglot.statistics import significance as stats
from isoglot.statistics.comparison import LOWER_IS_BETTER, SETTINGS, Comparison, Contrast, Estimate, compare
from isoglot.studies.arms import TrainingRun
from isoglot.studies.curve import Optimum
from isoglot.studies.recipe import BASE, ComparisonSpec, Study, ViewSpec
from isoglot.studies.views import restrict, views_of

EVERYTHING = "all"
"""The view that leaves nothing out."""
AGREEMENT = "ranking_agreement@10"
"""The measure of consistency: how far the translations of a question get the same ranking."""
Runs = Mapping[str, Sequence[Results]]
_ALL = ViewSpec()


@dataclass(frozen=True)
class Part:
    """Systems of one initial model held against one baseline, over one view of a benchmark."""

    benchmark: str  # the recipe's name for it
    model: str  # short name of the initial model
    view: str  # `EVERYTHING` or the name of a part of the queries
    baseline: str
    comparison: Comparison  # its p-values over views but `EVERYTHING` are corrected over all those views together

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
    """All that a study's answer is made of."""

    study: Study  # without what was left out
    parts: tuple[Part, ...]  # those with `base` come first
    means: Mapping[str, Mapping[str, Mapping[str, Any]]]
    """By benchmark and system's label `results.json`'s figures, averaged over seeds."""
    runs: Mapping[str, Sequence[TrainingRun]]  # by system's label, a run for each seed
    optima: tuple[Optimum, ...] = ()  # where arms have a place on an axis
    against_best: tuple[Part, ...] = ()
    """Comparisons with systems that have the best figure somewhere: paired tests tell what is level with the best."""

    def amounts(self, label: str) -> Mapping[str, int]:
        """By language, pairs that a system was trained on; empty for one that was not trained."""
        return self.runs[label][0].amounts if label in self.runs else {}

    def select(self, **wanted: str) -> list[Part]:
        """The parts with these attributes, such as `view=EVERYTHING, baseline=BASE`."""
        return [part for part in self.parts if all(getattr(part, name) == value for name, value in wanted.items())]


@dataclass(frozen=True)
class Gains:
    """A system's gains over a baseline beside the amount of its training text."""

    system: str
    part: Part  # the comparison with the baseline
    column: Column  # the figure
    rows: tuple[tuple[str, int, float], ...]
    """Query language, pairs of training text in it, and the gain there; most text first."""

    @property
    def title(self) -> str:
        """What is held against what."""
        compared = f"{self.column.heading} of {self.system} minus {self.part.baseline}"
        return f"{self.part.title}: {compared}, by pairs of training text"


def gains(figures: Figures) -> Iterator[Gains]:
    """Gains of the systems under `gain_by_amount`, over every baseline that they are compared with."""
    for system in figures.study.gain_by_amount:
        for part in figures.select(view=EVERYTHING):
            column = Column("multilingual", figures.study.benchmarks[part.benchmark].measures[0])
            amounts = figures.amounts(figures.study.label(system, part.model))
            found = contrasts(part, column.measure, languages=True)
            mine = [one for one in found if (one.system, one.setting) == (system, column.setting)]
            rows = [(tag, amount_in(amounts, tag), one.difference) for one in mine if (tag := one.language)]
            if rows:
                yield Gains(system, part, column, tuple(sorted(rows, key=lambda row: -row[1])))


def amount_in(amounts: Mapping[str, int], tag: str) -> int:
    """Pairs in a language, its regional forms among them.

    >>> amount_in({"zh-CN": 2, "zh-TW": 1, "de": 5}, "zh")
    3
    """
    return sum(count for known, count in amounts.items() if known == tag or known.split("-")[0] == tag)


def compare_parts(study: Study, benchmark: str, runs: Runs, model: str) -> list[Part]:
    """All comparisons of one benchmark for one initial model, from each system's results with each seed."""
    measures = study.benchmarks[benchmark].measures
    views = views_of(study, next(iter(runs.values()))[0].summary["languages"])
    parts = []
    for baseline, systems in _tests(study, runs):
        chosen = {name: runs[name] for name in (baseline, *systems)}
        enough = stats.enough_permutations((len(chosen) - 1) * len(views) * len(SETTINGS))
        for name, view in {EVERYTHING: _ALL, **views}.items():
            whole = name == EVERYTHING
            found = _compare(chosen, measures, view, languages=whole, permutations=None if whole else enough)
            if found is not None:
                parts.append(Part(benchmark, model, name, baseline, found))
    return _corrected_over_views(parts)


def compare_best(study: Study, benchmark: str, runs: Runs, model: str, parts: Sequence[Part]) -> list[Part]:
    """What `compare_parts`, which gave the parts, did not hold against systems with the best main figure in a setting.

    Or with the best rank distance.
    """
    main = study.benchmarks[benchmark].measures[0]
    whole = [part for part in parts if part.view == EVERYTHING]
    tested = {frozenset((part.baseline, name)) for part in whole for name in part.comparison.systems}
    best = [best_of(whole[0], column.setting, column.measure) for column in main_columns(main)]
    made = []
    for baseline in dict.fromkeys(one.system for one in best if one is not None):
        others = [name for name in runs if frozenset((baseline, name)) not in tested and name != baseline]
        tested |= {frozenset((baseline, name)) for name in others}
        if others and (found := _compare({name: runs[name] for name in (baseline, *others)}, [main])):
            made.append(Part(benchmark, model, EVERYTHING, baseline, found))
    return made


def main_columns(measure: str) -> list[Column]:
    """The figures that say which system is best: the main measure in each setting, and rank distance."""
    return [column for column in columns(measure) if column.measure in (measure, "rank_distance")]


def best_of(part: Part, setting: str, measure: str) -> Estimate | None:
    """The best system's estimate over all query languages; None where nothing was measured."""
    sign = -1.0 if measure in LOWER_IS_BETTER else 1.0
    return max(estimates(part, setting, measure), key=lambda one: sign * one.value, default=None)


def mean_figures(runs: Sequence[Results]) -> dict[str, Any]:
    """`results.json`'s figures, averaged over runs; what some run lacks is left out."""
    keys = ("queries", "settings", "mixed", *SECTIONS, "by_query_language", "alignment", "grid")
    return {key: _mean([run.summary.get(key) for run in runs]) for key in keys}


def estimates(part: Part, setting: str, measure: str) -> list[Estimate]:
    """Every system's estimate over all query languages of the part."""
    wanted = (setting, measure, None)
    return [one for one in part.comparison.estimates if (one.setting, one.measure, one.language) == wanted]


def trade_off(part: Part, measure: str) -> dict[str, tuple[float, float]]:
    """Monolingual score and rank distance of each system that has both."""
    score = {one.system: one.value for one in estimates(part, "monolingual", measure)}
    bias = {one.system: one.value for one in estimates(part, "multilingual", "rank_distance")}
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


def _tests(study: Study, runs: Runs) -> Iterator[tuple[str, list[str]]]:
    """Each baseline of a study and the systems that are tested against it; a pair of systems is tested once.

    Twice would be corrected for two families of tests, and could be shown here and not there.
    """
    tested: set[frozenset[str]] = set()
    for wanted in (ComparisonSpec(baseline=BASE), *study.comparisons):
        pairs = {name: frozenset((wanted.baseline, name)) for name in wanted.systems or runs if name != wanted.baseline}
        if systems := [name for name, pair in pairs.items() if pair not in tested]:
            yield wanted.baseline, systems
        tested |= set(pairs.values())


def _compare(runs: Runs, wanted: Sequence[str], view: ViewSpec = _ALL, **options: Any) -> Comparison | None:
    """Systems against the first of them over a view; None where it has fewer than two examples."""
    seen = {name: [restrict(run, view) for run in some] for name, some in runs.items()}
    table = next(iter(seen.values()))[0].per_query
    if len(pc.unique(table["example"])) < 2:
        return None
    measured = [name for name in wanted if name in table.column_names and table[name].null_count < len(table)]
    return compare(list(seen.values()), names=list(seen), measures=measured, **{"languages": False, **options})


def _corrected_over_views(parts: Sequence[Part]) -> list[Part]:
    """Holm's correction over all views of a baseline and measure together."""
    families: dict[tuple[str, str], list[Contrast]] = {}
    for part in parts:
        for one in part.comparison.contrasts if part.view != EVERYTHING else ():
            families.setdefault((part.baseline, one.measure), []).append(one)
    corrected: dict[int, float] = {}
    for family in families.values():
        corrected |= zip(map(id, family), stats.holm([one.p_value for one in family]).tolist(), strict=True)
    made = []
    for part in parts:
        mine = [replace(one, p_corrected=corrected.get(id(one), one.p_corrected)) for one in part.comparison.contrasts]
        made.append(replace(part, comparison=replace(part.comparison, contrasts=tuple(mine))))
    return made


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
