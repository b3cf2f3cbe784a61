"""What an index folder holds: one manifest that is swapped whole, and files that it names and nobody changes.

    manifest.json          where the vectors come from, which segments there are, which rows are dead
    segments/NAME/         rows, see `segments`
    dead/NAME.npy          numbers of rows in segments that were replaced or deleted
    map.npz                the map that was applied to the vectors and is to queries, if one was
    edge/                  an engine's own files, made from the segments
    encoding/              what is being encoded; gone when done

A change writes new files first and the manifest last, so that a kill at any time leaves the state before or after.
Files that the manifest does not name are left over; the next change takes them away.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.atomic import held, is_unfinished, write_whole
from isoglot.common.errors import InputError, UnavailableError
from isoglot.pairs.texts import hashes
from isoglot.search.segments import Block, read_segment, schema
from isoglot.vectors.columns import row_keys
from isoglot.vectors.maps import VectorMap, load_map
from isoglot.vectors.provenance import Provenance, read_manifest, write_manifest

MAP_FILE = "map.npz"
NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class State:
    """What the manifest says.

    Attributes:
        identity: of the index, from its making on.
        provenance: of the vectors, the map included.
        dimensions: of a vector.
        engine: exact, edge or qdrant.
        url: of the collection, for qdrant.
        segments: names, oldest first.
        dead: name of the file of dead rows, if any is.
        rows: how many rows are live.
        languages: rows of each language.
        following: the number that the next row gets.
        generation: changes so far.
        token: of the last change; copies of an index that were changed apart have others.
        parent: the token before it.
    """

    identity: str
    provenance: Provenance
    dimensions: int
    engine: str = "exact"
    url: str | None = None
    segments: tuple[str, ...] = ()
    dead: str | None = None
    rows: int = 0
    languages: Mapping[str, int] = field(default_factory=dict)
    following: int = 0
    generation: int = 0
    token: str = ""
    parent: str = ""

    def has_rows_of(self, other: State) -> bool:
        """Whether both are of one index, after the same change."""
        mine, others = ((each.identity, each.generation, each.token) for each in (self, other))
        return mine == others

    @classmethod
    def read(cls, folder: Path) -> State | None:
        """From the manifest of a folder; None if there is no index.

        Raises:
            InputError: if the folder holds something else.
        """
        said = read_manifest(folder) if folder.is_dir() else None
        if said is None or "index" not in said:
            if folder.exists() and (not folder.is_dir() or said is not None or any(_not_ours(folder))):
                raise InputError(f"{folder}: holds no index; name a new folder, or one that isoglot index wrote")
            return None
        return cls.of({**said["index"], "provenance": said["provenance"]})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> State:
        """From what JSON holds."""
        kept = {each.name: values[each.name] for each in fields(cls) if each.name in values}
        kept["segments"] = tuple(kept["segments"])
        return cls(**{**kept, "provenance": Provenance.of(values["provenance"])})

    def write(self, folder: Path) -> None:
        """Make this the state of the folder."""
        said = asdict(self)
        del said["provenance"]
        write_manifest(folder, self.provenance, index=said)


class Store:
    """The rows of an index, as they stand at one moment; later changes do not touch it.

    Attributes:
        folder: where it is.
        state: what its manifest says.
        dead: numbers of rows in segments that are no longer there, rising.
        blocks: the rows, mapped, in the order of their numbers.
    """

    def __init__(self, folder: Path, state: State) -> None:
        self.folder, self.state = folder, state
        self.dead: IntArray = np.load(folder / "dead" / state.dead) if state.dead else NO_ROWS
        self.blocks: list[Block] = [
            block for name in state.segments for block in read_segment(folder / "segments" / name, self.dead)
        ]
        self._first = np.array([block.numbers[0] for block in self.blocks], np.int64)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The rows of a folder.

        Raises:
            InputError: if there is no index.
        """
        state = State.read(folder)
        if state is None:
            raise InputError(
                f"{folder}: no index here; make one with isoglot index CORPUS --model MODEL --out {folder}"
            )
        return cls(folder, state)

    @cached_property
    def mapping(self) -> VectorMap | None:
        """The map that queries go through, too."""
        return load_map(self.folder / MAP_FILE) if self.state.provenance.map else None

    @cached_property
    def numbers(self) -> IntArray:
        """`(rows,)`; numbers of the live rows, rising."""
        return np.concatenate([block.numbers[block.live] for block in self.blocks] or [NO_ROWS])

    def column(self, name: str) -> pa.Array:
        """`(rows,)`; a column of the live rows, not the vectors."""
        parts = [_live(block, block.batch[name]) for block in self.blocks]
        return pa.concat_arrays([pa.nulls(0, schema(1).field(name).type), *parts])

    def keys(self) -> pa.Array:
        """`(rows,)`; the keys of the live rows: id and language."""
        return row_keys(self.column("id"), self.column("language"))

    def rows(self, numbers: Sequence[int] | IntArray, names: Sequence[str]) -> list[dict[str, Any]]:
        """Columns of a few rows, in the order asked for."""
        return [{name: block.batch[name][at].as_py() for name in names} for block, at in self._places(numbers)]

    def vectors(self, numbers: Sequence[int] | IntArray) -> FloatArray:
        """`(numbers, dimensions)`; the vectors of some rows."""
        found = np.empty((len(numbers), self.state.dimensions), np.float32)
        for row, (block, at) in enumerate(self._places(numbers)):
            found[row] = block.vectors[at]
        return found

    def translations(self, groups: Sequence[str]) -> IntArray:
        """Numbers of the live rows whose group, or id where they have none, is one of those, as `group_of` calls it."""
        hashed, numbers = self._by_group
        wanted = np.unique(hashes(pa.array(groups, pa.large_string())))
        low, high = (np.searchsorted(hashed, wanted, side) for side in ("left", "right"))
        ranges = [numbers[start:end] for start, end in zip(low, high, strict=True)]
        return np.sort(np.concatenate([*ranges, NO_ROWS]))

    @cached_property
    def _by_group(self) -> tuple[Any, IntArray]:
        """Hashes of the groups, rising, and the numbers of their rows."""
        group, ident = self.column("group"), self.column("id")
        hashed = hashes(group_of(group, ident))
        order = np.argsort(hashed, kind="stable")
        return hashed[order], self.numbers[order]

    def _places(self, numbers: Sequence[int] | IntArray) -> Iterator[tuple[Block, int]]:
        for number, at in zip(numbers, np.searchsorted(self._first, numbers, "right") - 1, strict=True):
            block = self.blocks[at] if at >= 0 else None
            place = 0 if block is None else int(np.searchsorted(block.numbers, number))
            if block is None or place == len(block.numbers) or block.numbers[place] != number:
                raise UnavailableError(f"{self.folder}: the index was changed since it was opened; open it again")
            yield block, place


def group_of(group: pa.Array, ident: pa.Array) -> pa.Array:
    """What rows of one document share: the group, or the id where there is none, told apart by a mark.

    >>> group_of(pa.array(["a", None], pa.large_string()), pa.array(["1", "a"], pa.large_string())).to_pylist()
    ['group a', 'id a']
    """
    by_group, by_id, blank = (pa.scalar(mark, pa.large_string()) for mark in ("group", "id", " "))
    marked = pc.binary_join_element_wise(by_group, group, blank), pc.binary_join_element_wise(by_id, ident, blank)
    return pc.coalesce(*marked)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Keep other processes from changing an index while the block runs, and take away what a kill left.

    Raises:
        InputError: if another process is at it.
    """
    State.read(folder)  # before a folder is made where something else is
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder) as mine:
        if not mine:
            raise InputError(f"{folder}: another process is changing this index; wait for its end")
        if (state := State.read(folder)) is not None:
            _sweep(folder, state)
        try:
            yield
        finally:
            if not any(folder.iterdir()):
                folder.rmdir()


def new_name() -> str:
    """A name for a file or folder that no other has."""
    return secrets.token_hex(8)


def write_dead(folder: Path, dead: IntArray) -> str | None:
    """Write the numbers of dead rows; returns the file's name, None if there are none."""
    if not len(dead):
        return None
    name = f"{new_name()}.npy"
    with write_whole(folder / "dead" / name) as temporary:
        np.save(temporary, np.sort(dead))
    return name


def _sweep(folder: Path, state: State) -> None:
    named = {*state.segments, state.dead}
    for kind in ("segments", "dead"):
        for entry in (folder / kind).iterdir() if (folder / kind).is_dir() else ():
            if entry.name not in named:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _not_ours(folder: Path) -> Iterator[Path]:
    ours = ("segments", "dead", "encoding", MAP_FILE, "edge")
    return (each for each in folder.iterdir() if each.name not in ours and not is_unfinished(each))


def _live(block: Block, column: pa.Array) -> pa.Array:
    return column if block.live.all() else column.filter(pa.array(block.live))
