"""What tells one model from another: a hash of everything that its vectors depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module
from tokenizers import Tokenizer
from transformers import PreTrainedModel

# Of a transformer's configuration: where it came from, who wrote it, and what weights say themselves.
_IDLE_SETTINGS = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache")
_PER_CALL = ("padding", "truncation")
_known_digests: WeakKeyDictionary[torch.nn.Module, tuple[list[Any], bytes]] = WeakKeyDictionary()


def fingerprint(model: SentenceTransformer | Iterable[torch.nn.Module]) -> str:
    """SHA-256 of a model's modules: weights, kinds, settings and tokenizers; equal for equal behaviour.

    Of a whole model the similarity and the dimensions that it declares count, too; prompts and the token limit do not.
    Weights are read once, and again when they have changed.
    """
    digest = hashlib.sha256()
    if isinstance(model, SentenceTransformer):
        digest.update(f"{model.similarity_fn_name} {model.truncate_dim}".encode())
    for module in model.children() if isinstance(model, SentenceTransformer) else model:
        digest.update(_module_digest(module))
    return digest.hexdigest()


def _module_digest(module: torch.nn.Module) -> bytes:
    tokenizers = [getattr(each, "tokenizer", None) for each in module.modules()]
    described = [getattr(each, "backend_tokenizer", each) for each in tokenizers]
    backends = [each for each in described if isinstance(each, Tokenizer)]
    # No pooling here reads a pooler, and it is random where a checkpoint lacks it.
    tensors = {name: tensor for name, tensor in module.state_dict().items() if ".pooler." not in name}
    settings = json.dumps(settings_of(module), sort_keys=True, default=str)
    state = [
        settings,
        [(each, each.get_vocab_size()) for each in backends],
        # Some of the numbers tell of changes that PyTorch does not count, such as merging an adapter.
        [(name, each.data_ptr(), each._version, _few(each)) for name, each in tensors.items()],
    ]
    if module in _known_digests and _known_digests[module][0] == state:
        return _known_digests[module][1]
    digest = hashlib.sha256(settings.encode())
    for backend in backends:
        # These two change with every call, and nothing depends on what they were.
        kept = {key: value for key, value in json.loads(backend.to_str()).items() if key not in _PER_CALL}
        digest.update(json.dumps(kept).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    _known_digests[module] = state, digest.digest()
    return digest.digest()


def _few(tensor: torch.Tensor) -> list[float]:
    few: list[float] = tensor.reshape(-1)[:: max(1, tensor.numel() // 8)].tolist()
    return few


def settings_of(module: torch.nn.Module) -> list[Any]:
    """What the configuration files of a module and of those within it say, so far as vectors depend on it."""
    found: list[Any] = []
    for name, each in module.named_modules():
        if isinstance(each, Module):
            keys = [key for key in each.config_keys if key != "max_seq_length"]
            found.append([name, type(each).__name__, {key: str(getattr(each, key, None)) for key in keys}])
        if isinstance(each, PreTrainedModel):
            config = each.config.to_dict()
            adapters = getattr(each, "peft_config", {})
            found.append([name, {key: value for key, value in config.items() if key not in _IDLE_SETTINGS}])
            found.append([[key, str(getattr(it, "lora_alpha", None))] for key, it in adapters.items()])
    return found
