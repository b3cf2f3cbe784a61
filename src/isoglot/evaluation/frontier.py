"""Which weights to merge models with, chosen on development sets: what is gained against what must not be lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.progress import progress, tell
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.results import Results
from isoglot.models.limits import with_limit
from isoglot.models.merging import merge
from isoglot.runtime.store import EmbeddingStore

DEFAULT_STEP = 0.1
"""Between two weights of the grid."""
DEFAULT_TOLERANCE = 0.005
"""How far a figure that is to be kept may fall."""
KEPT = {"monolingual": "monolingual mAP", "own_success@10": "own-language success@10"}
"""Figures that may not fall on any set by more than the tolerance, and what they are called."""
GAINED = "multilingual"
"""The figure whose mean over the sets is to be as high as can be."""


@dataclass(frozen=True)
class Point:
    """Weights that were tried, and what the merged model reached: figures by set and name."""

    weights: tuple[float, ...]
    figures: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Frontier:
    """All weights that were tried.

    Attributes:
        names: of the models, in the order of the weights.
        points: the weights with their figures.
        chosen: that with the highest mean multilingual mAP among those whose figures of `KEPT` are on every set at most
            `tolerance` below those of the last model, under the head that the merged model has.
        tolerance: how far a figure that is to be kept may fall.
    """

    names: tuple[str, ...]
    points: tuple[Point, ...]
    chosen: Point
    tolerance: float

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; what was not measured is null."""
        points = [asdict(point) for point in (*self.points, self.chosen)]
        for point in points:
            for figures in point["figures"].values():
                figures.update((name, None) for name, value in figures.items() if np.isnan(value))
        return {"models": self.names, "tolerance": self.tolerance, "chosen": points[-1], "points": points[:-1]}

    def sentence(self) -> str:
        """What was chosen, and by what."""
        shares = ", ".join(f"{share:g} {name}" for share, name in zip(self.chosen.weights, self.names, strict=True))
        kept, last = " and ".join(KEPT.values()), self.names[-1]
        return (
            f"Chosen: {shares}; of {len(self.points)} merged models, the highest mean {GAINED} mAP among those whose "
            f"{kept} fall on no development set by more than {self.tolerance:g} against {last}."
        )


def search_weights(
    models: Sequence[SentenceTransformer],
    development: Mapping[str, RetrievalSet],
    *,
    names: Sequence[str],
    step: float = DEFAULT_STEP,
    tolerance: float = DEFAULT_TOLERANCE,
    max_tokens: int | None = None,
    store: EmbeddingStore | None = None,
    bf16: bool = False,
    **settings: Any,
) -> Frontier:
    """Merge models with all weights of a grid and score each on development sets.

    Args:
        models: as of `isoglot.merge`; the last one is what nothing may be lost against, most often the initial model.
        development: sets by name; not those that the result is reported on.
        names: of the models.
        step: between two weights of the grid; divides 1.
        tolerance: how far a figure of `KEPT` may fall on a set.
        max_tokens: where texts of the sets are cut.
        store: where vectors of the models themselves are kept; those of merged ones are kept nowhere.
        bf16: encode in bfloat16.
        settings: other arguments of `isoglot.merge`.

    Raises:
        InputError: if there is no set, the step does not divide 1, or the models cannot be merged.
    """
    if not development:
        raise InputError("there is no development set to choose weights on")
    points, grid = [], [*_grid(len(models), step)]
    with progress("Merging and scoring", len(grid)) as advance:
        advance(0)
        for weights in grid:
            merged, _ = merge(models, weights, names=names, max_tokens=max_tokens, bf16=bf16, **settings)
            reader = with_limit(merged, max_tokens)
            own = store if max(weights) == 1 else None
            results = {name: evaluate(reader, data, store=own, bf16=bf16) for name, data in development.items()}
            points.append(Point(weights, {name: figures_of(result) for name, result in results.items()}))
            gained = _mean(points[-1])
            tell(f"{' / '.join(f'{weight:g}' for weight in weights)}: mean {GAINED} mAP {gained:.4f}")
            advance(1)
    reference = points[-1]
    kept = [point for point in points if _keeps(point, reference, tolerance)]
    return Frontier(tuple(names), tuple(points), max(kept, key=_mean), tolerance)


def figures_of(results: Results) -> dict[str, float]:
    """The figures of one set that a choice is made by, and that are shown."""
    by_setting = {name: results.setting(name) for name in ("monolingual", "cross_lingual", "multilingual")}
    found = {f"{side}_success@10": results.setting(f"mixed_{side}", "success@10") for side in ("own", "other")}
    return {**by_setting, "rank_distance": results.bias("rank_distance"), **found}


def _keeps(point: Point, reference: Point, tolerance: float) -> bool:
    """Whether nothing that is to be kept is lost; what a set does not measure is not."""
    return not any(
        figures[name] < reference.figures[data][name] - tolerance
        for data, figures in point.figures.items()
        for name in KEPT
    )


def _mean(point: Point) -> float:
    return float(np.mean([figures[GAINED] for figures in point.figures.values()]))


def _grid(models: int, step: float) -> Iterator[tuple[float, ...]]:
    """All weights that are multiples of a step and add up to 1, the last model's own at the end.

    >>> [*_grid(2, 0.5)]
    [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]
    """
    parts = round(1 / step) if step > 0 else 0
    if parts < 1 or abs(parts * step - 1) > 1e-9:
        raise InputError(f"step {step:g}: the grid's step has to divide 1, such as 0.1 or 0.25")
    for shares in product(range(parts, -1, -1), repeat=models):
        if sum(shares) == parts:
            yield tuple(share / parts for share in shares)
