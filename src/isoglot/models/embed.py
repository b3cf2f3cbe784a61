"""Texts to vectors, each distinct text once.

Encoding is where the time of an evaluation goes, so vectors are kept in a store that knows everything they depend
on: the weights of the part of the model that reads text, the prompt, the token limit, the arithmetic and the text.
Modules behind the pooling are applied afterwards and cost nothing, so a model before and after `debias` shares them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerBase

from isoglot.common.atomic import checksum, write_whole_folder
from isoglot.models.encoders import Role, fingerprint, has_routes, index_side_only, role_prompt, route_of, split_head

FloatArray = npt.NDArray[np.float32]

TASKS: dict[Role, str] = {"query": "query", "passage": "document"}
"""sentence-transformers' names for the roles, by which a model with routes chooses."""
_SHARD_FILES = ("keys.npy", "vectors.npy")
_SHARD_TEXTS = 2048  # texts encoded between two writes to the store; what an interrupt can lose


class EmbeddingStore:
    """Vectors on disk, found by content; safe to share between runs and to delete at any time.

    A folder per space (model, prompt, limit, arithmetic) holds shards of two files, `keys.npy` and `vectors.npy`,
    with their checksum, each shard written whole. One that is damaged is dropped and its texts are encoded again.

    Args:
        folder: where to keep them; made when first written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def part(self, name: str) -> EmbeddingStore:
        """A store of its own within this one, for a part of a corpus that is too large to look through whole."""
        return EmbeddingStore(self.folder / "parts" / name)

    def read(self, space: str) -> dict[bytes, FloatArray]:
        """All vectors of a space by the key of their text."""
        found: dict[bytes, FloatArray] = {}
        for shard in sorted((self.folder / space).glob("[!.]*")):  # hidden ones are another process's, in the making
            try:
                written = shard / "crc32"  # missing in shards of versions that kept none
                if written.exists() and written.read_text() != checksum(shard / name for name in _SHARD_FILES):
                    raise ValueError("the content is not what was written")
                keys = np.load(shard / "keys.npy", allow_pickle=False)
                vectors = np.load(shard / "vectors.npy", mmap_mode="r", allow_pickle=False)
                if len(keys) != len(vectors):
                    raise ValueError("keys and vectors differ in number")
            except (OSError, ValueError, EOFError):
                shutil.rmtree(shard, ignore_errors=True)
                continue
            found.update(zip((key.tobytes() for key in keys), vectors, strict=True))
        return found

    def write(self, space: str, keys: Sequence[bytes], vectors: FloatArray) -> None:
        """Add a shard; one that another process added meanwhile stays."""
        shard = self.folder / space / hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        if shard.exists():
            return
        try:
            with write_whole_folder(shard) as target:
                np.save(target / "keys.npy", np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1))
                np.save(target / "vectors.npy", vectors)
                (target / "crc32").write_text(checksum(target / name for name in _SHARD_FILES))
        except OSError:
            if not shard.exists():
                raise


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
        role: `query` or `passage`; decides the prompt.
        tasks: per text its language, for a model that ends in routes by language, such as one debiased by language
            means; other models do not look at it.
        store: where vectors are kept and looked up; nowhere if None.
        batch_size: texts encoded at a time; the result does not depend on it but for rounding.
        bf16: use bfloat16 arithmetic where the processor has it, about 1.6 times as fast on a CPU that does.
        on_progress: called with the number of texts just done.

    Returns:
        `(texts, dimensions)`, float32, as `model.encode` gives them.
    """
    if not texts:
        return np.zeros((0, int(model.get_embedding_dimension() or 0)), np.float32)
    reader, head = split_head(model)
    prompt = role_prompt(model, role)
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    space = _space(reader, role, prompt, bf16) if store else ""
    known = store.read(space) if store else {}
    wanted = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if on_progress:
        on_progress(sum(key in known for key in keys))
    todo = _longest_first(reader, list(wanted.items()))
    repeats = _count(keys)
    for start in range(0, len(todo), _SHARD_TEXTS):
        part = todo[start : start + _SHARD_TEXTS]
        vectors = []
        for at in range(0, len(part), batch_size):
            some = part[at : at + batch_size]
            vectors.append(_encode(reader, [text for _, text in some], role, prompt, batch_size, bf16))
            if on_progress:
                on_progress(sum(repeats[key] for key, _ in some))
        shard = np.concatenate(vectors)
        if store:
            store.write(space, [key for key, _ in part], shard)
        known.update(zip((key for key, _ in part), shard, strict=True))
    if role == "query" and index_side_only(head):
        tasks = [TASKS["query"]] * len(texts)
    return _apply_head(head, np.stack([known[key] for key in keys]), tasks, str(model.device))


def _longest_first(reader: SentenceTransformer, items: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
    """Sort by number of tokens, so that batches waste no padding; the longest show at once if memory suffices.

    Characters would not do: a token is four letters of German but one sign of Chinese, and batches that mix them
    are padded by half.
    """
    tokenizer = getattr(reader, "tokenizer", None)
    texts = [text for _, text in items]
    if isinstance(tokenizer, PreTrainedTokenizerBase) and items:
        lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=reader.max_seq_length)["input_ids"]]
    else:
        lengths = [len(text) for text in texts]
    return [items[n] for n in np.argsort(np.negative(lengths), kind="stable")]


def _encode(
    reader: SentenceTransformer, texts: list[str], role: Role, prompt: str, batch_size: int, bf16: bool
) -> FloatArray:
    device = torch.device(str(reader.device)).type
    with torch.autocast(device, dtype=torch.bfloat16) if bf16 else nullcontext():
        vectors = reader.encode(
            texts,
            prompt=prompt,
            batch_size=batch_size,
            convert_to_tensor=True,
            show_progress_bar=False,
            task=TASKS[role],  # for models whose routes differ by role
        )
    array: FloatArray = vectors.float().cpu().numpy()
    return array


def _apply_head(
    head: list[torch.nn.Module], vectors: FloatArray, tasks: Sequence[str] | None, device: str
) -> FloatArray:
    if not head:
        return vectors
    by_route = tasks is not None and has_routes(head)
    routes = np.array([route_of(head, task) for task in tasks or ()] if by_route else [""] * len(vectors))
    result: FloatArray | None = None
    for route in np.unique(routes):
        rows = np.flatnonzero(routes == route)
        features = {"sentence_embedding": torch.from_numpy(np.ascontiguousarray(vectors[rows])).to(device)}
        with torch.inference_mode():
            for module in head:
                keywords = {"task": str(route)} if route and "task" in getattr(module, "forward_kwargs", ()) else {}
                features = module(features, **keywords)
        mapped = features["sentence_embedding"].float().cpu().numpy()
        if result is None:
            result = np.empty((len(vectors), mapped.shape[1]), np.float32)
        result[rows] = mapped
    return vectors if result is None else result


def _space(reader: SentenceTransformer, role: Role, prompt: str, bf16: bool) -> str:
    """Everything a vector depends on but its text."""
    parts = [fingerprint(reader), prompt, str(reader.max_seq_length), "bf16" if bf16 else "f32"]
    if has_routes(reader.children()):
        parts.append(role)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _count(keys: Sequence[bytes]) -> dict[bytes, int]:
    counts: dict[bytes, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts
