"""Texts to vectors, each distinct text once.

Encoding is where the time of an evaluation goes, so vectors are kept in a store that knows everything they depend on.
Modules that only map a finished vector are applied afterwards, so a model before and after `debias` shares vectors.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerBase

from isoglot.common.arrays import FloatArray
from isoglot.common.errors import InputError
from isoglot.common.roles import Role
from isoglot.models.arithmetic import in_bf16
from isoglot.models.encoders import TASKS, has_routes, role_prompt, split_head, task_of
from isoglot.models.fingerprint import fingerprint
from isoglot.models.foreign import ForeignReader
from isoglot.models.limits import token_limit, token_limits
from isoglot.runtime.store import EmbeddingStore, Reader, encode_once

_TOKENISED = 10_000  # texts whose numbers of tokens are found at a time
_LETTERS_OF_A_TOKEN = 16  # at most, in nearly any text


def embed(
    model: SentenceTransformer,
    texts: Sequence[str],
    role: Role,
    *,
    tasks: Sequence[str] | None = None,
    store: EmbeddingStore | None = None,
    batch_size: int = 32,
    bf16: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> FloatArray:
    """Encode texts in a role.

    Args:
        model: any sentence-transformers model.
        texts: the texts; equal ones are encoded once.
        role: `query` or `passage`; decides the prompt, and the encoder of a model with separate ones.
        tasks: per text its language, for a model that ends in routes by language.
        store: where vectors are kept and looked up; nowhere if None, unless the model is behind an API.
        batch_size: texts encoded at a time; the result does not depend on it but for rounding. A model behind an API
            has a size of its own.
        bf16: use bfloat16 arithmetic where the processor has it, about 1.6 times as fast on a CPU that does; where it
            has none, it would take several times as long, and float32 is used.
        on_progress: called with the number of texts just done.

    Returns:
        `(texts, dimensions)`, float32, as `model.encode` gives them: cut to the dimensions that the model declares.

    Raises:
        InputError: if a vector is not all finite numbers; it is not stored. `TextsError` where it is known of which
            texts a model behind an API gives none.
    """
    if not texts:
        return np.zeros((0, int(model.get_embedding_dimension() or 0)), np.float32)
    reader, head = split_head(model)
    first = reader[0]
    read: Reader
    if isinstance(first, ForeignReader):
        store = store or first.store
        space, read = first.space(role), partial(first.read, role=role, batch_size=batch_size)
    else:
        prompt, bf16 = role_prompt(model, role), in_bf16(bf16, model.device)
        space = _space(reader, role, prompt, bf16) if store else ""
        read = partial(_read, reader, role=role, prompt=prompt, batch_size=batch_size, bf16=bf16)
    vectors = encode_once(texts, read, store=store, space=space, on_progress=on_progress)
    languages: Sequence[str | None] = tasks or [None] * len(texts)
    routes = [task_of(head, role, language) for language in languages]
    mapped = _apply_head(head, vectors, routes, str(model.device))
    return _finite(mapped, texts)[:, : model.truncate_dim]


def _finite(vectors: FloatArray, texts: Sequence[str]) -> FloatArray:
    """The vectors, if they are all finite numbers."""
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        text = textwrap.shorten(texts[wrong[0]], 60, placeholder=" ...")[:80]
        raise InputError(
            f"the model gives a vector of NaN or infinite numbers for the text {text!r}; its weights may be "
            "damaged, or too large for 16-bit arithmetic: try float32 (no --bf16), or shorter texts (--max-tokens)"
        )
    return vectors


def _read(
    reader: SentenceTransformer, texts: Sequence[str], *, role: Role, prompt: str, batch_size: int, bf16: bool
) -> Iterator[tuple[list[int], FloatArray]]:
    """Encode in batches of texts alike in length; each with the places of its texts.

    The longest come first, for if memory is too small for them, that shows at once. The others come in an order that
    has nothing to do with length, so that what the first ones take tells how long all will.
    """
    order = _longest_first(reader, texts)
    starts = np.arange(0, len(order), batch_size)
    np.random.default_rng(0).shuffle(starts[1:])
    for start in starts.tolist():
        rows = order[start : start + batch_size]
        yield rows, _encode(reader, [texts[row] for row in rows], role, prompt, bf16)


def _longest_first(reader: SentenceTransformer, texts: Sequence[str]) -> list[int]:
    """The order by tokens, so that batches waste no padding (one is four letters of German but one sign of Chinese).

    Of a text far longer than the limit only the beginning counts: it is full all the same, and tokenising is costly.
    """
    tokenizer, limit = getattr(reader, "tokenizer", None), token_limit(reader)
    enough = None if limit is None else _LETTERS_OF_A_TOKEN * limit
    lengths: list[int] = []
    for start in range(0, len(texts), _TOKENISED):
        some = [text[:enough] for text in texts[start : start + _TOKENISED]]
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            some = tokenizer(some, truncation=limit is not None, max_length=limit)["input_ids"]
        lengths += map(len, some)
    order: list[int] = np.argsort(np.negative(lengths), kind="stable").tolist()
    return order


def _encode(reader: SentenceTransformer, texts: list[str], role: Role, prompt: str, bf16: bool) -> FloatArray:
    device = torch.device(str(reader.device)).type
    with torch.autocast(device, torch.bfloat16, enabled=bf16), reader.truncate_embeddings(None):
        vectors = reader.encode(
            texts,
            prompt=prompt,
            batch_size=len(texts),
            convert_to_tensor=True,
            show_progress_bar=False,
            task=TASKS[role],  # for models whose routes differ by role
        )
    return _finite(vectors.float().cpu().numpy(), texts)


def _apply_head(head: list[torch.nn.Module], vectors: FloatArray, routes: Sequence[str], device: str) -> FloatArray:
    """Send each vector through the modules by its route."""
    if not head:
        return vectors
    weights = next((tensor for module in head for tensor in module.parameters()), torch.empty(0))
    by_route = np.array(routes if has_routes(head) else [""] * len(vectors))
    order, mapped = [], []
    for route in np.unique(by_route):
        rows = np.flatnonzero(by_route == route)
        features = {"sentence_embedding": torch.from_numpy(vectors[rows]).to(device, weights.dtype)}
        with torch.inference_mode():
            for module in head:
                features = module(features, **({"task": str(route)} if has_routes([module]) else {}))
        order.append(rows)
        mapped.append(features["sentence_embedding"].float().cpu().numpy())
    return np.concatenate(mapped)[np.argsort(np.concatenate(order))]


def _space(reader: SentenceTransformer, role: Role, prompt: str, bf16: bool) -> str:
    """Everything a vector depends on but its text."""
    limits = ",".join(map(str, token_limits(reader)))
    parts = [fingerprint(reader.children()), prompt, limits, "bf16" if bf16 else "f32"]
    if has_routes(reader.children()):
        parts.append(role)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
