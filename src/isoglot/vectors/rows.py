"""Rows with vectors, of one file or of a folder of shards, read a part at a time as numbers and text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import BoolArray
from isoglot.common.errors import InputError
from isoglot.common.languages import language_at
from isoglot.common.paths import expanded_path
from isoglot.vectors.columns import USUAL, Columns, as_text, find_columns
from isoglot.vectors.formats import FORMATS, VectorFile
from isoglot.vectors.provenance import UNKNOWN, Provenance, read_manifest, refuse_mixing
from isoglot.vectors.remedies import Vectors

PART_NUMBERS = 1 << 22  # numbers of the vectors read at a time
PART_TEXTS = 1 << 10  # rows read at a time where there are texts alone
_FLOAT32 = np.dtype(np.float32)
_LOOKED_AT = 1 << 10  # rows whose lengths say what length is usual, if one has a vector


@dataclass(frozen=True)
class Part:
    """A run of the rows of one file.

    Attributes:
        rows: where it belongs.
        file: the file.
        first: the number of its first row among all rows, from 0.
        in_file: the same within the file.
        batch: the columns that were read.
    """

    rows: VectorRows
    file: VectorFile
    first: int
    in_file: int
    batch: pa.RecordBatch

    def __len__(self) -> int:  # noqa: D105
        return int(self.batch.num_rows)

    def text(self, name: str | None) -> pa.Array:
        """A column as text; all null where there is none."""
        if name is None or name not in self.batch.schema.names:
            return pa.nulls(len(self), pa.large_string())
        return as_text(self.batch[name], f'{self.file.path}: the column "{name}"')

    def languages(self) -> pa.Array:
        """Language codes as they are written."""
        if self.rows.language is not None:
            return pa.repeat(pa.scalar(self.rows.language, pa.large_string()), len(self))
        return self.text(self.rows.columns.language)

    def vectors(self) -> tuple[Vectors, BoolArray, npt.NDArray[np.int64]]:
        """The vectors, in their own precision, which rows have one of the usual length, and all lengths.

        A row without such a vector holds zeros; its length is -1 where it is null.
        """
        return numbers_of(self.batch[str(self.rows.columns.vector)], self.rows.dimensions)

    def where(self, row: int) -> str:
        """File, place, id and language of a row, for people; the row is counted from the part's first."""
        place, (key, code) = f"{self.file.path} {self.file.place(self.in_file + row)}", self.identity(row)
        about = ([f"id {key}"] if key is not None else []) + ([code] if code else [])
        return f"{place} ({', '.join(about)})" if about else place

    def identity(self, row: int) -> tuple[str | None, str | None]:
        """Id and language code of a row, without looking at the others."""
        one = Part(self.rows, self.file, self.first + row, self.in_file + row, self.batch.slice(row, 1))
        return one.text(self.rows.columns.id)[0].as_py(), one.languages()[0].as_py()


@dataclass(frozen=True)
class VectorRows:
    """Rows with vectors, or with texts that are to have some, that can be read part by part as often as wanted.

    Attributes:
        path: the file or folder.
        files: the files, in the order of their names.
        columns: which column is what; the same in all files.
        dimensions: how many numbers a vector has; 0 where there are none yet.
        dtype: their type.
        provenance: what is known of where the vectors come from.
        language: the language of all rows, where no column says.
    """

    path: Path
    files: tuple[VectorFile, ...]
    columns: Columns
    dimensions: int = 0
    dtype: np.dtype[Any] = _FLOAT32
    provenance: Provenance = UNKNOWN
    language: str | None = None

    def __len__(self) -> int:  # noqa: D105
        return sum(file.rows for file in self.files)

    @property
    def part_rows(self) -> int:
        """Rows read at a time."""
        return int(np.clip(PART_NUMBERS // self.dimensions, 256, 1 << 16)) if self.dimensions else PART_TEXTS

    def parts(self, names: Collection[str] | None) -> Iterator[Part]:
        """All rows in order, with these columns, or with all that is to be copied."""
        for file in self.files:
            yield from self.parts_of(file, names)

    def parts_of(self, file: VectorFile, names: Collection[str] | None) -> Iterator[Part]:
        """The rows of one of the files."""
        before = sum(each.rows for each in self.files[: self.files.index(file)])
        seen = 0
        for batch in file.batches(None if names is None else list(dict.fromkeys(names)), self.part_rows):
            yield Part(self, file, before + seen, seen, batch)
            seen += batch.num_rows


def open_vectors(
    path: str | Path,
    columns: Columns = USUAL,
    *,
    required: Collection[str] = (),
    language: str | None = None,
) -> VectorRows:
    """Open a file of vectors, or a folder of files of one format.

    Args:
        path: Parquet, Arrow, `.npy` with JSON lines beside it, Lance, or a folder of such.
        columns: names of columns that are not called as usual.
        required: fields of `Columns`, besides the vector, that must be there.
        language: the language of all rows; only where no column says.

    Raises:
        InputError: if a file is missing or not readable, a column is missing or could be several, the language is none,
            or no row has a vector.
    """
    path = expanded_path(path)
    files = tuple(_format(each)(each) for each in _files(path))
    found = find_columns(files[0].path, files[0].names, columns, {"vector", *required})
    for file in files[1:]:
        if missing := [name for name in found.named() if name not in file.names]:
            raise InputError(f'{file.path}: no column "{missing[0]}", which {files[0].path.name} has')
    if language is not None and found.language is not None:
        raise InputError(f'{path}: has a column "{found.language}"; a language for the whole file is for one without')
    if language is not None:
        language = language_at(str(path), language)
    known, name = Provenance.of((read_manifest(path) or {}).get("provenance", {})), str(found.vector)
    columns_of_vectors = (batch[name] for file in files for batch in file.batches([name], _LOOKED_AT))
    first = next(columns_of_vectors, None)
    if first is None:
        raise InputError(f"{path}: holds no rows")
    dtype = _dtype(first.type, f'{files[0].path}: the column "{name}"')
    dimensions = next(filter(None, map(_usual_length, chain([first], columns_of_vectors))), 0)
    if not dimensions:
        raise InputError(f"{path}: no row has a vector")
    return VectorRows(path, files, found, dimensions, dtype, known, language)


def refuse_other_space(passages: VectorRows, queries: VectorRows) -> None:
    """Refuse passages and queries whose vectors cannot be compared.

    Raises:
        InputError: if they differ in length, or in what their manifests say of them.
    """
    if passages.dimensions != queries.dimensions:
        raise InputError(
            f"{passages.path} and {queries.path}: vectors of {passages.dimensions} and {queries.dimensions} numbers; "
            "one model makes vectors of one length"
        )
    refuse_mixing(passages.provenance, queries.provenance, (str(passages.path), str(queries.path)))


def numbers_of(column: pa.Array, dimensions: int) -> tuple[Vectors, BoolArray, npt.NDArray[np.int64]]:
    """A column of lists as `(rows, dimensions)`; which rows have a list of that length; all lengths, -1 for null.

    The numbers are not copied where all rows are whole. The others hold zeros.

    >>> x, whole, lengths = numbers_of(pa.array([[1.0, 2.0], None, [3.0]]), 2)
    >>> x.tolist(), whole.tolist(), lengths.tolist()
    ([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]], [True, False, False], [2, -1, 1])
    """
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    # flatten() leaves nulls out, and with them the places of all that follows: only whole rows are flattened.
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    whole: BoolArray = lengths == dimensions
    some = column if whole.all() else column.filter(pa.array(whole))
    flat = some.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimensions)
    if len(flat) == len(column):
        return flat, whole, lengths
    vectors = np.zeros((len(column), dimensions), flat.dtype)
    vectors[whole] = flat
    return vectors, whole, lengths


def lists_of(vectors: Vectors, like: pa.DataType) -> pa.Array:
    """Vectors as a column of a type that vectors were read from."""
    if isinstance(like, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(like, lists_of(vectors, like.storage_type))
    numbers = pa.array(vectors.ravel().astype(f"float{like.value_type.bit_width}", copy=False))
    if pa.types.is_fixed_size_list(like):
        return pa.FixedSizeListArray.from_arrays(numbers, type=like)
    large = pa.types.is_large_list(like)
    ends = pa.array(np.arange(len(vectors) + 1) * vectors.shape[1], pa.int64() if large else pa.int32())
    return (pa.LargeListArray if large else pa.ListArray).from_arrays(ends, numbers, type=like)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir() or path.suffix in FORMATS:
        return [path]
    found = sorted(each for each in path.iterdir() if each.suffix in FORMATS and not each.name.startswith((".", "_")))
    listed = (read_manifest(path) or {}).get("files")
    if listed is not None:  # what stands beside them is left from another state of the folder
        if gone := sorted(set(listed) - {each.name for each in path.iterdir()}):
            raise InputError(f"{path / gone[0]}: the manifest lists it, but it is not there; make the vectors again")
        found = [each for each in found if each.name in listed]
    if not found:
        raise InputError(f"{path}: no vectors here; a folder holds files that end in {', '.join(FORMATS)}")
    if kinds := {each.suffix for each in found} - {found[0].suffix}:
        raise InputError(
            f"{path}: holds {found[0].suffix} and {min(kinds)} files; keep those of one format in a folder"
        )
    return found


def _format(path: Path) -> Any:
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: vectors are read from files that end in {', '.join(FORMATS)}")
    return FORMATS[path.suffix]


def _dtype(kind: pa.DataType, where: str) -> np.dtype[Any]:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type):
        raise InputError(f"{where}: holds {kind}; a vector is a list of numbers, float16 to float64")
    return np.dtype(f"float{kind.value_type.bit_width}")


def _usual_length(column: pa.Array) -> int:
    """The length that most of some vectors have, which is that of all, or some are damaged; 0 where there are none."""
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    lengths, counts = np.unique(
        pc.list_value_length(column).drop_null().to_numpy(zero_copy_only=False), return_counts=True
    )
    return int(lengths[counts.argmax()]) if len(lengths) else 0
