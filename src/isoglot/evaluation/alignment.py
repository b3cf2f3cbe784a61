"""How well the embeddings of translations agree: pure measures over vectors, without any ranking.

All take `vectors (texts, dimensions)` of any length, for each text its language as a number and the example that it
shares with its translations; similarity is the cosine. A text is wanted once per language and example. They describe
the space that a retriever searches; whether it finds the right answers is for `measures` to say. Measures of pairs of
languages are `(languages, languages)`, nan on the diagonal and where a pair has too few examples in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from isoglot.common.arrays import FloatArray, IntArray, Values, mean_present, plain, ratio
from isoglot.common.errors import InputError

BLOCK_BYTES = 32 << 20  # memory for the scores that `strong_alignment` holds at a time
PROBE_FOLDS = 5


def strong_alignment(
    queries: FloatArray,
    passages: FloatArray,
    *,
    query_language: IntArray,
    passage_language: IntArray,
    judgement_query: IntArray,
    judgement_passage: IntArray,
    block_bytes: int = BLOCK_BYTES,
) -> Values:
    """Strong alignment: whether right answers in other languages score above every wrong one of the whole pool.

    LAReQA (arXiv 2004.05484) calls a space strongly aligned where every relevant text, whatever its language, is
    nearer than every irrelevant one. Here, per query, the share of its relevant passages in other languages whose
    cosine exceeds that of every irrelevant passage of the pool, those in the query's own language included: before
    which no irrelevant passage stands. A tie counts as a failure; nan for a query without such passages. Range 0 to 1.
    One near miss anywhere spoils a query, and larger pools have more. `bitext_precision` is high where only bias is at
    fault, not poor retrieval.

    Judgements `(judgements,)` are the queries and the passages of the relevant pairs. To ask texts of their own pool,
    judge each relevant to itself, too: so it is neither asked for nor in the way. More queries than fit into the
    memory for scores are scored in turn, in float32.

    For an English query the German answer (cosine .8) stands before the wrong English passage (.6), the Spanish one
    (.28) does not:

    >>> passages = np.array([[0.8, 0.6], [0.6, 0.8], [0.28, 0.96]], np.float32)
    >>> spoken = {"query_language": np.array([0]), "passage_language": np.array([1, 0, 2])}
    >>> judged = {"judgement_query": np.array([0, 0]), "judgement_passage": np.array([0, 2])}
    >>> strong_alignment(np.array([[1.0, 0.0]], np.float32), passages, **spoken, **judged).tolist()
    [0.5]
    """
    queries, passages = _unit(queries), _unit(passages)
    order = np.argsort(judgement_query, kind="stable")
    query, passage = judgement_query[order], judgement_passage[order]
    other = query_language[query] != passage_language[passage]
    above = np.zeros(len(query), bool)
    size = max(1, block_bytes // (4 * max(1, len(passages))))
    for start in range(0, len(queries), size):
        low, high = np.searchsorted(query, [start, start + size])
        cell = query[low:high] - start, passage[low:high]
        scores = queries[start : start + size] @ passages.T
        wanted = scores[cell]
        scores[cell] = -np.inf
        above[low:high] = wanted > scores.max(1, initial=-np.inf)[cell[0]]
    return ratio(np.bincount(query, other & above, len(queries)), np.bincount(query, other, len(queries)))


def bitext_precision(vectors: FloatArray, language: IntArray, example: IntArray) -> Values:
    """Precision at 1 of finding a text's translation in another language, by cosine.

    For each ordered pair of languages, the share of texts of the first that have a translation in the second and
    whose nearest neighbour there is that translation (the Tatoeba task of Artetxe and Schwenk, TACL 2019). Of equal
    scores that of the example with the smaller number counts as the nearest. Range 0 to 1; chance is one over the
    number of texts in the second language, so it compares over one set of texts only. It sees weak alignment alone:
    each candidate pool has one language, so a space split by language can reach 1.

    >>> vectors = np.array([[1, 0.1], [0.1, 1], [1, 0.2], [1, 0.3]], np.float32)
    >>> bitext_precision(vectors, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).tolist()
    [[nan, 1.0], [0.5, nan]]
    """
    unit, order = _unit(vectors), np.argsort(example, kind="stable")

    def both_ways(ours: IntArray, theirs: IntArray) -> tuple[float, float]:
        a, b = (order[language[order] == language[some[0]]] for some in (ours, theirs))
        scores = unit[a] @ unit[b].T
        hits = example[b[scores.argmax(1)]] == example[a], example[a[scores.argmax(0)]] == example[b]
        return hits[0].sum() / len(ours), hits[1].sum() / len(ours)

    return _by_pair(language, example, both_ways)


def translation_gap(vectors: FloatArray, language: IntArray, example: IntArray) -> Values:
    """Mean cosine of translations minus mean cosine of texts in the same two languages that are no translations.

    `mean cos(x, x') - mean cos(x, y')` over translations x, x' and all other pairs of a text of the one language and
    a text of the other. Range -2 to 2, useful values lie between 0, where translations are no nearer than other texts,
    and 1. The idea of alignment against uniformity of Wang and Isola (ICML 2020), on cosines. Models spread their
    cosines differently (E5 keeps nearly all above 0.7): compare a model with what was made of it, not with others.

    >>> vectors = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8]], np.float32)
    >>> grid = translation_gap(vectors, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    >>> round(float(np.nanmean(grid)), 4)  # (1 + .8) / 2 - (.6 + 0) / 2
    0.6
    """
    unit = _unit(vectors).astype(np.float64)
    of = {n: unit[language == n] for n in np.unique(language).tolist()}

    def gap(ours: IntArray, theirs: IntArray) -> float:
        a, b = of[language[ours[0]]], of[language[theirs[0]]]
        together, every = (unit[ours] * unit[theirs]).sum(), a.sum(0) @ b.sum(0)
        apart = len(a) * len(b) - len(ours)
        return together / len(ours) - (every - together) / apart if apart else np.nan

    return _by_pair(language, example, gap)


def language_probe(vectors: FloatArray, language: IntArray, example: IntArray, seed: int = 0) -> float:
    """Accuracy of a linear probe that tells a text's language from its vector; chance is one over their number.

    Multinomial logistic regression on standardised unit vectors, languages weighted alike, cross-validated in
    `PROBE_FOLDS` folds with all translations of an example in one fold, so that the probe cannot go by content. From
    about chance, where language has no linear trace, to 1; lower is more language-neutral. Probes for language are
    as in Libovický, Rosa and Fraser (Findings of EMNLP 2020). A trace need not move any rank. After a remedy that takes
    linear traces out (LIR, LEACE) chance is what it was made for; read the rankings instead.

    Raises:
        InputError: if there are fewer than two languages or fewer examples than folds.

    >>> language, example = np.tile([0, 1], 50), np.repeat(np.arange(50), 2)
    >>> noise = np.random.default_rng(0).normal(size=100)
    >>> vectors = np.stack([language * 2 - 1.0, noise], 1).astype(np.float32)  # the sign of the first is the language
    >>> language_probe(vectors, language, example)
    1.0
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    languages, (names, number) = np.unique(language), np.unique(example, return_inverse=True)
    if len(languages) < 2 or len(names) < PROBE_FOLDS:
        few = f"here are {len(languages)} and {len(names)}"
        raise InputError(f"a language probe needs two languages and {PROBE_FOLDS} examples: {few}")
    fold = np.random.default_rng(seed).permutation(len(names))[number] % PROBE_FOLDS
    # A separable space keeps improving for ever; what it gets right is settled long before.
    probe = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=300, tol=1e-2))
    told = cross_val_predict(probe, _unit(vectors), language, cv=PredefinedSplit(fold))
    return float(balanced_accuracy_score(language, told))


def centroid_distances(vectors: FloatArray, language: IntArray, example: IntArray) -> Values:
    """Distance of two languages' mean vectors, in units of the spread within a language.

    `|m_a - m_b| / mean over l of sqrt(mean |x - m_l|^2)` over the unit vectors of the examples that both languages
    have, so that content is the same on both sides; the spread is taken over the two languages. From 0, where the
    means coincide, upwards; lower is more language-neutral. The offset of means is the language-specific component
    of Libovický, Rosa and Fraser (Findings of EMNLP 2020), and what LIR and SHIFT remove. Languages with one mean may
    still differ in everything else. Few examples leave chance differences of the means, so 0 is not reached.

    >>> vectors = np.array([[0.8, 0.6], [0.8, -0.6], [0.6, 0.8], [-0.6, 0.8]], np.float32)
    >>> grid = centroid_distances(vectors, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    >>> round(float(np.nanmean(grid)), 4)  # means (.8, 0) and (0, .8), every text .6 from its own: .8 sqrt(2) / .6
    1.8856
    """
    unit = _unit(vectors).astype(np.float64)

    def distance(ours: IntArray, theirs: IntArray) -> float:
        x, y = unit[ours], unit[theirs]
        spread = (np.sqrt(x.var(0).sum()) + np.sqrt(y.var(0).sum())) / 2
        return np.linalg.norm(x.mean(0) - y.mean(0)) / spread if spread > 1e-12 else np.nan

    return _by_pair(language, example, distance, least=2)


def linear_cka(vectors: FloatArray, language: IntArray, example: IntArray) -> Values:
    """Linear centred kernel alignment between two languages' vectors of the same examples.

    `|Y^T X|^2 / (|X^T X| |Y^T Y|)` with Frobenius norms, X and Y `(examples, dimensions)` with column means
    subtracted (Kornblith et al., ICML 2019, arXiv 1905.00414). Range 0 to 1: 1 where a rotation, a shift and a
    common scale take one language's vectors to the other's. So it says how far two languages are laid out alike, not
    whether translations are near each other: 1 goes with any offset between them. Fewer examples than dimensions push
    it up, towards 1; compare figures over the same examples only.

    >>> first = np.array([[1, 0], [-1, 0], [1, 0], [-1, 0]], np.float32)
    >>> third = np.array([[1, 0], [1, 0], [-1, 0], [-1, 0]], np.float32)  # nothing to do with the first
    >>> vectors = np.concatenate([first, first[:, ::-1], third])  # the second is the first turned by 90 degrees
    >>> linear_cka(vectors, np.repeat([0, 1, 2], 4), np.tile(np.arange(4), 3)).round(4).tolist()
    [[nan, 1.0, 0.0], [1.0, nan, 0.0], [0.0, 0.0, nan]]
    """
    unit = _unit(vectors)

    def cka(ours: IntArray, theirs: IntArray) -> float:
        x, y = unit[ours] - unit[ours].mean(0), unit[theirs] - unit[theirs].mean(0)
        norm = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
        return np.linalg.norm(y.T @ x) ** 2 / norm if norm > 0 else np.nan

    return _by_pair(language, example, cka, least=3)  # two centred examples always lie on one line


def alignment_summary(
    vectors: FloatArray,
    language: IntArray,
    example: IntArray,
    languages: Sequence[str],
    seed: int = 0,
    max_examples: int = 500,
) -> dict[str, float | None]:
    """All measures of alignment of one set of parallel texts, for `results.json`.

    Examples in one language only are left out, and those of which a text has the vector of an earlier example's in
    the same language: the two could not be told apart. Of more than `max_examples` a random choice is taken, the
    same for every model and seed; precision falls as it grows. In `strong_alignment` every text asks for its
    translations in the pool of all. The language tags name what is wrong with the input.

    Measures are means over pairs of languages (`strong_alignment`: over the texts of a language, then over languages),
    beside the probe's accuracy and chance and the number of examples; None for what could not be measured.

    Raises:
        InputError: if a language has two texts of one example.
    """
    table = _table(language, example, languages)
    distinct = np.ones(len(table), bool)
    for column in table.T:
        rows = np.flatnonzero(column >= 0)
        _, first = np.unique(vectors[column[rows]], axis=0, return_index=True)
        distinct[np.delete(rows, first)] = False
    usable = np.flatnonzero(distinct & ((table >= 0).sum(1) > 1))
    if len(usable) > max_examples:
        usable = np.sort(np.random.default_rng(seed).choice(usable, max_examples, replace=False))
    chosen = table[usable]
    number, _ = np.nonzero(chosen >= 0)
    texts = chosen[chosen >= 0]
    sample = vectors[texts], language[texts], number
    spoken = len(np.unique(language[texts]))
    enough = spoken > 1 and len(usable) >= PROBE_FOLDS
    values = {
        "strong_alignment": _strongly_aligned(*sample),
        "bitext_precision@1": mean_present(bitext_precision(*sample)),
        "translation_gap": mean_present(translation_gap(*sample)),
        "language_probe_accuracy": language_probe(*sample, seed=seed) if enough else np.nan,
        "language_probe_chance": 1 / spoken if enough else np.nan,
        "centroid_distance": mean_present(centroid_distances(*sample)),
        "linear_cka": mean_present(linear_cka(*sample)),
        "alignment_examples": float(len(usable)),
    }
    return {name: plain(value) for name, value in values.items()}


def _strongly_aligned(vectors: FloatArray, language: IntArray, example: IntArray) -> float:
    """`strong_alignment` of texts with each other, averaged over the texts of a language, then over languages."""
    table = _table(language, example)
    row, column = np.nonzero(table >= 0)
    query = np.repeat(table[row, column], (table >= 0).sum(1)[row])
    passage = np.concatenate([table[r][table[r] >= 0] for r in row]) if len(row) else np.zeros(0, np.int64)
    judged: dict[str, Any] = {"judgement_query": query, "judgement_passage": passage}
    share = strong_alignment(vectors, vectors, query_language=language, passage_language=language, **judged)
    return mean_present(np.array([share[language == n].mean() for n in np.unique(language)]))


def _unit(vectors: FloatArray) -> FloatArray:
    """Vectors of length 1 in float32; a zero vector stays."""
    vectors = np.asarray(vectors, np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def _by_pair(
    language: IntArray,
    example: IntArray,
    measure: Callable[[IntArray, IntArray], float | tuple[float, float]],
    least: int = 1,
) -> Values:
    """`(languages, languages)`; a measure of two languages, from their texts of the examples that both have.

    One value stands for both directions. It is nan where both have fewer than the least examples.
    """
    table = _table(language, example)
    values = np.full((table.shape[1],) * 2, np.nan)
    for a, b in combinations(range(table.shape[1]), 2):
        both = (table[:, a] >= 0) & (table[:, b] >= 0)
        if both.sum() >= least:
            values[[a, b], [b, a]] = measure(table[both, a], table[both, b])
    return values


def _table(language: IntArray, example: IntArray, languages: Sequence[str] = ()) -> IntArray:
    """`(examples, languages)`; which text stands for an example in a language, -1 where none does."""
    names, number = np.unique(example, return_inverse=True)
    table = np.full((len(names), int(language.max(initial=-1)) + 1), -1, np.int64)
    table[number, language] = np.arange(len(language))
    twice = np.flatnonzero(table[number, language] != np.arange(len(language)))
    if len(twice):
        text = int(twice[0])
        name = languages[language[text]] if languages else f"language {language[text]}"
        raise InputError(f"example {example[text]} stands twice in {name}: give one text per example and language")
    return table
