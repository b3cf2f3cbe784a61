"""Corpora: files of rows with a text each, whatever their format, as rows of one form."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isoglot.common.errors import InputError
from isoglot.common.files import PACKED, refuse_repeated
from isoglot.common.languages import language_at
from isoglot.common.paths import expanded_path
from isoglot.common.roles import Role
from isoglot.encoding.identification import identified
from isoglot.encoding.objects import TEXT, ObjectFile
from isoglot.pairs.files import suffix_of
from isoglot.sources.beir import beir_folders, first_file, is_beir
from isoglot.vectors.columns import USUAL, USUAL_NAMES, Columns, as_text, find_columns
from isoglot.vectors.formats import FORMATS, VectorFile
from isoglot.vectors.provenance import read_manifest
from isoglot.vectors.rows import VectorRows

_OBJECTS = (".jsonl", ".ndjson", ".csv", ".tsv")
_READ = (*_OBJECTS, ".parquet", ".arrow", ".arrows", ".feather", ".ipc")
_BEIR = ("corpus.jsonl", "corpus.jsonl.gz", "corpus.jsonl.zst", "corpus.parquet")
_PARALLEL = {"id", "language", "query", "passage"}  # a file of parallel pairs has these
_VECTORS = USUAL_NAMES["vector"]
_USUAL = {name for names in USUAL_NAMES.values() for name in names}


class CorpusFile(VectorFile):
    """A file of a corpus, its columns called `id`, `group`, `language` and `text`, and what travels along.

    A file of parallel pairs gives its passages, or its queries; its ids are groups, and of the rest `dataset` travels
    along. In BEIR's `corpus` files the text is title and text, with a blank between where both are there.

    Args:
        path: the file.
        asked: names of columns that are not called as usual.
        language: the language of all rows; only where no column says.
        role: which side of parallel pairs is meant.
        identify: whether languages that are missing are found out.

    Attributes:
        columns: which column is what.
        shared: whether ids are said to be shared by translations.
        others: columns that travel along.
    """

    def __init__(
        self, path: Path, asked: Columns, *, language: str | None = None, role: Role = "passage", identify: bool = False
    ) -> None:
        self.path, self._identify, asked = path, identify, replace(asked, vector=None)
        suffix = suffix_of(path)
        if suffix not in _OBJECTS and path.suffix in PACKED:
            raise InputError(f"{path}: of packed files only {', '.join(_OBJECTS)} are read; unpack it")
        opens: Any = ObjectFile if suffix in _OBJECTS else FORMATS[suffix]
        self._reader = opens(path)
        refuse_repeated(self._reader.names, str(path))
        there, usual = self._reader.names, asked.text is None
        parallel = usual and set(there) >= _PARALLEL
        self._titled = usual and path.name in _BEIR and set(there) >= {"_id", "title", "text"}
        if parallel:
            asked = replace(asked, text=role, group=asked.group or asked.id or "id")
        plain_columns = [each for each in there if each not in _VECTORS]
        self.columns = find_columns(path, plain_columns, asked, ["id", "text"]) if there else Columns()
        if language is not None and self.columns.language is not None:
            raise InputError(
                f'{path}: has a column "{self.columns.language}"; a language for the whole file is for one without'
            )
        self._language = None if language is None else language_at(str(path), language)
        self.shared = self.columns.group is not None and self.columns.group == self.columns.id
        further = ["dataset"] if parallel else there
        others = [each for each in further if each in there and each not in self.columns.named()]
        self.others, self._left = [each for each in others if each not in _USUAL], sorted(_USUAL.intersection(others))
        self.rows = self._reader.rows
        self.names = [*self._standard(), *self.others]
        self.schema = pa.schema([self._reader.schema.field(name) for name in self.others])

    def _standard(self) -> list[str]:
        """The columns of the contract that there are."""
        said = self.columns.language or self._language or self._identify
        return ["id", *(["group"] if self.columns.group else []), *(["language"] if said else []), "text"]

    def place(self, row: int) -> str:
        """Where a row stands in the file."""
        return str(self._reader.place(row))

    def notes(self) -> list[str]:
        """What people should know of how the file is read."""
        said = [f"{self.path.name}: title and text are joined, as BEIR has it."] if self._titled else []
        if self._left:
            left = ", ".join(self._left)
            said.append(f"{self.path.name}: {left} left behind, for such names stand for something else in shards.")
        return said

    def batches(self, names: Sequence[str] | None, size: int) -> Iterator[pa.RecordBatch]:
        """The rows in order, at most `size` at a time."""
        wanted = self.names if names is None else list(names)
        columns, read = self.columns, set(wanted) & set(self.others)
        standard = {name for name in ("id", "group", "language", "text") if name in wanted}
        if "language" in standard and self._identify:
            standard.add("text")
        described = {str(getattr(columns, name)) for name in standard if getattr(columns, name)}
        described |= {"title"} if self._titled and "text" in standard else set()
        order = [name for name in self._reader.names if name in read | described]
        more = {"texts": described} if isinstance(self._reader, ObjectFile) else {}
        for batch in self._reader.batches(order, size, **more):
            yield pa.RecordBatch.from_arrays([self._made(name, batch) for name in wanted], wanted)

    def _made(self, name: str, batch: pa.RecordBatch) -> pa.Array:
        if name not in USUAL_NAMES:
            return batch[name] if name in self.others else pa.nulls(batch.num_rows)
        if name == "language":
            codes = self._text(self.columns.language, batch)
            if self._language is not None:
                codes = pa.repeat(pa.scalar(self._language, TEXT), batch.num_rows)
            return identified(codes, self._made("text", batch)) if self._identify else codes
        text = self._text(getattr(self.columns, name), batch)
        if name == "text" and self._titled:
            parts = [pc.fill_null(each, "") for each in (self._text("title", batch), text)]
            return pc.utf8_trim_whitespace(pc.binary_join_element_wise(*parts, pa.scalar(" ", TEXT)))
        return text

    def _text(self, column: str | None, batch: pa.RecordBatch) -> pa.Array:
        if column is None:
            return pa.nulls(batch.num_rows, TEXT)
        return as_text(batch[column], f'{self.path}: the column "{column}"')


@dataclass(frozen=True)
class Corpus:
    """The rows of a corpus, to be read part by part, and the files that they stand in."""

    rows: VectorRows
    files: tuple[CorpusFile, ...]

    @property
    def ids_shared(self) -> bool:
        """Whether ids are said to be shared by translations."""
        return any(file.shared for file in self.files)

    def notes(self) -> list[str]:
        """What people should know of how the files are read."""
        return [note for file in self.files for note in file.notes()]

    def other_columns(self) -> pa.Schema:
        """The columns that travel along; those that one file has and another lacks are null there.

        Raises:
            InputError: if a column holds one thing in one file and another in the next, or what Parquet cannot hold.
        """
        schema = pa.schema([])
        for file in self.files:
            _refuse_unwritable(file)
            try:
                schema = pa.unify_schemas([schema, file.schema.remove_metadata()], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                reason = str(error).splitlines()[0]
                raise InputError(f"{file.path}: a column is of another type than in files before ({reason})") from None
        # A column in which nothing stands is one of text that lacks everywhere.
        return pa.schema([(each.name, TEXT if pa.types.is_null(each.type) else each.type) for each in schema])


def _refuse_unwritable(file: CorpusFile) -> None:
    """Refuse columns that could not be written to shards, before anything is encoded."""
    for field in file.schema:
        try:
            pq.write_table(pa.schema([field]).empty_table(), pa.BufferOutputStream())
        except pa.ArrowException:
            raise InputError(
                f'{file.path}: the column "{field.name}" holds {field.type}, which Parquet cannot; write it as text'
            ) from None


def open_corpus(
    corpus: str | Path,
    columns: Columns = USUAL,
    *,
    language: str | None = None,
    role: Role = "passage",
    identify_languages: bool = False,
    out: Path | None = None,
) -> Corpus:
    """Open a corpus; files of lines are read once, so that it is known what they hold.

    Args:
        corpus: a file of JSON lines, CSV or TSV, perhaps packed by gzip or zstd, Parquet or Arrow; a folder of such, in
            which hidden files, those that begin with `_`, and folders that isoglot wrote vectors or an index to are
            passed over; a folder in BEIR's format, or one that has such a folder per language; or a pattern such as
            `data/**/*.jsonl.gz`.
        columns: names of columns that are not called as usual.
        language: the language of all rows; only where no column says.
        role: of files of parallel pairs, whether passages or queries are meant.
        identify_languages: find out the languages that are missing; needs the extra `identify`.
        out: where the result will stand; passed over, should it be inside the corpus' folder.

    Raises:
        InputError: if there is no file, one is not readable, or a column is missing or could be several.
    """
    files = tuple(
        CorpusFile(path, columns, language=tag or language, role=role, identify=identify_languages)
        for path, tag in _files(expanded_path(corpus), out)
    )
    if not any(file.rows for file in files):
        raise InputError(f"{corpus}: holds no rows")
    there = {name for file in files for name in file.names}
    named = Columns(**{name: name if name in there else None for name in ("id", "group", "text", "language")})
    return Corpus(VectorRows(Path(corpus), files, named), files)


def _files(path: Path, out: Path | None) -> list[tuple[Path, str | None]]:
    """The files of a corpus in order, and the language of those whose folder says so."""
    if path.is_file() and suffix_of(path) in _READ:
        return [(path, None)]
    if path.is_dir():
        if is_beir(path):
            return [(first_file(path, *_BEIR), None)]
        if beir_folders(path):
            return _files_by_language(path, out)
        root, found = path, [each for each in path.rglob("*") if _is_read(each, path)]
    else:
        there = glob.glob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
        root = next(each for each in (*path.parents, path) if not glob.has_magic(str(each)))
        found = [each for each in map(Path, there) if _is_read(each, each.parent)]
    found = _without_results(found, root, out)
    if not found:
        what = "no file of a corpus" if path.exists() else "no such file or folder, and no pattern that files fit"
        raise InputError(f"{path}: {what}; they end in {', '.join(_READ)}, perhaps with .gz or .zst behind")
    return [(each, None) for each in sorted(found)]


def _files_by_language(path: Path, out: Path | None) -> list[tuple[Path, str | None]]:
    """The corpora of a folder that holds one in BEIR's format per language, of which some may have no queries."""
    parts = beir_folders(path, lambda part: is_beir(part) or any((part / name).is_file() for name in _BEIR))
    names = {part.name for part in parts.values()}
    beside = [each for each in path.rglob("*") if _is_read(each, path) and each.relative_to(path).parts[0] not in names]
    if beside := _without_results(beside, path, out):
        raise InputError(
            f"{min(beside)}: stands beside folders in BEIR's format and would be left out; move it away, or put _ "
            "before its name"
        )
    return [(first_file(part, *_BEIR), tag) for tag, part in parts.items()]


def _without_results(files: Sequence[Path], root: Path, out: Path | None) -> list[Path]:
    """Files that are not in a folder which isoglot wrote below the root; a second call would else read the first's."""
    wanted = None if out is None else out.resolve()

    @cache
    def written(folder: Path) -> bool:
        if folder in (root, folder.parent):
            return False
        return folder.resolve() == wanted or _is_result(folder) or written(folder.parent)

    return [each for each in files if not written(each.parent)]


def _is_result(folder: Path) -> bool:
    try:
        return read_manifest(folder) is not None
    except InputError:  # a file of that name that is not ours, or not readable
        return False


def _is_read(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    return not hidden and suffix_of(path) in _READ and path.is_file()
