"""Models to disk, with tokenizers as they were loaded.

A fast tokenizer keeps the truncation and the padding of its last call and writes them into `tokenizer.json`. Runtimes
that read that file alone would cut every text where training, say, had cut it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from tokenizers import Tokenizer

from isoglot.common.atomic import write_text, write_whole_folder
from isoglot.common.errors import InputError
from isoglot.models.builtin import quiet_transformers
from isoglot.models.mteb import MtebReader

_AS_LOADED = "tokenizer_as_loaded"  # an attribute, so that copies of a module have it too


def remember_tokenizers(model: SentenceTransformer) -> None:
    """Note what a model's files say of truncation and padding, before anything is encoded."""
    for module, backend in _tokenizers(model):
        setattr(module, _AS_LOADED, (backend.truncation, backend.padding))


def save_model(model: SentenceTransformer, folder: str | Path, *, card: str | None = None) -> None:
    """Write a model whole or not at all.

    Truncation and padding in `tokenizer.json` are those of the files that `load_encoder` read, whatever the model, or
    a copy with a remedy, say, has encoded since. A model that was loaded otherwise is written as it stands.

    Args:
        model: any model.
        folder: where to; one that is there is replaced.
        card: its README.md; none if not given.

    Raises:
        InputError: if the folder has no name, as `.`: what one works in is not to be replaced; or see `check_savable`.
    """
    if Path(folder).name in ("", ".."):
        raise InputError(f"{folder}: would be replaced by the model; name a new folder in it")
    check_savable(model)
    with write_whole_folder(folder) as target:
        write_model(model, target)
        if card is not None:
            write_text(target / "README.md", card)


def check_savable(model: SentenceTransformer) -> None:
    """Refuse, before work is done for it, a model that cannot be saved.

    Raises:
        InputError: if it is one of MTEB's.
    """
    for module in model.children():
        if isinstance(module, MtebReader):
            module.save()


def write_model(model: SentenceTransformer, folder: Path) -> None:
    """Write a model's files into a folder, as `save_model` does."""
    for module, backend in _tokenizers(model):
        if hasattr(module, _AS_LOADED):
            _reset(backend, *getattr(module, _AS_LOADED))
    with quiet_transformers():
        model.save_pretrained(str(folder), create_model_card=False)


def _tokenizers(model: SentenceTransformer) -> Iterator[tuple[Transformer, Tokenizer]]:
    for module in model.modules():
        backend = getattr(getattr(module, "tokenizer", None), "backend_tokenizer", None)
        if isinstance(module, Transformer) and isinstance(backend, Tokenizer):
            yield module, backend


def _reset(backend: Tokenizer, truncation: dict[str, Any] | None, padding: dict[str, Any] | None) -> None:
    backend.no_truncation()
    backend.no_padding()
    if truncation is not None:
        backend.enable_truncation(**truncation)
    if padding is not None:  # a trimmed vocabulary has another number for the token
        backend.enable_padding(**{**padding, "pad_id": backend.token_to_id(padding["pad_token"])})
