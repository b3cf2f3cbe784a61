"""How programs that know nothing of isoglot read a folder, rebuilt from their sources."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModel

Vectors = np.ndarray[Any, np.dtype[np.float32]]


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def text_embeddings_inference(folder: Path, texts: Sequence[str]) -> Vectors:
    """Version 1.9.3 on candle: router/src/lib.rs, backends/src/lib.rs and backends/candle/src/models/dense.rs.

    A KeyError is a folder that it does not start with. Modules of which it does not know one are all left out.
    """
    assert _json(folder / "config.json")["architectures"]
    limit = _json(folder / "sentence_bert_config.json")["max_seq_length"]
    pooling = _json(folder / "1_Pooling" / "config.json")
    by_first, by_mean = pooling["pooling_mode_cls_token"], pooling["pooling_mode_mean_tokens"]
    known = {f"sentence_transformers.models.{kind}" for kind in ("Dense", "Normalize", "Pooling", "Transformer")}
    modules = _json(folder / "modules.json")
    dense = (
        [m["path"] for m in modules if m["type"].endswith(".Dense")] if {m["type"] for m in modules} <= known else []
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    model = AutoModel.from_pretrained(folder).eval()
    vectors = []
    for text in texts:
        with torch.inference_mode():
            hidden = model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
        assert by_first or by_mean
        vector = hidden[0] if by_first else hidden.mean(0)
        for path in dense:
            config, weights = _json(folder / path / "config.json"), load_file(folder / path / "model.safetensors")
            vector = weights["linear.weight"] @ vector + (weights["linear.bias"] if config["bias"] else 0)
            activations = {
                "torch.nn.modules.linear.Identity": lambda x: x,
                "torch.nn.modules.activation.Tanh": torch.tanh,
            }
            vector = activations[config["activation_function"]](vector)
        vectors.append((vector / vector.norm()).numpy())
    return np.stack(vectors)


def text_embeddings_inference_onnx(folder: Path, texts: Sequence[str]) -> Vectors:
    """Version 1.9.3 on onnxruntime: backends/ort/src/lib.rs. It pads by itself and gives unit length at the end."""
    config = _json(folder / "config.json")
    assert {"hidden_size", "num_hidden_layers", "architectures", "model_type", "max_position_embeddings"} <= set(config)
    assert _json(folder / "1_Pooling" / "config.json")["pooling_mode_mean_tokens"] is True
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(_json(folder / "sentence_bert_config.json")["max_seq_length"])
    tokenizer.enable_padding(pad_id=config.get("pad_token_id") or 0)
    found = _run(folder, tokenizer, texts, "sentence_embedding")
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def fastembed(folder: Path, texts: Sequence[str]) -> Vectors:
    """Version 0.9.1, a custom model without pooling: common/preprocessor_utils.py and text/onnx_text_model.py."""
    settings = _json(folder / "tokenizer_config.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert isinstance(settings["model_max_length"], int)
    tokenizer.enable_truncation(settings["model_max_length"])
    tokenizer.add_special_tokens([*_json(folder / "special_tokens_map.json").values()])
    padding = tokenizer.padding or {}
    tokenizer.enable_padding(pad_id=padding["pad_id"], pad_token=padding["pad_token"])
    return _run(folder, tokenizer, texts, None)


def tokenizers_alone(folder: Path, texts: Sequence[str]) -> Vectors:
    """A script of five lines that leaves truncation and padding to tokenizer.json."""
    return _run(folder, Tokenizer.from_file(str(folder / "tokenizer.json")), texts, "sentence_embedding")


def _run(folder: Path, tokenizer: Tokenizer, texts: Sequence[str], output: str | None) -> Vectors:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"))
    encodings = tokenizer.encode_batch(list(texts))
    known = {
        "input_ids": np.array([each.ids for each in encodings], np.int64),
        "attention_mask": np.array([each.attention_mask for each in encodings], np.int64),
        "token_type_ids": np.array([each.type_ids for each in encodings], np.int64),
    }
    feed = {each.name: known[each.name] for each in session.get_inputs()}
    found: Vectors = session.run(None if output is None else [output], feed)[0]
    return found


def transformers_alone(folder: Path, texts: Sequence[str]) -> Vectors:
    """The modules by hand over transformers, with tokenizer.json read by tokenizers."""
    encodings = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(list(texts))
    mask = torch.tensor([each.attention_mask for each in encodings])
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        hidden = model(torch.tensor([each.ids for each in encodings]), attention_mask=mask).last_hidden_state
    x = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    for module in _json(folder / "modules.json")[2:]:
        if module["type"].endswith("Normalize"):
            x = torch.nn.functional.normalize(x)
        else:
            weights = load_file(folder / module["path"] / "model.safetensors")
            x = torch.nn.functional.linear(x, weights["linear.weight"], weights.get("linear.bias"))
    return x.numpy()
