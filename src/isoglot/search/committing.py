"""Making a change to an index real: new rows become a segment, the manifest is swapped, the engine follows."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import BoolArray, FloatArray, IntArray
from isoglot.common.errors import InputError
from isoglot.search.edge import FOLDER as EDGE
from isoglot.search.edge import EdgeIndex, edge_library
from isoglot.search.incoming import Incoming
from isoglot.search.qdrant import QdrantIndex
from isoglot.search.segments import schema, write_segment
from isoglot.search.store import State, Store, new_name, write_dead
from isoglot.vectors.maps import VectorMap
from isoglot.vectors.remedies import Vectors, lengths_of
from isoglot.vectors.rows import lists_of

_MOST_SEGMENTS = 16


def commit(folder: Path, state: State, new: Iterable[pa.RecordBatch], rows: int, dead: IntArray) -> Store:
    """Make a change real.

    Args:
        folder: of the index.
        state: its state, but for rows; that of a new index has no segments.
        new: rows to be added, as batches of `schema`.
        rows: how many.
        dead: numbers of all rows that are replaced or deleted, earlier ones included.
    """
    old, segments = Store(folder, state), state.segments
    living = np.setdiff1d(old.numbers, dead)
    if len(segments) >= _MOST_SEGMENTS or len(dead) > len(living):
        # Written anew as one: every search looks into every segment, and into their dead rows.
        kept = (_alive(block.batch, np.isin(block.numbers, living)) for block in old.blocks)
        new, rows, segments, dead = chain(kept, new), rows + len(living), (), dead[:0]
    if rows:
        segments = (*segments, name := new_name())
        write_segment(folder / "segments" / name, (each for each in new if each.num_rows), state.dimensions)
    changed = replace(state, segments=segments, dead=write_dead(folder, dead), generation=state.generation + 1)
    changed = replace(changed, token=new_name(), parent=state.token)
    changed = _counted(Store(folder, changed))
    changed.write(folder)
    return Store(folder, changed)


def refuse_engine(folder: Path, state: State, named: bool) -> None:
    """Refuse an engine that could not follow, before any work is done.

    Args:
        folder: of the index.
        state: which names the engine, and its URL.
        named: whether the caller gave that URL.

    Raises:
        MissingExtraError: if its package is not installed.
        InputError: if another process has it open, a server cannot be reached or is nobody's choice, or its collection
            holds something else.
    """
    if state.engine == "edge":
        edge_library()
        EdgeIndex.refuse_in_use(folder)
    if state.engine == "qdrant":
        collection = QdrantIndex(str(state.url), named=named)
        collection.refuse_other(state)
        collection.close()


def follow(store: Store, named: bool) -> None:
    """Make the engine hold the rows as they stand; another one's files are taken away. See `refuse_engine`."""
    engine, folder = store.state.engine, store.folder
    if engine == "edge" and not EdgeIndex.holds(store):
        EdgeIndex(store, change=True).close()
    if engine == "qdrant":
        collection = QdrantIndex(str(store.state.url), named=named)
        if collection.state is None or not collection.state.has_rows_of(store.state):
            collection.hold(store)
        collection.close()
    if engine != "edge" and (folder / EDGE).exists():
        shutil.rmtree(folder / EDGE)


def numbered(
    incoming: Incoming, wanted: BoolArray, first: int, mapping: VectorMap | None, unit: bool
) -> Iterator[pa.RecordBatch]:
    """The rows wanted as batches of `schema`.

    Args:
        incoming: rows with vectors.
        wanted: `(rows,)`; which of those that are not left out.
        first: the number of the first.
        mapping: a map that is yet to be applied.
        unit: whether vectors are brought to unit length, as cosines need them.
    """
    start, rows = 0, incoming.surveyed.rows
    columns = schema(rows.dimensions)
    for said, vectors in incoming.batches():
        if vectors is None:
            continue
        some = wanted[start : start + said.num_rows]
        start += said.num_rows
        batch = said.filter(pa.array(some))
        ready = lists_of(_ready(vectors[some], batch, mapping, unit), columns.field("vector").type)
        number = pa.array(np.arange(first, first + batch.num_rows))
        first += batch.num_rows
        yield pa.RecordBatch.from_arrays([number, *batch.columns, ready], schema=columns)


def _ready(vectors: Vectors, batch: pa.RecordBatch, mapping: VectorMap | None, unit: bool) -> FloatArray:
    if mapping is not None:
        places = mapping.places(batch["language"].to_pylist()) if mapping.languages else None
        vectors = mapping.apply_by_number(vectors, places)
    if unit:
        lengths = lengths_of(vectors)
        if len(nothing := np.flatnonzero(lengths < np.finfo(np.float32).tiny)):
            name = batch["id"][int(nothing[0])].as_py()
            raise InputError(f'the map takes all of the vector of "{name}" away; leave that row out of the source')
        vectors = vectors / lengths[:, None]
    return np.ascontiguousarray(vectors, np.float32)


def _counted(store: Store) -> State:
    """The state with its rows counted."""
    counts = {each["values"]: each["counts"] for each in pc.value_counts(store.column("language")).to_pylist()}
    languages = {tag: counts[tag] for tag in sorted(tag for tag in counts if tag is not None)}
    return replace(store.state, rows=len(store.numbers), languages=languages)


def _alive(batch: pa.RecordBatch, living: BoolArray) -> pa.RecordBatch:
    return batch if living.all() else batch.filter(pa.array(living))
