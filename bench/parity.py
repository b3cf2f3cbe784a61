"""isoglot's monolingual measures against sentence-transformers' own evaluator, for models of every kind.

    python bench/parity.py

Small models with random weights are built on the spot, saved, loaded as isoglot and sentence-transformers load them,
and scored on the same made-up texts in three languages: by isoglot in one evaluation, by InformationRetrievalEvaluator
once per language. A row of the table is the largest difference in nDCG@10, MRR@10, mAP and recall@10.
"""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Router,
    StaticEmbedding,
    Transformer,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from isoglot.benchmarks import RetrievalSet, retrieval_set_of
from isoglot.evaluation.evaluate import evaluate
from isoglot.models.builtin import quiet_transformers
from isoglot.models.encoders import load_encoder
from isoglot.pairs import ParallelPairs

SIZE = 32
SCRATCH = tempfile.TemporaryDirectory()
MEASURES = {"ndcg@10": "ndcg@10", "mrr@10": "mrr@10", "map": "map@1000", "recall@10": "recall@10"}
WORDS = {tag: [f"{tag}{number}" for number in range(40)] for tag in ("de", "en", "es")}


def texts(examples: int = 60) -> RetrievalSet:
    """Passages of five words in three languages, asked for by two of them and one that is wrong."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(examples):
        picks = rng.integers(0, 40, 6)
        for tag, words in WORDS.items():
            query = " ".join(words[n] for n in picks[[0, 1, 5]])
            passage = " ".join(words[n] for n in picks[:5])
            rows.append({"id": f"{number:03}", "language": tag, "query": query, "passage": f"{passage} {tag}{number}"})
    return retrieval_set_of(ParallelPairs.from_rows(rows), "made up")


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words."""
    special = ["[PAD]", "[UNK]", "find", "the", "passage", "web", ":"]
    words = [*special, *(word for tag in WORDS for word in [tag, *(f"{tag}{n}" for n in range(60))])]
    backend = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32)


def transformer(seed: int = 0, dtype: torch.dtype = torch.float32) -> Transformer:
    """Two layers with random weights."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer()),
        hidden_size=SIZE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    folder = tempfile.mkdtemp(dir=SCRATCH.name)
    BertModel(config).to(dtype).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return Transformer(folder)


def dense(seed: int = 1, size: int = SIZE) -> Dense:
    """A linear map with a bias that matters."""
    torch.manual_seed(seed)
    return Dense(SIZE, size, init_bias=torch.randn(size), activation_function=torch.nn.Identity())


def static() -> StaticEmbedding:
    """Word vectors."""
    return StaticEmbedding(tokenizer(), torch.randn(len(tokenizer()), SIZE, generator=torch.Generator().manual_seed(2)))


def mean(include_prompt: bool = True) -> Pooling:
    """Mean pooling."""
    return Pooling(SIZE, "mean", include_prompt=include_prompt)


def made(*modules: torch.nn.Module, **declared: Any) -> SentenceTransformer:
    """A model of these modules."""
    return SentenceTransformer(modules=list(modules), device="cpu", **declared)


def adapted(*modules: torch.nn.Module) -> SentenceTransformer:
    """A model with an adapter that changes it; its base is where `transformer` put it."""
    from peft import LoraConfig

    model = made(*modules)
    model.add_adapter(LoraConfig(r=4, target_modules=["query", "value"], init_lora_weights=False))
    return model


INSTRUCTION = {"query": "find the passage : "}
NAMED = {"web_query": "find web : ", "web_passage": "passage : "}
KINDS: dict[str, Callable[[], SentenceTransformer]] = {
    "normalised, cosine": lambda: made(transformer(), mean(), Normalize()),
    "not normalised, cosine": lambda: made(transformer(), mean()),
    "not normalised, dot": lambda: made(transformer(), mean(), dense(), similarity_fn_name="dot"),
    "euclidean": lambda: made(transformer(), mean(), dense(), similarity_fn_name="euclidean"),
    "manhattan": lambda: made(transformer(), mean(), dense(), similarity_fn_name="manhattan"),
    "truncate_dim": lambda: made(transformer(), mean(), Normalize(), truncate_dim=8),
    "truncate_dim, dot": lambda: made(transformer(), mean(), truncate_dim=8, similarity_fn_name="dot"),
    "bf16 weights": lambda: made(transformer(dtype=torch.bfloat16), mean()),
    "fp16 weights and a Dense head": lambda: made(transformer(dtype=torch.float16), mean(), dense(), Normalize()),
    "own Dense": lambda: made(transformer(), mean(), dense(size=16)),
    "own Dense and Normalize": lambda: made(transformer(), mean(), dense(), Normalize()),
    "Router in front": lambda: made(Router.for_query_document([static()], [transformer(), mean()])),
    "Router of Dense heads": lambda: made(
        transformer(), mean(), Router.for_query_document([dense(1)], [dense(3)]), Normalize()
    ),
    "static embeddings": lambda: made(static()),
    "static embeddings, dot": lambda: made(static(), Normalize(), similarity_fn_name="dot"),
    "prompts by name": lambda: made(transformer(), mean(), prompts=NAMED),
    "default_prompt_name": lambda: made(transformer(), mean(), prompts=INSTRUCTION, default_prompt_name="query"),
    "instruction": lambda: made(transformer(), mean(include_prompt=False), Normalize(), prompts=INSTRUCTION),
    "adapter": lambda: adapted(transformer(), mean()),
}
ASKED_BY_NAME = {"prompts by name": {"query": "web_query", "passage": "web_passage"}}


def difference(kind: str, data: RetrievalSet, folder: Path) -> float:
    """The largest difference of the two evaluations' measures for a kind of model."""
    KINDS[kind]().save_pretrained(str(folder), create_model_card=False)
    names = ASKED_BY_NAME.get(kind, {})
    # sentence-transformers computes in the precision of the files where not told otherwise; here both compute in it.
    ours = load_encoder(
        folder, dtype=None, device="cpu", query_prompt=names.get("query"), passage_prompt=names.get("passage")
    )
    theirs = SentenceTransformer(str(folder), device="cpu")
    found = evaluate(ours, data).summary["settings"]["monolingual"]
    scores: list[dict[str, float]] = []
    for number in range(len(data.languages)):
        passages = np.flatnonzero(data.passage_language == number)
        corpus = {data.passage_ids[n]: data.passage_texts[n] for n in passages.tolist()}
        relevant: dict[str, set[str]] = {}
        for query, passage in zip(data.judgement_query.tolist(), data.judgement_passage.tolist(), strict=True):
            if data.query_language[query] == number == data.passage_language[passage]:
                relevant.setdefault(data.query_ids[query], set()).add(data.passage_ids[passage])
        evaluator = InformationRetrievalEvaluator(
            queries=dict(zip(data.query_ids, data.query_texts, strict=True)),
            corpus=corpus,
            relevant_docs=relevant,
            map_at_k=[1000],
            write_csv=False,
            query_prompt_name=names.get("query"),
            corpus_prompt_name=names.get("passage"),
        )
        scores.append(evaluator(theirs))
    similarity = theirs.similarity_fn_name
    return max(
        abs(float(found[own]) - float(np.mean([each[f"{similarity}_{their}"] for each in scores])))
        for own, their in MEASURES.items()
    )


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    data = texts()
    print("| kind of model | largest difference |\n|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder, quiet_transformers():
            print(f"| {kind} | {difference(kind, data, Path(folder)):.1e} |", flush=True)


if __name__ == "__main__":
    main()
