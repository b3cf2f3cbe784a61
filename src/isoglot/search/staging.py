"""Rows of a corpus that are new or changed are put aside and encoded; what is encoded outlives a kill."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.arrays import BoolArray, IntArray
from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.encoding.encode import encode_corpus
from isoglot.runtime.encoder import TextEncoder
from isoglot.search.incoming import STAGED, TEXT, Incoming
from isoglot.vectors.checking import LeaveOut, left_out, survey
from isoglot.vectors.columns import row_keys
from isoglot.vectors.provenance import Provenance, read_manifest
from isoglot.vectors.remedies import Vectors, lengths_of
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


_REASON = "the model gives no usable vector for this text"


def encoded(
    incoming: Incoming, wanted: BoolArray, encoder: TextEncoder, folder: Path, leave_out: LeaveOut | None
) -> tuple[Incoming, IntArray]:
    """The rows wanted, with vectors, but for those whose text the encoder has no usable vector for.

    Args:
        incoming: rows of a corpus.
        wanted: `(rows,)`; which of those that are not left out.
        encoder: makes the vectors.
        folder: where they are kept while the index is changed; what stands there is not encoded again, unless another
            encoder made it.
        leave_out: takes rows without a vector; None to refuse them.

    Returns:
        The rows with vectors, and which rows of the corpus are without.

    Raises:
        InputError: naming the first row without, where they are not to be left out.
    """
    _forget_others(folder, encoder)
    with write_whole(folder / "rows.parquet") as temporary, pq.ParquetWriter(temporary, _SCHEMA) as file:
        for batch in chosen(incoming, wanted):
            file.write_batch(_aside(batch))
    encode_corpus(folder / "rows.parquet", encoder, folder / "shards")
    rows = open_vectors(folder / "shards")
    usable = np.concatenate([_usable(part.vectors()[0]) for part in rows.parts([str(rows.columns.vector)])])
    of_corpus = np.flatnonzero(incoming.surveyed.good)[wanted]
    without: IntArray = of_corpus[~usable]
    _leave_out(incoming, without, leave_out)
    made = Incoming(survey(rows, lambda _: None)) if usable.any() else incoming
    return made, without


def _usable(vectors: Vectors) -> BoolArray:
    lengths = lengths_of(vectors)
    usable: BoolArray = np.isfinite(lengths) & (lengths >= np.finfo(np.float32).tiny)
    return usable


def _leave_out(incoming: Incoming, rows: IntArray, leave_out: LeaveOut | None) -> None:
    for part in incoming.surveyed.rows.parts(None) if len(rows) else ():
        for row in rows[(rows >= part.first) & (rows < part.first + len(part))] - part.first:
            if leave_out is None:
                also = f" ({len(rows):,} in all)" if len(rows) > 1 else ""
                raise InputError(f"{part.where(row)}: {_REASON}{also}; leave such rows out with --skip-bad FILE")
            leave_out(left_out(part, int(row), _REASON))


def _forget_others(folder: Path, encoder: TextEncoder) -> None:
    """Take away what another encoder left, which nobody asked to keep."""
    said = read_manifest(folder / "shards")
    if said is not None and Provenance.of(said["provenance"]).unlike(encoder.provenance("passage")):
        shutil.rmtree(folder)


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
