"""Even draws without collisions: how often each language comes, and which cards make up each batch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from isoglot.errors import InputError

LanguageSampling = Literal["uniform", "size"] | float
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_SWAP_TRIES = 24


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


def deal(
    groups: IntArray, rates: FloatArray, batches: int, batch_size: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Deal cards into batches: each card as often as its rate says, evenly spread, no group twice in a batch.

    Args:
        groups: `(cards,)`; the group of each card; at least `batch_size` different ones.
        rates: `(cards,)`; relative frequency of each card. What exceeds once per batch is given to the others.
        batches: number of batches.
        batch_size: cards per batch.
        rng: source of randomness.

    Returns:
        `(batches, batch_size)` card numbers. Each card is used floor or ceil of its expected number of times, but
        for the few that had to be exchanged where a group met itself.
    """
    total = batches * batch_size
    expected = _capped(rates, batch_size) * total
    # Systematic sampling over a random order: each count is floor or ceil of its expectation, the sum is exact.
    order = rng.permutation(len(groups))
    edges = np.floor(np.append(0.0, np.cumsum(expected[order])) + rng.random())
    edges[-1] = edges[0] + total
    uses = np.empty(len(groups), np.int64)
    uses[order] = np.diff(edges).astype(np.int64)
    # A card used k times comes once in every k-th of the run, at a random moment of it.
    cards = np.repeat(np.arange(len(groups)), uses)
    turn = np.arange(total) - np.repeat(np.cumsum(uses) - uses, uses)
    moment = (turn + rng.random(total)) / uses[cards]
    dealt: IntArray = cards[np.argsort(moment, kind="stable")].reshape(batches, batch_size)
    _separate(dealt, groups, rng)
    return dealt


def deal_blocks(
    groups: IntArray, batches: int, batch_size: int, block: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Deal cards of equal rate in blocks of consecutive ones, so that neighbours meet in a batch.

    Args:
        groups: `(cards,)`; the group of each card; at least `batch_size` different ones.
        batches: number of batches.
        batch_size: cards per batch, a multiple of `block`.
        block: cards that stay together.
        rng: source of randomness.

    Returns:
        `(batches, batch_size)` card numbers, no group twice in a batch; a card whose group is in its batch already
        is exchanged, so blocks may lose a card.
    """
    # Blocks begin elsewhere in every plan; the fewer than `block` cards that are left over wait for another.
    starts = np.arange(rng.integers(len(groups) % block + 1), len(groups) - block + 1, block)
    per_batch = batch_size // block
    if len(starts) < per_batch:
        return deal(groups, np.ones(len(groups)), batches, batch_size, rng)
    chosen = deal(np.arange(len(starts)), np.ones(len(starts)), batches, per_batch, rng)
    dealt: IntArray = (starts[chosen][:, :, None] + np.arange(block)).reshape(batches, batch_size)
    _separate(dealt, groups, rng)
    return dealt


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


def _separate(dealt: IntArray, groups: IntArray, rng: np.random.Generator) -> None:
    """Exchange cards, in place, until no batch holds a group twice."""
    ordered = np.sort(groups[dealt], axis=1)
    for batch in np.flatnonzero((np.diff(ordered, axis=1) == 0).any(axis=1)).tolist():
        _, first = np.unique(groups[dealt[batch]], return_index=True)
        for slot in np.setdiff1d(np.arange(dealt.shape[1]), first).tolist():
            if not _swap(dealt, groups, batch, slot, rng):
                _substitute(dealt, groups, batch, slot, rng)


def _swap(dealt: IntArray, groups: IntArray, batch: int, slot: int, rng: np.random.Generator) -> bool:
    """Try to exchange one card with one of another batch so that neither batch repeats a group."""
    here, mine = groups[dealt[batch]], groups[dealt[batch, slot]]
    others = rng.integers(len(dealt), size=_SWAP_TRIES)
    slots = rng.integers(dealt.shape[1], size=_SWAP_TRIES)
    for other, place in zip(others, slots, strict=True):
        theirs = groups[dealt[other, place]]
        if other != batch and theirs not in here and mine not in groups[dealt[other]]:
            dealt[batch, slot], dealt[other, place] = dealt[other, place], dealt[batch, slot]
            return True
    return False


def _substitute(dealt: IntArray, groups: IntArray, batch: int, slot: int, rng: np.random.Generator) -> None:
    """Put the least used card that fits in place of a repeated one; there is one, as groups >= batch_size."""
    fits = np.flatnonzero(~np.isin(groups, groups[dealt[batch]]))
    uses = np.bincount(dealt.ravel(), minlength=len(groups))[fits]
    dealt[batch, slot] = rng.choice(fits[uses == uses.min()])
