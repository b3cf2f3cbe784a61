"""Vectors that are kept: each distinct text is encoded once, and in later runs not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from isoglot.common.arrays import FloatArray
from isoglot.common.atomic import checksum, write_whole_folder
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.vectors.provenance import Provenance

Reader = Callable[[Sequence[str]], Iterable[tuple[Sequence[int], FloatArray]]]
"""Encodes texts and gives the vectors of some of them at a time, with their places among the texts, in any order."""

SHARD_TEXTS = 2048
"""Texts encoded between two writes to the store; what a kill can lose."""
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


def space_of(provenance: Provenance, *more: str) -> str:
    """All that vectors depend on but their text, as a store names it; `more` is what the provenance does not hold."""
    known = provenance.fingerprint, provenance.prompt, provenance.role, provenance.max_tokens, provenance.arithmetic
    return hashlib.sha256("\0".join([*map(str, known), *more]).encode()).hexdigest()[:32]


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


def encode_once(
    texts: Sequence[str],
    read: Reader,
    *,
    store: EmbeddingStore | None = None,
    space: str = "",
    on_progress: Callable[[int], None] | None = None,
) -> FloatArray:
    """Encode texts, equal ones once and those in the store not at all; what is encoded when something fails is kept.

    Args:
        texts: at least one.
        read: encodes the texts that are not there yet.
        store: where vectors are kept and looked up; nowhere if None.
        space: names, within the store, all that a vector depends on but its text.
        on_progress: called with the number of texts just done.

    Returns:
        `(texts, dimensions)`, float32, in the order of the texts.

    Raises:
        InputError: what `read` raises, with the number of texts that are kept; or if a text holds half a character.

    >>> encode_once(["a", "bb", "a"], lambda some: [([n], np.full((1, 2), len(t), "f")) for n, t in enumerate(some)])
    array([[1., 1.],
           [2., 2.],
           [1., 1.]], dtype=float32)
    """
    keys = [_key(text) for text in texts]
    text_of = dict(zip(keys, texts, strict=True))
    known = store.read(space, list(text_of)) if store else {}
    repeats = Counter(keys)
    if on_progress:
        on_progress(sum(repeats[key] for key in known))
    todo = [key for key in text_of if key not in known]
    waiting: dict[bytes, FloatArray] = {}
    try:
        for rows, vectors in read([text_of[key] for key in todo]) if todo else ():
            new = dict(zip((todo[row] for row in rows), vectors, strict=True))
            known |= new
            waiting |= new
            if store and len(waiting) >= SHARD_TEXTS:
                store.write(space, list(waiting), np.stack(list(waiting.values())))
                waiting.clear()
            if on_progress:
                on_progress(sum(repeats[key] for key in new))
    except InputError as error:
        if store:
            error.args = (f"{error}; {len(known)} of {len(text_of)} texts are encoded and kept",)
        raise
    finally:
        if store and waiting:
            store.write(space, list(waiting), np.stack(list(waiting.values())))
    return np.stack([known[key] for key in keys])


def _key(text: str) -> bytes:
    try:
        return hashlib.sha256(text.encode()).digest()
    except UnicodeEncodeError:
        raise InputError(f"the text {text[:60]!a} holds half a character; write it anew") from None
