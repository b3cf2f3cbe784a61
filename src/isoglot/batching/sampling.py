"""Even draws without collisions: how often each language comes, and which items make up each batch."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import numpy.typing as npt

from isoglot.batching.translations import FloatArray, IntArray, smallest
from isoglot.common.errors import InputError

LanguageSampling = Literal["uniform", "size"] | float

_SWAP_TRIES = 24
_BATCHES_AT_A_TIME = 1 << 11
_DRAWS_AT_A_TIME = 1 << 18
_UNIT = 1 << 40  # what the largest rate counts as
_MOMENTS = float(1 << 31)  # of a run; which of two at one moment comes first does not matter


def language_weights(sizes: npt.ArrayLike, sampling: LanguageSampling) -> FloatArray:
    """Probability of each language, given how many examples each has; a language without examples gets none.

    >>> language_weights([900, 100, 0], "uniform").tolist()
    [0.5, 0.5, 0.0]
    >>> language_weights([900, 100], 2.0).tolist()  # 30 to 10
    [0.75, 0.25]
    """
    counts = np.asarray(sizes, np.float64)
    exponent = {"uniform": 0.0, "size": 1.0}.get(sampling) if isinstance(sampling, str) else 1.0 / sampling
    if exponent is None:
        raise InputError(f"language_sampling {sampling!r}: use 'uniform', 'size' or a temperature of at least 1")
    weights = np.where(counts > 0, np.maximum(counts, 1) ** exponent, 0.0)
    total: float = weights.sum()
    return np.asarray(weights / (total or 1.0), np.float64)


def sample(groups: IntArray, rates: FloatArray, batches: int, batch_size: int, rng: np.random.Generator) -> IntArray:
    """`(batches, batch_size)`; items as often as their rates say, evenly spread, no group twice in a batch.

    `groups` and `rates` are `(items,)`; of the first at least `batch_size` differ, and what of the second exceeds once
    per batch is given to the others. Each item is used floor or ceil of its expected number of times, but for the few
    that had to be exchanged where a group met itself.
    """
    total = batches * batch_size
    expected = _capped(rates, batch_size) * total
    # Systematic sampling over a random order: each count is floor or ceil of its expectation, the sum is exact.
    order = np.arange(len(groups), dtype=np.int32)
    rng.shuffle(order)
    edges = np.floor(np.append(0.0, np.cumsum(expected[order])) + rng.random())
    edges[-1] = edges[0] + total
    uses = np.empty(len(groups), np.int32)
    uses[order] = np.diff(edges)
    del expected, order, edges
    # An item used k times comes once in every k-th of the run, at a random moment of it. A moment and its item are one
    # number, because numbers are sorted several times as fast as an order of them is found.
    keys = np.empty(total, np.uint64)
    ends = np.cumsum(uses, dtype=np.int64)
    cuts = np.unique([*np.searchsorted(ends, np.arange(0, total, _DRAWS_AT_A_TIME), side="right"), len(groups)])
    for first, last in itertools.pairwise(cuts.tolist()):
        some = uses[first:last]
        nth = np.repeat(np.arange(last - first), some)
        begin = ends[first:last] - some
        turn = np.arange(begin[0], ends[last - 1]) - begin[nth]
        moments = (turn + rng.random(len(nth))) / some[nth] * _MOMENTS
        keys[begin[0] : ends[last - 1]] = moments.astype(np.uint64) << np.uint64(32) | (nth + first).astype(np.uint64)
    keys.sort()
    sampled: IntArray = (keys & np.uint64(0xFFFFFFFF)).astype(np.int32).reshape(batches, batch_size)
    del keys
    _separate(sampled, groups, rng)
    return sampled


def sample_blocks(groups: IntArray, batches: int, batch_size: int, block: int, rng: np.random.Generator) -> IntArray:
    """Sample items of equal rate in blocks of consecutive ones, so that neighbours meet in a batch.

    As `sample`, with `block` items that stay together and divide `batch_size`. An item whose group is in its batch
    already is exchanged, so blocks may lose an item.
    """
    # Blocks begin elsewhere in every plan; the fewer than `block` items that are left over wait for another.
    first = rng.integers(len(groups) % block + 1) if block > 1 else 0
    starts = np.arange(first, len(groups) - block + 1, block)
    per_batch = batch_size // block
    if block == 1 or len(starts) < per_batch:
        return sample(groups, np.ones(len(groups)), batches, batch_size, rng)
    chosen = sample(np.arange(len(starts)), np.ones(len(starts)), batches, per_batch, rng)
    sampled: IntArray = (starts[chosen][:, :, None] + np.arange(block)).reshape(batches, batch_size)
    _separate(sampled, groups, rng)
    return sampled


def draw_languages(
    rates: FloatArray, pattern: IntArray, items: IntArray, crossing: bool, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """`(draws,)` each; the languages of queries and passages, drawn by their rates: the same or, crossing, two.

    The second is drawn from what the first leaves. A coin decides which of the two is the query's, so that both roles
    see every language equally. `rates`: `(patterns, languages)`, 0 where the language is not there; `pattern`:
    `(pool,)`, of each item of the pool; `items`: `(draws,)`, places in the pool.
    """
    weights = np.rint(rates / rates.max() * _UNIT).astype(np.int64) + (rates > 0)  # whole numbers, so sums are exact
    spoken = smallest(weights.shape[1])
    queries, passages = np.empty(len(items), spoken), np.empty(len(items), spoken)
    ends = np.cumsum(weights, axis=1)
    for start in range(0, len(items), _DRAWS_AT_A_TIME):
        part = slice(start, start + _DRAWS_AT_A_TIME)
        of = pattern[items[part]]
        point = (rng.random(len(of)) * ends[of, -1]).astype(np.int64)
        first = second = _language_at(ends, of, point)
        if crossing:
            taken = weights[of, first]
            point = (rng.random(len(of)) * (ends[of, -1] - taken)).astype(np.int64)
            point += np.where(point >= ends[of, first] - taken, taken, 0)
            second = _language_at(ends, of, point)
            coin = rng.random(len(of), np.float32) < 0.5
            first, second = np.where(coin, first, second), np.where(coin, second, first)
        queries[part], passages[part] = first, second
    return queries, passages


def _language_at(ends: IntArray, pattern: IntArray, point: IntArray) -> IntArray:
    """`(draws,)`; the language in whose stretch each point lies, where a pattern's languages stand end to end."""
    found = np.zeros(len(point), np.intp)
    for column in ends[:, :-1].T:
        found += np.ascontiguousarray(column)[pattern] <= point
    return found


def _capped(rates: FloatArray, batch_size: int) -> FloatArray:
    """Normalise rates so that none exceeds once per batch, giving the excess to the others in proportion."""
    share = rates / rates.sum()
    limit = 1.0 / batch_size
    full = np.zeros(len(share), bool)
    while (over := (share > limit * (1 + 1e-12)) & ~full).any():
        full |= over
        rest = share[~full].sum()
        share[full] = limit
        if rest == 0:
            break
        share[~full] *= (1 - full.sum() * limit) / rest
    return np.asarray(share / share.sum(), np.float64)


def _separate(sampled: IntArray, groups: IntArray, rng: np.random.Generator) -> None:
    """Exchange items, in place, until no batch holds a group twice."""
    uses: IntArray | None = None  # of each item in the whole plan; counted when first needed, then kept up to date
    for start in range(0, len(sampled), _BATCHES_AT_A_TIME):
        ordered = np.sort(groups[sampled[start : start + _BATCHES_AT_A_TIME]], axis=1)
        for batch in (start + np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))).tolist():
            _, first = np.unique(groups[sampled[batch]], return_index=True)
            for slot in np.setdiff1d(np.arange(sampled.shape[1]), first).tolist():
                if not _swap(sampled, groups, batch, slot, rng):
                    uses = np.bincount(sampled.ravel(), minlength=len(groups)) if uses is None else uses
                    _substitute(sampled, groups, batch, slot, uses, rng)


def _swap(sampled: IntArray, groups: IntArray, batch: int, slot: int, rng: np.random.Generator) -> bool:
    """Try to exchange one item with one of another batch so that neither batch repeats a group."""
    here, mine = groups[sampled[batch]], groups[sampled[batch, slot]]
    others = rng.integers(len(sampled), size=_SWAP_TRIES)
    slots = rng.integers(sampled.shape[1], size=_SWAP_TRIES)
    for other, place in zip(others, slots, strict=True):
        theirs = groups[sampled[other, place]]
        if other != batch and theirs not in here and mine not in groups[sampled[other]]:
            sampled[batch, slot], sampled[other, place] = sampled[other, place], sampled[batch, slot]
            return True
    return False


def _substitute(
    sampled: IntArray, groups: IntArray, batch: int, slot: int, uses: IntArray, rng: np.random.Generator
) -> None:
    """Put the least used item that fits in place of a repeated one; there is one, as groups >= batch_size."""
    fits = np.flatnonzero(~np.isin(groups, groups[sampled[batch]]))
    item = rng.choice(fits[uses[fits] == uses[fits].min()])
    uses[[sampled[batch, slot], item]] += (-1, 1)
    sampled[batch, slot] = item
