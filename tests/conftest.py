"""Fixtures: a tiny real encoder built on the spot, and small parallel data."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel

from isoglot.models.debiasing import debias
from isoglot.models.exporting import export
from isoglot.models.saving import save_model
from isoglot.pairs import ParallelPairs
from toy_pairs import parallel_rows

settings.register_profile("isoglot", deadline=None)  # a busy machine, or a first import within a test, is no failure
settings.load_profile("isoglot")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache, and out of the network."""
    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def pairs() -> ParallelPairs:
    return ParallelPairs.from_rows(parallel_rows(), dataset="toy")


@pytest.fixture(scope="session")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "toy.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in parallel_rows()), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of a two-layer BERT with random weights and its own small tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    texts = [row["passage"] + " query: passage: " for row in parallel_rows()]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    bare = folder / "bare"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(bare)
    tokenizer.save(str(bare / "tokenizer.json"))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    (bare / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **names})
    )
    model = SentenceTransformer(
        modules=[Transformer(str(bare)), Pooling(32, "mean"), Normalize()],
        prompts={"query": "query: ", "document": "passage: "},
        device="cpu",
    )
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


@pytest.fixture
def tiny_encoder(tiny_encoder_folder: Path) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_encoder_folder), device="cpu").eval()


@pytest.fixture(scope="session")
def exported_folders(
    tiny_encoder_folder: Path, pairs: ParallelPairs, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Any], Path]:
    """The tiny encoder with a debias layer, exported in the format that is asked for, once."""
    root = tmp_path_factory.mktemp("exported")
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu").eval()
    debiased = debias(model, pairs, remedy="linear-lir", directions=3)
    save_model(debiased, root / "model")

    def folder(export_format: Any) -> Path:
        if not (root / export_format).exists():
            export(debiased, root / export_format, export_format, name="tiny")
        return root / export_format

    return folder


@pytest.fixture
def short_training(pairs_file: Path) -> dict[str, Any]:
    """Settings of training that takes seconds, but for the model, where it is written, and how long."""
    return {
        "data": [{"source": str(pairs_file)}],
        "batches": {"size": 8},
        "optimizer": {"learning_rate": 1e-3},
        "bf16": False,
    }


def pytest_collection_finish() -> None:
    """Leave what libraries hold out of every later look for garbage: each training looks several times."""
    gc.collect()
    gc.freeze()
