"""Encoders: ordinary sentence-transformers models, from a hub id, a folder or the built-in source.

What isoglot needs to know of a model beyond `encode` stands here: its prompts by role, which of its modules read
text and which only map a finished vector, and a fingerprint of its weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import torch
from huggingface_hub.constants import ENDPOINT
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Router

from isoglot.common.errors import InputError
from isoglot.models.builtin import BUILTIN_PREFIX, builtin_folder, quiet_transformers
from isoglot.models.mteb import MTEB_PREFIX, load_mteb_encoder

Role = Literal["query", "passage"]

ANY_ROUTE = "any"
"""The route, in a model that ends in routes by language, of languages that have none."""

# Names under which models store the prompt of a role, in the order sentence-transformers looks them up.
_PROMPT_NAMES = {"query": ("query",), "passage": ("document", "passage", "corpus")}
_E5_PROMPTS = {"query": "query: ", "document": "passage: "}  # E5 was trained with them; its hub folders lack them


def load_encoder(
    name: str | Path, *, max_tokens: int | None = None, device: str | None = None, trust_remote_code: bool = False
) -> SentenceTransformer:
    """Load a model.

    Args:
        name: a folder, a Hugging Face hub id (`intfloat/multilingual-e5-small`),
            `builtin:multilingual-e5-small`, which needs no network, or `mteb:NAME` for any model that MTEB can load.
            A plain transformer without sentence-transformers configuration gets mean pooling, as
            sentence-transformers does.
        max_tokens: longer texts are cut; the model's own limit where None.
        device: as torch names it; the best there is where None.
        trust_remote_code: run code that comes with the model. Off by default, and weights are read from safetensors
            only, so that loading a model runs nothing.

    Raises:
        InputError: if the model is not there or has no safetensors weights.
        MissingExtraError: if the built-in source or MTEB is asked for and not installed.
    """
    source = str(name)
    if source.startswith(MTEB_PREFIX):
        model = load_mteb_encoder(source.removeprefix(MTEB_PREFIX), device=device, trust_remote_code=trust_remote_code)
        return _limited(model, max_tokens)
    if source.startswith(BUILTIN_PREFIX):
        source = str(builtin_folder(source.removeprefix(BUILTIN_PREFIX)))
    elif _is_path(source):
        _check_folder(Path(source))
    try:
        with quiet_transformers():
            model = SentenceTransformer(
                source,
                device=device,
                trust_remote_code=trust_remote_code,
                local_files_only=not Path(source).exists() and not _hub_is_reachable(),
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:  # of a damaged folder or a lost connection the libraries may raise anything
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot load the model {name!r}: {first_line} Name a folder, a hub id that can be reached from here, "
            f"or {BUILTIN_PREFIX}multilingual-e5-small."
        ) from error
    if not any(model.prompts.values()) and re.search(r"\be5\b(?!.*instruct)", str(name).lower()):
        model.prompts.update(_E5_PROMPTS)
    return _limited(model, max_tokens)


def _limited(model: SentenceTransformer, max_tokens: int | None) -> SentenceTransformer:
    if max_tokens is not None:
        limit = model.max_seq_length
        if max_tokens < 3 or (limit is not None and max_tokens > limit):
            raise InputError(f"max_tokens {max_tokens}: the model takes 3 to {limit} tokens")
        model.max_seq_length = max_tokens
    return model.eval()


def role_prompt(model: SentenceTransformer, role: Role) -> str:
    """The text that the model wants before a query or a passage; empty where it has none."""
    for name in _PROMPT_NAMES[role]:
        if model.prompts.get(name):
            return str(model.prompts[name])
    return ""


def split_head(model: SentenceTransformer) -> tuple[SentenceTransformer, list[torch.nn.Module]]:
    """Split a model into the part that reads text, up to its pooling, and the modules that map its vector.

    The first part is where the time goes. Models that differ in the second only, such as one before and after
    `debias`, share the first and so its embeddings.
    """
    modules = list(model.children())
    pooling = [n for n, module in enumerate(modules) if isinstance(module, Pooling)]
    if not pooling or pooling[0] == len(modules) - 1:
        return model, []
    first, rest = modules[: pooling[0] + 1], modules[pooling[0] + 1 :]
    # No model card is wanted for the part, and the modules are shared, not copied.
    return SentenceTransformer(modules=first, device=str(model.device), prompts=dict(model.prompts)), rest


def has_routes(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether one of the modules chooses its way by a task, such as a role or a language."""
    return any("task" in getattr(module, "forward_kwargs", ()) for module in modules)


def index_side_only(modules: Iterable[torch.nn.Module]) -> bool:
    """Whether the routes of these modules treat queries apart, whatever their language."""
    return any(isinstance(module, Router) and "query" in module.sub_modules for module in modules)


def route_of(modules: Iterable[torch.nn.Module], language: str) -> str:
    """The name of the route that a language takes: its own, that of its plain tag, or the one for any other."""
    names = {name for module in modules if isinstance(module, Router) for name in module.sub_modules}
    return next((name for name in (language, language.split("-")[0], ANY_ROUTE) if name in names), language)


def fingerprint(model: SentenceTransformer | Iterable[torch.nn.Module]) -> str:
    """SHA-256 of a model's modules: weights, kinds, settings and tokenizer; equal for equal behaviour.

    Prompts and the token limit are not part of it; what depends on them names them beside it.
    """
    digest = hashlib.sha256()
    for module in model.children() if isinstance(model, SentenceTransformer) else model:
        digest.update(f"{type(module).__name__}{_settings(module)}".encode())
        tokenizer = getattr(getattr(module, "tokenizer", None), "backend_tokenizer", None)
        if tokenizer is not None:
            state = json.loads(tokenizer.to_str())
            state.pop("padding", None)  # these two change with every call, and nothing depends on what they were
            state.pop("truncation", None)
            digest.update(json.dumps(state).encode())
        for name, tensor in module.state_dict().items():
            if ".pooler." in name:  # not read by any pooling here, and random where a checkpoint lacks it
                continue
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _settings(module: torch.nn.Module) -> dict[str, Any]:
    keys = [key for key in getattr(module, "config_keys", []) if key != "max_seq_length"]
    return {key: str(getattr(module, key, None)) for key in sorted(keys)}


def _hub_is_reachable() -> bool:
    """Whether the hub answers within seconds; where it does not, the hub's client would retry for minutes.

    Behind a proxy it cannot be asked directly, and is taken to be there.
    """
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    address = urlsplit(ENDPOINT)
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=5):
            return True
    except OSError:
        return False


def _is_path(name: str) -> bool:
    return Path(name).exists() or name.startswith((".", "/", "~")) or name.count("/") > 1


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that holds a model, a hub id or {BUILTIN_PREFIX}...")
    if not (folder / "modules.json").exists() and not (folder / "config.json").exists():
        raise InputError(f"{folder}: not a model folder; it has neither modules.json nor config.json")
    if not any(folder.rglob("*.safetensors")):
        raise InputError(f"{folder}: no weights (*.safetensors) in this model folder; pickled weights are not read")
