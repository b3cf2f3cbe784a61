"""Segments: the rows of an index as files that never change once they are there.

A segment is a folder of `rows.parquet`, the source of truth from which everything else is made again, and
`rows.arrow`, the same rows once more as memory maps them: vectors are scored and texts shown from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from xxhash import xxh3_64_intdigest

from isoglot.common.arrays import BoolArray, FloatArray, IntArray
from isoglot.common.atomic import write_whole, write_whole_folder
from isoglot.common.errors import InputError
from isoglot.pairs.texts import hashes
from isoglot.vectors.remedies import Vectors

TRUTH, MAPPED = "rows.parquet", "rows.arrow"
BLOCK_ROWS = 1 << 14  # rows that are scored at once


def schema(dimensions: int) -> pa.Schema:
    """Columns of a segment.

    `number` is the row's own for ever, counted over all that was ever added; `fields` holds the other columns as JSON;
    `digest` says whether a row changed.
    """
    text = pa.large_string()
    return pa.schema(
        {
            "number": pa.int64(),
            "id": text,
            "group": text,
            "language": text,
            "text": text,
            "fields": text,
            "digest": pa.uint64(),
            "vector": pa.list_(pa.float32(), dimensions),
        }
    )


def digests(text: pa.Array, group: pa.Array, fields: pa.Array, vectors: Vectors | None = None) -> pa.Array:
    """`(rows,)`; a hash of all that a row came with besides its key, its vector too if it came with one.

    >>> one = [pa.array([value], pa.large_string()) for value in ("a", None, "{}")]
    >>> digests(*one) == digests(*one), digests(*one) == digests(one[1], one[0], one[2])
    (True, False)
    """
    some, nothing, between = (pa.scalar(mark, pa.large_string()) for mark in ("=", "", "\0"))
    marked = (pc.binary_join_element_wise(some, each, nothing) for each in (text, group, fields))
    found = hashes(pc.binary_join_element_wise(*(pc.coalesce(each, nothing) for each in marked), between))
    if vectors is not None:
        found ^= np.fromiter((xxh3_64_intdigest(vector.tobytes()) for vector in vectors), np.uint64, len(vectors))
    return pa.array(found)


@dataclass(frozen=True)
class Block:
    """Rows of a segment that lie together.

    Attributes:
        batch: the rows, mapped.
        numbers: `(rows,)`; theirs, rising.
        vectors: `(rows, dimensions)`, mapped.
        live: `(rows,)`; which were neither replaced nor deleted.
    """

    batch: pa.RecordBatch
    numbers: IntArray
    vectors: FloatArray
    live: BoolArray


def write_segment(folder: Path, batches: Iterable[pa.RecordBatch], dimensions: int) -> int:
    """Write rows that come as batches of `schema`, whole or not at all; returns how many."""
    columns, rows = schema(dimensions), 0
    with (
        write_whole_folder(folder) as temporary,
        # Numbers of vectors hardly repeat and hardly compress, so nothing is spent on trying.
        pq.ParquetWriter(temporary / TRUTH, columns, compression="lz4", use_dictionary=["language"]) as truth,
        pa.OSFile(str(temporary / MAPPED), "wb") as sink,
        pa.ipc.new_file(sink, columns) as mapped,
    ):
        for batch in batches:
            truth.write_batch(batch)
            for start in range(0, batch.num_rows, BLOCK_ROWS):
                mapped.write_batch(batch.slice(start, BLOCK_ROWS))
            rows += batch.num_rows
    return rows


def read_segment(folder: Path, dead: IntArray) -> Iterator[Block]:
    """The rows of a segment; what memory maps is made again from the Parquet file if it is gone or damaged."""
    try:
        batches = _mapped(folder / MAPPED)
    except (OSError, pa.ArrowException):
        _map_again(folder)
        batches = _mapped(folder / MAPPED)
    for batch in batches:
        numbers = batch["number"].to_numpy()
        vectors = batch["vector"].flatten().to_numpy().reshape(batch.num_rows, -1)
        yield Block(batch, numbers, vectors, ~np.isin(numbers, dead, assume_unique=True))


def _mapped(path: Path) -> list[pa.RecordBatch]:
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return [reader.get_batch(number) for number in range(reader.num_record_batches)]


def _map_again(folder: Path) -> None:
    try:
        with pq.ParquetFile(folder / TRUTH) as truth, write_whole(folder / MAPPED) as temporary:
            columns = truth.schema_arrow
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, columns) as mapped:
                for batch in truth.iter_batches(BLOCK_ROWS):
                    mapped.write_batch(batch)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{folder / TRUTH}: not readable ({reason}); index the corpus into a new folder") from None
