"""Vectors that exist in shards, found by the text that they are of."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import BoolArray, FloatArray
from isoglot.encoding.objects import TEXT
from isoglot.encoding.shards import is_of, read_shard
from isoglot.pairs.texts import hashes
from isoglot.vectors.rows import numbers_of


class KnownVectors:
    """The vectors of a space in some shards; 16 bytes a row are held in memory. A damaged shard knows nothing.

    Args:
        shards: the files; those of other spaces are passed over.
        space: the space.
        dimensions: how many numbers a vector has.
    """

    def __init__(self, shards: Iterable[Path], space: str, dimensions: int) -> None:
        self._shards: list[Path] = []
        self._dimensions = dimensions
        keys, shard, row = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        for path in shards:
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


def _texts(path: Path) -> pa.Array | None:
    try:
        return read_shard(path, ["text"])["text"].combine_chunks().cast(TEXT)
    except (pa.ArrowException, OSError):
        return None
