"""Qdrant Edge: the embedded form of the engine whose servers `qdrant` talks to. One process at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.atomic import write_text, write_whole_folder
from isoglot.common.errors import InputError
from isoglot.common.extras import library
from isoglot.common.progress import progress
from isoglot.search.index import LEAST_LOOKED_AT, Nearest, Wanted, with_equals
from isoglot.search.store import NO_ROWS, Store

FOLDER = "edge"
_SHARD = "shard"
_HELD = "generation"  # says which generation of the rows the engine holds; not there while that changes
_DISTANCES = {"cosine": "Cosine", "dot": "Dot", "euclidean": "Euclid", "manhattan": "Manhattan"}
_LINKS, _CANDIDATES = 16, 128  # of the graph: neighbours of a row, and rows looked at to find them
_FULL_SCAN_KB = 10_000  # languages of fewer numbers than this are scanned
_POINTS = 1 << 10  # points per call


class EdgeIndex:
    """The engine of one index folder.

    Args:
        store: its rows.
        change: whether the engine may be made to hold them, which takes minutes for 100,000 new rows.

    Raises:
        InputError: if another process has it open.
    """

    def __init__(self, store: Store, *, change: bool = False) -> None:
        self._folder = store.folder / FOLDER
        similarity = store.state.provenance.similarity or "cosine"
        self._sign = -1.0 if similarity in ("euclidean", "manhattan") else 1.0
        self._engine = engine = edge_library()
        if change and not (self._folder / _SHARD).exists():
            self._create(store.state.dimensions, _DISTANCES[similarity])
        with _told(self._folder):
            self._shard = engine.EdgeShard.load(str(self._folder / _SHARD))
        if change:
            self._hold(store)

    @staticmethod
    def holds(store: Store) -> bool:
        """Whether the engine holds the rows as they stand, so that it can be searched in place of them."""
        held = store.folder / FOLDER / _HELD
        return held.is_file() and held.read_text() == str(store.state.generation)

    @staticmethod
    def refuse_in_use(folder: Path) -> None:
        """Refuse to change the engine of an index folder while another process has it open.

        Raises:
            InputError: if one has.
        """
        if (shard := folder / FOLDER / _SHARD).exists():
            with _told(folder / FOLDER):
                edge_library().EdgeShard.load(str(shard)).close()

    def nearest(self, queries: FloatArray, depth: int, wanted: Sequence[Wanted]) -> list[list[Nearest]]:
        """As `Index.nearest`, but for rows that an approximate search misses."""
        engine, asked = self._engine, depth + 1
        requests = [self._request(query, each, asked) for query in queries for each in wanted]
        answers = iter(self._shard.query_batch(engine.QueryBatchRequest(requests)))

        def one(query: FloatArray, each: Wanted) -> Nearest:
            def more(size: int) -> Nearest:
                return self._found(self._shard.query(self._request(query, each, size)), size)

            return with_equals(self._found(next(answers), asked), more, depth)

        return [[one(query, each) for each in wanted] for query in queries]

    def close(self) -> None:
        """Let another process have it."""
        self._shard.close()

    def _request(self, query: FloatArray, wanted: Wanted, limit: int) -> Any:
        engine, among = self._engine, None
        if wanted is not None:
            tags = engine.MatchAny(sorted(tag or "" for tag in wanted))
            among = engine.Filter(must=[engine.FieldCondition("language", match=tags)])
        return engine.QueryRequest(
            limit=limit,
            query=engine.Query.Nearest(query.tolist()),
            filter=among,
            params=engine.SearchParams(hnsw_ef=max(limit, LEAST_LOOKED_AT)),
        )

    def _found(self, points: Sequence[Any], asked: int) -> Nearest:
        numbers = np.array([point.id for point in points], np.int64)
        scores = np.array([self._sign * point.score for point in points], np.float32)
        return Nearest(numbers, scores, len(points) < asked)

    def _create(self, dimensions: int, distance: str) -> None:
        engine = self._engine
        vectors = engine.EdgeVectorParams(size=dimensions, distance=getattr(engine.Distance, distance))
        graph = engine.HnswIndexConfig(m=_LINKS, ef_construct=_CANDIDATES, full_scan_threshold=_FULL_SCAN_KB)
        with write_whole_folder(self._folder / _SHARD) as folder:
            shard = engine.EdgeShard.create(str(folder), engine.EdgeConfig(vectors=vectors, hnsw_config=graph))
            shard.update(engine.UpdateOperation.create_field_index("language", engine.PayloadSchemaType.Keyword))
            shard.flush()
            shard.close()

    def _hold(self, store: Store) -> None:
        """Make the engine hold exactly the rows of the store; after a kill in the middle the same call finishes."""
        (self._folder / _HELD).unlink(missing_ok=True)
        change = self._engine.UpdateOperation
        there = self._numbers()
        gone = np.setdiff1d(there, store.numbers, assume_unique=True)
        for start in range(0, len(gone), _POINTS):
            self._shard.update(change.delete_points(gone[start : start + _POINTS].tolist()))
        with progress("Adding rows to the engine", len(np.setdiff1d(store.numbers, there))) as advance:
            for block in store.blocks:
                new = np.flatnonzero(block.live & ~np.isin(block.numbers, there))
                languages = block.batch["language"].take(new).to_pylist()
                for start in range(0, len(new), _POINTS):
                    some = new[start : start + _POINTS]
                    tags = languages[start : start + _POINTS]
                    rows = zip(block.numbers[some].tolist(), block.vectors[some].tolist(), tags, strict=True)
                    points = [self._engine.Point(number, x, {"language": tag or ""}) for number, x, tag in rows]
                    self._shard.update(change.upsert_points(points))
                    advance(len(points))
        self._shard.optimize()
        self._shard.flush()
        write_text(self._folder / _HELD, str(store.state.generation))

    def _numbers(self) -> IntArray:
        """Numbers of the rows that the engine holds, rising."""
        found, following = [NO_ROWS], 0
        while following is not None:
            page = self._engine.ScrollRequest(offset=following, limit=_POINTS, with_payload=False)
            points, following = self._shard.scroll(page)
            found.append(np.array([point.id for point in points], np.int64))
        return np.concatenate(found)


def edge_library() -> Any:
    """The engine's package.

    Raises:
        MissingExtraError: if it is not installed.
    """
    return library("qdrant_edge", "edge", "the engine edge")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Say in one line what the engine's errors mean; it has one kind for all."""
    try:
        yield
    except Exception as error:
        if "WouldBlock" in str(error):
            raise InputError(
                f"{folder}: in use; an edge index is for one process at a time: end the other, or make an index with "
                "--engine exact or qdrant"
            ) from None
        raise InputError(f"{folder}: cannot be opened ({error}); delete it and index again, nothing is lost") from None
