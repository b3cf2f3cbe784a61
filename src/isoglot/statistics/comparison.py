"""Systems against a baseline on one benchmark: intervals, tests and effect sizes, for settings and for languages.

Works on what `per_query.parquet` keeps, so it needs no model. The statistics are those of
`isoglot.statistics.significance`: the unit is the example, whose queries in all languages are drawn and swapped
together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.statistics import significance as stats

Values = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_Runs = Sequence[Values]
_Groups = dict[tuple[str, str | None], IntArray]  # by setting and query language (None for all): columns

SETTINGS = {"monolingual": "monolingual", "cross_lingual": "cross-lingual", "multilingual": "multilingual"}
"""Settings as the tables and as sentences name them."""
BIAS = ("rank_distance", "same_language_share@1")
"""Measures of language bias that are compared wherever the tables have them."""
LOWER_IS_BETTER = ("rank_distance", "max_rank_norm", "same_language_share@1", "same_language_share@10")
LEVEL = 0.05
"""A corrected p-value below it is called a difference in sentences."""
NOT_SHOWN = "no difference shown"
FEW_EXAMPLES = 50
"""With fewer, intervals of skewed measures cover less than they say (docs/statistics.md)."""
KEYS = ("query", "example", "query_language", "setting", "corpus_language")


@dataclass(frozen=True)
class Estimate:
    """A system's score in a setting, with its 95 % interval.

    Attributes:
        system: its name.
        setting: `monolingual`, `cross_lingual` or `multilingual`.
        measure: the column of the per-query tables.
        language: query language; None for all.
        value: the score; the mean over runs where there are several.
        low: lower end of the interval.
        high: upper end.
        examples: how many examples have a value.
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
    """A system against the baseline.

    Attributes:
        system: its name.
        baseline: the baseline's name.
        setting: `monolingual`, `cross_lingual` or `multilingual`.
        measure: the column of the per-query tables.
        language: query language; None for all.
        difference: the system's score minus the baseline's, whichever is better.
        low: lower end of the difference's 95 % interval.
        high: upper end.
        p_value: two-sided.
        p_corrected: by Holm's method; over settings and systems where language is None, else over languages too.
        effect_size: d_z over examples, signed as the difference; nan where the difference has no spread.
        better: share of examples on which the system is better; where lower is better that is the lower one.
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
        """`better` or `worse` where the corrected p-value is below `LEVEL`, else `no difference shown`."""
        if not self.p_corrected < LEVEL:
            return NOT_SHOWN
        return "better" if (self.difference < 0) == (self.measure in LOWER_IS_BETTER) else "worse"


@dataclass(frozen=True)
class Comparison:
    """Several systems on one benchmark, each against the baseline.

    Attributes:
        benchmark: its name.
        baseline: the baseline's name.
        systems: names of all systems, the baseline among them.
        estimates: every system's scores.
        contrasts: every other system against the baseline.
        seed: of the draws.
        resamples: of the bootstrap.
        notes: what to know before trusting it.
    """

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
        for rows in (plain["estimates"], plain["contrasts"]):
            for row in rows:
                row.update({k: None for k, value in row.items() if isinstance(value, float) and np.isnan(value)})
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
        measures: columns of the per-query tables; those of `BIAS` are added where all tables have values.
        languages: compare for each query language as well.
        seed: of the draws.
        resamples: of the bootstrap.
        permutations: of the randomisation test; as many as the number of tests asks for where None.

    Raises:
        InputError: if there are fewer than two systems, two of one name, or results that cannot be compared.
    """
    runs = [[system] if isinstance(system, Results) else list(system) for system in systems]
    called = _names(runs, names, baseline)
    chosen = _measures(runs, called, measures)
    standard = called[baseline]
    grid = _Grid.of(runs[baseline][0], languages, standard)
    if permutations is None:
        permutations = stats.enough_permutations((len(runs) - 1) * len(grid.groups))
    draws = _Draws(resamples, permutations, seed)
    tables = [[grid.values(run, chosen, name) for run in system] for name, system in zip(called, runs, strict=True)]
    estimates: list[Estimate] = []
    contrasts: list[Contrast] = []
    for n, measure in enumerate(chosen):
        values = {name: [run[n] for run in system] for name, system in zip(called, tables, strict=True)}
        groups = grid.measured(values[standard][0])
        if not groups:
            raise InputError(f"{measure}: fewer than two examples have a value, so there is nothing to compare")
        tested: list[Contrast] = []
        for name, own in values.items():
            estimates += _estimates(name, measure, own, groups, draws)
            if name != standard:
                tested += _contrasts((name, standard), measure, own, values[standard], groups, draws)
        contrasts += _corrected(tested)
    single = [name for name, system in zip(called, runs, strict=True) if len(system) == 1]
    notes = _notes(single, len(runs), contrasts, len(grid.examples), permutations)
    benchmark, scores, tests = str(runs[baseline][0].summary["benchmark"]), tuple(estimates), tuple(contrasts)
    return Comparison(benchmark, standard, tuple(called), scores, tests, seed, resamples, notes)


class _Draws(NamedTuple):
    resamples: int
    permutations: int
    seed: int


@dataclass(frozen=True)
class _Grid:
    """What a benchmark asks: its examples, its cells, and where the rows of a table belong."""

    examples: pa.Array
    cells: pa.Array
    groups: _Groups
    asked: IntArray

    @classmethod
    def of(cls, results: Results, languages: bool, name: str) -> _Grid:
        table = results.per_query
        examples, cells = pc.unique(table["example"]), pc.unique(_cell(table))
        named = [tuple(str(cell).split("\t")) for cell in cells.to_pylist()]
        tags = sorted({language for _, language, _ in named})
        groups = {}
        for setting in SETTINGS:
            for wanted in [None, *(tags if languages and len(tags) > 1 else [])]:
                columns = [n for n, cell in enumerate(named) if cell[0] == setting and wanted in (None, cell[1])]
                groups[setting, wanted] = np.array(columns, np.int64)
        grid = cls(examples, cells, groups, np.empty(0, np.int64))
        asked = np.sort(grid._flat(table))
        if (np.diff(asked) == 0).any():
            raise InputError(f"{name}: a query occurs twice in one setting; evaluate again")
        return replace(grid, asked=asked)

    def values(self, results: Results, measures: Sequence[str], name: str) -> Values:
        """Measures as `(measures, examples, cells)`; the queries must be the baseline's."""
        place = self._flat(results.per_query)
        if not np.array_equal(np.sort(place), self.asked):
            raise InputError(f"{name}: its queries differ from the baseline's; evaluate both on the same benchmark")
        matrix = np.full((len(measures), len(self.examples) * len(self.cells)), np.nan)
        for row, measure in zip(matrix, measures, strict=True):
            row[place] = results.per_query[measure].cast(pa.float64()).to_numpy()
        return matrix.reshape(len(measures), len(self.examples), len(self.cells))

    def measured(self, values: Values) -> _Groups:
        """The groups in which at least two examples have a value."""
        present = ~np.isnan(values)
        return {key: group for key, group in self.groups.items() if present[:, group].any(1).sum() > 1}

    def _flat(self, table: pa.Table) -> IntArray:
        example = pc.fill_null(pc.index_in(table["example"], value_set=self.examples), -1).to_numpy()
        cell = pc.fill_null(pc.index_in(_cell(table), value_set=self.cells), -1).to_numpy()
        return np.where((example < 0) | (cell < 0), -1, example.astype(np.int64) * len(self.cells) + cell)


def _cell(table: pa.Table) -> Any:
    corpus = pc.fill_null(table["corpus_language"].cast(pa.string()), "")
    return pc.binary_join_element_wise(table["setting"], table["query_language"], corpus, "\t").combine_chunks()


def _names(runs: Sequence[Sequence[Results]], names: Sequence[str] | None, baseline: int) -> list[str]:
    if len(runs) < 2 or not all(runs):
        raise InputError(
            f"{sum(map(bool, runs))} of {len(runs)} systems have results; give at least two, all with some"
        )
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


def _measures(runs: Sequence[Sequence[Results]], names: Sequence[str], measures: Sequence[str]) -> list[str]:
    """The measures to compare, the bias measures that all tables have behind those asked for."""
    tables = [(name, run.per_query) for name, system in zip(names, runs, strict=True) for run in system]
    for name, table in tables:
        if missing := [key for key in KEYS if key not in table.column_names]:
            raise InputError(f"{name}: its per-query table has no column {missing[0]!r}; evaluate again")
        numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
        if unknown := [measure for measure in measures if measure not in numbers]:
            raise InputError(f"{name}: no measure {unknown[0]!r}; there are {', '.join(numbers)}")
    shared = [name for name in BIAS if all(name in t.column_names and t[name].null_count < len(t) for _, t in tables)]
    return list(dict.fromkeys([*measures, *shared]))


def _intervals(runs: _Runs, standard: _Runs, groups: Sequence[IntArray], draws: _Draws) -> Sequence[stats.Interval]:
    """Differences of two systems: by the bootstrap, or as `SeedEffect` where either has several runs."""
    if len(runs) == len(standard) == 1:
        difference = stats.differences(runs[0], standard[0])
        return stats.bootstrap_intervals(difference, groups, resamples=draws.resamples, seed=draws.seed)
    return [stats.seed_effect([run[:, g] for run in runs], [run[:, g] for run in standard]) for g in groups]


def _estimates(system: str, measure: str, runs: _Runs, groups: _Groups, draws: _Draws) -> list[Estimate]:
    estimates = []
    intervals = _intervals(runs, [0.0 * runs[0]], list(groups.values()), draws)
    for (setting, language), found in zip(groups, intervals, strict=True):
        ends = (found.value, found.low, found.high)
        asked = int((~np.isnan(runs[0][:, groups[setting, language]])).any(1).sum())
        estimates.append(Estimate(system, setting, measure, language, *ends, asked))
    return estimates


def _contrasts(
    names: tuple[str, str], measure: str, runs: _Runs, standard: _Runs, groups: _Groups, draws: _Draws
) -> list[Contrast]:
    """A system against the baseline on one measure, not yet corrected."""
    difference = stats.differences(np.mean(runs, axis=0), np.mean(standard, axis=0))
    intervals = _intervals(runs, standard, list(groups.values()), draws)
    p_values = [found.p_value for found in intervals if isinstance(found, stats.SeedEffect)]
    if not p_values:
        added = np.stack([stats.contributions(difference[:, group]) for group in groups.values()], 1)
        p_values = stats.randomisation_p_values(added, permutations=draws.permutations, seed=draws.seed).tolist()
    contrasts = []
    for (setting, language), found, p_value in zip(groups, intervals, p_values, strict=True):
        effect = stats.effect_of_differences(difference[:, groups[setting, language]])
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
