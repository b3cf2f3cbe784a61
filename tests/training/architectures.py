"""Tiny encoders of many kinds, with random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoConfig, AutoModel, T5EncoderModel

_SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
_DECODER = {**_SMALL, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": {**_SMALL, "max_position_embeddings": 64},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 64},
    "xlm-roberta": {**_SMALL, "max_position_embeddings": 70},
    "mpnet": {**_SMALL, "max_position_embeddings": 70},
    "modernbert": {**_SMALL, "max_position_embeddings": 64, "global_attn_every_n_layers": 2},
    "deberta-v2": {**_SMALL, "max_position_embeddings": 64, "relative_attention": True},
    "qwen3": _DECODER,
    "llama": _DECODER,
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 3, "num_heads": 2},
}
"""Settings of tiny transformers of many kinds, three blocks each."""


def build_encoder(kind: str, tokenizer: Path, folder: Path, **settings: Any) -> SentenceTransformer:
    """A model of random weights of one of the kinds above, with the tokenizer of a folder."""
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    config = AutoConfig.for_model(kind, vocab_size=400, **ids, **ARCHITECTURES[kind], **settings)
    torch.manual_seed(0)
    (T5EncoderModel(config) if kind == "t5" else AutoModel.from_config(config)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / name)
    return SentenceTransformer(modules=[Transformer(str(folder)), Pooling(32, "mean"), Normalize()], device="cpu")
