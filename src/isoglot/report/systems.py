"""The systems of one benchmark side by side: their figures, intervals, and which differences are significant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.statistics.comparison import SETTINGS, Comparison, Contrast, Estimate, compare

_MEASURES = {"map": "mAP", "rank_distance": "rank distance", "same_language_share@1": "same language first"}


@dataclass(frozen=True)
class Column:
    """A figure of a system.

    Attributes:
        setting: `monolingual`, `cross_lingual` or `multilingual`.
        measure: its name in `per_query.parquet`.
        form: how a value is written.
        lower_is_better: whether it is.
    """

    setting: str
    measure: str
    form: str = ".3f"
    lower_is_better: bool = False

    @property
    def heading(self) -> str:
        """What people call it; a measure of bias needs no setting, there is but one."""
        return (
            measure_name(self.measure)
            if self.lower_is_better
            else f"{SETTINGS[self.setting]} {measure_name(self.measure)}"
        )

    def write(self, value: float | None, sign: str = "") -> str:
        """A value in the column's form, a dash for none; with a sign it is a difference, of shares in points."""
        if value is None or value != value:
            return "-"
        text = format(value, sign + self.form)
        return text.replace("%", " points") if sign else text


@dataclass(frozen=True)
class Cell:
    """One figure of one system.

    Attributes:
        value: nan where it was not measured.
        interval: 95 %; None where statistics were not made.
        mark: `better` or `worse` than the first system, significantly after correction; else empty.
    """

    value: float
    interval: tuple[float, float] | None = None
    mark: str = ""


BIAS = (
    Column("multilingual", "rank_distance", ",.1f", lower_is_better=True),
    Column("multilingual", "same_language_share@1", ".1%", lower_is_better=True),
)


def measure_name(measure: str) -> str:
    """What people call a measure.

    >>> measure_name("map"), measure_name("ndcg@10")
    ('mAP', 'nDCG@10')
    """
    return _MEASURES.get(measure, measure.replace("ndcg", "nDCG").replace("mrr", "MRR").replace("_", " "))


def columns(measure: str = "map") -> tuple[Column, ...]:
    """The figures of a system in a table: a measure in three settings, and the two measures of language bias."""
    return (*(Column(setting, measure) for setting in SETTINGS), *BIAS)


@dataclass(frozen=True)
class Systems:
    """Results of one benchmark, the system to compare with first.

    Attributes:
        results: of each system.
        names: of each system, no two the same.
    """

    results: tuple[Results, ...]
    names: tuple[str, ...]

    @property
    def benchmark(self) -> str:
        """The benchmark's name."""
        return str(self.results[0].summary["benchmark"])

    @property
    def measure(self) -> str:
        """The main measure: that of the language grid."""
        return str(self.results[0].summary["grid"]["measure"])

    @property
    def languages(self) -> list[str]:
        """Tags of the benchmark's languages."""
        return list(self.results[0].summary["languages"])

    @property
    def columns(self) -> tuple[Column, ...]:
        """The figures that at least one system has."""
        every = columns(self.measure)
        return tuple(
            column for column in every if any(_figure(one, column) == _figure(one, column) for one in self.results)
        )

    @cached_property
    def comparison(self) -> Comparison | None:
        """Intervals and paired tests against the first system; None for a single system, or nothing to test by."""
        if len(self.results) < 2 or self.measure not in self.results[0].per_query.column_names:
            return None
        return compare(self.results, names=self.names, measures=(self.measure,))

    def cell(self, number: int, column: Column) -> Cell:
        """A system's figure over all languages."""
        estimate = self._estimates.get((self.names[number], column.setting, column.measure, None))
        contrast = self._contrasts.get((self.names[number], column.setting, column.measure, None))
        interval = None if estimate is None else (estimate.low, estimate.high)
        return Cell(_figure(self.results[number], column), interval, mark_of(contrast))

    def language_cell(self, number: int, column: Column, language: str) -> Cell:
        """A system's figure over the queries of one language."""
        row = self.results[number].summary["by_query_language"].get(language, {})
        key = column.measure if column.lower_is_better else f"{column.setting}_{column.measure}"
        value = row.get(key)
        contrast = self._contrasts.get((self.names[number], column.setting, column.measure, language))
        mark = mark_of(contrast)
        return Cell(float("nan") if value is None else float(value), None, mark)

    @cached_property
    def _estimates(self) -> dict[tuple[str, str, str, str | None], Estimate]:
        made = self.comparison.estimates if self.comparison else ()
        return {(one.system, one.setting, one.measure, one.language): one for one in made}

    @cached_property
    def _contrasts(self) -> dict[tuple[str, str, str, str | None], Contrast]:
        made = self.comparison.contrasts if self.comparison else ()
        return {(one.system, one.setting, one.measure, one.language): one for one in made}


def column_of(contrast: Contrast) -> Column:
    """The column that a difference belongs to."""
    known = {column.measure: column for column in BIAS}
    return known.get(contrast.measure) or Column(contrast.setting, contrast.measure)


def mark_of(contrast: Contrast | None) -> str:
    """`better` or `worse` if the difference is significant after correction, else empty."""
    return contrast.verdict if contrast is not None and contrast.verdict in ("better", "worse") else ""


def by_benchmark(results: Sequence[Results]) -> list[Systems]:
    """The results of each benchmark, in the order given; systems of one name are numbered.

    Raises:
        InputError: if there are none, or two benchmarks go by one name.
    """
    if not results:
        raise InputError("there are no results to report")
    groups: dict[str, list[Results]] = {}
    for result in results:
        groups.setdefault(str(result.summary["benchmark"]), []).append(result)
    for name, group in groups.items():
        if len({result.summary["benchmark_fingerprint"] for result in group}) > 1:
            raise InputError(
                f"these results of {name!r} are of different benchmarks or versions of one; report them apart"
            )
    return [
        Systems(tuple(group), _unique([str(one.summary["model"]["name"]) for one in group]))
        for group in groups.values()
    ]


def _figure(result: Results, column: Column) -> float:
    return result.bias(column.measure) if column.lower_is_better else result.setting(column.setting, column.measure)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names with a number behind those that were there before.

    >>> _unique(["base", "base", "other"])
    ('base', 'base (2)', 'other')
    """
    taken: list[str] = []
    for name in names:
        number, shown = 1, name
        while shown in taken:
            number += 1
            shown = f"{name} ({number})"
        taken.append(shown)
    return tuple(taken)
