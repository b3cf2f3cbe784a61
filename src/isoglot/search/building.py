"""Making and changing an index: rows are checked, encoded where they are new, and put in their place whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.encoding.corpus import open_corpus
from isoglot.runtime.encoder import TextEncoder
from isoglot.search.agreement import MAKING, joined, refuse_others
from isoglot.search.committing import commit, follow, numbered, refuse_engine
from isoglot.search.incoming import Incoming, compare
from isoglot.search.index import ENGINES
from isoglot.search.staging import FOLDER as STAGED
from isoglot.search.staging import encoded
from isoglot.search.store import MAP_FILE, NO_ROWS, State, Store, changing, new_name
from isoglot.vectors.checking import leaving_out, survey
from isoglot.vectors.columns import USUAL, Columns
from isoglot.vectors.maps import VectorMap, load_map
from isoglot.vectors.provenance import UNKNOWN, Provenance, read_manifest
from isoglot.vectors.rows import VectorRows, open_vectors


@dataclass(frozen=True)
class Indexed:
    """What was done to an index.

    Attributes:
        folder: where it is.
        rows: how many it has now.
        languages: how many of them are in each language.
        read: rows that came.
        left_out: bad ones among them.
        added: new ones.
        replaced: rows of the index that others stand in for.
        unchanged: ones that were there already.
        deleted: rows of the index that were taken away.
        notes: what people should know.
    """

    folder: Path
    rows: int
    languages: dict[str, int]
    read: int = 0
    left_out: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    notes: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """All of it in words."""
        by_language = ", ".join(f"{tag} {count:,}" for tag, count in self.languages.items())
        return [
            *self.notes,
            f"Rows: {self.read:,} read, {self.left_out:,} left out, {self.added:,} added, {self.replaced:,} replaced, "
            f"{self.unchanged:,} unchanged, {self.deleted:,} deleted.",
            f"The index in {self.folder} has {self.rows:,} rows{': ' if by_language else ''}{by_language}.",
        ]


def build_index(
    source: str | Path,
    encoder: TextEncoder | None,
    out: str | Path,
    *,
    engine: str | None = None,
    url: str | None = None,
    columns: Columns = USUAL,
    language: str | None = None,
    identify_languages: bool = False,
    mapping: VectorMap | None = None,
    sync: bool = False,
    skip_bad: str | Path | None = None,
) -> Indexed:
    """Make an index, or change one that is there: rows are added, and replaced by key, which is id and language.

    Everything is checked before anything is encoded. A kill leaves the state before or the state after; the same call
    finishes, and what was encoded is not encoded again.

    Args:
        source: a corpus that `open_corpus` reads, whose texts are encoded where they are new or changed; or vectors
            that `open_vectors` reads, such as `encode_corpus` and `debias_vectors` write.
        encoder: of a corpus. Where it is None, or a manifest says that the source holds vectors, these are taken.
        out: the folder of the index.
        engine: `exact`, `edge` or `qdrant`; that which the index has if None, `exact` for a new one.
        url: for qdrant, `http://host:6333/COLLECTION`.
        columns: names of columns that are not called as usual.
        language: the language of all rows; only where no column says.
        identify_languages: find out the languages that are missing; needs the extra `identify`.
        mapping: the map that vectors go through on both sides, or went through already if their manifest says so.
        sync: delete rows whose keys the source has not, or has in rows that are left out alone.
        skip_bad: a file that bad rows are left out into; None to refuse them.

    Raises:
        InputError: if a row is bad, an id stands twice in one language, or vectors, map and encoder do not belong to
            those of the index; it is then as it was.
    """
    folder = expanded_path(out)
    with leaving_out(skip_bad, source) as leave_out, changing(folder):
        store, state = _opened(folder, engine, url)
        given = _given(source, encoder, columns, folder, language=language, identify_languages=identify_languages)
        mapping = mapping or given.mapping
        made, mapping, unmapped = joined(store, folder, given.made, given.dimensions, mapping)
        surveyed = survey(given.rows, leave_out, needs=("id", "text") if given.encoder else ("id",))
        incoming = Incoming(surveyed, given.keyed)
        change = compare(store, incoming)
        vectors = incoming
        if given.encoder is not None and change.wanted.any():
            vectors, without = encoded(incoming, change.wanted, given.encoder, folder / STAGED, leave_out)
            if len(without):
                surveyed = replace(surveyed, bad=np.union1d(surveyed.bad, without))
                change = compare(store, Incoming(surveyed, given.keyed))
        added = int(change.wanted.sum())
        gone = np.union1d(change.replaced, change.absent if sync else NO_ROWS)
        if store is None:
            state = replace(state, provenance=made, dimensions=given.dimensions)
            if mapping is not None:
                mapping.save(folder / MAP_FILE)
        if store is None or added or len(gone) or state != store.state:
            wanted = change.wanted if given.encoder is None else np.ones(added, bool)
            unit = (made.similarity or "cosine") == "cosine"
            new = numbered(vectors, wanted, state.following, mapping if unmapped else None, unit) if added else ()
            dead = gone if store is None else np.union1d(store.dead, gone)
            store = commit(folder, replace(state, following=state.following + added), new, added, dead)
        follow(store, url is not None)
        shutil.rmtree(folder / STAGED, ignore_errors=True)
        kept = 0 if sync else len(change.absent)
        name = given.rows.path.name
        return Indexed(
            folder,
            store.state.rows,
            dict(store.state.languages),
            read=len(surveyed.language),
            left_out=len(surveyed.bad),
            added=added - len(change.replaced),
            replaced=len(change.replaced),
            unchanged=len(change.wanted) - added,
            deleted=len(change.absent) - kept,
            notes=(
                *given.notes,
                *surveyed.notes,
                *([f"{kept:,} rows of the index are not in {name}; --sync takes such away."] if kept else []),
            ),
        )


@dataclass(frozen=True)
class _Given:
    """What is to be indexed.

    Attributes:
        rows: of a corpus, or with vectors.
        encoder: of a corpus; None where there are vectors.
        made: what is known of the vectors.
        dimensions: of these.
        keyed: whether ids are keys.
        mapping: the map that lies beside vectors that went through it.
        notes: what people should know.
    """

    rows: VectorRows
    encoder: TextEncoder | None
    made: Provenance
    dimensions: int
    keyed: bool = False
    mapping: VectorMap | None = None
    notes: Sequence[str] = ()


def _given(source: str | Path, encoder: TextEncoder | None, columns: Columns, out: Path, **settings: Any) -> _Given:
    """Open a corpus, or vectors."""
    said = read_manifest(path) if (path := expanded_path(source)).exists() else None
    if encoder is not None and said is None:
        corpus = open_corpus(source, columns, out=out, **settings)
        made = encoder.provenance("passage")
        return _Given(corpus.rows, encoder, made, encoder.dimensions, notes=corpus.notes())
    if settings["identify_languages"]:
        raise InputError(f"{path}: holds vectors; languages are found out when texts are encoded")
    rows = open_vectors(path, columns, required=["id"], language=settings["language"])
    if encoder is not None:
        refuse_others(path, rows.provenance, encoder.provenance("passage"), MAKING)
    beside = path / MAP_FILE
    mapping = load_map(beside) if rows.provenance.map and beside.is_file() else None
    keyed = bool((said or {}).get("ids_shared"))
    return _Given(rows, None, rows.provenance, rows.dimensions, keyed, mapping)


def delete_rows(
    out: str | Path, ids: Iterable[str] = (), *, engine: str | None = None, url: str | None = None
) -> Indexed:
    """Delete rows of an index.

    Args:
        out: the folder of the index.
        ids: of the rows, with all their translations; or, where no row has such an id, keys, `id@language`.
        engine: another for the index, as `build_index` takes it.
        url: of that.

    Raises:
        InputError: if there is no index.
    """
    folder = expanded_path(out)
    with changing(folder):
        store, base = _opened(folder, engine, url)
        if store is None:
            raise InputError(
                f"{folder}: no index here; make one with isoglot index CORPUS --model MODEL --out {folder}"
            )
        wanted, deleted = pa.array(sorted(set(ids)), pa.large_string()), np.zeros(len(store.numbers), bool)
        for rows in (store.column("id"), store.keys()):
            deleted |= pc.is_in(rows, value_set=wanted).to_numpy(zero_copy_only=False)
            wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=rows)))
        gone, missing = store.numbers[deleted], wanted.to_pylist()
        if len(gone) or base != store.state:
            store = commit(folder, base, (), 0, np.union1d(store.dead, gone))
        follow(store, url is not None)
        few = ", ".join(missing[:5])
        notes = (f"{len(missing):,} of the ids to delete are not in the index: {few}.",) if missing else ()
        return Indexed(folder, store.state.rows, dict(store.state.languages), deleted=len(gone), notes=notes)


def _opened(folder: Path, engine: str | None, url: str | None) -> tuple[Store | None, State]:
    """The index in a folder, if there is one, and the state that it has with the engine asked for."""
    state = State.read(folder)
    base = state or State(new_name(), UNKNOWN, 0)
    engine = engine or base.engine
    if engine not in ENGINES:
        raise InputError(f"no engine {engine!r}; there are {', '.join(ENGINES)}")
    named = url is not None
    url = url or base.url if engine == "qdrant" else url
    if (engine == "qdrant") != (url is not None):
        raise InputError("the engine qdrant and a URL go together: --engine qdrant --url http://localhost:6333/NAME")
    base = replace(base, engine=engine, url=url)
    refuse_engine(folder, base, named)
    return None if state is None else Store(folder, state), base
