"""Texts to vectors, each distinct text once.

Encoding is where the time of an evaluation goes, so vectors are kept in a store that knows everything they depend on.
Modules that only map a finished vector are applied afterwards, so a model before and after `debias` shares vectors.
"""

from __future__ import annotations

import hashlib
import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerBase

from isoglot.common.atomic import checksum, write_whole_folder
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.roles import Role
from isoglot.models.arithmetic import arithmetic
from isoglot.models.encoders import TASKS, has_routes, role_prompt, split_head, task_of
from isoglot.models.fingerprint import fingerprint
from isoglot.models.limits import token_limit, token_limits

FloatArray = npt.NDArray[np.float32]

_TOKENISED = 10_000  # texts whose numbers of tokens are found at a time
_LETTERS_OF_A_TOKEN = 16  # at most, in nearly any text
_SHARD_TEXTS = 2048  # texts encoded between two writes to the store; what an interrupt can lose
_SHARD_FILES = ("keys.npy", "vectors.npy")
_verified: set[tuple[Path, int]] = set()  # shards, with the time of their last change, whose content this process read


class EmbeddingStore:
    """Vectors on disk, found by content; safe to share between runs and to delete at any time.

    A folder per space (model, prompt, limit, arithmetic) holds shards of two files, `keys.npy` and `vectors.npy`, with
    their checksum. Only the keys are read whole. A shard that proves damaged is dropped; its texts are encoded again.

    Args:
        folder: where to keep them; made when first written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def part(self, name: str) -> EmbeddingStore:
        """A store of its own within this one, for a part of a corpus that is too large to look through whole."""
        return EmbeddingStore(self.folder / "parts" / name)

    def read(self, space: str, keys: Sequence[bytes]) -> dict[bytes, FloatArray]:
        """The vectors of a space that are there, by the key of their text."""
        wanted = np.sort(np.array(keys, "S32"))
        found: dict[bytes, FloatArray] = {}
        # Hidden shards are another process's, in the making.
        for shard in sorted((self.folder / space).glob("[!.]*")) if len(wanted) else ():
            try:
                known = np.load(shard / "keys.npy", allow_pickle=False)
                place = np.searchsorted(wanted, known.view("S32").ravel()).clip(max=len(wanted) - 1)
                rows = np.flatnonzero(wanted[place] == known.view("S32").ravel())
                if len(rows) and _sound(shard):
                    # Mapped no longer than this, or many shards would use up the files a process may have open.
                    vectors = np.load(shard / "vectors.npy", mmap_mode="r", allow_pickle=False)[rows]
                    found.update(zip((known[row].tobytes() for row in rows), vectors, strict=True))
            except (OSError, MemoryError):  # too many open files, say: the shard may be sound
                continue
            except Exception:  # whatever numpy raises over a broken header
                shutil.rmtree(shard, ignore_errors=True)
        return found

    def write(self, space: str, keys: Sequence[bytes], vectors: FloatArray) -> None:
        """Add a shard; one that another process added meanwhile stays."""
        joined = b"".join(keys)
        shard = self.folder / space / hashlib.sha256(joined).hexdigest()[:32]
        try:
            if shard.exists() and _sound(shard):
                return
            with write_whole_folder(shard) as target:
                np.save(target / "keys.npy", np.frombuffer(joined, np.uint8).reshape(len(keys), -1))
                np.save(target / "vectors.npy", vectors)
                (target / "crc32").write_text(checksum(target / name for name in _SHARD_FILES))
        except OSError:
            if not shard.exists():
                raise


def embedding_store() -> EmbeddingStore:
    """Where vectors are kept between runs, in the user's cache."""
    return EmbeddingStore(cache_folder() / "embeddings")


def _sound(shard: Path) -> bool:
    """Whether a shard's content, which is read once, is what was written; one that is not is taken away."""
    try:
        state = shard, max((shard / name).stat().st_mtime_ns for name in _SHARD_FILES)
        sum_file = shard / "crc32"  # missing in shards of versions that kept none
        known = state in _verified or not sum_file.exists()
        if known or sum_file.read_text() == checksum(shard / name for name in _SHARD_FILES):
            _verified.add(state)
            return True
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    shutil.rmtree(shard, ignore_errors=True)
    return False


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
        store: where vectors are kept and looked up; nowhere if None.
        batch_size: texts encoded at a time; the result does not depend on it but for rounding.
        bf16: use bfloat16 arithmetic where the processor has it, about 1.6 times as fast on a CPU that does; where it
            has none, it would take several times as long, and float32 is used.
        on_progress: called with the number of texts just done.

    Returns:
        `(texts, dimensions)`, float32, as `model.encode` gives them: cut to the dimensions that the model declares.

    Raises:
        InputError: if a vector is not all finite numbers; it is not stored.
    """
    if not texts:
        return np.zeros((0, int(model.get_embedding_dimension() or 0)), np.float32)
    reader, head = split_head(model)
    prompt, bf16 = role_prompt(model, role), arithmetic(model, bf16) == "bfloat16"
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    text_of = dict(zip(keys, texts, strict=True))
    space = _space(reader, role, prompt, bf16) if store else ""
    known = store.read(space, list(text_of)) if store else {}
    repeats = Counter(keys)
    if on_progress:
        on_progress(sum(repeats[key] for key in known))
    todo = _longest_first(reader, [(key, text) for key, text in text_of.items() if key not in known])
    for start in range(0, len(todo), _SHARD_TEXTS):
        part = todo[start : start + _SHARD_TEXTS]
        vectors = []
        for at in range(0, len(part), batch_size):
            some = part[at : at + batch_size]
            vectors.append(_encode(reader, [text for _, text in some], role, prompt, bf16))
            if on_progress:
                on_progress(sum(repeats[key] for key, _ in some))
        shard = np.concatenate(vectors)
        if store:
            store.write(space, [key for key, _ in part], shard)
        known.update(zip((key for key, _ in part), shard, strict=True))
    languages: Sequence[str | None] = tasks or [None] * len(texts)
    routes = [task_of(head, role, language) for language in languages]
    mapped = _apply_head(head, np.stack([known[key] for key in keys]), routes, str(model.device))
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


def _longest_first(reader: SentenceTransformer, items: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
    """Sort by tokens, so that batches waste no padding (a token is four letters of German but one sign of Chinese).

    Of a text far longer than the limit only the beginning counts: it is full all the same, and tokenising is costly.
    """
    tokenizer, limit = getattr(reader, "tokenizer", None), token_limit(reader)
    enough = None if limit is None else _LETTERS_OF_A_TOKEN * limit
    lengths: list[int] = []
    for start in range(0, len(items), _TOKENISED):
        texts = [text[:enough] for _, text in items[start : start + _TOKENISED]]
        if isinstance(tokenizer, PreTrainedTokenizerBase):
            texts = tokenizer(texts, truncation=limit is not None, max_length=limit)["input_ids"]
        lengths += map(len, texts)
    return [items[n] for n in np.argsort(np.negative(lengths), kind="stable")]


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
