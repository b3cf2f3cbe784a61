"""Formats of vector files: Parquet, Arrow, `.npy` with JSON lines beside it, and Lance.

Each is read as record batches, a part at a time, and written likewise in the format that it came in. What stands in
columns that nobody asks for is copied as it is; of a JSON line that is the line itself.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.errors import InputError
from isoglot.common.extras import library
from isoglot.common.files import read_lines

LINE = "\n"
"""The column that holds the JSON lines of an `.npy` file, to be copied; no key is called so."""

Write = Callable[[pa.RecordBatch], None]


class VectorFile(Protocol):
    """A file of rows with vectors.

    Attributes:
        path: where it is.
        rows: how many it holds.
        names: its columns.
    """

    path: Path
    rows: int
    names: list[str]

    def batches(self, names: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `size` at a time: the columns named, or all that is to be copied."""
        ...

    def writing(self, folder: Path) -> Any:
        """A context in which batches of all columns are written to a file of the same name in a folder."""
        raise InputError(f"{self.path}: files of this format are read, not written")

    def place(self, row: int) -> str:
        """Where a row stands in the file, for people; rows count from 0."""
        return f"row {row + 1}"


class _Parquet(VectorFile):
    """Read by small buffers: a row group may hold a million rows. Open only while it is read: there may be many."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as file:
            self.schema: pa.Schema = file.schema_arrow
            self.rows, self.names = file.metadata.num_rows, self.schema.names

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with _readable(self.path, "Parquet"), pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False) as file:
            yield file

    def batches(self, names: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=size, columns=names):
                yield batch.select(names) if names is not None else batch

    @contextmanager
    def writing(self, folder: Path) -> Iterator[Write]:
        name = self.path.name if self.path.suffix == ".parquet" else f"{self.path.stem}.parquet"
        # Numbers of vectors hardly repeat and hardly compress, so nothing is spent on trying.
        texts = [field.name for field in self.schema if not pa.types.is_nested(_storage(field.type))]
        with pq.ParquetWriter(folder / name, self.schema, use_dictionary=texts, compression="lz4") as writer:
            yield writer.write_batch


class _Arrow(VectorFile):
    """Arrow IPC, as a file (Feather) or a stream; mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _readable(path, "Arrow"):
            try:
                with pa.memory_map(str(path)) as source:
                    self.schema = pa.ipc.open_file(source).schema
                self._opens, self._creates = pa.ipc.open_file, pa.ipc.new_file
            except pa.ArrowInvalid:
                self._opens, self._creates = pa.ipc.open_stream, pa.ipc.new_stream
                with pa.memory_map(str(path)) as source:
                    self.schema = pa.ipc.open_stream(source).schema
        self.names = self.schema.names
        self.rows = sum(batch.num_rows for batch in self._whole())

    def _whole(self) -> Iterator[pa.RecordBatch]:
        with _readable(self.path, "Arrow"), pa.memory_map(str(self.path)) as source:
            reader = self._opens(source)
            count = getattr(reader, "num_record_batches", None)
            yield from reader if count is None else map(reader.get_batch, range(count))

    def batches(self, names: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        for whole in self._whole():
            chosen = whole if names is None else whole.select(names)
            for start in range(0, chosen.num_rows, size):
                yield chosen.slice(start, size)

    @contextmanager
    def writing(self, folder: Path) -> Iterator[Write]:
        path = folder / self.path.name
        with pa.OSFile(str(path), "wb") as sink, self._creates(sink, self.schema) as writer:
            yield writer.write_batch


class _Npy(VectorFile):
    """An array `(rows, dimensions)`, and in the `.jsonl` of the same name, if there is one, an object per row."""

    def __init__(self, path: Path) -> None:
        self.path, self._lines = path, path.with_suffix(".jsonl")
        array = self._array()
        if array.ndim != 2 or array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise InputError(f"{path}: holds {array.dtype} {array.shape}; it must be (rows, dimensions) of floats")
        self.rows, self.dtype, self.dimensions = len(array), array.dtype, array.shape[1]
        self.names = ["vector"]
        if self._lines.is_file():
            keys = dict.fromkeys(self.names)  # of any line: some may lack what others have
            lines = 0
            for _, row in self._objects():
                keys |= dict.fromkeys(row)
                lines += 1
            if lines != self.rows:
                raise InputError(
                    f"{path} has {self.rows:,} rows, {self._lines} {lines:,} lines; each line must describe the row "
                    "in its place"
                )
            self.names = list(keys)

    def _array(self) -> Any:
        try:
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{self.path}: not a readable .npy file ({str(error).splitlines()[0]})") from None

    def _objects(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each line and what it holds; blank lines describe nothing."""
        for number, line in enumerate(read_lines(self._lines), start=1):
            if line.strip():
                yield line, _object(line, f"{self._lines} line {number}")

    def batches(self, names: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        rows = self._objects() if self._lines.is_file() else None
        for start in range(0, self.rows, size):
            # Mapped no longer than this: pages that were read count as memory while they are.
            vectors = np.ascontiguousarray(self._array()[start : start + size]).astype(self.dtype.newbyteorder("="))
            kind = pa.list_(pa.from_numpy_dtype(vectors.dtype), self.dimensions)
            columns = {"vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=kind)}
            some = list(itertools.islice(rows, len(vectors))) if rows is not None else []
            columns |= {name: self._column(name, some) for name in names or () if name not in columns}
            if some and names is None:
                columns |= {name: self._column(name, some) for name in self.names if name not in columns}
                columns[LINE] = pa.array([line if line.endswith("\n") else f"{line}\n" for line, _ in some])
            batch = pa.RecordBatch.from_pydict(columns)
            yield batch if names is None else batch.select(names)

    def _column(self, name: str, rows: Sequence[tuple[str, dict[str, Any]]]) -> pa.Array:
        """One key of the objects; only ids, groups, languages and texts are looked at, which are text or numbers."""
        return text_column(row.get(name) for _, row in rows)

    @contextmanager
    def writing(self, folder: Path) -> Iterator[Write]:
        with (folder / self.path.name).open("wb") as array, (folder / self._lines.name).open("wb") as lines:
            written = 0

            def header() -> None:
                shape = (written, self.dimensions)
                said = {"descr": self.dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape}
                array.seek(0)
                np.lib.format.write_array_header_1_0(array, said)

            def write(batch: pa.RecordBatch) -> None:
                nonlocal written
                values = batch["vector"].flatten().to_numpy(zero_copy_only=False)
                array.write(values.astype(self.dtype.newbyteorder("<")).tobytes())
                written += batch.num_rows
                if LINE in batch.schema.names:
                    lines.writelines(line.encode() for line in batch[LINE].to_pylist())

            header()
            yield write
            header()  # padded by numpy, so that the number of rows fits in where 0 stood
        if not self._lines.is_file():
            (folder / self._lines.name).unlink()


class _Lance(_Parquet):
    """A Lance data set, read by `pylance` and written as Parquet."""

    def __init__(self, path: Path) -> None:
        lance = library("lance", "lance", f"{path}: Lance")
        with _readable(path, "Lance"):
            self._set = lance.dataset(str(path))
        self.path, self.schema, self.rows = path, self._set.schema, self._set.count_rows()
        self.names = self.schema.names

    def batches(self, names: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        with _readable(self.path, "Lance"):
            yield from self._set.to_batches(columns=names, batch_size=size, scan_in_order=True)


FORMATS: dict[str, Callable[[Path], VectorFile]] = {
    ".parquet": _Parquet,
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), _Arrow),
    ".npy": _Npy,
    ".lance": _Lance,
}
"""By the ending of a file's name."""


@contextmanager
def _readable(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable {name} file ({str(error).splitlines()[0]})") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # a number of thousands of digits is a ValueError, too
        row = None
    if not isinstance(row, dict):
        raise InputError(f"{where}: not a JSON object; each line must be one that describes a row")
    return row


def text_column(values: Iterable[Any]) -> pa.Array:
    r"""Texts and whole numbers as text; null for anything else, and for a text with half a character.

    >>> text_column(["a", 7, None, 1.5, "half \ud800"]).to_pylist()
    ['a', '7', None, None, None]
    """
    known = [str(each) if type(each) is int else each if type(each) is str else None for each in values]
    try:
        return pa.array(known, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([None if each is None or _is_broken(each) else each for each in known], pa.large_string())


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
