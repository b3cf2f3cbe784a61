"""Fitting a map on a sample that is drawn from all of a file, not from its beginning: files are often sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isoglot.common.arrays import BoolArray, IntArray, mean_present, place_in_group
from isoglot.common.errors import InputError
from isoglot.vectors.checking import HashArray, Survey
from isoglot.vectors.maps import ANY, VectorMap
from isoglot.vectors.remedies import (
    DEFAULT_DIRECTIONS,
    DEFAULT_REMEDY,
    AffineMap,
    FloatArray,
    Remedy,
    fit_leace,
    fit_linear_lir,
    fit_lir,
    fit_means,
    fit_shift,
    lengths_of,
)

DEFAULT_ROWS = 1000
"""Rows per language that a map is fitted on."""
LEAST_ROWS = 10
"""A mean over fewer rows says more of these rows than of their language: of one row it is the row itself."""
_SAMPLE_NUMBERS = 1 << 25  # numbers of the vectors of a sample: many languages of long vectors get fewer rows each
_COMPARED = 1000  # rows that are compared with each other, for figures
_FACTORS = np.linspace(0, 1, 11).round(1)


@dataclass(frozen=True)
class Sample:
    """Rows that a map is fitted on: vectors, and of each row its language, its group and whether it is a query."""

    vectors: FloatArray
    language: npt.NDArray[np.str_]
    group: HashArray
    query: BoolArray


def fit_map(
    passages: Survey,
    queries: Survey | None = None,
    *,
    remedy: Remedy = DEFAULT_REMEDY,
    directions: int = DEFAULT_DIRECTIONS,
    strength: float = 1.0,
    rows: int = DEFAULT_ROWS,
    least_rows: int = LEAST_ROWS,
    source_language: str = "en",
    seed: int = 0,
) -> VectorMap:
    """Fit a remedy on a sample of rows.

    Args:
        passages: rows that are searched.
        queries: rows that are asked; `lir` and `linear-lir` then take out what sets the roles apart, too. Not for
            `shift`.
        remedy: which.
        directions: for `lir` and `linear-lir`, how many to remove.
        strength: how much of what the remedy takes out is taken out, above 0 to 1.
        rows: rows per language and role, drawn with `seed` from all that are not bad.
        least_rows: languages of fewer take no part.
        source_language: for `shift`, the language that passages are moved to.
        seed: of the draw.

    Returns:
        The map. Its figures hold the rows it was fitted on by language, the languages that took no part, those of
        queries apart, and the `same_language_share`: how often the nearest other row of a part of the sample is in a
        row's own language, before, after, and by chance.

    Raises:
        InputError: if fewer than two languages have rows enough, or `shift` finds too few translations.
    """
    sides = [passages] if queries is None else [passages, queries]
    if remedy == "shift":
        if queries is not None:
            raise InputError("shift moves passages and leaves queries as they are; fit it without query vectors")
        chosen, few = _shared_rows(passages, source_language, rows, least_rows)
    else:
        chosen, few = _rows_of_each(sides, rows, least_rows, seed)
    parts = [_sample(side, some, n == 1) for n, (side, some) in enumerate(zip(sides, chosen, strict=True))]
    sample = Sample(*(np.concatenate(arrays) for arrays in zip(*(vars(part).values() for part in parts), strict=True)))
    figures: dict[str, Any] = {"rows": dict(zip(*_counts(sample.language), strict=True)), "too_few_rows": few[0]}
    if queries is not None:
        figures["too_few_queries"] = few[1]
    normalise = passages.rows.provenance.similarity == "cosine" or passages.unit
    fitted: AffineMap | Mapping[str, AffineMap]
    if remedy in ("lir", "linear-lir"):
        fit = fit_lir if remedy == "lir" else fit_linear_lir
        fitted = fit(sample.vectors, np.char.add(sample.language, np.where(sample.query, "/query", "")), directions)
    elif remedy == "leace":
        fitted = fit_leace(sample.vectors, sample.language)
    elif remedy == "means":
        means = fit_means(sample.vectors, sample.language)
        middle = np.mean([mapping.bias for mapping in means.values()], axis=0)
        fitted = {**means, ANY: AffineMap(np.eye(len(middle)), middle)}
    else:
        fitted, tried = _shifted(sample, source_language)
        figures |= tried
    if isinstance(fitted, AffineMap):
        fitted = fitted.softened(strength)
    else:
        fitted = {name: each.softened(strength) for name, each in fitted.items()}
    mapping = VectorMap.of(remedy, fitted, normalise=normalise, provenance=passages.rows.provenance)
    figures["same_language_share"] = _shares(sample, mapping)
    return VectorMap.of(remedy, fitted, normalise=normalise, provenance=passages.rows.provenance, figures=figures)


def _rows_of_each(
    sides: Sequence[Survey], rows: int, least_rows: int, seed: int
) -> tuple[list[IntArray], list[dict[str, int]]]:
    """Rows of each side, drawn by language; and of each the languages that have too few, with how many they have."""
    if rows < least_rows:
        raise InputError(f"{rows} rows per language: at least {least_rows} are needed")
    rng = np.random.default_rng(seed)
    chosen: list[IntArray] = []
    few: list[dict[str, int]] = []
    for side in sides:
        have = side.rows_per_language()
        enough = [n for n, tag in enumerate(side.tags) if have[tag] >= least_rows]
        few.append({tag: have[tag] for n, tag in enumerate(side.tags) if n not in enough})
        if len(enough) < 2:
            there = ", ".join(f"{tag} {count:,}" for tag, count in have.items()) or "none"
            raise InputError(
                f"{side.rows.path}: at least two languages with {least_rows} rows or more are needed to find what sets "
                f"languages apart; rows by language: {there}. {' '.join(side.notes)}".rstrip(". ")
            )
        most = min(rows, max(least_rows, _SAMPLE_NUMBERS // (side.rows.dimensions * len(enough))))
        order = rng.permutation(np.flatnonzero(side.good & np.isin(side.language, enough)))
        chosen.append(np.sort(order[place_in_group(side.language[order]) < most]))
    return chosen, few


def _shared_rows(
    side: Survey, source_language: str, rows: int, least_rows: int
) -> tuple[list[IntArray], list[dict[str, int]]]:
    """As `_rows_of_each`, of rows with a translation in the source language, and these; drawn by the group's hash."""
    if source_language not in side.tags:
        there = ", ".join(side.tags) or "none"
        raise InputError(f"{side.rows.path}: shift moves languages to {source_language!r}; there are {there}")
    if side.group is None:
        raise InputError(f"{side.rows.path}: shift needs translations, which share an id or a group; no column has one")
    at, group = side.tags.index(source_language), side.group
    good = np.flatnonzero(side.good & (side.language >= 0) & (group != 0))
    sources, others = good[side.language[good] == at], good[side.language[good] != at]
    shared = good[np.isin(group[good], np.intersect1d(group[sources], group[others]))]
    shared = shared[np.argsort(group[shared], kind="stable")]  # the same groups for all languages
    counts = np.bincount(side.language[shared], minlength=len(side.tags))
    enough = [n for n in range(len(side.tags)) if counts[n] >= least_rows]
    if at not in enough or len(enough) < 2:
        raise InputError(
            f"{side.rows.path}: shift needs {least_rows} translations or more between {source_language} and another "
            "language; translations share an id or a group"
        )
    most = min(rows, max(least_rows, _SAMPLE_NUMBERS // (2 * side.rows.dimensions * len(enough))))
    chosen = shared[(place_in_group(side.language[shared]) < most) & np.isin(side.language[shared], enough)]
    few = {tag: int(counts[n]) for n, tag in enumerate(side.tags) if n not in enough}
    return [np.union1d(chosen, sources[np.isin(group[sources], group[chosen])])], [few]


def _sample(side: Survey, chosen: IntArray, query: bool) -> Sample:
    """Read the vectors of some rows, in one pass."""
    found = []
    for part in side.rows.parts([str(side.rows.columns.vector)]):
        low, high = np.searchsorted(chosen, [part.first, part.first + len(part)])
        if low < high:
            found.append(part.vectors()[0][chosen[low:high] - part.first].astype(np.float64))
    group = np.zeros(len(chosen), np.uint64) if side.group is None else side.group[chosen]
    return Sample(np.concatenate(found), np.array(side.tags)[side.language[chosen]], group, np.full(len(chosen), query))


def _shifted(sample: Sample, source_language: str) -> tuple[dict[str, AffineMap], dict[str, Any]]:
    """`fit_shift` times the factor at which translations find each other best, and what each factor reached."""
    maps = fit_shift(sample.vectors, sample.language, sample.group, source_language)
    few = np.argsort(sample.group, kind="stable")[:_COMPARED]
    x, group = sample.vectors[few], sample.group[few]
    step = np.stack([maps[tag].bias for tag in sample.language[few].tolist()])
    reached = [_translations_found(x, x + factor * step, group) for factor in _FACTORS]
    best = float(_FACTORS[int(np.nanargmax(reached))])
    scaled = {tag: AffineMap(mapping.weight, best * mapping.bias) for tag, mapping in maps.items()}
    unchanged = AffineMap(np.eye(x.shape[1]), np.zeros(x.shape[1]))
    tried = {f"{factor:.1f}": round(value, 4) for factor, value in zip(_FACTORS.tolist(), reached, strict=True)}
    return {**scaled, ANY: unchanged}, {"factor": best, "map_by_factor": tried}


def _translations_found(asked: FloatArray, pool: FloatArray, group: HashArray) -> float:
    """Mean average precision of each row's translations among all other rows, by cosine."""
    scores = _unit(asked) @ _unit(pool).T
    np.fill_diagonal(scores, -np.inf)  # a row does not find itself
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    right = group[order] == group[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    found = right.sum(1)
    return mean_present(np.where(found > 0, (precision * right).sum(1) / np.maximum(found, 1), np.nan))


def _shares(sample: Sample, mapping: VectorMap) -> dict[str, float]:
    """How often the nearest other row is in a row's own language, before and after, and if it were any row."""
    place = place_in_group(np.unique(sample.language, return_inverse=True)[1])
    few = np.flatnonzero(place < max(2, _COMPARED // len(np.unique(sample.language))))
    x, language = sample.vectors[few], sample.language[few]
    places = mapping.places(language.tolist()) if mapping.languages else None
    mapped = mapping.apply_by_number(x, places).astype(np.float64)
    counts = _counts(language)[1]
    return {
        "before": _nearest_alike(x, x, language),
        "after": _nearest_alike(x if mapping.sides == "passages" else mapped, mapped, language),
        "by_chance": round(sum(n * (n - 1) for n in counts) / (len(few) * (len(few) - 1)), 4),
    }


def _nearest_alike(asked: FloatArray, pool: FloatArray, language: npt.NDArray[np.str_]) -> float:
    scores = _unit(asked) @ _unit(pool).T
    np.fill_diagonal(scores, -np.inf)
    return round(float((language[scores.argmax(1)] == language).mean()), 4)


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.maximum(lengths_of(vectors)[:, None], np.finfo(np.float64).tiny)
    return unit


def _counts(language: npt.NDArray[np.str_]) -> tuple[list[str], list[int]]:
    tags, counts = np.unique(language, return_counts=True)
    return tags.tolist(), counts.tolist()
