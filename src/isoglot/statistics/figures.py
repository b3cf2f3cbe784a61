"""Single figures of one system, by the names that results carry: how sure they are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from isoglot.common.arrays import plain
from isoglot.common.errors import InputError
from isoglot.evaluation.measures import MEASURES
from isoglot.evaluation.mixed import MIXED, MIXED_MEASURES
from isoglot.evaluation.results import Results
from isoglot.statistics.comparison import from_fair_share
from isoglot.statistics.grid import SETTINGS, Grid
from isoglot.statistics.significance import Interval, mean_interval

_SHARE, _SIGNED = (0.0, 1.0), (-1.0, 1.0)
_POOLED: Mapping[str, tuple[float, float] | None] = {
    **dict.fromkeys(("rank_distance", "fair_share_distance@1", "fair_share_distance@10"), None),
    **dict.fromkeys(("same_language_bias@1", "same_language_bias@10", "mrc@5", "mrc@10", "mrc@20"), _SIGNED),
    **dict.fromkeys(("same_language_share@1", "same_language_share@10", "fair_share@1", "fair_share@10"), _SHARE),
    **dict.fromkeys(("max_rank_norm", "other_language_recall@10", "tlr@20", "ranking_agreement@10"), _SHARE),
    **dict.fromkeys(("preference_rate", "language_preference_rate", "semantic_error"), _SHARE),
    **dict.fromkeys(("semantic_error_same_language", "semantic_error_other_language"), _SHARE),
    **dict.fromkeys((f"{a}_{b}_language@1" for a in ("right", "wrong") for b in ("same", "other")), _SHARE),
}
FIGURES: Mapping[str, tuple[str, str]] = {
    **{f"{setting}_{name}": (setting, name) for setting in SETTINGS if setting not in MIXED for name in MEASURES},
    **{f"{setting}_{name}": (setting, name) for setting in MIXED for name in MIXED_MEASURES},
    **{name: ("multilingual", name) for name in _POOLED},
}
"""Every figure of an audit: its name, as `multilingual_map` or `rank_distance`, to its setting and measure."""
MAIN = ("same_language_share@1", "multilingual_map")
MAIN_OF_A_CORPUS = ("same_language_share@10", "same_language_bias@10")
HALF_WIDTH = 0.05


class Figure(NamedTuple):
    """A figure with its 95 % interval, and over how many examples; nan where it was not measured."""

    name: str
    interval: Interval
    examples: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        value, low, high = (plain(each) for each in (self.interval.value, self.interval.low, self.interval.high))
        return {"figure": self.name, "value": value, "low": low, "high": high, "examples": self.examples}

    def __str__(self) -> str:
        """`multilingual_map 0.710 [0.650, 0.764]`."""
        interval = f"[{self.interval.low:.3f}, {self.interval.high:.3f}]"
        return f"{self.name} {self.interval.value:.3f} {'of one example' if self.examples == 1 else interval}"


def known_figure(name: str) -> str:
    """The name, if there is such a figure.

    Raises:
        InputError: listing those there are.
    """
    if name not in FIGURES:
        near = get_close_matches(name, FIGURES)
        meant = f"; is {' or '.join(near)} meant? There are" if near else "; there are"
        raise InputError(f"no figure {name!r}{meant} {', '.join(FIGURES)}")
    return name


def figures(results: Results, names: Sequence[str] = ()) -> list[Figure]:
    """Figures of a system, those that an audit is about first; the intervals are of `mean_interval`.

    Args:
        results: of an audit or an evaluation.
        names: further ones, keys of `FIGURES`.

    Raises:
        InputError: if there is no figure of a name.
    """
    main = MAIN_OF_A_CORPUS if "corpus" in results.summary else MAIN
    wanted = [known_figure(name) for name in dict.fromkeys((*main, *names))]
    grid = Grid.of(results, False, "results")
    columns = {name: _column(FIGURES[name][1]) for name in wanted}
    alone = results.bias("fair_share@1") == 1  # no ranking could show another language first
    values = grid.values(results, list({*columns.values()} & {*results.per_query.column_names}), "results")
    made = []
    for name in wanted:
        cells = values.get(columns[name], np.full((0, 0), np.nan))[:, grid.groups[FIGURES[name][0], None]]
        if np.isnan(cells).all() or (alone and name in _POOLED):
            made.append(Figure(name, Interval(math.nan, math.nan, math.nan), 0))
            continue
        if columns[name] != FIGURES[name][1]:
            (cells,) = from_fair_share([cells])
        examples = int((~np.isnan(cells)).any(1).sum())
        made.append(Figure(name, mean_interval(cells, _POOLED.get(name, _SHARE)), examples))
    return made


def precision(shown: Sequence[Figure], half_width: float = HALF_WIDTH) -> list[str]:
    """How sure figures are, in words: their intervals, and how many more examples would make all as narrow as wanted.

    The width falls with the root of the number of examples; figures in ranks are left out of that reckoning.

    >>> precision([Figure("multilingual_map", Interval(0.7, 0.6, 0.8), 30)])[1]
    'About 90 more examples like these would narrow that to ± 0.05.'
    """
    known = [each for each in shown if each.examples]
    if not known:
        return []
    if known[0].examples == 1:
        return [f"One example has no interval: {', '.join(map(str, known))}."]
    sentences = [f"95 % intervals over {known[0].examples:,} examples: {', '.join(map(str, known))}."]
    missing = [
        each.examples * ((each.interval.high - each.interval.low) / 2 / half_width) ** 2 - each.examples
        for each in known
        if _POOLED.get(each.name, _SHARE) is not None
    ]
    if missing and max(missing) >= 1:
        more = math.ceil(round(max(missing) / 10, 6)) * 10
        sentences.append(f"About {more:,} more examples like these would narrow that to ± {half_width:g}.")
    return sentences


def _column(measure: str) -> str:
    """The column of `per_query.parquet` that a measure is made of; only means have a distance from the fair share."""
    return measure.replace("fair_share_distance", "same_language_bias")
