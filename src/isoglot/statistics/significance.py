"""Is a difference between systems more than luck? Pure functions over the values of queries.

All take `values (examples, cells)`: a row is an example, whose queries are translations of each other; a cell is what
a setting averages over first (a query language, or a pair of query and corpus language); nan stands where an example
has no query. Translations of one question succeed and fail together, so the example is what is drawn, swapped and
counted: never the query. docs/statistics.md has the reasons, the sources and how well the tests keep their level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import betaincinv, stdtr, stdtrit  # type: ignore[import-untyped]

from isoglot.common.arrays import IntArray, Values
from isoglot.common.errors import InputError

EXACT_EXAMPLES = 16  # up to so many examples every permutation is tried: 2 ** 16 of them
BLOCK = 1 << 21  # numbers held at a time while resampling; bounds memory
TIE = 1e-12  # differences below it are rounding, not difference
FEW_QUERIES = 20
"""With fewer queries than that, a language's own spread is not relied on."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Effect:
    """How large a difference is beside its spread over examples, and how examples fall.

    The size is the mean over examples of the paired difference divided by its standard deviation (Cohen's d_z); nan
    where fewer than two examples are compared, or all differ by the same amount other than 0. `higher` and `lower` are
    the shares of examples on which the first system has the higher and the lower value.
    """

    size: float
    higher: float
    lower: float


@dataclass(frozen=True)
class SeedEffect(Interval):
    """A difference between systems of several runs each, examples and runs both taken as drawn; with its interval.

    The p-value is two-sided, the degrees of freedom are those of the t distribution. The variance of the difference
    is the sum of what comes of which examples were asked and of what comes of which runs were made.
    """

    p_value: float
    degrees_of_freedom: float
    from_examples: float
    from_runs: float


def macro_score(values: Values) -> float:
    """A setting's score: the mean over cells of the mean over each cell's queries; cells without any are left out.

    >>> macro_score(np.array([[1.0, 0.0], [0.0, np.nan]]))  # (1 + 0) / 2 and 0
    0.25
    """
    return float(contributions(values).sum())


def contributions(values: Values) -> Values:
    """What each example adds to the macro score, `(examples,)`; the sum over examples is the score.

    `u_e = 1/C sum_c x_ec / n_c` for C cells with queries, n_c queries in cell c.

    >>> contributions(np.array([[1.0, 0.0], [0.0, np.nan]])).tolist()
    [0.25, 0.0]
    """
    counts = (~np.isnan(values)).sum(0)
    if not counts.any():
        raise InputError("no query has a value, so there is no score")
    weights = (counts > 0) / np.maximum(counts, 1) / (counts > 0).sum()  # of one query's value, by cell
    added: Values = np.where(np.isnan(values), 0.0, values) @ weights
    return added


def differences(a: Values, b: Values) -> Values:
    """`a - b` where both have a query, nan elsewhere.

    Raises:
        InputError: if the shapes differ, or a cell has queries but none that both answered.
    """
    if a.shape != b.shape:
        raise InputError(f"values of shape {a.shape} and {b.shape}: both need the same examples and cells")
    common: Values = a - b
    lost = np.isnan(common).all(0) & ~(np.isnan(a) & np.isnan(b)).all(0)
    if lost.any():
        raise InputError(f"cell {int(lost.argmax())}: no query that both systems answered, so nothing to compare")
    return common


def bootstrap_interval(values: Values, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0) -> Interval:
    """The macro score with a confidence interval, by a bootstrap over examples.

    Examples are drawn with replacement, each with all its queries (a cluster bootstrap). The interval is BCa (Efron,
    JASA 1987): percentiles of the resampled scores, corrected for bias and skew, the acceleration taken from the
    empirical influence of examples. Give the differences of two systems for a paired interval. The confidence lies
    between 0 and 1; one seed draws the same examples for every matrix of the same length.

    >>> bootstrap_interval(np.array([[0.5, 0.5]] * 8))
    Interval(value=0.5, low=0.5, high=0.5)
    """
    everything = np.arange(values.shape[1])
    return bootstrap_intervals(values, [everything], resamples=resamples, confidence=confidence, seed=seed)[0]


def bootstrap_intervals(
    values: Values, groups: Sequence[IntArray], *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> list[Interval]:
    """`bootstrap_interval` for several groups of columns at once, from the same draws."""
    if resamples < 1 or not 0 < confidence < 1:
        raise InputError(f"resamples {resamples}, confidence {confidence}: need at least 1, and between 0 and 1")
    measured = np.flatnonzero((~np.isnan(values)).any(0))
    kept = [np.flatnonzero(np.isin(measured, group)) for group in groups]
    present, filled = ~np.isnan(values[:, measured]), np.nan_to_num(values[:, measured])
    drawn = []
    for weights in _draws(len(values), resamples, seed):
        asked = float(len(values)) if present.all() else weights @ present
        with np.errstate(invalid="ignore"):
            means = (weights @ filled) / asked  # (block, cells); nan where no query of a cell was drawn
            sums, cells = np.nan_to_num(means), (~np.isnan(means)).astype(np.float64)
            drawn.append(np.stack([sums[:, group].sum(1) / cells[:, group].sum(1) for group in kept], 1))
    scores = np.concatenate(drawn)
    return [
        _bca(macro_score(values[:, group]), scores[:, n], _influence(values[:, group]), confidence)
        for n, group in enumerate(groups)
    ]


def mean_interval(values: Values, bounds: tuple[float, float] | None = None, *, confidence: float = 0.95) -> Interval:
    """The macro score with a confidence interval that keeps its word for few examples, too, by a formula.

    The variance is that of `score_variance`. A measure between bounds has
    the interval of Korn and Graubard (Survey Methodology 1998): that of Clopper and Pearson for the share of as many
    independent draws as have this variance, `n* = p (1 - p) / Var` for the score p as a part of what is possible,
    narrowed by `(z / t)^2` with t of n - 1 degrees of freedom (theirs has t of two samples' sizes in z's place). Where
    all examples are alike n* is their number, so that 20 of 20 are no certainty. Without bounds it is `t sqrt(Var)` on
    either side; nan of a single example.

    >>> found = mean_interval(np.ones((20, 1)), (0, 1))
    >>> round(found.low, 4), found.high  # 0.025 ** (1 / 20)
    (0.8316, 1.0)
    """
    score, examples = macro_score(values), int((~np.isnan(values)).any(1).sum())
    tail = (1 - confidence) / 2
    t = float(stdtrit(examples - 1, 1 - tail)) if examples > 1 else float("nan")
    variance = score_variance(values) if examples > 1 else 0.0
    if bounds is None:
        return Interval(score, score - t * variance**0.5, score + t * variance**0.5)
    low, high = bounds
    part = min(max((score - low) / (high - low), 0.0), 1.0)
    even = variance <= TIE**2 or not 0 < part < 1
    z = NormalDist().inv_cdf(1 - tail)
    drawn = examples if even else part * (1 - part) * (high - low) ** 2 / variance * (z / t) ** 2
    found, lost = part * drawn, (1 - part) * drawn
    ends = (
        float(betaincinv(found, lost + 1, tail)) if found > 0 else 0.0,
        float(betaincinv(found + 1, lost, 1 - tail)) if lost > 0 else 1.0,
    )
    return Interval(score, *(low + end * (high - low) for end in ends))


def score_variance(values: Values) -> float:
    """Variance of the macro score over draws of examples, each with all its queries.

    With `d_ec` what example e lies from the mean of cell c, it is `sum_e (1/C sum_c d_ec / sqrt(n_c (n_c - 1)))^2`. The
    spread of a cell with fewer than `FEW_QUERIES` queries, and fewer than others, is taken to be at least that of all
    cells: of two queries it cannot be told, and of one it would be nothing. That is isoglot's own. nan of one example.

    >>> round(score_variance(np.array([[1.0], [0.0], [1.0], [0.0]])), 4)  # 1/3 over 4
    0.0833
    """
    present = ~np.isnan(values)
    examples, counts = int(present.any(1).sum()), present.sum(0)
    values, counts = values[:, counts > 0], counts[counts > 0]
    if examples < 2:
        return float("nan")
    apart = np.nan_to_num(values - np.nansum(values, 0) / counts)
    free = np.maximum(counts - 1, 1)
    moved = (apart / np.sqrt(counts * free)).sum(1) / len(counts)
    variance = float((moved**2).sum())
    few = (counts < FEW_QUERIES) & (counts < examples)
    if few.any() and (counts > 1).any():
        squares = (apart**2).sum(0)
        usual = squares.sum() / (counts - 1).sum()
        lacking = np.maximum(usual - squares / free, 0) / counts
        variance += float(lacking[few].sum()) / len(counts) ** 2
    return variance


def randomisation_test(a: Values, b: Values, *, permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the difference between two systems, by swapping them example by example.

    Under the null it does not matter which system gave which values of an example, so all of an example's values are
    swapped at once (Fisher's randomisation test; Smucker, Allan and Carterette, CIKM 2007). Up to `EXACT_EXAMPLES`
    examples all swaps are tried; beyond that a random sample, and `p = (1 + as extreme) / (1 + permutations)`.

    >>> randomisation_test(np.ones((4, 1)), np.zeros((4, 1)))  # 2 of 2 ** 4 swaps are as extreme
    0.125
    """
    common = contributions(differences(a, b))
    return float(randomisation_p_values(common[:, None], permutations=permutations, seed=seed)[0])


def randomisation_p_values(differences: Values, *, permutations: int = 10_000, seed: int = 0) -> Values:
    """`randomisation_test` for many comparisons at once, with the same swaps: two-sided p-values `(comparisons,)`.

    From differences `(examples, comparisons)`: `contributions` of those of two systems, 0 where there is no query.
    """
    if permutations < 1:
        raise InputError(f"permutations {permutations}: need at least 1")
    total = differences.sum(0)
    limit = np.abs(total) - TIE * np.abs(differences).sum(0)
    swaps = _swaps(len(differences), permutations, seed)
    extreme = sum((np.abs(total - 2.0 * (swapped @ differences)) >= limit).sum(0) for swapped in swaps)
    exact = len(differences) <= EXACT_EXAMPLES
    p_values = extreme / 2 ** len(differences) if exact else (1 + extreme) / (1 + permutations)
    return np.asarray(p_values, np.float64)


def enough_permutations(tests: int) -> int:
    """How many permutations leave room to find a difference among so many tests.

    A sampled p-value is at least `1 / (1 + permutations)`, and Holm's correction multiplies the smallest by the number
    of tests. With 100 a test that is below 0.01; 10,000 are the least.

    >>> enough_permutations(48), enough_permutations(528)
    (10000, 52800)
    """
    return max(10_000, 100 * tests)


def holm(p_values: Sequence[float] | Values) -> Values:
    """P-values corrected for their number (Holm, Scandinavian Journal of Statistics 1979).

    The k-th smallest of m is multiplied by `m - k + 1`, kept at least as large as the one before and at most 1. The
    chance of any false rejection in the family then stays below the level, however the tests depend on each other.

    >>> holm([0.01, 0.04, 0.03]).tolist()  # 3 x .01, then 2 x .03, then .04 raised to the one before
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, np.float64)
    order = np.argsort(given, kind="stable")
    stepped = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    corrected = np.empty_like(given)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def effect_size(differences: Values) -> Effect:
    """How large the difference of two systems is beside its spread over examples, and how examples fall.

    From the differences `(examples, cells)` of two systems' values. An example's is its contribution to the difference
    of the scores, times the number of examples; examples without a common query are left out.

    >>> effect_size(np.array([[0.5], [1.0], [0.0]])).size  # .5 / .5
    1.0
    """
    compared = contributions(differences)[~np.isnan(differences).all(1)]
    mean, spread = compared.mean(), compared.std(ddof=1) if len(compared) > 1 else np.nan
    size = 0.0 if abs(mean) < TIE else (float(mean / spread) if spread > TIE * abs(mean) else float("nan"))
    return Effect(size, float((compared > TIE).mean()), float((compared < -TIE).mean()))


def seed_effect(a_runs: Sequence[Values], b_runs: Sequence[Values], *, confidence: float = 0.95) -> SeedEffect:
    """The difference between two systems that were each trained several times.

    Examples and runs are crossed random effects: every run answers every example, and both could have been others.
    With d_e an example's difference of the runs' means, m_sr the score of run r of system s, and R_s its runs,

    `Var = S2(d) / n + sum over s of (S2(m_s) - MS_s / n) / R_s`, at least `S2(d) / n`,

    where S2 is the sample variance and MS_s the mean square of what neither run nor example explains, which would
    count twice. The difference over the root of Var is compared with t of `Var^2 / sum of part^2 / its own degrees`
    degrees of freedom, at least the fewest of a part (Satterthwaite, Biometrics Bulletin 1946; the design is that of
    Clark's quasi-F, Journal of Verbal Learning and Verbal Behavior 1973, runs for subjects and examples for items; the
    bound is isoglot's own). Runs of a and b are not paired. A system of one run shows no variance between runs: its
    part is 0, which is right only without training.
    A run is a matrix `(examples, cells)`; only queries that all runs of both systems answered count.

    Raises:
        InputError: if a system has no run, or fewer than two examples were answered by all.
    """
    if not a_runs or not b_runs:
        raise InputError("a system without runs: each needs at least one matrix of values")
    paired = differences(np.mean(a_runs, axis=0), np.mean(b_runs, axis=0))
    examples = int((~np.isnan(paired)).any(1).sum())
    if examples < 2:
        raise InputError("fewer than two examples that all runs answered, so there is no variance to estimate")
    parts = [(score_variance(paired), examples - 1)]
    for runs in (a_runs, b_runs):
        if len(runs) > 1:
            parts += _run_parts([np.where(np.isnan(paired), np.nan, run) for run in runs], examples)
    from_examples, from_runs = parts[0][0], max(0.0, sum(part for part, _ in parts[1:]))
    variance, difference = from_examples + from_runs, macro_score(paired)
    if variance <= TIE**2:
        p_value = 1.0 if abs(difference) < TIE else 0.0
        return SeedEffect(difference, difference, difference, p_value, float(examples - 1), 0.0, 0.0)
    # Parts below 0 take from the variance and not from the sum of squares, which without a bound leaves no freedom.
    freedom = max(variance**2 / sum(part**2 / own for part, own in parts), min(own for _, own in parts))
    error = variance**0.5
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return SeedEffect(difference, difference - half, difference + half, p_value, freedom, from_examples, from_runs)


def _run_parts(runs: Sequence[Values], examples: int) -> list[tuple[float, int]]:
    """What the runs of a system add to the variance of its mean score, as parts with their degrees of freedom."""
    scores = np.array([macro_score(run) for run in runs])
    moved = np.stack([_influence(run) for run in runs])
    rest = _variance(moved - moved.mean(0), examples) / (len(runs) - 1) / len(runs)
    between = float(scores.var(ddof=1)) / len(runs)
    return [(between, len(runs) - 1), (-rest, (len(runs) - 1) * (examples - 1))]


def _variance(influence: Values, examples: int) -> float:
    """Variance of a score over draws of examples, from their influence on it."""
    return float((influence**2).sum()) * examples / (examples - 1)


def _influence(values: Values) -> Values:
    """How far each example moves the macro score from where it is, `(examples,)`; sums to 0."""
    means = np.nan_to_num(values).sum(0) / np.maximum((~np.isnan(values)).sum(0), 1)
    return contributions(values - means)


def _bca(score: float, resampled: Values, influence: Values, confidence: float) -> Interval:
    normal, resampled = NormalDist(), resampled[~np.isnan(resampled)]
    below = float(((resampled < score - TIE).sum() + (resampled <= score + TIE).sum()) / 2)
    share = min(max(below, 0.5), len(resampled) - 0.5) / len(resampled)
    bias = normal.inv_cdf(share)
    squares = float((influence**2).sum())
    skew = float((influence**3).sum()) / (6 * squares**1.5) if squares > TIE**2 else 0.0
    ends = [bias + normal.inv_cdf((1 + side * confidence) / 2) for side in (-1, 1)]
    low, high = np.quantile(resampled, [normal.cdf(bias + end / (1 - skew * end)) for end in ends])
    return Interval(score, float(low), float(high))


def _blocks(total: int, examples: int) -> Iterator[int]:
    """Sizes of blocks of rows `(examples,)` that memory holds, until there are enough rows."""
    size = max(1, BLOCK // max(examples, 1))
    return (min(size, total - start) for start in range(0, total, size))


def _draws(examples: int, resamples: int, seed: int) -> Iterator[Values]:
    """How often each example is drawn, `(block, examples)`, until there are enough resamples."""
    generator = np.random.default_rng(seed)
    for block in _blocks(resamples, examples):
        picks = generator.integers(examples, size=(block, examples)) + np.arange(block)[:, None] * examples
        yield np.bincount(picks.ravel(), minlength=block * examples).reshape(block, examples).astype(np.float64)


def _swaps(examples: int, permutations: int, seed: int) -> Iterator[Values]:
    """All rows of 0 and 1 for few examples, else random ones, `(block, examples)`, until there are enough."""
    if examples <= EXACT_EXAMPLES:
        yield (np.arange(2**examples)[:, None] >> np.arange(examples) & 1).astype(np.float64)
        return
    generator = np.random.default_rng(seed)
    for block in _blocks(permutations, examples):
        bits = generator.integers(256, size=(block, -(-examples // 8)), dtype=np.uint8)
        yield np.unpackbits(bits, axis=1, count=examples).astype(np.float64)
