"""The systems of one benchmark side by side: their figures, intervals, and which differences are significant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, count

from isoglot.common.errors import InputError
from isoglot.evaluation.averages import BY_DISTANCE
from isoglot.evaluation.mixed import MIXED
from isoglot.evaluation.results import Results
from isoglot.statistics.comparison import (
    BIAS,
    KNOWN_ITEM,
    LOWER_IS_BETTER,
    SETTINGS,
    Comparison,
    Contrast,
    Estimate,
    compare,
)

MARKS = {"better": "▲", "worse": "▼", "": ""}
_HEADINGS = {"map": "mAP", "rank_distance": "rank distance", "same_language_share@1": "same language first"}
_SHORT = {
    **{"monolingual": "mono", "cross_lingual": "cross", "multilingual": "multi"},
    **{"mixed_own": "own", "mixed_other": "other", "own_success@10": "own", "other_success@10": "other"},
    **{"rank_distance": "distance", "same_language_share@1": "same"},
}
_FORMS = {"rank_distance": ",.1f", "same_language_share@1": ".1%"}


@dataclass(frozen=True)
class Column:
    """A figure of a system."""

    setting: str  # a key of `SETTINGS`
    measure: str  # its name in `per_query.parquet`

    @property
    def is_bias(self) -> bool:
        """Whether it is a measure of language bias, which is taken in the pool alone."""
        return self.measure in BIAS

    @property
    def form(self) -> str:
        """How a value is written, as in a format specification."""
        return _FORMS.get(self.measure, ".3f")

    @property
    def heading(self) -> str:
        """What people call it; a measure of bias needs no setting."""
        name = measure_name(self.measure)
        return name if self.is_bias else f"{SETTINGS[self.setting]} {name}"

    def __str__(self) -> str:
        """The heading."""
        return self.heading

    @property
    def short(self) -> str:
        """The heading where there is little room; `legend` says what it means."""
        return short_name(self.measure if self.is_bias else self.setting)

    @property
    def arrow(self) -> str:
        """Which way is better: less, more, or nearer to the fair share."""
        return "≈" if self.measure in BY_DISTANCE else "↓" if self.measure in LOWER_IS_BETTER else "↑"

    @property
    def compared(self) -> str:
        """What its differences are of: of a share by language, of the distances from the fair share."""
        if self.measure not in BY_DISTANCE:
            return self.heading
        cutoff = self.measure.partition("@")[2]
        return "distance from fair share" + ("" if cutoff == "1" else f" at {cutoff}")

    @property
    def short_compared(self) -> str:
        """The same where there is little room."""
        return self.compared if self.is_bias else f"{self.short} {measure_name(self.measure)}"

    @property
    def key(self) -> str:
        """Its name among the figures by query language in `results.json`."""
        return self.measure if self.is_bias else f"{self.setting}_{self.measure}"

    def write(self, value: float | None, sign: str = "") -> str:
        """A value in the column's form, a dash for none; with a sign it is a difference, of shares in points.

        >>> Column("monolingual", "map").write(0.5), Column("multilingual", "same_language_share@1").write(-0.25, "+")
        ('0.500', '-25.0 points')
        """
        if value is None or value != value:
            return "-"
        text = format(value, sign + self.form)
        return text.replace("%", " points") if sign else text

    def write_interval(self, interval: tuple[float, float], sign: str = "") -> str:
        """Both ends of an interval in the column's form."""
        low, high = (self.write(end, sign).removesuffix(" points") for end in interval)
        return f"[{low}, {high}]"


@dataclass(frozen=True)
class Cell:
    """One figure of one system."""

    column: Column  # what it is a figure of
    value: float  # nan where it was not measured
    interval: tuple[float, float] | None = None  # 95 %; None where statistics were not made
    verdict: str = ""  # `better` or `worse` than the first system, significantly after correction; else empty

    @property
    def text(self) -> str:
        """The value as it is written."""
        return self.column.write(self.value)

    @property
    def ends(self) -> str:
        """The interval as it is written; empty where there is none."""
        return "" if self.interval is None else self.column.write_interval(self.interval)

    @property
    def mark(self) -> str:
        """The sign that stands for the verdict."""
        return MARKS[self.verdict]

    def __str__(self) -> str:
        """Value, interval and mark, as far as there are any."""
        return " ".join(part for part in (self.text, self.ends, self.mark) if part)


def measure_name(measure: str) -> str:
    """What people call a measure.

    >>> measure_name("map"), measure_name("ndcg@10")
    ('mAP', 'nDCG@10')
    """
    return _HEADINGS.get(measure, measure.replace("ndcg", "nDCG").replace("mrr", "MRR").replace("_", " "))


def short_name(figure: str) -> str:
    """What stands over a column of the terminal's tables for a setting or a measure; `legend` says what it means."""
    return _SHORT.get(figure, measure_name(figure))


def legend(measure: str) -> str:
    """What the short headings mean, in lines of 80 characters; `measure` is the main one."""
    return (
        f"mono, cross, multi: {measure_name(measure)} within a language, across two, over the pool of all\n"
        "distance: rank distance of the right answers; same: same language first\n"
        "own, other: success@10 in mixed corpora, answer in the query's language or not"
    )


def columns(measure: str = "map") -> tuple[Column, ...]:
    """The figures of a system in a table: a measure in three settings, language bias, and what mixed corpora yield."""
    found = (Column(setting, measure) for setting in SETTINGS if setting not in MIXED)
    fair = (Column("multilingual", name) for name in BIAS)
    return (*found, *fair, *(Column(setting, KNOWN_ITEM) for setting in MIXED))


@dataclass(frozen=True)
class Systems:
    """Results of one benchmark, the system to compare with first; no two names are the same."""

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
        """The figures that at least one system has; of language bias those by which all can be compared.

        A run that misses right answers has no rank distance for their queries, so its mean would be of other queries.
        """
        every = columns(self.measure)
        found = [one for one in every if any(figure(result, one) == figure(result, one) for result in self.results)]
        tested = {column for _, column, language in self._tested if language is None}
        return tuple(one for one in found if self.comparison is None or not one.is_bias or one in tested)

    @cached_property
    def comparison(self) -> Comparison | None:
        """Intervals and paired tests against the first system; None for a single system, or nothing to test by."""
        if len(self.results) < 2 or self.measure not in self.results[0].per_query.column_names:
            return None
        return compare(self.results, names=self.names, measures=(self.measure,))

    @property
    def cells(self) -> list[list[Cell]]:
        """The figures over all languages, a row for each system."""
        return [[self.cell(number, column) for column in self.columns] for number in range(len(self.names))]

    def cell(self, number: int, column: Column) -> Cell:
        """A system's figure over all languages."""
        value, tested = figure(self.results[number], column), self._tested.get((self.names[number], column, None))
        return Cell(column, value) if tested is None else replace(tested, value=value)

    def language_cell(self, number: int, column: Column, language: str) -> Cell:
        """A system's figure over the queries of one language, without interval."""
        value = self.results[number].summary.get("by_query_language", {}).get(language, {}).get(column.key)
        tested = self._tested.get((self.names[number], column, language))
        return Cell(column, float("nan") if value is None else float(value), None, tested.verdict if tested else "")

    @cached_property
    def _tested(self) -> dict[tuple[str, Column, str | None], Cell]:
        return cells_of(self.comparison) if self.comparison else {}


def cells_of(comparison: Comparison) -> dict[tuple[str, Column, str | None], Cell]:
    """All figures with intervals and verdicts, by system, column and query language, which is None for all."""
    tests = {(one.system, column_of(one), one.language): one for one in comparison.contrasts}
    places = {(one.system, column_of(one), one.language): one for one in comparison.estimates}
    return {
        place: Cell(place[1], one.value, (one.low, one.high), verdict_of(tests.get(place)))
        for place, one in places.items()
    }


def column_of(one: Contrast | Estimate) -> Column:
    """The column that a difference or an estimate belongs to."""
    return Column(one.setting, one.measure)


def verdict_of(contrast: Contrast | None) -> str:
    """`better` or `worse` if the difference is significant after correction, else empty."""
    return contrast.verdict if contrast is not None and contrast.verdict in ("better", "worse") else ""


def figure(result: Results, column: Column) -> float:
    """A figure of one system over all languages; nan where it was not measured."""
    return result.bias(column.measure) if column.is_bias else result.setting(column.setting, column.measure)


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
        if len({result.summary.get("benchmark_fingerprint") for result in group}) > 1:
            raise InputError(f"these results of {name!r} are of different benchmarks or versions; report them apart")
    return [
        Systems(tuple(group), _unique([one.summary["model"]["name"] for one in group])) for group in groups.values()
    ]


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names with a number behind those that were there before.

    >>> _unique(["base", "base", "other"])
    ('base', 'base (2)', 'other')
    """
    taken: list[str] = []
    for name in names:
        numbered = (f"{name} ({number})" for number in count(2))
        taken.append(next(shown for shown in chain([str(name)], numbered) if shown not in taken))
    return tuple(taken)
