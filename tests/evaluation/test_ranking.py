"""Exact ranks against a slow reference that sorts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.evaluation.ranking import rank_relevant
from isoglot.models.similarity import Similarity


def reference(scores: np.ndarray, language: np.ndarray, query: int, passage: int) -> tuple[int, int]:
    """Pooled and in-language rank by a sort: equal scores by language, then by position."""
    order = np.lexsort((np.arange(len(language)), language, -scores[query]))
    pooled = int(np.flatnonzero(order == passage)[0]) + 1
    same = order[language[order] == language[passage]]
    return pooled, int(np.flatnonzero(same == passage)[0]) + 1


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(1, 30),
    passages=st.sampled_from([1, 2, 7, 8, 9, 63, 64, 65, 200, 2039, 2040, 2041, 2600, 5000]),
    languages=st.sampled_from([1, 2, 4]),
    levels=st.sampled_from([2, 4, 1000]),
    top_k=st.sampled_from([1, 3, 10, 100]),
    block=st.sampled_from([1, 7, 1000]),
    part=st.sampled_from([1, 13, 700, 10_000]),
    similarity=st.sampled_from(["dot", "euclidean", "manhattan"]),
)
def test_ranks_are_those_of_a_stable_sort(
    seed: int, queries: int, passages: int, languages: int, levels: int, top_k: int, block: int, part: int,
    similarity: Similarity,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    # Small whole numbers, so that scores are exact and many are equal.
    q = rng.integers(0, levels, size=(queries, 3)).astype(np.float32)
    p = rng.integers(0, levels, size=(passages, 3)).astype(np.float32)
    # Languages interleaved in the pool, some perhaps missing, one alone wider than the counters.
    language = rng.integers(0, languages, size=passages)
    judged = np.unique(rng.integers(0, queries * passages, size=40))
    judgement_query, judgement_passage = np.divmod(rng.permutation(judged), passages)
    ranks = rank_relevant(
        q,
        p,
        similarity=similarity,
        passage_language=language,
        judgement_query=judgement_query,
        judgement_passage=judgement_passage,
        top_k=top_k,
        part_passages=max(part, passages // 40),
        block_bytes=4 * passages * block,
    )
    apart = (q[:, None] - p).astype(np.float64)
    scores = {"dot": q @ p.T, "euclidean": -np.square(apart).sum(2), "manhattan": -np.abs(apart).sum(2)}[similarity]
    for n, (query, passage) in enumerate(zip(judgement_query, judgement_passage, strict=True)):
        assert (ranks.pooled[n], ranks.in_language[n]) == reference(scores, language, query, passage)
    order = np.stack([np.lexsort((np.arange(passages), language, -row)) for row in scores])[:, :top_k]
    assert np.array_equal(ranks.top, order)
    best = np.take_along_axis(scores, order, axis=1)
    assert ranks.top_scores == pytest.approx(-np.sqrt(-best) if similarity == "euclidean" else best, rel=1e-6)


def test_progress_counts_every_score() -> None:
    rng = np.random.default_rng(0)
    seen: list[int] = []
    rank_relevant(
        rng.normal(size=(50, 4)).astype(np.float32),
        rng.normal(size=(20, 4)).astype(np.float32),
        passage_language=np.zeros(20, int),
        judgement_query=np.arange(50),
        judgement_passage=np.zeros(50, int),
        block_bytes=4 * 20 * 8,
        on_progress=seen.append,
    )
    assert sum(seen) == 50 * 20


@pytest.mark.parametrize("passages", [1000, 30_000])
def test_a_judgement_free_query_and_an_all_equal_pool(passages: int) -> None:
    ranks = rank_relevant(
        np.ones((3, 2), np.float32),
        np.ones((passages, 2), np.float32),
        passage_language=np.arange(passages) % 2,
        judgement_query=np.array([1]),
        judgement_passage=np.array([passages - 1]),
    )
    assert ranks.pooled.tolist() == [passages]
    assert ranks.in_language.tolist() == [passages // 2]
    assert ranks.top.tolist() == [list(range(0, 20, 2))] * 3


@pytest.mark.parametrize("passages", [2040, 2041, 4080, 5000])
@pytest.mark.parametrize("place", [0, 1])
def test_counts_do_not_overflow_in_a_wide_pool(passages: int, place: int) -> None:
    """A thousand passages before the judged one, in its own language or in another."""
    language = np.arange(passages) % 2
    judged = passages - 1 - (passages - 1 - place) % 2  # the last passage of its language
    ranks = rank_relevant(
        np.ones((1, 1), np.float32),
        np.arange(passages, 0, -1, dtype=np.float32)[:, None],
        passage_language=language,
        judgement_query=np.array([0]),
        judgement_passage=np.array([judged]),
    )
    assert ranks.pooled.tolist() == [judged + 1]
    assert ranks.in_language.tolist() == [(language[: judged + 1] == place).sum()]


def test_every_passage_judged_gives_every_rank_once() -> None:
    rng = np.random.default_rng(0)
    passages, language = 300, rng.integers(0, 3, size=300)
    ranks = rank_relevant(
        rng.normal(size=(5, 4)).astype(np.float32),
        rng.integers(0, 2, size=(passages, 4)).astype(np.float32),
        passage_language=language,
        judgement_query=np.repeat(np.arange(5), passages),
        judgement_passage=np.tile(np.arange(passages), 5),
    )
    for pooled, own in zip(ranks.pooled.reshape(5, -1), ranks.in_language.reshape(5, -1), strict=True):
        assert sorted(pooled) == list(range(1, passages + 1))
        for number in range(3):
            assert sorted(own[language == number]) == list(range(1, (language == number).sum() + 1))
