"""The linear algebra: each remedy does what its paper says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from isoglot.vectors.remedies import fit_leace, fit_lir, fit_means, fit_shift


def blobs(seed: int, languages: int = 4, dimensions: int = 12, each: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    offsets = rng.normal(size=(languages, dimensions)) * 2
    labels = np.repeat(np.arange(languages), each)
    return rng.normal(size=(len(labels), dimensions)) + offsets[labels], labels


def spread(vectors: np.ndarray, labels: np.ndarray) -> float:
    means = np.stack([vectors[labels == label].mean(0) for label in np.unique(labels)])
    return float(np.abs(means - means.mean(0)).max())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_lir_is_a_projection_that_makes_means_coincide(seed: int) -> None:
    x, labels = blobs(seed)
    mapping = fit_lir(x, labels, directions=10)  # three directions hold the four means
    assert mapping.weight @ mapping.weight == pytest.approx(mapping.weight, abs=1e-9)
    assert np.trace(mapping.weight) == pytest.approx(12 - 3, abs=1e-6)
    assert spread(mapping(x), labels) < 1e-9
    assert spread(fit_lir(x, labels, directions=1)(x), labels) > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 1))
def test_a_softened_map_leaves_the_rest_of_what_sets_languages_apart(seed: int, strength: float) -> None:
    x, labels = blobs(seed)
    for mapping in (fit_lir(x, labels, directions=10), fit_leace(x, labels)):
        softened = mapping.softened(strength)(x)
        assert spread(softened, labels) == pytest.approx((1 - strength) * spread(x, labels), abs=1e-9)
        assert softened == pytest.approx(x + strength * (mapping(x) - x), abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_leace_leaves_a_linear_probe_at_chance_and_changes_little_else(seed: int) -> None:
    x, labels = blobs(seed)
    erased = fit_leace(x, labels)(x)
    probe = LogisticRegression(max_iter=1000)
    assert probe.fit(x, labels).score(x, labels) > 0.9
    assert probe.fit(erased, labels).score(erased, labels) < 0.35
    assert np.linalg.matrix_rank(erased - erased.mean(0)) == 12 - 3
    moved = np.linalg.norm(erased - x) ** 2
    assert moved <= np.linalg.norm(fit_lir(x, labels, 3)(x) - x) ** 2


def test_means_take_each_language_to_the_origin() -> None:
    x, labels = blobs(0)
    for name, mapping in fit_means(x, labels).items():
        assert mapping(x[labels == int(name)]).mean(0) == pytest.approx(np.zeros(12), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_shift_takes_translations_onto_each_other_on_average(seed: int) -> None:
    rng = np.random.default_rng(seed)
    meaning, offsets = rng.normal(size=(30, 6)), rng.normal(size=(3, 6)) * 3
    kept = rng.random((3, 30)) < 0.7
    kept[:, 0] = True
    rows = [
        (tag, n, meaning[n] + offsets[k]) for k, tag in enumerate(("de", "en", "th")) for n in np.flatnonzero(kept[k])
    ]
    tags, examples, vectors = zip(*rows, strict=True)
    maps = fit_shift(np.stack(vectors), tags, examples)
    assert maps["en"]([[1.0] * 6]).tolist() == [[1.0] * 6]
    for k, tag in ((0, "de"), (2, "th")):
        # What sets a language apart here is the same for every text, so it goes whichever examples are shared.
        assert maps[tag](meaning + offsets[k]) == pytest.approx(meaning + offsets[1], abs=1e-9)
