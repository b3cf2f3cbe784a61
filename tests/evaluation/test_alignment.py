"""Measures of alignment against slow references, and on spaces whose alignment is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from isoglot.common.errors import InputError
from isoglot.evaluation.alignment import (
    alignment_summary,
    bitext_precision,
    centroid_distances,
    language_probe,
    linear_cka,
    strong_alignment,
    translation_gap,
)
from isoglot.evaluation.ranking import rank_relevant

Space = tuple[np.ndarray, np.ndarray, np.ndarray]
GRIDS = [bitext_precision, translation_gap, centroid_distances, linear_cka]


def space(
    seed: int, examples: int = 40, languages: int = 3, offset: float = 0.0, noise: float = 0.3, missing: float = 0.0
) -> Space:
    """Texts in the order of chance: content, beside it an axis for each language, noise; some may be missing."""
    rng = np.random.default_rng(seed)
    content, axis = rng.normal(size=(examples, 1, 16)), np.tile(np.eye(languages), (examples, 1, 1))
    vectors = np.concatenate([np.repeat(content, languages, axis=1), offset * axis], 2)
    vectors += noise * rng.normal(size=vectors.shape)
    present = rng.random(examples * languages) >= missing
    present[:languages] = True
    kept = rng.permutation(np.flatnonzero(present))
    example, language = np.divmod(kept, languages)
    return vectors.reshape(-1, 16 + languages)[kept].astype(np.float32), language, example * 10


spaces = st.builds(
    space,
    st.integers(0, 10_000),
    examples=st.integers(2, 20),
    languages=st.integers(2, 4),
    offset=st.sampled_from([0.0, 1.0, 8.0]),
    noise=st.sampled_from([0.0, 0.3, 3.0]),
    missing=st.sampled_from([0.0, 0.4]),
)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return unit(first) @ unit(second).T


def pair(table: Space, a: int, b: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of two languages, and their examples."""
    vectors, language, example = table
    return vectors[language == a], vectors[language == b], example[language == a], example[language == b]


def assert_grid(values: np.ndarray, expected: dict[tuple[int, int], float | None]) -> None:
    assert np.isnan(np.diag(values)).all()
    for (a, b), value in expected.items():
        assert values[a, b] == pytest.approx(np.nan if value is None else value, abs=1e-4, nan_ok=True)


def ordered_pairs(language: np.ndarray) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a in np.unique(language) for b in np.unique(language) if a != b]


@settings(max_examples=40, deadline=None)
@given(spaces)
def test_bitext_precision_finds_the_nearest_of_each_text(table: Space) -> None:
    expected = {}
    for a, b in ordered_pairs(table[1]):
        ours, theirs, of_ours, of_theirs = pair(table, a, b)
        hits = [
            of_theirs[cosine(x[None], theirs)[0].argmax()] == number
            for x, number in zip(ours, of_ours, strict=True)
            if number in of_theirs
        ]
        expected[a, b] = np.mean(hits) if hits else None
    assert_grid(bitext_precision(*table), expected)


@settings(max_examples=40, deadline=None)
@given(spaces)
def test_the_gap_is_that_of_all_pairs_one_by_one(table: Space) -> None:
    expected = {}
    for a, b in ordered_pairs(table[1]):
        ours, theirs, of_ours, of_theirs = pair(table, a, b)
        cosines, same = cosine(ours, theirs), of_ours[:, None] == of_theirs
        expected[a, b] = cosines[same].mean() - cosines[~same].mean() if same.any() and not same.all() else None
    assert_grid(translation_gap(*table), expected)


def centred_gram(vectors: np.ndarray) -> np.ndarray:
    """The kernel of unit vectors, centred in rows and columns."""
    kernel = cosine(vectors, vectors)
    return kernel - kernel.mean(0) - kernel.mean(1, keepdims=True) + kernel.mean()


@settings(max_examples=40, deadline=None)
@given(spaces)
def test_cka_is_the_cosine_of_the_centred_kernels(table: Space) -> None:
    """The other way to write it (Kornblith et al. 2019, equations 2 to 4)."""
    expected = {}
    for a, b in ordered_pairs(table[1]):
        ours, theirs, of_ours, of_theirs = pair(table, a, b)
        both = np.intersect1d(of_ours, of_theirs)
        if len(both) < 3:
            expected[a, b] = None
            continue
        k, m = (
            centred_gram(np.stack([x[numbers == n][0] for n in both]))
            for x, numbers in ((ours, of_ours), (theirs, of_theirs))
        )
        expected[a, b] = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert_grid(linear_cka(*table), expected)


def test_cka_ignores_rotation_and_means_ignore_what_is_not_the_mean() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 8))
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    table = np.concatenate([x, x @ turn]), np.repeat([0, 1], 50), np.tile(np.arange(50), 2)
    assert np.nanmean(linear_cka(*table)) == pytest.approx(1, abs=1e-4)
    assert np.nanmean(bitext_precision(*table)) < 0.3
    mirrored = np.concatenate([x, -x, x[::-1], -x[::-1]]), np.repeat([0, 1], 100), np.tile(np.arange(100), 2)
    assert np.nanmean(centroid_distances(*mirrored)) == pytest.approx(0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(spaces)
def test_centroid_distances_by_hand(table: Space) -> None:
    expected = {}
    for a, b in ordered_pairs(table[1]):
        ours, theirs, of_ours, of_theirs = pair(table, a, b)
        x, y = ours[np.isin(of_ours, of_theirs)], theirs[np.isin(of_theirs, of_ours)]
        if len(x) < 2:
            expected[a, b] = None
            continue
        x, y = unit(x), unit(y)
        spread = np.mean([np.sqrt(np.mean(np.linalg.norm(z - z.mean(0), axis=1) ** 2)) for z in (x, y)])
        expected[a, b] = np.linalg.norm(x.mean(0) - y.mean(0)) / spread
    assert_grid(centroid_distances(*table), expected)


def slowly_aligned(table: Space) -> list[float]:
    """Strong alignment of texts with each other, from the definition."""
    vectors, language, example = table
    cosines, shares = cosine(vectors, vectors), []
    for text in range(len(vectors)):
        wrong = cosines[text, example != example[text]].max(initial=-np.inf)
        right = cosines[text, (example == example[text]) & (language != language[text])]
        shares.append(float(np.mean(right > wrong)) if len(right) else np.nan)
    return shares


def own_pairs(example: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texts and their translations, themselves included."""
    query, passage = np.nonzero(example[:, None] == example)
    return query, passage


@settings(max_examples=40, deadline=None)
@given(spaces, st.sampled_from([1, 500, 1 << 20]), st.integers(0, 100))
def test_strong_alignment_is_that_of_its_definition(table: Space, block_bytes: int, seed: int) -> None:
    vectors, language, example = table
    query, passage = np.random.default_rng(seed).permutation(np.stack(own_pairs(example)), axis=1)
    shares = strong_alignment(
        vectors,
        vectors,
        query_language=language,
        passage_language=language,
        judgement_query=query,
        judgement_passage=passage,
        block_bytes=block_bytes,
    )
    assert shares == pytest.approx(slowly_aligned(table), nan_ok=True)


def test_strong_alignment_is_rank_among_the_relevant_equal_to_rank_in_the_pool() -> None:
    rng = np.random.default_rng(1)
    passages, language, example = space(1, examples=30, offset=0.5)
    passages /= np.linalg.norm(passages, axis=1, keepdims=True)
    queries = passages + 0.1 * rng.normal(size=passages.shape).astype(np.float32)
    query, passage = own_pairs(example)
    shares = strong_alignment(
        queries,
        passages,
        query_language=language,
        passage_language=language,
        judgement_query=query,
        judgement_passage=passage,
    )
    pooled = rank_relevant(
        queries, passages, passage_language=language, judgement_query=query, judgement_passage=passage
    ).pooled
    for q, share in enumerate(shares):
        mine = np.flatnonzero(query == q)
        mine = mine[pooled[mine].argsort()]
        first = pooled[mine] == np.arange(1, len(mine) + 1)
        assert share == pytest.approx(first[language[passage[mine]] != language[q]].mean())


def test_an_offset_of_languages_spoils_strong_alignment_and_spares_weak() -> None:
    whole = ["a", "b", "c"]
    fair, split = (alignment_summary(*space(3, offset=size, noise=0.1), whole) for size in (0.0, 8.0))
    assert fair["bitext_precision@1"] == 1
    assert split["bitext_precision@1"] > 0.9
    assert fair["strong_alignment"] == 1
    assert split["strong_alignment"] == 0
    assert split["language_probe_accuracy"] == 1
    assert fair["language_probe_accuracy"] == pytest.approx(1 / 3, abs=0.15)
    assert fair["centroid_distance"] < 0.2 < split["centroid_distance"]


def test_the_probe_keeps_translations_together_and_weighs_languages_alike() -> None:
    """A probe that knew a text's translations would go by content, which says nothing of the language here."""
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.normal(size=(100, 4)), 2, axis=0).astype(np.float32)
    language, example = np.tile([0, 1], 100), np.repeat(np.arange(100), 2)
    assert language_probe(vectors, language, example) == pytest.approx(0.5, abs=0.1)
    rare = (language == 0) | (example < 10)
    found = language_probe(rng.normal(size=(200, 4))[rare].astype(np.float32), language[rare], example[rare])
    assert found == pytest.approx(0.5, abs=0.2)  # always to say the frequent one would be .91 of the texts


def test_the_probe_agrees_with_one_made_by_hand() -> None:
    vectors, language, example = space(5, examples=60, offset=0.3)
    whole = unit(vectors)
    names, number = np.unique(example, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[number] % 5
    right = np.zeros(len(vectors), bool)
    for n in range(5):
        train = fold != n
        x = (whole - whole[train].mean(0)) / whole[train].std(0)
        probe = LogisticRegression(max_iter=5000, tol=1e-6).fit(x[train], language[train])
        right[~train] = probe.predict(x[~train]) == language[~train]
    assert 0.5 < right.mean() < 0.95
    assert language_probe(vectors, language, example) == pytest.approx(right.mean(), abs=0.02)


@settings(max_examples=25, deadline=None)
@given(spaces, st.integers(0, 100))
def test_the_order_and_the_length_of_texts_make_no_difference(table: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(table[0]))
    moved = tuple(column[order] for column in table)
    scaled = moved[0] * rng.uniform(0.5, 2, size=(len(order), 1)).astype(np.float32)
    for function in GRIDS:
        assert function(scaled, *moved[1:]) == pytest.approx(function(*table), abs=1e-4, nan_ok=True)


def test_a_text_that_stands_twice_is_refused_by_name() -> None:
    vectors = np.eye(3, dtype=np.float32)
    for function in GRIDS:
        with pytest.raises(InputError, match="example 7 stands twice in language 1"):
            function(vectors, np.array([0, 1, 1]), np.array([7, 7, 7]))
    with pytest.raises(InputError, match="example 7 stands twice in de"):
        alignment_summary(vectors, np.array([0, 1, 1]), np.array([7, 7, 7]), ["en", "de"])


def test_a_probe_with_too_little_to_learn_from_is_refused() -> None:
    vectors, language, example = space(0, examples=4)
    with pytest.raises(InputError, match="two languages and 5 examples: here are 3 and 4"):
        language_probe(vectors, language, example)


def test_a_summary_of_little_says_what_it_can() -> None:
    nothing = alignment_summary(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, int), [])
    assert nothing.pop("alignment_examples") == 0
    assert set(nothing.values()) == {None}
    alone = alignment_summary(*space(0, languages=1), ["en"])
    assert {name for name, value in alone.items() if value is not None} == {"alignment_examples"}
    few = alignment_summary(*space(0, examples=3), ["a", "b", "c"])
    assert {name for name, value in few.items() if value is None} == {
        "language_probe_accuracy",
        "language_probe_chance",
    }
    assert list(few) == list(alone)


def test_a_summary_leaves_out_repeated_texts_and_takes_a_repeatable_choice() -> None:
    vectors, language, example = space(0, examples=30, noise=0.0)
    again = np.concatenate([vectors, vectors[:9]])
    table = again, np.concatenate([language, language[:9]]), np.concatenate([example, example[:9] + 1])
    plain, repeated = alignment_summary(vectors, language, example, "abc"), alignment_summary(*table, "abc")
    assert repeated == plain
    assert plain["alignment_examples"] == 30
    some = alignment_summary(vectors, language, example, "abc", max_examples=10)
    assert some == alignment_summary(vectors, language, example, "abc", max_examples=10)
    assert some != alignment_summary(vectors, language, example, "abc", max_examples=10, seed=1)
    assert some["alignment_examples"] == 10
