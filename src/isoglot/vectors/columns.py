"""Columns of a file of rows: which holds the ids, the vectors and so on, and ids as text.

A row's `id` is its key. Its `group` says which rows are one document in several languages. Where translations share one
id, the key is id and language together, and the id is the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.errors import InputError
from isoglot.common.text import first_broken

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "_id", "docid"),
    "group": ("group", "document"),
    "text": ("text", "body", "content"),
    "vector": ("vector", "embedding", "vectors", "embeddings"),
    "language": ("language", "lang"),
}
"""What columns are called where nobody says otherwise."""


@dataclass(frozen=True)
class Columns:
    """The name of each column of the contract in some file; None where the file has none."""

    id: str | None = None
    group: str | None = None
    text: str | None = None
    vector: str | None = None
    language: str | None = None

    def named(self) -> list[str]:
        """The columns that are there."""
        return [name for name in asdict(self).values() if name is not None]

    def described(self) -> list[str]:
        """Those that say what a row is: all but the vector."""
        return replace(self, vector=None).named()


USUAL = Columns()
"""Nothing is said of the columns: those with usual names are taken."""


def find_columns(path: Path, there: Iterable[str], asked: Columns = USUAL, required: Collection[str] = ()) -> Columns:
    """The columns of a file: those asked for by name, else those with a usual name.

    Args:
        path: the file, for errors.
        there: the columns that it has.
        asked: names that its columns are said to have.
        required: fields of `Columns` that it must have.

    Raises:
        InputError: if a column asked for or required is not there, or two could be meant.

    >>> find_columns(Path("a.parquet"), ["_id", "lang", "embedding", "url"])
    Columns(id='_id', group=None, text=None, vector='embedding', language='lang')
    """
    present = list(there)
    shown = ", ".join(present) or "no columns"
    found: dict[str, str | None] = {}
    for field in fields(Columns):
        what, name = field.name, getattr(asked, field.name)
        usual = [each for each in USUAL_NAMES[what] if each in present]
        if name is not None and name not in present:
            raise InputError(f'{path}: no column "{name}"; it has {shown}')
        if name is None and len(usual) > 1:
            raise InputError(f"{path}: {' and '.join(usual)} could each be the {what}; say which with --{what}-column")
        if name is None and not usual and what in required:
            raise InputError(
                f"{path}: no column for the {what}, such as {', '.join(USUAL_NAMES[what])}; it has {shown}; "
                f"name one with --{what}-column"
            )
        found[what] = name or next(iter(usual), None)
    return Columns(**found)


def as_text(values: pa.Array, where: str) -> pa.Array:
    """Ids or languages as text, to the byte: `7` and `07` are two, and so are two Unicode forms of one word.

    Args:
        values: text, whole numbers or UUIDs, perhaps dictionary-encoded.
        where: file and column, for errors.

    Raises:
        InputError: if the values are of another kind, for numbers with a point have no one spelling, or not UTF-8.

    >>> as_text(pa.array([7, None]), "").to_pylist(), as_text(pa.array(["07"]).dictionary_encode(), "").to_pylist()
    (['7', None], ['07'])
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if getattr(values.type, "extension_name", "") == "arrow.uuid":
        parts = values.storage.to_pylist()
        return pa.array([None if part is None else str(UUID(bytes=part)) for part in parts], pa.large_string())
    kind = values.type
    if pa.types.is_null(kind) or pa.types.is_integer(kind):
        return values.cast(pa.string()).cast(pa.large_string())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        texts = values.cast(pa.large_string())
        if (broken := first_broken(texts)) is not None:
            shown = texts.cast(pa.large_binary())[broken].as_py()[:40]
            raise InputError(f"{where}: holds {shown}, which is not UTF-8; write the file anew, its text as UTF-8")
        return texts
    raise InputError(f"{where}: holds {kind}; it must hold text or whole numbers")


def row_keys(ids: pa.Array, tags: pa.Array) -> pa.Array:
    """The keys of rows whose ids are shared by translations: `id@language`, as benchmarks write it.

    >>> row_keys(pa.array(["e1", "e1"]), pa.array(["de", None])).to_pylist()
    ['e1@de', 'e1@']
    """
    text = pa.large_string()
    return pc.binary_join_element_wise(ids.cast(text), pc.fill_null(tags.cast(text), ""), pa.scalar("@", text))
