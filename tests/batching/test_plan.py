"""Properties of a plan, over random data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.batching.plan import (
    CROSS_LINGUAL,
    KINDS,
    MONOLINGUAL,
    BatchPlan,
    plan_batches,
)
from isoglot.batching.sampling import language_weights, sample, sample_blocks
from isoglot.batching.translations import Translations
from isoglot.common.errors import InputError

STRATEGIES = ("monolingual", "cross-lingual", "hybrid", "mixed", "english")
TAGS = ("de", "en", "es", "zh-CN")


def make(
    seed: int, examples: int = 80, languages: int = 4, datasets: int = 2, groups: bool = True, share: float = 0.6
) -> Translations:
    """Random data; the first examples exist everywhere, so that every kind of batch can be filled."""
    rng = np.random.default_rng(seed)
    available = rng.random((examples, languages)) < share
    dataset = rng.integers(datasets, size=examples)
    group = rng.integers(examples, size=examples) if groups else np.arange(examples)
    rich = np.arange(20 * datasets)
    available[rich], dataset[rich], group[rich] = True, rich // 20, examples + rich
    rows = np.where(available, np.cumsum(available).reshape(available.shape) - 1, -1)
    identical = available & (rng.random(available.shape) < 0.2)
    identical[rich] = False
    names = tuple(f"set{n}" for n in range(datasets))
    return Translations.from_matrix(
        TAGS[:languages], rows, datasets=names, dataset=dataset, group=group, identical=identical
    )


def batches(plan: BatchPlan, column: np.ndarray) -> np.ndarray:
    return column.reshape(plan.steps, plan.batch_size)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(STRATEGIES), st.integers(2, 12), st.integers(1, 40))
def test_every_batch_keeps_its_promises(seed: int, strategy: str, batch_size: int, steps: int) -> None:
    data = make(seed)
    plan = plan_batches(data, strategy, batch_size=batch_size, steps=steps, seed=seed)  # type: ignore[arg-type]
    assert plan.steps == steps
    example, query, passage = (batches(plan, c) for c in (plan.example, plan.query_language, plan.passage_language))
    query_rows, passage_rows = plan.table_rows(data)
    assert (query_rows >= 0).all()
    assert (passage_rows >= 0).all()
    for step in range(steps):
        assert len(set(data.group[example[step]])) == batch_size, "a group, and so an example, twice"
        assert len(set(data.dataset[example[step]])) == 1, "two data sets in one batch"
        kind = KINDS[plan.kind[step]]
        if kind == "cross-lingual":
            assert (query[step] != passage[step]).all()
        else:
            assert (query[step] == passage[step]).all()
            assert not data.identical[data.pattern[example[step]], query[step]].any()
        if kind == "monolingual":
            assert len(set(query[step])) == 1
        if strategy == "english":
            assert set(query[step]) == {TAGS.index("en")}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_share_of_monolingual_batches_is_near_alpha(seed: int, alpha: float) -> None:
    plan = plan_batches(make(1), "hybrid", batch_size=2, steps=2000, alpha=alpha, seed=seed)
    share = (plan.kind == MONOLINGUAL).mean()
    assert abs(share - alpha) <= 5 * np.sqrt(alpha * (1 - alpha) / 2000) + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_alpha_goes_evenly_from_the_first_step_to_the_last(seed: int, first: float, last: float) -> None:
    kind = plan_batches(make(1), "hybrid", batch_size=2, steps=3000, alpha=(first, last), seed=seed).kind
    for third, part in enumerate(np.split(kind == MONOLINGUAL, 3)):
        alpha = first + (last - first) * (2 * third + 1) / 6
        assert abs(part.mean() - alpha) <= 5 * np.sqrt(0.25 / 1000)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_two_equal_alphas_are_one(seed: int, alpha: float) -> None:
    one, two = (
        plan_batches(make(1), "hybrid", batch_size=2, steps=50, alpha=a, seed=seed) for a in (alpha, (alpha,) * 2)
    )
    assert (one.kind == two.kind).all()
    assert (one.example == two.example).all()


def test_alpha_at_its_ends_is_the_pure_strategies() -> None:
    assert (plan_batches(make(0), "hybrid", batch_size=4, steps=20, alpha=1.0).kind == MONOLINGUAL).all()
    assert (plan_batches(make(0), "hybrid", batch_size=4, steps=20, alpha=0.0).kind == CROSS_LINGUAL).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seeds_repeat_and_differ(strategy: str) -> None:
    one, same, other = (
        plan_batches(make(0), strategy, batch_size=8, steps=12, seed=seed).columns()  # type: ignore[arg-type]
        for seed in (3, 3, 4)
    )
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["example"], other["example"])


def test_passes_over_the_data_differ() -> None:
    data = make(0, groups=False, share=1.0, datasets=1)
    data = replace(data, identical=np.zeros_like(data.identical))
    plan = plan_batches(data, "english", batch_size=8, steps=20)  # 80 examples, two passes of ten batches
    first, second = plan.example[:80], plan.example[80:]
    assert sorted(first) == sorted(second) == list(range(80))
    assert not np.array_equal(first, second)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_shares_of_processes_make_up_the_global_batch(seed: int, world: int) -> None:
    plan = plan_batches(make(seed), "hybrid", batch_size=12, steps=9, seed=seed)
    shares = [plan.share(rank, world) for rank in range(world)]
    assert all(np.array_equal(share.kind, plan.kind) for share in shares)
    together = np.concatenate([batches(share, share.example) for share in shares], axis=1)
    assert np.array_equal(together.ravel(), plan.example)
    rows = np.concatenate([share.table_rows(make(seed))[1].reshape(9, -1) for share in shares], axis=1)
    assert np.array_equal(rows.ravel(), plan.table_rows(make(seed))[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 15), st.sampled_from(STRATEGIES))
def test_a_resumed_plan_is_the_rest_of_the_plan(step: int, strategy: str) -> None:
    plan = plan_batches(make(2), strategy, batch_size=6, steps=15)  # type: ignore[arg-type]
    rest = plan.from_step(step)
    assert rest.steps == 15 - step
    for name, column in plan.columns().items():
        if name != "step":
            assert np.array_equal(rest.columns()[name], column[step * 6 :])


def language_counts(sampling: str | float) -> np.ndarray:
    sizes = [800, 200, 50, 50]
    rows = np.full((1100, 4), -1)
    for language, (start, size) in enumerate(zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True)):
        rows[start : start + size, language] = np.arange(start, start + size)
    data = Translations.from_matrix(TAGS, rows)
    plan = plan_batches(data, "monolingual", batch_size=5, steps=4000, language_sampling=sampling)  # type: ignore[arg-type]
    return np.bincount(plan.query_language, minlength=4) / len(plan.query_language)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("uniform", [0.25, 0.25, 0.25, 0.25]),
        ("size", [8 / 11, 2 / 11, 0.5 / 11, 0.5 / 11]),
        (2.0, np.sqrt([800, 200, 50, 50]) / np.sqrt([800, 200, 50, 50]).sum()),
    ],
)
def test_languages_are_drawn_as_asked(sampling: str | float, expected: list[float]) -> None:
    assert language_counts(sampling) == pytest.approx(expected, abs=0.03)


def test_cross_lingual_languages_are_uniform_in_both_roles() -> None:
    plan = plan_batches(make(0, examples=400, share=0.7), "cross-lingual", batch_size=10, steps=1000)
    for column in (plan.query_language, plan.passage_language):
        assert np.bincount(column) / len(column) == pytest.approx([0.25] * 4, abs=0.03)


def test_data_sets_are_drawn_by_size_or_weight() -> None:
    data = make(0, examples=900, share=1.0)
    data = replace(data, dataset=(np.arange(len(data.dataset)) % 10 == 0).astype(np.int64))
    sizes = np.array([0.9, 0.1])
    roots = np.sqrt(sizes) / np.sqrt(sizes).sum()
    for weights, expected in (
        ("size", sizes),
        (2.0, roots),
        ("uniform", [0.5, 0.5]),
        ({"set0": 3.0, "set1": 1.0}, [0.75, 0.25]),
        ({"set1": 1.0}, [0, 1]),
    ):
        for strategy in ("monolingual", "cross-lingual"):
            plan = plan_batches(data, strategy, batch_size=4, steps=3000, dataset_weights=weights)  # type: ignore[arg-type]
            drawn = np.bincount(data.dataset[plan.example], minlength=2) / len(plan.example)
            assert drawn == pytest.approx(expected, abs=0.04)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 9))
def test_cards_are_used_evenly(seed: int, steps: int, batch_size: int) -> None:
    """Each card floor or ceil of its share; an exchange where a card meets itself moves one use at most.

    A pool of fewer items than two batches leaves few places to exchange with, so it may be off by a few.
    """
    rng = np.random.default_rng(seed)
    items = int(rng.integers(batch_size, 60))
    sampled = sample(np.arange(items), np.ones(items), steps, batch_size, rng)
    uses = np.bincount(sampled.ravel(), minlength=items)
    share = steps * batch_size / items
    slack = 1 if items >= 2 * batch_size else batch_size
    assert uses.min() >= np.floor(share) - slack
    assert uses.max() <= np.ceil(share) + slack
    assert all(len(set(batch)) == batch_size for batch in sampled)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2, 4, 8]), st.integers(1, 30))
def test_neighbours_stay_together_and_groups_apart(seed: int, block: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.sort(rng.integers(150, size=200))
    groups[:40] = 1000 + np.arange(40)
    sampled = sample_blocks(groups, steps, 8, block, rng)
    assert all(len(set(groups[batch])) == 8 for batch in sampled)
    alone = sample_blocks(np.arange(200), steps, 8, block, rng).reshape(-1, block)
    assert (np.diff(alone, axis=1) == 1).all()


def test_neighbours_must_divide_the_batch() -> None:
    with pytest.raises(InputError, match="neighbours 3: must divide the batch size, 8"):
        plan_batches(make(0), batch_size=8, steps=2, neighbours=3)


def test_a_rate_above_once_per_batch_is_capped() -> None:
    rates = np.ones(10)
    rates[0] = 1000.0
    sampled = sample(np.arange(10), rates, 50, 4, np.random.default_rng(0))
    uses = np.bincount(sampled.ravel(), minlength=10)
    assert 45 <= uses[0] <= 50
    assert uses[1:].min() >= 15
    assert uses[1:].max() <= 19


def test_a_scarce_language_says_how_often_it_repeats() -> None:
    rows = np.arange(200).reshape(100, 2)
    rows[10:, 1] = -1  # ten examples of the second language
    data = Translations.from_matrix(("en", "hu"), rows)
    repeats = plan_batches(data, "monolingual", batch_size=5, steps=100).describe()["repeats"]
    assert repeats["hu"]["examples"] == 10
    assert repeats["hu"]["mean_uses"] > 5 * repeats["en"]["mean_uses"]
    assert repeats["hu"]["most_uses"] <= repeats["hu"]["mean_uses"] + 2


def test_examples_of_one_language_feed_monolingual_batches_only() -> None:
    data = make(0, examples=200)
    alone = np.flatnonzero(data.language_counts == 1)
    plan = plan_batches(data, "hybrid", batch_size=5, steps=400)
    cross = batches(plan, plan.example)[plan.kind == CROSS_LINGUAL]
    assert not np.isin(cross, alone).any()
    assert np.isin(plan.example, alone).any()


def test_language_weights_leave_out_what_is_not_there() -> None:
    assert language_weights([0, 0], "uniform").tolist() == [0, 0]
    assert language_weights([5, 0, 5], "size").tolist() == [0.5, 0, 0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "bilingual"}, "use one of monolingual, cross-lingual, hybrid, mixed, english"),
        ({"alpha": 1.5}, "from 0 to 1"),
        ({"alpha": float("nan")}, "from 0 to 1"),
        ({"alpha": (0.5, 1.5)}, "from 0 to 1"),
        ({"alpha": (0.5, 0.6, 0.7)}, "or two, for first and last step"),
        ({"batch_size": 1}, "at least 2"),
        ({"steps": 0}, "at least 1"),
        ({"language_sampling": "even"}, "'uniform', 'size' or a temperature"),
        ({"language_sampling": 0.5}, "at least 1"),
        ({"dataset_weights": {"nope": 1.0}}, "not among set0, set1"),
        ({"dataset_weights": {"set0": -1.0}}, "not negative"),
        ({"dataset_weights": {"set0": 0.0}}, "not all zero"),
        ({"dataset_weights": "largest"}, "'size', 'uniform', a temperature"),
        ({"dataset_weights": 0.5}, "'size', 'uniform', a temperature"),
        ({"batch_size": 500}, "needs; use a smaller batch"),
        ({"strategy": "cross-lingual", "batch_size": 500}, "add translations"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments: dict[str, object], message: str) -> None:
    given_ = {"strategy": "monolingual", "batch_size": 4, "steps": 3, **arguments}
    with pytest.raises(InputError, match=message):
        plan_batches(make(0), **given_)  # type: ignore[arg-type]


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    plan = plan_batches(make(0), batch_size=4, steps=2)
    with pytest.raises(InputError, match="divided evenly"):
        plan.share(0, 3)
    with pytest.raises(InputError, match="does not exist"):
        plan.share(2, 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(STRATEGIES))
def test_a_plan_describes_itself_in_its_own_counts(seed: int, strategy: str) -> None:
    plan = plan_batches(make(seed), strategy, batch_size=6, steps=25, seed=seed)  # type: ignore[arg-type]
    columns, told = plan.columns(), plan.describe()
    assert (told["steps"], told["batch_size"]) == (25, 6)
    assert sum(told["batches"].values()) == 25
    for kind, count in told["batches"].items():
        assert (columns["kind"] == kind).sum() == 6 * count
    for role in ("query", "passage"):
        tags, counts = np.unique(columns[f"{role}_language"], return_counts=True)
        assert told[f"{role}_languages"] == dict(zip(tags.tolist(), counts.tolist(), strict=True))
    for tag, repeats in told["repeats"].items():
        uses = np.unique(columns["example"][columns["query_language"] == tag], return_counts=True)[1]
        assert (repeats["examples"], repeats["most_uses"]) == (len(uses), uses.max())
        assert repeats["mean_uses"] == pytest.approx(uses.mean(), abs=0.005)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(2, 6))
def test_items_of_unequal_rates_are_sampled_in_proportion(seed: int, steps: int, batch_size: int) -> None:
    """Rates that no cap touches; a batch is so small a part of the items that few have to be exchanged."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(1, 3, size=10 * batch_size)
    sampled = sample(np.arange(len(rates)), rates, steps, batch_size, rng)
    uses = np.bincount(sampled.ravel(), minlength=len(rates))
    expected = rates / rates.sum() * steps * batch_size
    off = np.maximum(np.floor(expected) - uses, uses - np.ceil(expected)).clip(0)
    assert off.max() <= 1
    assert off.sum() <= 2
    assert all(len(set(batch)) == batch_size for batch in sampled)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 8))
def test_groups_that_hold_many_cards_never_meet_themselves(seed: int, batch_size: int) -> None:
    """The hardest case: hardly more groups than a batch holds, one of them with most of the items."""
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(batch_size), np.zeros(20, int)])
    sampled = sample(groups, np.ones(len(groups)), 30, batch_size, rng)
    assert all(len(set(groups[batch])) == batch_size for batch in sampled)


def test_uses_are_spread_over_the_run() -> None:
    sampled = sample(np.arange(50), np.ones(50), 100, 5, np.random.default_rng(0))  # ten uses of each
    for card in range(50):
        when = np.flatnonzero((sampled == card).any(axis=1))
        assert np.diff(when).max() <= 25, "at most about two tenths of the run without it"
