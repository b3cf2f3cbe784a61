"""Rows of a corpus that are new or changed are put aside and encoded; what is encoded outlives a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.arrays import BoolArray
from isoglot.common.atomic import write_whole
from isoglot.encoding.encode import encode_corpus
from isoglot.runtime.encoder import TextEncoder
from isoglot.search.incoming import STAGED, TEXT, Incoming
from isoglot.vectors.checking import survey
from isoglot.vectors.columns import row_keys
from isoglot.vectors.rows import open_vectors

FOLDER = "encoding"
_SCHEMA = pa.schema(
    {
        "id": TEXT,
        "language": TEXT,
        "text": TEXT,
        **dict(zip(STAGED, (TEXT, TEXT, TEXT, pa.uint64()), strict=True)),
    }
)


def encoded(incoming: Incoming, wanted: BoolArray, encoder: TextEncoder, folder: Path) -> Incoming:
    """The rows wanted, with vectors.

    Args:
        incoming: rows of a corpus.
        wanted: `(rows,)`; which of those that are not left out.
        encoder: makes the vectors.
        folder: where they are kept while the index is changed; what stands there is not encoded again.
    """
    with write_whole(folder / "rows.parquet") as temporary, pq.ParquetWriter(temporary, _SCHEMA) as file:
        for batch in chosen(incoming, wanted):
            file.write_batch(_aside(batch))
    encode_corpus(folder / "rows.parquet", encoder, folder / "shards")
    return Incoming(survey(open_vectors(folder / "shards")))


def chosen(incoming: Incoming, wanted: BoolArray) -> Iterator[pa.RecordBatch]:
    """What is said of the rows wanted, part by part."""
    start = 0
    for batch, _ in incoming.batches():
        yield batch.filter(pa.array(wanted[start : start + batch.num_rows]))
        start += batch.num_rows


def _aside(batch: pa.RecordBatch) -> pa.RecordBatch:
    """As a corpus in which each key stands once and all that is known travels along."""
    values = [
        row_keys(batch["id"], batch["language"]),
        *(batch[name] for name in ("language", "text", "id", "group", "fields", "digest")),
    ]
    return pa.RecordBatch.from_arrays(values, schema=_SCHEMA)
