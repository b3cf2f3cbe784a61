"""Shards: files of a fixed number of rows, named by what they hold, so that what is there need not be made again.

The name of a shard is its place and a hash of its rows and of all that vectors depend on. A shard that is there under
its name is therefore the right one, whoever made it and whatever else changed. What is in the making, the texts of
missing shards and shards of an unfinished run, stands in a hidden folder within.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_128_hexdigest

from isoglot.common.arrays import BoolArray, FloatArray
from isoglot.common.atomic import checksum, write_whole
from isoglot.common.errors import InputError
from isoglot.common.roles import Role
from isoglot.runtime.encoder import TextEncoder
from isoglot.vectors.rows import numbers_of

HIDDEN = ".encoding"
"""The folder of what is in the making, within that of the shards."""
SHARD_ROWS = 1 << 13
"""Rows of a shard: minutes of work on a processor, so that starting a worker costs little beside it."""
TEXTS_AT_A_TIME = 1 << 11
"""Texts that are handed to an encoder at once, which sorts them by length."""
_SPACE = b"isoglot.space"
_NAME = re.compile(r"part-\d{6,}-[0-9a-f]{16}\.parquet")


@dataclass(frozen=True)
class Shard:
    """A shard to be made.

    Attributes:
        staged: the file of its rows, with the vectors that are known already.
        target: the file to be written.
        missing: how many vectors are to be made.
    """

    staged: Path
    target: Path
    missing: int


def shard_name(number: int, rows: pa.Table, space: str) -> str:
    """The name of the shard that holds these rows, without vectors, in a place."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows.combine_chunks())
    digest = xxh3_128_hexdigest(space.encode() + memoryview(sink.getvalue()))
    return f"part-{number:06}-{digest[:16]}.parquet"


def is_shard(name: str) -> bool:
    """Whether a file is called as shards are; other programs' parts are not.

    >>> is_shard("part-000001-0123456789abcdef.parquet"), is_shard("part-00001-c000.snappy.parquet")
    (True, False)
    """
    return _NAME.fullmatch(name) is not None


def write_shard(path: Path, rows: pa.Table, vectors: pa.Array, space: str) -> None:
    """Write rows with vectors, some of them perhaps null, whole or not at all."""
    table = rows.append_column("vector", vectors).replace_schema_metadata({_SPACE: space})
    # Numbers of vectors hardly repeat and hardly compress, so nothing is spent on trying.
    coded = [name for name in ("group", "language") if name in table.column_names]
    with write_whole(path) as temporary:
        pq.write_table(table, temporary, use_dictionary=coded, compression="lz4", write_page_checksum=True)


def is_of(path: Path, space: str) -> bool:
    """Whether a file is a shard of a space."""
    try:
        return bool((pq.read_schema(path).metadata or {}).get(_SPACE) == space.encode())
    except (pa.ArrowException, OSError):
        return False


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Some columns of a shard, held against its checksums.

    Raises:
        OSError: if the file is damaged.
    """
    return pq.ParquetFile(path, page_checksum_verification=True).read(columns)


def encode_shard(shard: Shard, encoder: TextEncoder, role: Role) -> Iterator[int]:
    """Make the vectors that a shard lacks, and write it whole; gives how many texts were encoded since last asked.

    Raises:
        InputError: if the encoder gives vectors of another form than it says, or numbers that are not finite.
    """
    table = read_shard(shard.staged)
    vectors, known, _ = numbers_of(table["vector"].combine_chunks(), encoder.dimensions)
    vectors, missing = vectors.copy(), np.flatnonzero(~known)
    texts = table["text"]
    for start in range(0, len(missing), TEXTS_AT_A_TIME):
        rows = missing[start : start + TEXTS_AT_A_TIME]
        vectors[rows] = _checked(encoder.encode(texts.take(rows).to_pylist(), role), (len(rows), encoder.dimensions))
        yield len(rows)
    space = table.schema.metadata[_SPACE].decode()
    write_shard(shard.target, table.drop_columns("vector"), vector_lists(vectors), space)


def vector_lists(vectors: FloatArray, known: BoolArray | None = None) -> pa.Array:
    """Vectors as a column; null where they are not known."""
    numbers = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    if known is None or known.all():
        return pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1])
    # Before version 26 pyarrow cannot read nulls among lists of a fixed size from Parquet.
    ends = pa.array(np.arange(len(vectors) + 1) * vectors.shape[1])
    return pa.LargeListArray.from_arrays(ends, numbers, mask=pa.array(~known))


def _checked(vectors: FloatArray, shape: tuple[int, int]) -> FloatArray:
    if vectors.shape != shape:
        raise InputError(f"the encoder gives vectors of the form {vectors.shape}; it must be {shape}")
    if not np.isfinite(vectors).all():
        raise InputError("the encoder gives a vector of NaN or infinite numbers")
    return vectors


class ShardFolder:
    """A folder of shards, as far as it is there.

    Args:
        path: the folder; made if it is missing.
        listed: what its manifest says of each file.
        space: that of the vectors to be made.
    """

    def __init__(self, path: Path, listed: Mapping[str, Mapping[str, Any]], space: str) -> None:
        self.path, self.listed, self.space = path, listed, space
        self.hidden, self.texts = path / HIDDEN, path / HIDDEN / "texts"
        self.texts.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[Path]:
        """All shards that are here, those of an unfinished run included."""
        return [each for folder in (self.path, self.hidden) for each in sorted(folder.iterdir()) if is_shard(each.name)]

    def has(self, name: str) -> bool:
        """Whether the shard of a name is here, undamaged."""
        said, path = self.listed.get(name), self.path / name
        if said is not None and path.is_file():
            return bool(checksum([path]) == said["checksum"])
        return self._is_whole(path) or self._is_whole(self.hidden / name)

    def _is_whole(self, path: Path) -> bool:
        try:
            return is_of(path, self.space) and read_shard(path).num_rows > 0
        except (pa.ArrowException, OSError):
            return False

    def reveal(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Bring finished shards of these names to their place, and say what each holds."""
        said: dict[str, dict[str, Any]] = {}
        for name in names:
            path, made = self.path / name, self.hidden / name
            if made.is_file():
                made.replace(path)
            elif name in self.listed:
                said[name] = dict(self.listed[name])
                continue
            said[name] = {"rows": pq.read_metadata(path).num_rows, "checksum": checksum([path])}
        return said

    def clear(self, names: Sequence[str]) -> None:
        """Take away what is in the making, and shards of other names."""
        kept = set(names)
        for path in self.all():
            if path.parent == self.path and path.name not in kept:
                path.unlink()
        shutil.rmtree(self.hidden)
