from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.models.debiasing import debias, passages_of, with_debias_of, without_debias
from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder, task_of
from isoglot.pairs import ParallelPairs
from isoglot.vectors.remedies import fit_linear_lir, fit_lir

ROLES: tuple[tuple[Literal["query", "passage"], str], ...] = (("query", "query"), ("passage", "document"))


def spread(vectors: np.ndarray, labels: np.ndarray) -> float:
    means = np.stack([vectors[labels == label].mean(0) for label in np.unique(labels)])
    return float(np.abs(means - means.mean(0)).max())


@pytest.mark.parametrize("remedy", ["lir", "leace", "linear-lir"])
def test_a_debiased_model_is_an_ordinary_one(
    remedy: str, tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    model = debias(tiny_encoder, pairs, remedy=remedy, directions=3)  # type: ignore[arg-type]
    model.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    texts = ["rot gruen 1", "red green 1"]
    assert again.encode(texts) == pytest.approx(model.encode(texts), abs=1e-6)
    assert np.linalg.norm(again.encode(texts), axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert again.prompts["query"] == "query: "
    assert without_debias(again).encode(texts) == pytest.approx(tiny_encoder.encode(texts), abs=1e-6)
    assert with_debias_of(tiny_encoder, again).encode(texts) == pytest.approx(model.encode(texts), abs=1e-5)


def test_language_means_take_the_language_as_the_task(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    debias(tiny_encoder, pairs, remedy="means").save_pretrained(str(tmp_path / "m"), create_model_card=False)
    model = SentenceTransformer(str(tmp_path / "m"), device="cpu")
    german, english, nobody = (model.encode(["rot gruen"], task=task) for task in ("de", "en", None))
    assert not np.allclose(german, english)
    assert not np.allclose(german, nobody)
    assert model.encode_query(["rot"]).shape == (1, 32)


def with_head(model: SentenceTransformer, *modules: torch.nn.Module, **declared: Any) -> SentenceTransformer:
    return SentenceTransformer(modules=[*list(model.children())[:2], *modules], device="cpu", **declared)


def test_a_models_own_modules_are_not_taken_for_a_remedy(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    own = with_head(tiny_encoder, Dense(32, 32, activation_function=torch.nn.Identity()), Normalize())
    assert without_debias(own) is own
    debias(own, pairs, directions=2).save_pretrained(str(tmp_path / "a"), create_model_card=False)
    # Loaded, and saved once more, by somebody who knows nothing of isoglot.
    SentenceTransformer(str(tmp_path / "a"), device="cpu").save_pretrained(str(tmp_path / "b"), create_model_card=False)
    again = SentenceTransformer(str(tmp_path / "b"), device="cpu")
    assert len(again) == 6
    assert without_debias(again).encode(["rot"]) == pytest.approx(own.encode(["rot"]), abs=1e-6)
    twice = debias(again, pairs, directions=1)
    assert len(without_debias(twice)) == len(own)


@pytest.mark.parametrize("remedy", ["lir", "means", "shift"])
def test_what_a_model_declares_stays_with_it(
    remedy: Any, tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    declared = {"similarity_fn_name": "dot", "truncate_dim": 8, "default_prompt_name": "query"}
    model = with_head(tiny_encoder, prompts={"query": "query: "}, **declared)
    debiased = debias(model, pairs, remedy=remedy, directions=2)
    debiased.save_pretrained(str(tmp_path / "m"), create_model_card=False)
    for each in (debiased, without_debias(debiased), with_debias_of(model, debiased), load_encoder(tmp_path / "m")):
        assert {name: getattr(each, name) for name in declared} == declared
        assert embed(each, ["rot 1"], "query").shape == (1, 8)
    assert len(debiased) == 3  # length means something to this model, so there is no normalisation
    assert embed(debiased, ["rot 1"], "query") == pytest.approx(debiased.encode_query(["rot 1"]), abs=1e-6)
    if remedy == "lir":  # the remedy is fitted in, and works on, the dimensions that are left
        sides = [
            debiased.encode(pairs.texts(role), prompt=name) for role, name in (("query", "query: "), ("passage", ""))
        ]
        before = [
            model.encode(pairs.texts(role), prompt=name) for role, name in (("query", "query: "), ("passage", ""))
        ]
        languages = pairs.language
        assert spread(sides[1], languages) < 0.7 * spread(before[1], languages)


def test_a_model_with_routes_of_its_own_gets_no_routes_by_language(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    reader = [*tiny_encoder.children()]
    model = SentenceTransformer(modules=[Router.for_query_document([*reader], [*reader])], device="cpu")
    with pytest.raises(InputError, match="by role already; use linear-lir or leace"):
        debias(model, pairs, remedy="means")
    assert debias(model, pairs, directions=2).encode_query(["rot"]).shape == (1, 32)


@pytest.mark.parametrize("remedy", ["lir", "shift"])
def test_only_the_texts_that_are_drawn_are_read_of_the_same_examples_in_every_language(
    remedy: Any, tiny_encoder: SentenceTransformer, pairs: ParallelPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, original = [], ParallelPairs.texts

    def texts(self: ParallelPairs, role: Any, rows: Any = None) -> Any:
        read.append(rows)
        return original(self, role, rows)

    monkeypatch.setattr(ParallelPairs, "texts", texts)
    debias(tiny_encoder, pairs, remedy=remedy, examples=5, directions=2)
    assert [len(rows) for rows in read] == ([15, 15] if remedy == "lir" else [15])
    assert all(len(set(pairs.example[rows])) == 5 for rows in read)


def test_a_model_without_a_remedy_has_none_to_give(tiny_encoder: SentenceTransformer) -> None:
    assert without_debias(tiny_encoder) is tiny_encoder
    with pytest.raises(InputError, match="no remedy to take over"):
        with_debias_of(tiny_encoder, tiny_encoder)


def test_a_remedy_for_vectors_of_another_length_is_refused(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    shorter = SentenceTransformer(modules=[*[*tiny_encoder][:2], Dense(32, 16)], device="cpu")
    with pytest.raises(
        InputError, match="the remedy is for vectors of 16 numbers and the model gives 32; take that of"
    ):
        with_debias_of(tiny_encoder, debias(shorter, pairs, directions=2))


def test_what_cannot_be_fitted_is_refused(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    with pytest.raises(InputError, match="two languages or more"):
        debias(tiny_encoder, pairs.filter_languages(["de"]))
    with pytest.raises(InputError, match="use one of lir, leace, means"):
        debias(tiny_encoder, pairs, remedy="magic")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="directions 0: at least 1"):
        debias(tiny_encoder, pairs, directions=0)
    with pytest.raises(InputError, match="examples 0: at least 1"):
        debias(tiny_encoder, pairs, examples=0)
    for strength in (0, 1.5, float("nan")):
        with pytest.raises(InputError, match="above 0 and at most 1 is needed"):
            debias(tiny_encoder, pairs, strength=strength)


@pytest.mark.parametrize("remedy", ["linear-lir", "lir", "leace", "means", "shift"])
def test_a_remedy_goes_as_far_as_its_strength(
    remedy: Any, tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    """As seen before the last normalisation: a quarter of the way is a quarter of what the whole remedy changes."""
    whole, quarter = (debias(tiny_encoder, pairs, remedy=remedy, strength=each) for each in (1.0, 0.25))
    vectors = torch.from_numpy(tiny_encoder.encode(pairs.texts("passage")[:9]))
    settings = {"task": "de"} if remedy in ("means", "shift") else {}
    with torch.inference_mode():
        far, near = (
            list(model.children())[-2]({"sentence_embedding": vectors.clone()}, **settings)["sentence_embedding"]
            for model in (whole, quarter)
        )
    assert not torch.allclose(far, vectors, atol=1e-3)
    assert torch.allclose(near, vectors + 0.25 * (far - vectors), atol=1e-5)


@pytest.mark.parametrize("remedy", ["lir", "leace", "means"])
def test_language_means_of_the_fitted_text_coincide_and_the_map_is_affine(
    remedy: str, tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    """As seen before the last normalisation, over queries and passages together."""
    few = pairs.sample(20, seed=0)
    model = debias(tiny_encoder, few, remedy=remedy, directions=5)  # type: ignore[arg-type]
    linear = list(model.children())[-2]
    sides = [tiny_encoder.encode(few.texts(role), prompt_name=name) for role, name in ROLES]
    vectors, languages = torch.from_numpy(np.concatenate(sides)), np.tile([row["language"] for row in few.rows()], 2)

    def mapped(x: torch.Tensor, language: str) -> np.ndarray:
        keywords = {"task": language} if remedy == "means" else {}
        with torch.inference_mode():
            return linear({"sentence_embedding": x.clone()}, **keywords)["sentence_embedding"].numpy()

    assert spread(vectors.numpy(), languages) > 1e-2
    after = np.stack([mapped(vectors[n : n + 1], tag)[0] for n, tag in enumerate(languages.tolist())])
    assert spread(after, languages) < 1e-5
    a, b = vectors[:9], vectors[9:18]
    middle = (mapped(a, "de") + mapped(b, "de")) / 2
    assert mapped((a + b) / 2, "de") == pytest.approx(middle, abs=1e-5)


def test_a_linear_layer_asks_for_no_normalisation_before_it(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    """What may be left out by a runtime that knows one Normalize only, at the end; LIR's offset does not bear it."""
    texts = ["rot gruen", "a red tree by the river"]

    def moved(remedy: Any) -> float:
        model = debias(tiny_encoder, pairs, remedy=remedy, directions=3)
        first, pooling, _, linear, last = model.children()
        short = SentenceTransformer(modules=[first, pooling, linear, last], device="cpu")
        return float(np.abs(short.encode(texts) - model.encode(texts)).max())

    assert moved("linear-lir") < 1e-6
    assert moved("lir") > 1e-2


def test_a_shift_of_all_vectors_along_what_is_removed_does_not_count() -> None:
    """As coarser arithmetic makes it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)) * 0.1 + rng.normal(size=8)
    groups = np.repeat(["de", "en", "fr"], 20)
    centre = x.mean(0)
    linear, affine = fit_linear_lir(x, groups), fit_lir(x, groups)
    assert linear(x + 0.1 * centre) == pytest.approx(linear(x), abs=1e-9)
    assert not np.allclose(affine(x + 0.1 * centre), affine(x), atol=1e-2)
    assert spread(linear(x), groups) < 1e-9


def test_shift_moves_passages_and_leaves_queries_alone(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    shifted = debias(tiny_encoder, pairs, remedy="shift", examples=60, source_language="EN")
    texts, tags = ["rot gruen 1", "red green 1"], ["de", "en"]
    assert embed(shifted, texts, "query", tasks=tags) == pytest.approx(embed(tiny_encoder, texts, "query"), abs=1e-6)
    before, after = (embed(model, texts, "passage", tasks=tags) for model in (tiny_encoder, shifted))
    assert np.abs(after[0] - before[0]).max() > 1e-3
    assert after[1] == pytest.approx(before[1], abs=1e-6)
    shifted.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert loaded.encode(texts[:1], task="de", prompt="passage: ")[0] == pytest.approx(after[0], abs=1e-6)
    assert loaded.encode_query(texts) == pytest.approx(embed(tiny_encoder, texts, "query"), abs=1e-6)
    unlabelled = loaded.encode_document(texts)
    assert unlabelled == pytest.approx(before, abs=1e-6)


def test_shift_says_what_text_it_needs(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    with pytest.raises(InputError, match="moves languages to 'fr'"):
        debias(tiny_encoder, pairs, remedy="shift", source_language="fr")
    rows = [
        {"id": f"{n}{tag}", "language": tag, "query": "a", "passage": f"b {n}"}
        for n in range(3)
        for tag in ("de", "en")
    ]
    with pytest.raises(InputError, match="no example is in both de and en"):
        debias(tiny_encoder, ParallelPairs.from_rows(rows), remedy="shift")


def test_a_benchmarks_own_passages_serve_as_text(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    own = passages_of(retrieval_set_of(pairs, "toy"))
    assert sorted(own.texts("passage")) == sorted(pairs.texts("passage"))
    assert own.languages == pairs.languages
    debiased = debias(tiny_encoder, own, remedy="shift", examples=60)  # translations still share an id
    assert task_of(debiased.children(), "query", "de") == "query"
