"""The text layer: texts that stay on disk, and how they are put there, read, taken and told apart.

Texts stand in Arrow files that are mapped, so whoever reads an `ArrowTexts` gets the strings asked for and no others.
"""

from __future__ import annotations

import itertools
import os
import secrets
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Union, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from isoglot.common.atomic import lock, sweep, write_whole
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError

IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
HashArray = npt.NDArray[np.uint64]
Source = Union[Path, "TemporaryFile"]

LARGE = 64 << 20  # bytes; what is less stays in memory
_TEXTS_AT_A_TIME = 1 << 12


class ArrowTexts(Sequence[str]):
    """A sequence of the strings of an Arrow column, or of those in `rows`, most often mapped from a file.

    `sources` are the files, and which of their columns the chunks are, batch by batch: a process that is handed the
    sequence maps them again instead of copying them.

    >>> texts = ArrowTexts(pa.chunked_array([["eins", "zwei"], ["drei"]]))
    >>> texts[2], texts[:2], texts.take(np.array([2, 0])), list(texts.select(np.array([1])))
    ('drei', ['eins', 'zwei'], ['drei', 'eins'], ['zwei'])
    """

    def __init__(
        self,
        column: pa.ChunkedArray,
        rows: IntArray | None = None,
        sources: tuple[tuple[Source, tuple[str, ...]], ...] = (),
    ) -> None:
        self.column, self.rows, self.sources = column, rows, sources
        self._chunks: list[pa.Array] = column.chunks
        self._ends = np.cumsum([0, *map(len, self._chunks)], dtype=np.int64)

    @classmethod
    def mapped(cls, path: Source, columns: Sequence[str]) -> ArrowTexts:
        """The texts of some columns of an Arrow file: of each batch those of the first column, then of the second.

        Raises:
            InputError: if the file is not a whole Arrow file.
        """
        return cls.of_batches(mapped_batches(path), columns, path)

    @classmethod
    def of_batches(
        cls, batches: Iterable[pa.RecordBatch], columns: Sequence[str], path: Source | None = None
    ) -> ArrowTexts:
        """As `mapped`, of batches at hand; of a column of lists their items."""
        found = (batch.column(name) for batch in batches for name in columns)
        chunks = [(one.flatten() if pa.types.is_list(one.type) else one).cast(pa.large_string()) for one in found]
        sources = () if path is None else ((path, tuple(columns)),)
        return cls(pa.chunked_array(chunks, pa.large_string()), None, sources)

    @classmethod
    def joined(cls, parts: Sequence[ArrowTexts]) -> ArrowTexts:
        """The texts of several sequences one after the other; nothing is read or copied."""
        chunks = [chunk for part in parts for chunk in part._chunks]
        starts = np.cumsum([0, *(len(part.column) for part in parts)])
        rows = None
        if any(part.rows is not None for part in parts):
            places = (np.arange(len(part)) if part.rows is None else part.rows for part in parts)
            rows = np.concatenate([start + place for start, place in zip(starts.tolist(), places, strict=False)])
        sources = tuple(source for part in parts for source in part.sources) if all(p.sources for p in parts) else ()
        return cls(pa.chunked_array(chunks, pa.large_string()), rows, sources)

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        return (_mapped_again, (self.sources, self.rows)) if self.sources else (ArrowTexts, (self.column, self.rows))

    def __len__(self) -> int:  # noqa: D105
        return len(self.column) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:  # noqa: D105
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self)), dtype=np.int64))
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        return self.take(np.array([place]))[0]

    def __iter__(self) -> Iterator[str]:  # noqa: D105
        for start in range(0, len(self), _TEXTS_AT_A_TIME):
            yield from self[start : start + _TEXTS_AT_A_TIME]

    def take(self, indices: IntArray) -> list[str]:
        """The texts at these places; costs what it returns, however many chunks there are."""
        rows = np.asarray(indices) if self.rows is None else self.rows[indices]
        chunk = np.searchsorted(self._ends, rows, side="right") - 1
        within = rows - self._ends[chunk]
        chunks = self._chunks
        return [chunks[n][at].as_py() for n, at in zip(chunk.tolist(), within.tolist(), strict=True)]

    def gather(self, indices: IntArray) -> pa.Array:
        """As `take`, as an Arrow array, read chunk by chunk: Arrow's own may join all chunks in memory."""
        rows = np.asarray(indices, np.int64) if self.rows is None else self.rows[indices]
        order = np.argsort(rows, kind="stable")
        in_order = rows[order]
        chunk = np.searchsorted(self._ends, in_order, side="right") - 1
        cuts = np.flatnonzero(np.diff(chunk, prepend=-1, append=-1))
        parts = [
            self._chunks[chunk[start]].take(pa.array(in_order[start:end] - self._ends[chunk[start]]))
            for start, end in itertools.pairwise(cuts.tolist())
        ]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.concat_arrays([pa.array([], pa.large_string()), *parts]).take(pa.array(back))

    def select(self, indices: IntArray) -> ArrowTexts:
        """A sequence of the texts at these places; nothing is read."""
        return ArrowTexts(self.column, np.asarray(indices) if self.rows is None else self.rows[indices], self.sources)

    def hashes(self, wanted: BoolArray | None = None, key: Callable[[pa.Array], pa.Array] | None = None) -> HashArray:
        """`(texts,)`; hashes of all or the wanted texts, or of their keys, read block by block; 0 for the others."""
        found = np.zeros(len(self), np.uint64)

        def some(start: int) -> None:
            at = np.arange(start, min(start + _TEXTS_AT_A_TIME, len(self)))
            at = at if wanted is None else at[wanted[at]]
            if len(at):
                texts = self.gather(at)
                found[at] = hashes(texts if key is None else key(texts))

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Arrow computes keys outside of Python's lock
            for _ in pool.map(some, range(0, len(self), _TEXTS_AT_A_TIME)):
                pass
        return found

    def places(self, wanted: Collection[str]) -> dict[str, int]:
        """Where the wanted texts stand, of several equal ones the last; those that are not there are left out."""
        values = pa.array(sorted(set(wanted)), pa.large_string())
        found: list[tuple[str, int]] = []
        for first, chunk in zip(self._ends.tolist(), self._chunks, strict=False):
            hits = np.flatnonzero(pc.is_in(chunk, value_set=values).to_numpy(zero_copy_only=False))
            found += [(chunk[hit].as_py(), first + hit) for hit in hits.tolist()]
        if self.rows is None:
            return dict(found)
        kept = np.flatnonzero(np.isin(self.rows, [row for _, row in found]))
        place = dict(zip(self.rows[kept].tolist(), kept.tolist(), strict=True))
        return {text: place[row] for text, row in found if row in place}


def _mapped_again(sources: tuple[tuple[Source, tuple[str, ...]], ...], rows: IntArray | None) -> ArrowTexts:
    texts = ArrowTexts.joined([ArrowTexts.mapped(*source) for source in sources])
    return texts if rows is None else texts.select(rows)


def places(texts: Sequence[str], wanted: Collection[str]) -> dict[str, int]:
    """Where the wanted texts stand in any sequence.

    >>> places(["a", "b", "c"], {"c", "x"})
    {'c': 2}
    """
    if isinstance(texts, ArrowTexts):
        return texts.places(wanted)
    wanted = set(wanted)
    return {text: n for n, text in enumerate(texts) if text in wanted}


def select(texts: Sequence[str], indices: IntArray) -> Sequence[str]:
    """The texts at these places: a list of a list, a view of texts on disk.

    >>> select(["a", "b", "c"], np.array([2, 0]))
    ['c', 'a']
    """
    if isinstance(texts, ArrowTexts):
        return texts.select(indices)
    return [texts[n] for n in indices.tolist()]


def hashes(texts: pa.Array) -> HashArray:
    """`(texts,)`; XXH3, 64 bits, of the texts as UTF-8; 0 for null.

    >>> one, other, same, none = hashes(pa.array(["a", "b", "a", None], pa.large_string())).tolist()
    >>> one == same, one == other, none
    (True, False, 0)
    """
    texts = texts.cast(pa.large_string())
    if not len(texts):
        return np.zeros(0, np.uint64)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1].tolist()
    content = memoryview(data or b"")
    found = np.fromiter(
        (xxh3_64_intdigest(content[start:end]) for start, end in itertools.pairwise(ends)), np.uint64, len(texts)
    )
    found[~texts.is_valid().to_numpy(zero_copy_only=False)] = 0
    return found


def identity(files: Iterable[Path]) -> list[str]:
    """What stands for the content of files: their paths, sizes and times of change."""
    return [f"{file.resolve()} {(status := file.stat()).st_size} {status.st_mtime_ns}" for file in files]


class TemporaryFile:
    """A file on the cache folder's disk that goes when nothing refers to it; in another process it is a path.

    What a kill leaves is swept away like the sibling of a killed writer, see `isoglot.common.atomic`.
    """

    def __init__(self, suffix: str) -> None:
        folder = cache_folder() / "temporary"
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        self.path = folder / f".pairs.{secrets.token_hex(8)}.writing{suffix}"
        held = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        lock(held)
        weakref.finalize(self, _remove, self.path, held, os.getpid())

    def __fspath__(self) -> str:  # noqa: D105
        return str(self.path)

    def __reduce__(self) -> tuple[Any, ...]:  # noqa: D105
        return Path, (str(self.path),)


def _remove(path: Path, held: int, process: int) -> None:
    if os.getpid() == process:  # not in a fork, whose parent has the file still
        os.close(held)
        path.unlink(missing_ok=True)


def batches_of(rows: Iterable[tuple[str, ...]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Rows of strings, read once, as batches."""
    remaining = iter(rows)
    while block := list(itertools.islice(remaining, _TEXTS_AT_A_TIME)):
        yield pa.record_batch([pa.array(column, pa.large_string()) for column in zip(*block, strict=True)], schema)


def write_batches(path: Source, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write an Arrow file block by block."""
    with pa.OSFile(os.fspath(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def mapped_batches(path: Source) -> list[pa.RecordBatch]:
    """The batches of an Arrow file, mapped: nothing is read before it is looked at.

    Raises:
        InputError: if the file is not a whole Arrow file.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(os.fspath(path)))
        return [reader.get_batch(number) for number in range(reader.num_record_batches)]
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        name = os.fspath(path)
        raise InputError(f"{name}: not readable ({reason}); delete the file, and it is made again") from error


def kept(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path | None = None
) -> tuple[list[pa.RecordBatch], Source | None]:
    """Batches, read once: in memory while they are small, past that mapped from a file, which is given too.

    The file is temporary if no path is given.
    """
    remaining, held, size = iter(batches), [], 0
    for batch in remaining:
        held.append(batch)
        size += batch.nbytes
        if size > LARGE:
            break
    else:
        return held, None
    file = path or TemporaryFile(".arrow")
    with write_whole(path) if path else nullcontext(file) as target:
        write_batches(target, schema, itertools.chain(held, remaining))
    return mapped_batches(file), file


def texts_of(strings: Iterable[str]) -> ArrowTexts:
    """Strings, read once, as texts; on disk where they are many."""
    schema = pa.schema([("text", pa.large_string())])
    found, file = kept(batches_of(zip(strings, strict=True), schema), schema)
    return ArrowTexts.of_batches(found, ("text",), file)
