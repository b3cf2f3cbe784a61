"""Terms against naive references and finite differences; the objective against sentence-transformers' own losses."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor, nn

from isoglot.common.errors import InputError
from isoglot.training.losses import (
    Objective,
    distillation,
    info_nce,
    jensen_shannon,
    language_contrastive,
    semantic_contrastive,
)

TERMS = {
    "info_nce": lambda q, p, t: info_nce(q, p, temperature=0.3),
    "symmetric": lambda q, p, t: info_nce(q, p, temperature=0.3, symmetric=True),
    "negatives": lambda q, p, t: info_nce(q, p, t, temperature=0.3),
    "distillation": lambda q, p, t: distillation(torch.stack([q, p], 1), torch.stack([t, t], 1)),
    "semantic": lambda q, p, t: semantic_contrastive(p, t, temperature=0.3),
    "language": lambda q, p, t: language_contrastive(q, p, t, temperature=0.3),
    "jensen_shannon": lambda q, p, t: jensen_shannon(q, p, t, temperature=0.3),
}
batches = st.builds(
    lambda seed, size, dimensions: torch.randn(
        3, size, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ),
    st.integers(0, 2**31),
    st.integers(2, 6),
    st.integers(2, 5),
)


def cosine(a: Any, b: Any) -> float:
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def softmax_loss(scores: list[float], own: int) -> float:
    return -math.log(math.exp(scores[own]) / sum(map(math.exp, scores)))


def naive(name: str, q: Any, p: Any, t: Any, temperature: float = 0.3) -> float:
    """The formulas of the docstrings, one example after the other."""
    n = len(q)

    def score(a: Any, b: Any) -> float:
        return cosine(a, b) / temperature

    forth = [softmax_loss([score(q[i], d) for d in p], i) for i in range(n)]
    back = [softmax_loss([score(d, p[i]) for d in q], i) for i in range(n)]
    if name == "info_nce":
        return float(np.mean(forth))
    if name == "symmetric":
        return float(np.mean(forth + back))
    if name == "negatives":
        return float(np.mean([softmax_loss([score(q[i], d) for d in [*p, *t]], i) for i in range(n)]))
    if name == "distillation":
        return float(np.mean([1 - cosine(x[i], t[i]) for x in (q, p) for i in range(n)]))
    if name == "semantic":
        return naive("symmetric", p, t, q, temperature)
    values = []
    if name == "language":
        for k in range(n):
            for i in set(range(n)) - {k}:
                a, b = math.exp(score(q[k], p[i])), math.exp(score(q[k], t[i]))
                values.append(-math.log(4 * a * b / (a + b) ** 2))
    if name == "jensen_shannon":
        for i in range(n):
            one, two = (np.exp([score(q[i], d) for d in side]) for side in (p, t))
            one, two = one / one.sum(), two / two.sum()
            middle = (one + two) / 2
            values.append((one * np.log(one / middle)).sum() / 2 + (two * np.log(two / middle)).sum() / 2)
    return float(np.mean(values))


@pytest.mark.parametrize("name", TERMS)
@given(batch=batches)
@settings(max_examples=25, deadline=None)
def test_a_term_is_its_formula(name: str, batch: Tensor) -> None:
    assert TERMS[name](*batch).item() == pytest.approx(naive(name, *batch.numpy()), abs=1e-9)


@pytest.mark.parametrize("name", TERMS)
@given(batch=batches)
@settings(max_examples=5, deadline=None)
def test_gradients_are_those_of_finite_differences(name: str, batch: Tensor) -> None:
    inputs = [side.clone().requires_grad_() for side in batch]
    assert torch.autograd.gradcheck(TERMS[name], inputs)


@pytest.mark.parametrize("name", TERMS)
@given(batch=batches, seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_neither_order_nor_length_matters(name: str, batch: Tensor, seed: int) -> None:
    order = torch.randperm(batch.shape[1], generator=torch.Generator().manual_seed(seed))
    other = batch[:, order] * torch.rand(*batch.shape[:2], 1, dtype=torch.float64).add(0.1)
    assert torch.allclose(TERMS[name](*other), TERMS[name](*batch))


@given(batch=batches)
@settings(max_examples=25, deadline=None)
def test_terms_over_translations_do_not_care_which_language_is_which(batch: Tensor) -> None:
    queries, passages, translated = batch
    for name in ("semantic", "language", "jensen_shannon"):
        there, back = TERMS[name](queries, passages, translated), TERMS[name](queries, translated, passages)
        assert torch.allclose(there, back)
        assert there >= -1e-12
    assert TERMS["jensen_shannon"](*batch) <= math.log(2)
    for name in ("language", "jensen_shannon"):
        assert TERMS[name](queries, passages, 2 * passages).abs() < 1e-12


def test_small_temperatures_stay_finite() -> None:
    axes = torch.eye(3).requires_grad_()
    for term in (language_contrastive, jensen_shannon):
        value = term(axes, axes, axes.flip(0), temperature=1e-3)
        (gradient,) = torch.autograd.grad(value, axes)
        assert value.isfinite()
        assert gradient.isfinite().all()


TEXTS = {
    "query": ["red house", "green tree", "blue river", "black bird", "fire"],
    "passage": ["rot haus 1", "baum gruen winter", "fluss", "vogel schwarz", "feuer brot wasser"],
    "translated": ["casa rojo", "arbol verde invierno", "rio azul", "pajaro negro", "fuego pan agua"],
    "negative": ["casa", "arbol nube", "nube verano", "pan agua", "rio"],
}


def columns(model: SentenceTransformer, *names: str) -> list[dict[str, Any]]:
    """Tokenised columns; `passage+translated` is one column."""
    return [model.preprocess([text for part in name.split("+") for text in TEXTS[part]]) for name in names]


@pytest.fixture
def student(tiny_encoder: SentenceTransformer) -> SentenceTransformer:
    """In training mode, without chance."""
    for module in tiny_encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return tiny_encoder.train()


def gradients(loss: nn.Module, features: list[dict[str, Any]], labels: Tensor | None = None) -> tuple[float, Tensor]:
    """Value, and gradient of every weight as one vector."""
    model: Any = loss.model
    model.zero_grad()
    value = loss(features, labels)
    value.backward()
    return value.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def assert_same(one: tuple[float, Tensor], other: tuple[float, Tensor]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert (one[1] - other[1]).norm() < 1e-5 * other[1].norm()  # rounding differs with the padding of a column
    assert other[1].abs().max() > 1e-3


def full_objective(model: SentenceTransformer, **changes: Any) -> Objective:
    weights: dict[str, Any] = {
        "contrastive_weight": 0.5,
        "distillation_weight": 2.0,
        "semantic_weight": 0.3,
        "language_weight": 0.1,
        "jensen_shannon_weight": 0.7,
        "symmetric": True,
    }
    return Objective(model, temperature=0.1, **{**weights, **changes})


def some_targets() -> Tensor:
    return nn.functional.normalize(torch.randn(5, 2, 32, generator=torch.Generator().manual_seed(3)), dim=-1)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("names", [("query", "passage"), ("query", "passage", "negative")])
def test_info_nce_is_that_of_sentence_transformers(
    student: SentenceTransformer, symmetric: bool, names: tuple[str, ...]
) -> None:
    ours = Objective(student, temperature=0.05, symmetric=symmetric)
    both: dict[str, Any] = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    theirs = MultipleNegativesRankingLoss(student, scale=20.0, **(both if symmetric else {}))
    assert_same(gradients(ours, columns(student, *names)), gradients(theirs, columns(student, *names)))


def test_every_column_of_negatives_counts(student: SentenceTransformer) -> None:
    names = ("query", "passage", "negative", "translated")  # any texts will do as a second column of negatives
    theirs = MultipleNegativesRankingLoss(student, scale=20.0)
    ours = Objective(student, temperature=0.05)
    assert_same(gradients(ours, columns(student, *names)), gradients(theirs, columns(student, *names)))


def test_columns_that_it_cannot_read_are_refused(student: SentenceTransformer) -> None:
    loss = Objective(student, temperature=0.05)
    with pytest.raises(InputError, match="takes a column of queries, one of passages"):
        loss(columns(student, "query"), None)
    with pytest.raises(InputError, match="as labels targets of the shape"):
        loss(columns(student, "query", "passage"), torch.ones(5))
    with pytest.raises(InputError, match="a passage for each query; there are 15 for 5"):
        loss(columns(student, "query", "passage+translated+negative"), None)


@settings(deadline=None)
@given(batches, st.integers(0, 2**15 - 1), st.booleans())
def test_what_is_left_out_is_not_in_the_sum(vectors: Tensor, bits: int, symmetric: bool) -> None:
    queries, passages, negatives = vectors
    size = len(queries)
    drawn = torch.rand(size, 2 * size, generator=torch.Generator().manual_seed(bits)) < 0.4
    drawn.fill_diagonal_(False)
    every = [*passages, *negatives]
    scores = [[cosine(q, d) / 0.3 for d in every] for q in queries]
    value = 0.0
    for n in range(size):
        ways = sum(math.exp(scores[n][d]) for d in range(2 * size) if not drawn[n, d])
        value += math.log(ways) - scores[n][n]
        if symmetric:
            back = sum(math.exp(scores[q][n]) for q in range(size) if not drawn[q, n])
            value += math.log(back) - scores[n][n]
    expected = value / size / (2 if symmetric else 1)
    found = info_nce(queries, passages, negatives, temperature=0.3, symmetric=symmetric, left_out=drawn)
    assert found.item() == pytest.approx(expected)


def false_negatives(model: SentenceTransformer, groups: bool) -> tuple[float, list[list[bool]]]:
    """A batch in which a negative of each query is the passage of another, and what should be left out of it."""
    features = columns(model, "query", "passage", "passage")
    features[2] = {key: v.roll(1, 0) if isinstance(v, Tensor) else v for key, v in features[2].items()}
    if groups:
        features[1]["group"], features[2]["group"] = torch.arange(5), torch.tensor([4, 0, -1, 2, 3])
    left_out = [[d >= 5 and (d - 6) % 5 == q and not (groups and d == 7) for d in range(10)] for q in range(5)]
    return Objective(model, temperature=0.1)(features, None).item(), left_out


@pytest.mark.parametrize("groups", [True, False])
def test_another_query_s_negative_that_is_the_right_answer_is_left_out(
    student: SentenceTransformer, groups: bool
) -> None:
    """By group where the batch tells it, which knows texts of other rows too; else by the tokens."""
    value, left_out = false_negatives(student, groups)
    with torch.no_grad():
        q, p = (student(columns(student, name)[0])["sentence_embedding"] for name in ("query", "passage"))
        expected = info_nce(q, p, p.roll(1, 0), temperature=0.1, left_out=torch.tensor(left_out))
    assert value == pytest.approx(expected.item(), rel=1e-5)
    assert sum(map(sum, left_out)) == (4 if groups else 5)


def test_a_model_s_own_dimensions_are_trained(student: SentenceTransformer) -> None:
    student.truncate_dim = 16
    with torch.no_grad():
        q, p = (student(columns(student, name)[0])["sentence_embedding"][:, :16] for name in ("query", "passage"))
        value = Objective(student, temperature=0.1)(columns(student, "query", "passage"), None)
    assert value.item() == pytest.approx(info_nce(q, p, temperature=0.1).item(), rel=1e-5)


def test_shorter_vectors_are_those_of_sentence_transformers(student: SentenceTransformer) -> None:
    ours = Objective(student, temperature=0.05, matryoshka=[16, 8])
    theirs = MatryoshkaLoss(student, MultipleNegativesRankingLoss(student, scale=20.0), matryoshka_dims=[32, 16, 8])
    expected = gradients(theirs, columns(student, "query", "passage", "negative"))
    assert_same(gradients(ours, columns(student, "query", "passage", "negative")), expected)


def test_the_objective_is_the_weighted_sum_of_its_terms(student: SentenceTransformer) -> None:
    features, targets = columns(student, "query", "passage+translated", "negative"), some_targets()
    loss = full_objective(student, matryoshka=[8])
    with torch.no_grad():
        q, p, t, n = (student(columns(student, name)[0])["sentence_embedding"] for name in TEXTS)
        expected = 0.0
        for size in (32, 8):
            a, b, c, d, e = q[:, :size], p[:, :size], t[:, :size], n[:, :size], targets[..., :size]
            expected += 0.5 * info_nce(a, b, d, temperature=0.1, symmetric=True).item()
            expected += 2.0 * distillation(torch.stack([a, b], 1), e).item()
            expected += 0.3 * semantic_contrastive(b, c, temperature=0.1).item()
            expected += 0.1 * language_contrastive(a, b, c, temperature=0.1).item()
            expected += 0.7 * jensen_shannon(a, b, c, temperature=0.1).item()
        assert loss(features, targets).item() == pytest.approx(expected, rel=1e-5)
        without = loss(columns(student, "query", "passage"), None).item()
    pair = sum(info_nce(q[:, :s], p[:, :s], temperature=0.1, symmetric=True).item() for s in (32, 8))
    assert without == pytest.approx(0.5 * pair, rel=1e-5)


def test_in_evaluation_it_is_info_nce_alone(student: SentenceTransformer) -> None:
    student.eval()
    loss, plain = full_objective(student, matryoshka=[8]), Objective(student, temperature=0.1)
    with torch.no_grad():
        expected = plain(columns(student, "query", "passage"), None)
        assert torch.equal(loss(columns(student, "query", "passage+translated"), some_targets()), expected)


@pytest.mark.parametrize("mini_batch", [1, 2, 5, 64])
def test_cached_gradients_are_the_plain_ones(student: SentenceTransformer, mini_batch: int) -> None:
    features = columns(student, "query", "passage+translated", "negative")
    plain = gradients(full_objective(student, matryoshka=[8]), features, some_targets())
    cached = full_objective(student, matryoshka=[8], mini_batch=mini_batch)
    assert_same(gradients(cached, features, some_targets()), plain)


def test_cached_gradients_are_those_of_sentence_transformers(student: SentenceTransformer) -> None:
    theirs = CachedMultipleNegativesRankingLoss(student, scale=20.0, mini_batch_size=2)
    expected = gradients(theirs, columns(student, "query", "passage", "negative"))
    ours = Objective(student, temperature=0.05, mini_batch=2)
    assert_same(gradients(ours, columns(student, "query", "passage", "negative")), expected)


def test_a_repeated_pass_drops_out_what_the_first_did(tiny_encoder: SentenceTransformer) -> None:
    tiny_encoder.train()
    values = []
    for mini_batch in (None, 5):  # whole columns either way, so the same random numbers
        torch.manual_seed(0)
        loss = Objective(tiny_encoder, temperature=0.1, mini_batch=mini_batch)
        values.append(gradients(loss, columns(tiny_encoder, "query", "passage")))
    assert_same(*values)
    torch.manual_seed(1)
    assert gradients(loss, columns(tiny_encoder, "query", "passage"))[0] != pytest.approx(values[0][0])


def rows_alive_at_most(model: SentenceTransformer, loss: Objective, features: list[dict[str, Any]]) -> int:
    """Most texts whose activations in a middle layer were in memory at one time, over a step forth and back."""
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal most
        alive.add(output)
        gc.collect()
        most = max(most, sum(len(tensor) for tensor in alive))

    layer = next(module for name, module in model.named_modules() if name.endswith("layer.0.intermediate"))
    handle = layer.register_forward_hook(hook)
    loss(features, None).backward()
    handle.remove()
    return most


def test_activations_of_one_mini_batch_are_kept_at_a_time(student: SentenceTransformer) -> None:
    features = columns(student, "query", "passage+translated", "negative")
    plain = Objective(student, temperature=0.1, jensen_shannon_weight=1.0)
    cached = Objective(student, temperature=0.1, jensen_shannon_weight=1.0, mini_batch=2)
    assert rows_alive_at_most(student, plain, features) == 20
    assert rows_alive_at_most(student, cached, features) == 2


@pytest.mark.parametrize("size", [0, 32, 64])
def test_sizes_are_below_the_dimensions(tiny_encoder: SentenceTransformer, size: int) -> None:
    with pytest.raises(InputError, match=f"matryoshka {size}: the model has 32 dimensions; give sizes from 1 to 31"):
        Objective(tiny_encoder, temperature=0.1, matryoshka=[size])
