"""Statistics against independent implementations, by their properties, and by how well they keep their level."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from isoglot.common.errors import InputError
from isoglot.statistics import significance
from isoglot.statistics.significance import (
    bootstrap_interval,
    bootstrap_intervals,
    contributions,
    differences,
    effect_size,
    holm,
    macro_score,
    randomisation_test,
    seed_effect,
)

Values = np.ndarray
TRIALS = 1000
"""Simulations behind each figure of docs/statistics.md."""
scores = st.integers(0, 8).map(lambda eighths: eighths / 8)


@st.composite
def matrices(draw: st.DrawFn, count: int = 1, most: int = 7) -> list[Values]:
    """Matrices with the same queries missing, at least one left."""
    shape = draw(st.tuples(st.integers(2, most), st.integers(1, 4)))
    missing = draw(arrays(bool, shape))
    missing[0] = missing[1] = False
    return [np.where(missing, np.nan, draw(arrays(float, shape, elements=scores))) for _ in range(count)]


def slow_score(values: Values) -> float:
    columns = [[x for x in column if not np.isnan(x)] for column in values.T]
    means = [sum(column) / len(column) for column in columns if column]
    return sum(means) / len(means)


@given(matrices())
def test_the_score_is_the_mean_of_cell_means_and_the_sum_of_contributions(given_: list[Values]) -> None:
    (values,) = given_
    values = np.column_stack([values, np.full(len(values), np.nan)])  # a cell that nobody asked
    assert macro_score(values) == pytest.approx(slow_score(values))
    assert contributions(values).sum() == pytest.approx(slow_score(values))


@settings(max_examples=30, deadline=None)
@given(matrices(count=2, most=5))
def test_the_exact_p_value_is_that_of_swapping_whole_examples(given_: list[Values]) -> None:
    a, b = given_
    observed = abs(slow_score(a) - slow_score(b))
    extreme = 0
    for swap in product([False, True], repeat=len(a)):
        chosen = np.array(swap)[:, None]
        first, second = np.where(chosen, b, a), np.where(chosen, a, b)
        extreme += abs(slow_score(first) - slow_score(second)) >= observed - 1e-9
    assert randomisation_test(a, b) == pytest.approx(extreme / 2 ** len(a))


def test_the_p_value_agrees_with_scipy_exact_or_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for shift in (0.0, 0.3, 1.0):
        a, b = random.normal(shift, 1, (12, 1)), random.normal(0, 1, (12, 1))
        pair = (a[:, 0], b[:, 0])
        theirs = stats.permutation_test(
            pair, lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert randomisation_test(a, b) == pytest.approx(theirs)
        with monkeypatch.context() as patch:
            patch.setattr(significance, "EXACT_EXAMPLES", 0)
            assert randomisation_test(a, b, permutations=20_000) == pytest.approx(theirs, abs=0.015)


@settings(deadline=None)
@given(matrices(count=2), st.integers(0, 5))
def test_a_p_value_does_not_depend_on_which_system_comes_first(given_: list[Values], seed: int) -> None:
    a, b = given_
    p_value = randomisation_test(a, b, seed=seed)
    assert 0 < p_value <= 1
    assert randomisation_test(b, a, seed=seed) == p_value
    assert randomisation_test(a, a) == 1


def test_a_sampled_p_value_is_never_zero() -> None:
    assert randomisation_test(np.ones((40, 2)), np.zeros((40, 2)), permutations=99) == 0.01


@pytest.mark.parametrize("cells", [1, 3])
def test_the_interval_agrees_with_scipy(cells: int) -> None:
    values = np.random.default_rng(1).lognormal(size=(60, cells))
    theirs = stats.bootstrap(
        (values.mean(1),), np.mean, n_resamples=20_000, method="BCa", random_state=np.random.default_rng(0)
    ).confidence_interval
    ours = bootstrap_interval(values, resamples=20_000)
    width = theirs.high - theirs.low
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


@settings(max_examples=30, deadline=None)
@given(matrices())
def test_groups_of_cells_give_what_each_gives_alone(given_: list[Values]) -> None:
    (values,) = given_
    groups = [np.arange(values.shape[1]), np.array([values.shape[1] - 1])]
    alone = [bootstrap_interval(values[:, group], resamples=50) for group in groups]
    for ours, expected in zip(bootstrap_intervals(values, groups, resamples=50), alone, strict=True):
        assert (ours.value, ours.low, ours.high) == pytest.approx((expected.value, expected.low, expected.high))


@settings(max_examples=30, deadline=None)
@given(matrices(), st.floats(-5, 5), st.floats(0.1, 10))
def test_an_interval_shifts_and_stretches_with_the_values(given_: list[Values], shift: float, factor: float) -> None:
    (values,) = given_
    plain = bootstrap_interval(values, resamples=100)
    moved = bootstrap_interval(values * factor + shift, resamples=100)
    assert plain.low <= plain.high
    assert (moved.value, moved.low, moved.high) == pytest.approx(
        tuple(end * factor + shift for end in (plain.value, plain.low, plain.high)), abs=1e-6
    )
    assert np.nanmin(values) - 1e-9 <= plain.low
    assert plain.high <= np.nanmax(values) + 1e-9


def test_translations_that_say_the_same_do_not_narrow_an_interval() -> None:
    one = np.random.default_rng(2).random((80, 1))
    assert bootstrap_interval(np.repeat(one, 11, 1)).low == pytest.approx(bootstrap_interval(one).low)


def test_a_paired_interval_is_over_the_queries_that_both_answered() -> None:
    a = np.array([[0.5, 1.0], [0.5, np.nan], [1.0, 0.0]])
    b = np.array([[0.0, np.nan], [0.0, 0.5], [0.5, 0.0]])
    assert bootstrap_interval(differences(a, b), resamples=10).value == pytest.approx((0.5 + 0.0) / 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    numbers = range(len(p_values))
    subsets = list(chain.from_iterable(combinations(numbers, size + 1) for size in numbers))
    for number, corrected in enumerate(holm(p_values)):
        tests = [min(1, len(s) * min(p_values[j] for j in s)) for s in subsets if number in s]
        assert corrected == pytest.approx(max(tests))


@given(matrices(count=2))
def test_an_effect_turns_around_with_the_systems(given_: list[Values]) -> None:
    a, b = given_
    there, back = effect_size(differences(a, b)), effect_size(differences(b, a))
    assert there.higher + there.lower <= 1 + 1e-9
    assert (there.higher, there.lower) == (back.lower, back.higher)
    assert there.size == pytest.approx(-back.size, nan_ok=True)


def test_an_effect_is_the_t_statistic_over_the_root_of_the_examples() -> None:
    a, b = np.random.default_rng(3).random((2, 40, 3))
    expected = stats.ttest_rel(a.mean(1), b.mean(1)).statistic / np.sqrt(40)
    assert effect_size(differences(a, b)).size == pytest.approx(expected)


def test_with_one_run_each_the_seed_effect_is_the_paired_t_test() -> None:
    a, b = np.random.default_rng(4).random((2, 30, 3))
    expected = stats.ttest_rel(a.mean(1), b.mean(1))
    found = seed_effect([a], [b])
    assert (found.p_value, found.degrees_of_freedom) == pytest.approx((expected.pvalue, expected.df))
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.from_runs == 0


def test_without_variance_between_examples_the_seed_effect_is_welch_t_test() -> None:
    first, second = [0.5, 0.55, 0.7], [0.4, 0.41, 0.44, 0.42]
    runs = [[np.full((500, 2), score) for score in of] for of in (first, second)]
    expected = stats.ttest_ind(first, second, equal_var=False)
    found = seed_effect(*runs)
    assert (found.p_value, found.degrees_of_freedom) == pytest.approx((expected.pvalue, expected.df))


def test_the_parts_of_the_seed_effect_are_those_of_an_analysis_of_variance() -> None:
    random = np.random.default_rng(5)
    a, b = random.random((3, 20)), random.random((4, 20)) + random.random((4, 1))
    runs = 0.0
    for table in (a, b):
        count, examples = table.shape
        rest = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
        between = examples * ((table.mean(1) - table.mean()) ** 2).sum() / (count - 1)
        within = (rest**2).sum() / (count - 1) / (examples - 1)
        runs += (between - within) / examples / count
    found = seed_effect([run[:, None] for run in a], [run[:, None] for run in b])
    assert found.from_runs == pytest.approx(max(0.0, runs))
    assert found.from_examples == pytest.approx((a.mean(0) - b.mean(0)).var(ddof=1) / 20)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.floats(0.001, 0.2))
def test_runs_that_differ_less_than_chance_leave_their_degrees_of_freedom(seed: int, count: int, noise: float) -> None:
    """Every run has the same score, so that between runs there is less variance than what is left of each predicts."""
    random = np.random.default_rng(seed)
    examples = np.concatenate([np.zeros(38), [1.0, 1.0]])

    def runs() -> list[np.ndarray]:
        moved = random.normal(0, noise, (count, 40))
        return [(examples + some - some.mean())[:, None] for some in moved]

    found = seed_effect(runs(), runs())
    assert found.degrees_of_freedom >= count - 1
    assert found.high - found.low < 26 * found.from_examples**0.5  # t of one degree at .975, on either side


def test_equal_runs_differ_by_nothing() -> None:
    values = np.random.default_rng(6).random((10, 2))
    found = seed_effect([values, values], [values])
    assert (found.value, found.p_value) == pytest.approx((0, 1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: macro_score(np.full((2, 2), np.nan)), "no query has a value"),
        (lambda: differences(np.ones((2, 1)), np.ones((3, 1))), "same examples and cells"),
        (lambda: differences(np.array([[1, np.nan]]), np.array([[1, 1.0]])), "cell 1: no query that both"),
        (lambda: bootstrap_interval(np.ones((2, 1)), resamples=0), "resamples 0"),
        (lambda: bootstrap_interval(np.ones((2, 1)), confidence=95), "confidence 95"),
        (lambda: randomisation_test(np.ones((2, 1)), np.ones((2, 1)), permutations=0), "permutations 0"),
        (lambda: seed_effect([], [np.ones((2, 1))]), "without runs"),
        (lambda: seed_effect([np.ones((1, 1))], [np.ones((1, 1))]), "fewer than two examples"),
    ],
)
def test_what_cannot_be_tested_is_said(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


# How often a true null is rejected, and how often an interval holds the truth.


def null_pair(
    random: np.random.Generator, examples: int, runs: int = 1, between_runs: float = 0.0
) -> list[list[Values]]:
    """Reciprocal ranks in four languages of the runs of two equally good systems.

    Translations succeed and fail together: a question has its difficulty, its own difficulty for each system and for
    each run, and only little of its own in each language.
    """
    difficulty = random.normal(0, 1, (examples, 1))
    pair: list[list[Values]] = [[], []]
    for system in pair:
        own = difficulty + random.normal(0, 0.5, (examples, 1))
        for _ in range(runs):
            run = own + random.normal(0, 0.3, (examples, 1)) + random.normal(0, between_runs)
            depth = run + random.normal(0, 0.4, (examples, 4))
            system.append(1 / np.ceil(np.exp(np.clip(depth, 0, 9))))
    return pair


def by_query(values: Values) -> Values:
    """As if every translation were an example of its own."""
    return values.reshape(-1, 1)


def shares(trial: Callable[[np.random.Generator], dict[str, bool]], trials: int, seed: int = 0) -> dict[str, float]:
    """How often each outcome of a trial holds."""
    random = np.random.default_rng(seed)
    counted: dict[str, int] = {}
    for _ in range(trials):
        for name, holds in trial(random).items():
            counted[name] = counted.get(name, 0) + int(holds)
    return {name: count / trials for name, count in counted.items()}


def is_near(share: float, expected: float, trials: int) -> bool:
    """Whether a share of trials may be the expected one: within the range that holds in 999 of 1,000 cases."""
    low, high = stats.binom.ppf([0.0005, 0.9995], trials, expected) / trials
    return bool(low <= share <= high)


def rejections(examples: int, permutations: int) -> Callable[[np.random.Generator], dict[str, bool]]:
    def trial(random: np.random.Generator) -> dict[str, bool]:
        (a,), (b,) = null_pair(random, examples)
        interval = bootstrap_interval(differences(a, b), resamples=permutations, seed=int(random.integers(1 << 30)))
        options = {"permutations": permutations, "seed": int(random.integers(1 << 30))}
        return {
            "by example": randomisation_test(a, b, **options) < 0.05,
            "by query": randomisation_test(by_query(a), by_query(b), **options) < 0.05,
            "interval": interval.low <= 0 <= interval.high,
        }

    return trial


def test_a_true_null_is_rejected_at_the_level_and_by_query_far_too_often() -> None:
    found = shares(rejections(60, 400), 300)
    assert is_near(found["by example"], 0.05, 300)
    assert found["by query"] > 0.15
    assert is_near(found["interval"], 0.95, 300)


@pytest.mark.slow
@pytest.mark.parametrize("examples", [12, 50, 200])
def test_calibration_of_the_randomisation_test(examples: int) -> None:
    found = shares(rejections(examples, 1000), TRIALS)
    print(f"\nrandomisation, {examples} examples: {found}")
    assert is_near(found["by example"], 0.05, TRIALS)
    assert found["by query"] > 0.15
    assert found["interval"] > (0.92 if examples >= 50 else 0.8)


def seed_rejections(examples: int, runs: int, between: float) -> Callable[[np.random.Generator], dict[str, bool]]:
    def trial(random: np.random.Generator) -> dict[str, bool]:
        a, b = null_pair(random, examples, runs, between)
        first = seed_effect(a[:1], b[:1])
        return {"all runs": seed_effect(a, b).p_value < 0.05, "first runs": first.p_value < 0.05}

    return trial


def test_several_runs_keep_the_level_where_one_run_does_not() -> None:
    found = shares(seed_rejections(200, 3, 0.1), 400)
    assert is_near(found["all runs"], 0.05, 400)
    assert found["first runs"] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("examples", [50, 300])
@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("between", [0.0, 0.1])
def test_calibration_of_the_seed_effect(examples: int, runs: int, between: float) -> None:
    found = shares(seed_rejections(examples, runs, between), TRIALS)
    print(f"\nseeds, {examples} examples, {runs} runs, {between} between runs: {found}")
    assert 0.01 < found["all runs"] < (0.075 if runs > 2 else 0.09)
    assert between == 0 or found["first runs"] > 0.1


def coverage(examples: int, truth: float) -> Callable[[np.random.Generator], dict[str, bool]]:
    def trial(random: np.random.Generator) -> dict[str, bool]:
        ((values,), _) = null_pair(random, examples)
        options = {"resamples": 1000, "seed": int(random.integers(1 << 30))}
        found = {"by example": bootstrap_interval(values, **options)}
        found["by query"] = bootstrap_interval(by_query(values), **options)
        return {name: interval.low <= truth <= interval.high for name, interval in found.items()}

    return trial


@pytest.fixture(scope="module")
def true_score() -> float:
    ((values,), _) = null_pair(np.random.default_rng(99), 400_000)
    return macro_score(values)


def test_an_interval_holds_the_true_score_as_often_as_it_says(true_score: float) -> None:
    found = shares(coverage(100, true_score), 300)
    assert is_near(found["by example"], 0.95, 300)
    assert found["by query"] < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("examples", [20, 50, 200])
def test_calibration_of_the_interval(examples: int, true_score: float) -> None:
    found = shares(coverage(examples, true_score), TRIALS)
    print(f"\ncoverage, {examples} examples: {found}")
    assert found["by example"] > (0.92 if examples >= 50 else 0.88)
    assert found["by query"] < 0.9
