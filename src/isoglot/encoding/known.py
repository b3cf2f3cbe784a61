"""Vectors that exist in shards, found by the text that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import BoolArray, FloatArray
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.roles import Role
from isoglot.encoding.objects import TEXT
from isoglot.encoding.shards import is_of, read_shard
from isoglot.pairs.texts import hashes
from isoglot.runtime.encoder import TextEncoder
from isoglot.runtime.store import space_of
from isoglot.vectors.provenance import Provenance, read_manifest
from isoglot.vectors.rows import numbers_of


class KnownVectors:
    """The vectors of a space in some shards; 16 bytes a row are held in memory. A damaged shard knows nothing.

    Args:
        shards: the files, and the space that each must be of; others are passed over.
        dimensions: how many numbers a vector has.
    """

    def __init__(self, shards: Mapping[Path, str], dimensions: int) -> None:
        self._shards: list[Path] = []
        self._dimensions = dimensions
        keys, shard, row = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        for path, space in shards.items():
            if not is_of(path, space) or (some := _texts(path)) is None:
                continue
            keys.append(hashes(some))
            shard.append(np.full(len(some), len(self._shards), np.int32))
            row.append(np.arange(len(some), dtype=np.int32))
            self._shards.append(path)
        joined = np.concatenate(keys)
        order = np.argsort(joined, kind="stable")
        self._keys, self._shard, self._row = joined[order], np.concatenate(shard)[order], np.concatenate(row)[order]
        self._read = lru_cache(maxsize=4)(self._read_shard)

    def of(self, texts: pa.Array) -> tuple[FloatArray, BoolArray]:
        """`(texts, dimensions)` and `(texts,)`; the vectors, and which are known. Hashes say where to look."""
        vectors = np.zeros((len(texts), self._dimensions), np.float32)
        known = np.zeros(len(texts), bool)
        if not len(self._keys):
            return vectors, known
        wanted = hashes(texts)
        place = np.searchsorted(self._keys, wanted).clip(max=len(self._keys) - 1)
        hits = np.flatnonzero(self._keys[place] == wanted)
        for number in np.unique(self._shard[place[hits]]).tolist():
            rows = hits[self._shard[place[hits]] == number]
            there, theirs = self._read(number)
            if there is not None:
                at = self._row[place[rows]]
                equal = pc.equal(there.take(at), texts.take(rows)).to_numpy(zero_copy_only=False)
                vectors[rows[equal]], known[rows[equal]] = theirs[at[equal]], True
        return vectors, known

    def _read_shard(self, number: int) -> tuple[pa.Array | None, FloatArray]:
        try:
            table = read_shard(self._shards[number], ["text", "vector"]).combine_chunks()
        except (pa.ArrowException, OSError):
            return None, np.zeros((0, self._dimensions), np.float32)
        vectors, _, _ = numbers_of(table["vector"].combine_chunks(), self._dimensions)
        return table["text"].combine_chunks(), vectors


class ShardsEncoder:
    """An encoder that takes from a folder of shards what stands there, and encodes the rest.

    Args:
        encoder: the one that the shards were made with.
        folder: what `encode_corpus` wrote.

    Attributes:
        taken: how many vectors were taken from the shards so far.

    Raises:
        InputError: if the folder holds no shards, or those of another model, prompt, token limit or arithmetic.
    """

    def __init__(self, encoder: TextEncoder, folder: str | Path) -> None:
        path = expanded_path(folder)
        made, shards = _shards_in(path)
        self.role: Role = "query" if made.role == "query" else "passage"
        refuse_beside(path, made, encoder.provenance(self.role))
        self._encoder = encoder
        self._known = KnownVectors(dict.fromkeys(shards, space_of(made)), encoder.dimensions)
        self.name, self.dimensions, self.max_tokens = encoder.name, encoder.dimensions, encoder.max_tokens
        self.taken = 0

    def provenance(self, role: Role) -> Provenance:
        """That of the encoder."""
        return self._encoder.provenance(role)

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """`(texts, dimensions)`, as the encoder gives them."""
        if role != self.role:
            return self._encoder.encode(texts, role)
        vectors, known = self._known.of(pa.array(texts, TEXT))
        missing = np.flatnonzero(~known)
        if len(missing):
            vectors[missing] = self._encoder.encode([texts[row] for row in missing.tolist()], role)
        self.taken += len(texts) - len(missing)
        return vectors

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """As the encoder counts them."""
        return self._encoder.count_tokens(texts, role)


def shards_to_reuse(folders: Iterable[str | Path], new: Provenance) -> dict[Path, str]:
    """The shards of some folders, and the space of each.

    Raises:
        InputError: if a folder holds no shards, or vectors that cannot stand beside the new ones.
    """
    found: dict[Path, str] = {}
    for path in map(expanded_path, folders):
        made, shards = _shards_in(path)
        refuse_beside(path, made, new)
        found |= dict.fromkeys(shards, space_of(made))
    return found


def _shards_in(path: Path) -> tuple[Provenance, list[Path]]:
    """Where the vectors of a folder come from, and its shards."""
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest is None or "files" not in manifest:
        raise InputError(f"{path}: not a folder of shards; make one with isoglot encode")
    return Provenance.of(manifest["provenance"]), [path / name for name in manifest["files"]]


def refuse_beside(folder: Path, there: Provenance, new: Provenance) -> None:
    """Refuse vectors that cannot stand beside those of a folder.

    Raises:
        InputError: naming all that differs.
    """
    if unlike := there.unlike(new):
        said = [f"{name} {_shown(there, name)} in place of {_shown(new, name)}" for name in unlike]
        raise InputError(
            f"{folder}: holds vectors of {there.model}, which cannot stand beside those of {new.model} "
            f"({', '.join(said)}); choose another folder"
        )


def _shown(provenance: Provenance, name: str) -> str:
    value = getattr(provenance, name)
    return f'"{value:.12}"' if isinstance(value, str) else str(value)


def _texts(path: Path) -> pa.Array | None:
    try:
        return read_shard(path, ["text"])["text"].combine_chunks().cast(TEXT)
    except (pa.ArrowException, OSError):
        return None
