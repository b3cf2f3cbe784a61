"""An index is opened: the folder or collection, its engine, and the encoder of questions."""

from __future__ import annotations

from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.runtime.encoder import TextEncoder
from isoglot.search.edge import EdgeIndex
from isoglot.search.exact import ExactIndex
from isoglot.search.index import Index
from isoglot.search.qdrant import QdrantIndex, is_url
from isoglot.search.searcher import Searcher
from isoglot.search.store import State, Store
from isoglot.vectors.maps import VectorMap


def open_index(
    target: str | Path,
    encoder: TextEncoder | None = None,
    *,
    mapping: VectorMap | None = None,
) -> Searcher:
    """Open an index for questions.

    Args:
        target: a folder that `build_index` wrote, or the URL of its collection on a Qdrant server,
            `http://host:6333/COLLECTION`.
        encoder: the one that the index was made with; None to ask with vectors alone.
        mapping: the map that the vectors of a collection went through; a folder has its own.

    Raises:
        InputError: if there is no index, or the encoder or the map is another than that of its vectors.
    """
    searcher = _open(target, mapping)
    if encoder is not None:
        searcher.ask_with(encoder)
    return searcher


def _open(target: str | Path, mapping: VectorMap | None) -> Searcher:
    if is_url(target):
        collection = QdrantIndex(str(target))
        state = collection.state
        if state is None:
            raise InputError(f"{target}: no such collection; make it with isoglot index --engine qdrant")
        if state.provenance.map and mapping is None:
            raise InputError(
                f"{target}: its vectors went through the map {state.provenance.map:.12}; give that map, so that "
                "questions do, too"
            )
        _refuse_another(target, mapping, state)
        return Searcher(str(target), collection, collection, state, mapping=mapping)
    store = Store.open(expanded_path(target))
    _refuse_another(target, mapping, store.state)
    index, note = open_engine(store)
    return Searcher(str(target), store, index, store.state, mapping=store.mapping, note=note)


def _refuse_another(target: str | Path, mapping: VectorMap | None, state: State) -> None:
    """Refuse a map that vectors did not go through: questions alone would, into another space."""
    made = state.provenance.map
    if mapping is not None and mapping.fingerprint != made:
        raise InputError(
            f"{target}: its vectors went through {f'the map {made:.12}' if made else 'no map'}, and this is "
            f"{mapping.fingerprint:.12}; leave it out, or index the vectors with it into a new folder"
        )


def open_engine(store: Store) -> tuple[Index, str | None]:
    """The engine of an index folder, and what is to be said of it.

    An engine that does not hold the rows as they stand, because the change was killed, is not asked; the rows are.
    """
    engine = store.state.engine
    if engine == "edge" and EdgeIndex.holds(store):
        return EdgeIndex(store), None
    if engine == "qdrant":
        collection = QdrantIndex(str(store.state.url), named=False)
        if collection.state is not None and collection.state.has_rows_of(store.state):
            return collection, None
    if engine == "exact":
        return ExactIndex(store), None
    return ExactIndex(store), f"The engine {engine} does not hold the latest rows; searched without it. Index again."
