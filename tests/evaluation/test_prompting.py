"""Wrong prompts are noticed, by name and by trying."""

from __future__ import annotations

from typing import Any

import pytest
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import RetrievalSet, retrieval_set_of
from isoglot.evaluation import prompting
from isoglot.evaluation.audit import audit
from isoglot.evaluation.prompting import prompt_advice
from isoglot.models.prompts import FAMILIES, prompt_family
from isoglot.pairs import ParallelPairs

LONG = "white river stone " * 40  # fills the model's 64 tokens, so that nothing of a text is left


@pytest.fixture
def data(pairs: ParallelPairs) -> RetrievalSet:
    return retrieval_set_of(pairs, "toy")


def test_names_tell_families() -> None:
    names = {
        "intfloat/multilingual-e5-large": "E5",
        "intfloat/multilingual-e5-large-instruct": "E5 with instructions",
        "intfloat/e5-mistral-7b-instruct": "E5 with instructions",
        "Qwen/Qwen3-Embedding-0.6B": "Qwen",
        "BAAI/bge-small-en-v1.5": "BGE",
        "BAAI/bge-large-zh": "BGE for Chinese",
        "nomic-ai/nomic-embed-text-v1.5": "nomic-embed",
        "Snowflake/snowflake-arctic-embed-m-v1.5": "arctic-embed",
        "mixedbread-ai/mxbai-embed-large-v1": "mxbai-embed",
    }
    assert {name: getattr(prompt_family([name]), "name", None) for name in names} == names
    assert {family.name for family in FAMILIES} == set(names.values())
    for other in ("BAAI/bge-m3", "Snowflake/snowflake-arctic-embed-l-v2.0", "safe5", "sentence-transformers/LaBSE"):
        assert prompt_family([other]) is None


@pytest.mark.slow
def test_families_want_what_mteb_gives_them() -> None:
    models = pytest.importorskip("mteb.models.model_implementations.bge_models", reason="the extra mteb is missing")
    from mteb.models.model_implementations import e5_models, mixedbread_ai_models, nomic_models

    for module in (models, e5_models, mixedbread_ai_models, nomic_models):
        metas = [each for each in vars(module).values() if hasattr(each, "loader_kwargs")]
        for meta in metas:
            given, family = (meta.loader_kwargs or {}).get("model_prompts", {}), prompt_family([meta.name])
            if family is not None and "query" in given:
                assert family.fits(given["query"], given.get("document", "")), meta.name


def test_a_family_s_model_with_other_prompts_is_told_what_to_set(
    tiny_encoder: SentenceTransformer, data: RetrievalSet
) -> None:
    own = dict(tiny_encoder.prompts)
    tiny_encoder.prompts = {"query": LONG, "document": ""}
    (advice,) = prompt_advice(tiny_encoder, data, "BAAI/bge-small-en-v1.5")
    assert "--query-prompt 'Represent this sentence for searching relevant passages: ' --passage-prompt ''" in advice
    assert "on 50 texts" in advice
    assert tiny_encoder.prompts == {"query": LONG, "document": ""}
    tiny_encoder.prompts = own
    assert prompt_advice(tiny_encoder, data, "runs/bge-small-en/my-e5") == []


def test_an_instruction_may_say_what_it_will() -> None:
    family = prompt_family(["e5-mistral-7b-instruct"])
    assert family is not None
    assert family.fits("Instruct: Find the law that applies.\nQuery: ", "")
    assert not family.fits("query: ", "passage: ")
    assert prompting.Prompts(family.query, "").options().startswith("--query-prompt $'Instruct: ")


def test_prompts_that_spoil_an_unknown_model_are_noticed(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    assert audit(tiny_encoder, pairs, name="mine").summary["notes"] == []
    tiny_encoder.prompts = {"query": LONG, "document": "passage: "}
    (note,) = audit(tiny_encoder, pairs, name="mine").summary["notes"]
    assert note.startswith("mine does better with no prompts: set --query-prompt '' --passage-prompt ''")


def test_right_prompts_cost_fifty_texts(
    tiny_encoder: SentenceTransformer, data: RetrievalSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, int]] = []
    encode_set = prompting.encode_set

    def counted(model: SentenceTransformer, few: RetrievalSet, **settings: Any) -> Any:
        read.append((model.prompts["query"], len(few.query_texts) + len(few.passage_texts)))
        return encode_set(model, few, **settings)

    monkeypatch.setattr(prompting, "encode_set", counted)
    prompt_advice(tiny_encoder, data, "mine")
    assert read == [("query: ", 50), ("", 50)]  # the first are texts of the audit itself


def test_too_few_texts_say_nothing_unless_the_name_does(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    few = retrieval_set_of(pairs.sample(5, seed=0), "few")
    tiny_encoder.prompts = {"query": "", "document": ""}
    assert prompt_advice(tiny_encoder, few, "mine") == []
    assert prompt_advice(tiny_encoder, few, "my-e5")[0].endswith("'query: ' --passage-prompt 'passage: '.")
