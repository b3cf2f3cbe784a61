"""How much of a text a model reads: the limit that it has, and what its architecture could read."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Router, Transformer

from isoglot.common.errors import InputError
from isoglot.models.foreign import ForeignReader
from isoglot.models.mteb import MtebReader

FEWEST_TOKENS = 3
"""Of a limit: two that mark the ends of a text, and one that is its own."""
_NO_LIMIT = 10**9  # tokenizers without a token limit give a number beyond


def token_limit(model: SentenceTransformer) -> int | None:
    """How many tokens of a text the model reads, by the larger limit of its encoders; None for one that reads all."""
    return max(token_limits(model), default=None)


def token_limits(model: SentenceTransformer) -> list[int]:
    """The token limits of all the model's encoders that have one."""
    return [limit for _, limit in _limits(model) if limit is not None]


def set_token_limit(model: SentenceTransformer, tokens: int) -> None:
    """Let all the model's encoders read so many tokens of a text, as far as each can; in place.

    Beyond the limit that it came with, a model reads as far as its positions go.

    Raises:
        InputError: if the model has no limit, or none of its encoders can read so many.
    """
    settable = [(each, limit) for each, limit in _limits(model) if limit or isinstance(each, Transformer | MtebReader)]
    if not settable:
        raise InputError(f"max_tokens {tokens}: this model has no token limit that could be set")
    readable = [_readable(reader, limit) for reader, limit in settable]
    most = None if None in readable else max(number for number in readable if number)
    if tokens < FEWEST_TOKENS or (most is not None and tokens > most):
        raise InputError(f"max_tokens {tokens}: the model takes {FEWEST_TOKENS} to {most or 'any number of'} tokens")
    for (reader, _), number in zip(settable, readable, strict=True):
        setattr(reader, "max_seq_length", min(tokens, number or tokens))  # noqa: B010  # torch types it so


def with_limit(model: SentenceTransformer, tokens: int | None) -> SentenceTransformer:
    """The same model, its weights shared, with tokenizers of its own that cut at so many tokens, or at its limit.

    A tokenizer keeps the limit it was last called with, and it must not be called from two threads.

    Raises:
        InputError: if the limit of a model whose texts are read elsewhere would have to change.
    """
    copy = deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})
    for module in copy.modules():
        if tokens is not None and isinstance(module, Transformer | ForeignReader | MtebReader):
            limit = min(tokens, module.max_seq_length or tokens)
            if limit != module.max_seq_length:  # which not every module lets itself be set
                setattr(module, "max_seq_length", limit)  # noqa: B010  # torch types it so
    return copy


def _limits(model: SentenceTransformer) -> list[tuple[torch.nn.Module, int | None]]:
    """The modules that read text, with their token limits."""
    first = model[0]
    readers = [route[0] for route in first.sub_modules.values()] if isinstance(first, Router) else [first]
    limits = [getattr(reader, "max_seq_length", None) for reader in readers]
    found = [int(limit) if limit is not None and limit < _NO_LIMIT else None for limit in limits]
    return list(zip(readers, found, strict=True))


def _readable(reader: Any, limit: int | None) -> int | None:
    """How many tokens a module could read, whatever its limit; None for any number."""
    if not isinstance(reader, Transformer):
        return limit
    for module in reader.model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):  # those of RoBERTa's kind begin to count behind the padding token
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    positions = getattr(reader.model.config.get_text_config(), "max_position_embeddings", None)
    return positions if positions is not None and positions > 0 else None  # XLNet says -1
