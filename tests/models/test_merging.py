"""Merged models: what their weights are, which remedy they have, and what cannot be merged."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Router, Transformer

import isoglot
from isoglot.common.errors import InputError
from isoglot.models.fingerprint import fingerprint
from isoglot.models.merging import between
from isoglot.pairs import ParallelPairs

TEXTS = ["rot gruen haus", "red tree", "casa verde"]


def moved(model: SentenceTransformer, seed: int, by: float = 0.05) -> SentenceTransformer:
    """A model of the same kind, some way off; its word embeddings stay, as in training."""
    from copy import deepcopy

    other = deepcopy(model)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if "word_embeddings" not in name:
                parameter.add_(by * torch.randn_like(parameter))
    return other.eval()


@pytest.fixture
def three(tiny_encoder: SentenceTransformer) -> list[SentenceTransformer]:
    return [moved(tiny_encoder, 1), moved(tiny_encoder, 2), tiny_encoder]


def states(*models: SentenceTransformer) -> list[dict[str, np.ndarray]]:
    return [{name: each.double().numpy() for name, each in model.state_dict().items()} for model in models]


def test_linear_weights_are_the_weighted_mean(three: list[SentenceTransformer]) -> None:
    before = [fingerprint(model) for model in three]
    merged, report = isoglot.merge(three, [5, 3, 2])
    assert report.weights == report.last_weights == pytest.approx((0.5, 0.3, 0.2))
    a, b, c, found = states(*three, merged)
    for name in found:
        assert np.allclose(found[name], 0.5 * a[name] + 0.3 * b[name] + 0.2 * c[name], atol=1e-6), name
    assert [fingerprint(model) for model in three] == before
    table = "0.model.embeddings.word_embeddings.weight"
    assert dict(merged.named_parameters())[table] is dict(three[0].named_parameters())[table], (
        "equal in all, not copied"
    )


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda weights: sum(weights) > 0.01))
def test_the_mean_of_one_model_is_that_model(weights: list[float]) -> None:
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    shares = [weight / sum(weights) for weight in weights]
    assert torch.allclose(between([x, x, x], shares), x, atol=1e-6)
    assert torch.allclose(between([x, x], [shares[0], 1 - shares[0]], "slerp"), x, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.integers(0, 100))
def test_slerp_keeps_to_the_sphere_and_turns_evenly(t: float, seed: int) -> None:
    a, b = torch.nn.functional.normalize(torch.randn(2, 12, generator=torch.Generator().manual_seed(seed)))
    found = between([a.view(3, 4), b.view(3, 4)], [1 - t, t], "slerp").flatten().double()
    assert float(found.norm()) == pytest.approx(1, abs=1e-4)
    whole = float(torch.acos(a.double() @ b.double()))
    assert float(torch.acos((found @ a.double()).clamp(-1, 1))) == pytest.approx(t * whole, abs=2e-3)


@pytest.mark.parametrize("method", ["linear", "slerp"])
def test_merges_are_those_of_sentence_transformers(three: list[SentenceTransformer], method: str) -> None:
    parameters = {"weight": [0.3, 0.7]} if method == "linear" else {"t": 0.7}
    theirs = SentenceTransformer.merge(three[:2], method, parameters=parameters)
    ours, _ = isoglot.merge(three[:2], [0.3, 0.7], method=method)  # type: ignore[arg-type]
    a, b = states(ours, theirs)
    assert all(np.allclose(a[name], b[name], atol=1e-5) for name in a)


def test_weights_may_change_from_the_first_layer_to_the_last(three: list[SentenceTransformer]) -> None:
    a, _, c = three
    merged, _ = isoglot.merge([a, c], [0, 1], last_weights=[1, 0])
    tuned, initial, found = states(a, c, merged)
    for name in found:
        source = initial if "embeddings" in name or "layer.0" in name else tuned
        assert np.allclose(found[name], source[name], atol=1e-6), name
    third, report = isoglot.merge([a, c], [1, 3], last_weights=[3, 1])
    assert "0.25 to 0.75" in report.sentences()[0]
    (middle,) = states(third)
    name = "0.model.encoder.layer.1.output.dense.weight"
    assert np.allclose(middle[name], 0.75 * tuned[name] + 0.25 * initial[name], atol=1e-6)


def test_encoders_by_role_are_merged_layer_by_layer_too(tiny_encoder_folder: Path) -> None:
    routes = [[Transformer(str(tiny_encoder_folder.parent / "bare")), Pooling(32, "mean")] for _ in range(2)]
    model = SentenceTransformer(modules=[Router.for_query_document(*routes), Normalize()], device="cpu")
    merged, _ = isoglot.merge([moved(model, 1), model], [0, 1], last_weights=[1, 0])
    same = states(merged, model)
    for role in ("query", "document"):
        names = [name for name in same[0] if f".{role}." in name and "layer.0" in name]
        assert names
        assert all(np.allclose(same[0][name], same[1][name]) for name in names)
    assert merged.encode_query("rot").shape == (32,)


def test_a_merged_model_is_saved_like_the_first(three: list[SentenceTransformer], tmp_path: Path) -> None:
    three[0].prompts["query"], three[0].max_seq_length = "ask: ", 40
    three[0].similarity_fn_name = "dot"
    merged, report = isoglot.merge(three, names=["A", "B", "C"])
    isoglot.save_model(merged, tmp_path / "m", card=report.card())
    again = isoglot.load_encoder(tmp_path / "m")
    assert (again.prompts, again.similarity_fn_name, again.max_seq_length) == (three[0].prompts, "dot", 40)
    assert np.allclose(again.encode(TEXTS), merged.encode(TEXTS), atol=1e-6)
    card = (tmp_path / "m" / "README.md").read_text()
    for model in three:
        assert fingerprint(model)[:16] in card
    assert card.startswith("---\n")
    assert "| `B` | 0.3333 |" in card


def test_a_shared_remedy_is_kept_even_where_the_initial_model_has_none(
    three: list[SentenceTransformer], pairs: ParallelPairs
) -> None:
    one, two, initial = three
    projected = isoglot.debias(initial, pairs, directions=2)
    tuned = [isoglot.with_debias_of(model, projected) for model in (one, two)]
    merged, report = isoglot.merge([*tuned, initial])
    assert report.remedy == "kept"
    bare, _ = isoglot.merge(three)
    expected = isoglot.with_debias_of(bare, projected)
    assert np.allclose(merged.encode(TEXTS), expected.encode(TEXTS), atol=1e-6)
    assert isoglot.merge(three)[1].remedy == "none"


def test_remedies_that_differ_are_fitted_anew(three: list[SentenceTransformer], pairs: ParallelPairs) -> None:
    own = [isoglot.debias(model, pairs, directions=2) for model in three[:2]]
    with pytest.raises(InputError, match=r"differ, so the merged model needs one of its own; name a model .*--fit-on"):
        isoglot.merge(own)
    merged, report = isoglot.merge(own, fit_on=pairs, directions=3, max_tokens=20)
    assert report.remedy == "fitted"
    bare, _ = isoglot.merge(three[:2])
    expected = isoglot.debias(bare, pairs, directions=3, max_tokens=20)
    assert np.allclose(merged.encode(TEXTS), expected.encode(TEXTS), atol=1e-5)


def test_a_remedy_is_taken_from_the_model_named_for_it(three: list[SentenceTransformer], pairs: ParallelPairs) -> None:
    own = [isoglot.debias(model, pairs, directions=2) for model in three[:2]]
    softer = isoglot.debias(three[2], pairs, directions=2, strength=0.5)
    merged, report = isoglot.merge(own, remedy_of=softer)
    assert report.remedy == "taken"
    assert "is that of the model named for it" in report.sentences()[1]
    bare, _ = isoglot.merge(three[:2])
    assert np.allclose(merged.encode(TEXTS), isoglot.with_debias_of(bare, softer).encode(TEXTS), atol=1e-6)
    with pytest.raises(InputError, match="no remedy to take over"):
        isoglot.merge(own, remedy_of=three[2])


def smaller(model: SentenceTransformer) -> SentenceTransformer:
    return SentenceTransformer(modules=[*[*model][:2], Dense(32, 16)], device="cpu")


def adapted(model: SentenceTransformer) -> SentenceTransformer:
    other = moved(model, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other[0].model.add_adapter(LoraConfig(r=2, target_modules=["query"]))
    return other


def with_other_words(model: SentenceTransformer) -> SentenceTransformer:
    other = moved(model, 1)
    other.tokenizer.add_tokens(["[NEW]"])
    return other


def with_other_heads(model: SentenceTransformer) -> SentenceTransformer:
    other = moved(model, 1)
    other[0].model.config.num_attention_heads = 4
    return other


def test_special_tokens_that_a_trainer_wrote_into_the_configuration_keep_no_models_apart(
    tiny_encoder: SentenceTransformer,
) -> None:
    tuned = moved(tiny_encoder, 1)
    tuned[0].model.config.bos_token_id, tuned[0].model.config.eos_token_id = 0, 2
    merged, _ = isoglot.merge([tuned, tiny_encoder])
    assert np.isfinite(merged.encode(TEXTS)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (smaller, r"A and B cannot be merged: they differ in dimensions \(32 and 16\)"),
        (lambda model: SentenceTransformer(modules=[*model][:2], device="cpu"), "they differ in modules"),
        (with_other_words, "they differ in vocabulary"),
        (with_other_heads, "they differ in the architecture of the Transformer"),
        (lambda model: isoglot.trim(model, ["rot"], spare=0)[0], "they differ in vocabulary"),
        (adapted, "B carries adapters; merge them into its weights first"),
    ],
)
def test_models_that_do_not_fit_together_are_one_line(
    tiny_encoder: SentenceTransformer, make: Callable[[SentenceTransformer], SentenceTransformer], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        isoglot.merge([tiny_encoder, make(tiny_encoder)], names=["A", "B"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "method", "message"),
    [
        ([1, 1], "linear", "2 weights for 3 models; give one for each"),
        ([1, -1, 1], "linear", "use numbers from 0"),
        ([0, 0, 0], "linear", "not all of them 0"),
        ([1, float("nan"), 1], "linear", "use numbers from 0"),
        (None, "slerp", "slerp takes two models, not 3"),
        (None, "ties", "method 'ties' is unknown; use one of linear, slerp"),
    ],
)
def test_wrong_weights_are_one_line(
    three: list[SentenceTransformer], weights: list[float] | None, method: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        isoglot.merge(three, weights, method=method)  # type: ignore[arg-type]
