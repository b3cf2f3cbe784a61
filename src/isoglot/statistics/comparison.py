"""Systems against a baseline on one benchmark: intervals, tests and effect sizes, for settings and for languages.

Works on what `per_query.parquet` keeps, so it needs no model. The statistics are those of
`isoglot.statistics.significance`: the unit is the example, whose queries in all languages are drawn and swapped
together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import IntArray, Values
from isoglot.common.errors import InputError
from isoglot.evaluation.averages import BY_DISTANCE, MATTERS_OF_TASTE
from isoglot.evaluation.averages import LOWER_IS_BETTER as LOWER_IS_BETTER
from isoglot.evaluation.mixed import MIXED
from isoglot.evaluation.results import KEYS, Results
from isoglot.statistics import significance as stats
from isoglot.statistics.grid import SETTINGS as SETTINGS
from isoglot.statistics.grid import Grid, Groups, Runs

BIAS = ("rank_distance", "same_language_share@1")
"""Measures of language bias that are compared wherever the tables have them."""
KNOWN_ITEM = "success@10"
"""What is compared in the mixed settings wherever the tables have it."""
_MIXED = pa.array(MIXED)
LEVEL = 0.05  # a corrected p-value below it is called a difference in sentences
NOT_SHOWN = "no difference shown"
FEW_EXAMPLES = 50  # with fewer, intervals of skewed measures cover less than they say (docs/statistics.md)


@dataclass(frozen=True)
class Estimate:
    """A system's score in a setting, the mean over runs where there are several, with its 95 % interval.

    The setting is one of `SETTINGS`, the measure a column of the per-query tables, the language that of the queries,
    None for all. `examples` is how many have a value.
    """

    system: str
    setting: str
    measure: str
    language: str | None
    value: float
    low: float
    high: float
    examples: int


@dataclass(frozen=True)
class Contrast:
    """A system against the baseline, in a setting, by a measure and for a language as in `Estimate`.

    Attributes:
        difference: the system's score minus the baseline's, whichever is better; of a same-language share, and of its
            bias, the scores are the distances from the fair share (`from_fair_share`).
        low: lower end of the difference's 95 % interval; high is the upper.
        p_value: two-sided.
        p_corrected: by Holm's method; over settings and systems where language is None, else over languages too.
        effect_size: d_z over examples, signed as the difference; nan where the difference has no spread.
        better: share of examples on which the system is better; where lower is better that is the lower one, in
            matters of taste the higher.
        worse: share of examples on which it is worse.
    """

    system: str
    baseline: str
    setting: str
    measure: str
    language: str | None
    difference: float
    low: float
    high: float
    p_value: float
    p_corrected: float
    effect_size: float
    better: float
    worse: float

    @property
    def verdict(self) -> str:
        """`better` or `worse` where the corrected p-value is below `LEVEL`, else `no difference shown`.

        In matters of taste, such as the preference for the query's language, it is `higher` or `lower`.
        """
        if not self.p_corrected < LEVEL:
            return NOT_SHOWN
        if self.measure in MATTERS_OF_TASTE:
            return "lower" if self.difference < 0 else "higher"
        return "better" if (self.difference < 0) == (self.measure in LOWER_IS_BETTER) else "worse"


@dataclass(frozen=True)
class Comparison:
    """Several systems on one benchmark, each against the baseline; with notes on what to know before trusting it."""

    benchmark: str
    baseline: str
    systems: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    contrasts: tuple[Contrast, ...]
    seed: int
    resamples: int
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; None for nan."""
        plain = asdict(self)
        for row in (*plain["estimates"], *plain["contrasts"]):
            row.update({key: None for key, value in row.items() if value != value})  # nan alone differs from itself
        return plain


def compare(
    systems: Sequence[Results | Sequence[Results]],
    *,
    names: Sequence[str] | None = None,
    baseline: int = 0,
    measures: Sequence[str] = ("map",),
    languages: bool = True,
    seed: int = 0,
    resamples: int = 2000,
    permutations: int | None = None,
) -> Comparison:
    """Compare systems with a baseline on one benchmark.

    With one run per system, intervals come of a bootstrap over examples and p-values of a randomisation test. Where
    either of two systems has several runs, both come of `seed_effect`.

    Args:
        systems: results of each system; several results in one entry are runs of one system with different seeds.
        names: of the systems; the name of the model in a system's first results where None.
        baseline: which of the systems, from 0, the others are compared with.
        measures: columns of the per-query tables; those of `BIAS` and `KNOWN_ITEM` are added where all tables have
            values.
        languages: compare for each query language as well.
        seed: of the draws.
        resamples: of the bootstrap.
        permutations: of the randomisation test; as many as the number of tests asks for where None.

    Raises:
        InputError: if there are fewer than two systems, two of one name, or results that cannot be compared.
    """
    runs = [[system] if isinstance(system, Results) else list(system) for system in systems]
    called = _names(runs, names, baseline)
    runs, unmixed = _without_mixed(runs, called)
    chosen = _measures(runs, called, measures)
    standard = called[baseline]
    grid = Grid.of(runs[baseline][0], languages, standard)
    if permutations is None:
        permutations = stats.enough_permutations((len(runs) - 1) * len(grid.groups))
    draws = _Draws(resamples, permutations, seed)
    columns = list(dict.fromkeys(column for measure in chosen for column in _columns_of(measure)))
    # By system, run and column: matrices `(examples, cells)`.
    tables = [[grid.values(run, columns, name) for run in system] for name, system in zip(called, runs, strict=True)]
    estimates: list[Estimate] = []
    contrasts: list[Contrast] = []
    left_out: dict[tuple[str, str], list[str]] = {}
    for measure in chosen:
        groups, lost, few = grid.comparable([[run[measure] for run in system] for system in tables], baseline)
        for names, reason in ((lost, "not every system has a value there"), (few, "one example alone")):
            if names:
                left_out.setdefault((", ".join(names), reason), []).append(measure)
        if not groups and measure in measures:
            raise InputError(f"{measure}: fewer than two examples have a value, so there is nothing to compare")
        if not groups:
            continue
        scored = [_scored(measure, system) for system in tables]
        tested: list[Contrast] = []
        for name, system, own in zip(called, tables, scored, strict=True):
            estimates += _estimates(name, measure, [run[measure] for run in system], groups, draws)
            if name != standard:
                tested += _contrasts((name, standard), measure, own, scored[baseline], groups, draws)
        contrasts += _corrected(tested)
    single = [name for name, system in zip(called, runs, strict=True) if len(system) == 1]
    notes = (
        *_notes(single, len(runs), contrasts, len(grid.examples), permutations),
        *_few_queries(grid),
        *unmixed,
        *_left_out(left_out),
    )
    found = tuple(called), tuple(estimates), tuple(contrasts)
    return Comparison(str(runs[baseline][0].summary["benchmark"]), standard, *found, seed, resamples, notes)


class _Draws(NamedTuple):
    resamples: int
    permutations: int
    seed: int


def _names(runs: Sequence[Sequence[Results]], names: Sequence[str] | None, baseline: int) -> list[str]:
    if len(runs) < 2 or not all(runs):
        full = sum(map(bool, runs))
        raise InputError(f"{full} of {len(runs)} systems have results; give at least two, all with some")
    called = [str(system[0].summary["model"]["name"]) for system in runs] if names is None else list(names)
    if len(called) != len(runs):
        raise InputError(f"{len(called)} names for {len(runs)} systems; give one each")
    if twice := [name for name in called if called.count(name) > 1]:
        raise InputError(f"two systems are called {twice[0]!r}; tell them apart with names=")
    if not 0 <= baseline < len(runs):
        raise InputError(f"baseline {baseline}: there are systems 0 to {len(runs) - 1}")
    for key in ("benchmark", "benchmark_fingerprint"):
        expected = runs[baseline][0].summary.get(key)
        for name, run in [(name, run) for name, system in zip(called, runs, strict=True) for run in system]:
            if (found := run.summary.get(key)) != expected:
                raise InputError(f"{name}: {key} is {found!r}, the baseline's {expected!r}; use one benchmark")
    return called


def _left_out(measures: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    """Notes of measures that are left out somewhere, those of one reason in one.

    >>> _left_out({("tr", "one example alone"): ["map", "mrr@10"]})
    ['map, mrr@10 are left out in tr: one example alone']
    """
    return [
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} left out in {where}: {reason}"
        for (where, reason), names in measures.items()
    ]


def _few_queries(grid: Grid) -> list[str]:
    """A note of languages in which little is asked; the bootstrap does not see how little is known of them."""
    beside = len(grid.examples) / 2
    few = {tag: count for tag, count in grid.queries().items() if count < min(stats.FEW_QUERIES, beside)}
    if not few:
        return []
    named = ", ".join(f"{tag} ({count})" for tag, count in few.items())
    return [f"few queries in {named}: intervals that these languages are part of are too narrow"]


def _without_mixed(runs: list[list[Results]], names: Sequence[str]) -> tuple[list[list[Results]], list[str]]:
    """The same runs, without mixed settings where a run is older than these; and a note that says whose."""
    mixed = [[pc.is_in(run.per_query["setting"], _MIXED) for run in system] for system in runs]
    has = [[pc.any(rows).as_py() for rows in system] for system in mixed]
    lacking = [name for name, system in zip(names, has, strict=True) if not all(system)]
    if not lacking or not any(map(any, has)):
        return runs, []
    kept = [
        [replace(run, per_query=run.per_query.filter(pc.invert(rows))) for run, rows in zip(*both, strict=True)]
        for both in zip(runs, mixed, strict=True)
    ]
    return kept, [f"mixed corpora are left out: no figures there of {', '.join(lacking)}; evaluate again"]


def _measures(runs: Sequence[Sequence[Results]], names: Sequence[str], measures: Sequence[str]) -> list[str]:
    """The measures to compare, the bias measures that all tables have behind those asked for."""
    tables = [(name, run.per_query) for name, system in zip(names, runs, strict=True) for run in system]
    behind = [column for measure in measures for column in _columns_of(measure) if column != measure]
    for name, table in tables:
        numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
        if unknown := [measure for measure in measures if measure not in numbers]:
            raise InputError(f"{name}: no measure {unknown[0]!r}; there are {', '.join(numbers)}")
        if missing := [column for column in (*KEYS, *behind) if column not in table.column_names]:
            raise InputError(f"{name}: its per-query table has no column {missing[0]!r}; evaluate again")
    filled = [{name for name in each.column_names if each[name].null_count < len(each)} for _, each in tables]
    shared = [measure for measure in (*BIAS, KNOWN_ITEM) if set(_columns_of(measure)) <= set.intersection(*filled)]
    return list(dict.fromkeys([*measures, *shared]))


def _columns_of(measure: str) -> tuple[str, ...]:
    """The columns that a measure is tested by: a share by the query's language needs its fair share."""
    kind, _, cutoff = measure.partition("@")
    return (measure, f"fair_share@{cutoff}") if kind == "same_language_share" else (measure,)


def _scored(measure: str, runs: Sequence[dict[str, Values]]) -> Runs:
    """What is tested of a system's runs: the measure, or how far it lies from the fair share."""
    if measure not in BY_DISTANCE:
        return [run[measure] for run in runs]
    own, *fair = _columns_of(measure)
    return from_fair_share([run[own] - (run[fair[0]] if fair else 0.0) for run in runs])


def from_fair_share(runs: Runs) -> list[Values]:
    """Deviations from the fair share, turned so that their macro score is the distance from it, on whichever side.

    The distance is the mean over cells of `|mean over queries of share - fair share|`: too much in one language does
    not make up for too little in another. Cells in which the runs' mean lies below the fair share are multiplied
    by -1. Signs are taken as known when examples are drawn or swapped: exact where a system leans, a little too
    cautious where it is fair. The runs are of one system, each `(examples, cells)`.

    >>> [turned.tolist() for turned in from_fair_share([np.array([[0.5, -0.25], [0.25, -0.25]])])]
    [[[0.5, 0.25], [0.25, 0.25]]]
    """
    mean = np.nan_to_num(np.mean(runs, axis=0)).sum(0)
    return [run * np.where(mean < 0, -1.0, 1.0) for run in runs]


def _intervals(runs: Runs, standard: Runs, groups: Sequence[IntArray], draws: _Draws) -> Sequence[stats.Interval]:
    """Differences of two systems: by the bootstrap, or as `SeedEffect` where either has several runs."""
    if len(runs) == len(standard) == 1:
        return stats.bootstrap_intervals(runs[0] - standard[0], groups, resamples=draws.resamples, seed=draws.seed)
    return [stats.seed_effect([run[:, g] for run in runs], [run[:, g] for run in standard]) for g in groups]


def _estimates(system: str, measure: str, runs: Runs, groups: Groups, draws: _Draws) -> list[Estimate]:
    estimates = []
    intervals = _intervals(runs, [0.0 * runs[0]], list(groups.values()), draws)
    for (setting, language), found in zip(groups, intervals, strict=True):
        ends = (found.value, found.low, found.high)
        asked = int((~np.isnan(runs[0][:, groups[setting, language]])).any(1).sum())
        estimates.append(Estimate(system, setting, measure, language, *ends, asked))
    return estimates


def _contrasts(
    names: tuple[str, str], measure: str, runs: Runs, standard: Runs, groups: Groups, draws: _Draws
) -> list[Contrast]:
    """A system against the baseline on one measure, not yet corrected."""
    difference = np.mean(runs, axis=0) - np.mean(standard, axis=0)
    intervals = _intervals(runs, standard, list(groups.values()), draws)
    p_values = [found.p_value for found in intervals if isinstance(found, stats.SeedEffect)]
    if not p_values:
        added = np.stack([stats.contributions(difference[:, group]) for group in groups.values()], 1)
        p_values = stats.randomisation_p_values(added, permutations=draws.permutations, seed=draws.seed).tolist()
    contrasts = []
    for (setting, language), found, p_value in zip(groups, intervals, p_values, strict=True):
        effect = stats.effect_size(difference[:, groups[setting, language]])
        shares = (effect.lower, effect.higher) if measure in LOWER_IS_BETTER else (effect.higher, effect.lower)
        where, ends = (*names, setting, measure, language), (found.value, found.low, found.high)
        contrasts.append(Contrast(*where, *ends, p_value, p_value, effect.size, *shares))
    return contrasts


def _corrected(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """Holm's correction over settings and systems, and apart from it over languages, settings and systems."""
    corrected = list(contrasts)
    for whole in (True, False):
        family = [n for n, contrast in enumerate(contrasts) if (contrast.language is None) == whole]
        for n, p_value in zip(family, stats.holm([contrasts[n].p_value for n in family]).tolist(), strict=True):
            corrected[n] = replace(contrasts[n], p_corrected=p_value)
    return corrected


def _notes(
    single: Sequence[str], systems: int, contrasts: Sequence[Contrast], examples: int, permutations: int
) -> tuple[str, ...]:
    notes = []
    if len(single) == systems:
        notes.append("one run per system: the variance between training runs is not seen, only that between examples")
    elif single:
        notes.append(f"one run of {', '.join(single)}: no variance between runs is counted there; right if not trained")
    if examples < FEW_EXAMPLES:
        notes.append(f"{examples} examples: with fewer than {FEW_EXAMPLES} the intervals are too narrow")
    families = Counter((contrast.measure, contrast.language is None) for contrast in contrasts)
    if len(single) > 1 and examples > stats.EXACT_EXAMPLES and max(families.values()) >= LEVEL * (permutations + 1):
        notes.append(f"{permutations} permutations cannot show a difference among so many tests; ask for more")
    if len({measure for measure, _ in families}) > 1:
        notes.append("p-values are corrected within each measure, not over measures; choose one before looking")
    return tuple(notes)
