"""Rows that come to an index: which are new, which changed, and which of the index they replace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import BoolArray, IntArray
from isoglot.search.segments import digests
from isoglot.search.store import NO_ROWS, Store
from isoglot.vectors.checking import Survey
from isoglot.vectors.columns import row_keys
from isoglot.vectors.remedies import Vectors
from isoglot.vectors.rows import Part

TEXT = pa.large_string()
STAGED = ("row_id", "row_group", "fields", "digest")
"""Columns of rows that were put aside to be encoded: what is known of them already."""


@dataclass(frozen=True)
class Incoming:
    """Rows that were checked, of a corpus or with vectors.

    Attributes:
        surveyed: the rows, and which of them are left out.
        keyed: whether ids are keys, `id@language`, as `encode_corpus` writes them where translations share an id.
    """

    surveyed: Survey
    keyed: bool = False

    def batches(self) -> Iterator[tuple[pa.RecordBatch, Vectors | None]]:
        """What is said of the rows that are not left out, part by part, and their vectors, if they have any."""
        for part in self.surveyed.rows.parts(None):
            kept = self.surveyed.kept(part)
            vectors = None if part.rows.columns.vector is None else part.vectors()[0]
            yield self._said(part, vectors).filter(pa.array(kept)), None if vectors is None else vectors[kept]

    @cached_property
    def known(self) -> pa.Table:
        """Id, language and digest of all rows that are not left out."""
        return pa.Table.from_batches([said.select(["id", "language", "digest"]) for said, _ in self.batches()])

    def column(self, name: str) -> pa.Array:
        """One of these."""
        return pa.concat_arrays(self.known[name].chunks)

    def _said(self, part: Part, vectors: Vectors | None) -> pa.RecordBatch:
        columns, there = part.rows.columns, part.batch.schema.names
        number = self.surveyed.language[part.first : part.first + len(part)]
        language = pa.array(self.surveyed.tags, TEXT).take(pa.array(number, mask=number < 0))
        text = part.text(columns.text)
        if set(STAGED) <= set(there):
            ident, group, fields, digest = (part.batch[name] for name in STAGED)
        else:
            ident, group, fields = part.text(columns.id), part.text(columns.group), _fields(part)
            ident = _without_language(ident, language) if self.keyed else ident
            digest = digests(text, group, fields, vectors)
        values = {"id": ident, "group": group, "language": language, "text": text, "fields": fields, "digest": digest}
        return pa.RecordBatch.from_pydict(values)


@dataclass(frozen=True)
class Change:
    """What rows that come do to an index.

    Attributes:
        wanted: `(rows,)`; which of those that come are new or changed; the others are there already.
        replaced: numbers of the index' rows that they stand in for.
        absent: numbers of the index' rows that do not come.
    """

    wanted: BoolArray
    replaced: IntArray
    absent: IntArray


def compare(store: Store | None, incoming: Incoming) -> Change:
    """Compare rows that come with those of an index, by key: id and language.

    A row replaces that of its key. Rows of one id in different languages are translations, and stay, were their texts
    equal, too: names and short labels often are.
    """
    ids, digest = incoming.column("id"), incoming.column("digest").to_numpy()
    if store is None:
        return Change(np.ones(len(ids), bool), NO_ROWS, NO_ROWS)
    keys, known = row_keys(ids, incoming.column("language")), store.keys()
    place = pc.fill_null(pc.index_in(keys, value_set=known), -1).to_numpy().astype(np.int64)
    there = np.flatnonzero(place >= 0)
    wanted = np.ones(len(ids), bool)
    wanted[there] = store.column("digest").to_numpy()[place[there]] != digest[there]
    comes = pc.is_in(known, value_set=keys).to_numpy(zero_copy_only=False)
    replaced = np.zeros(len(known), bool)
    replaced[place[there[wanted[there]]]] = True
    return Change(wanted, store.numbers[replaced], store.numbers[~comes])


def _without_language(keys: pa.Array, language: pa.Array) -> pa.Array:
    """Ids of rows from their keys.

    >>> _without_language(pa.array(["a@b@de", "c@"]), pa.array(["de", None])).to_pylist()
    ['a@b', 'c']
    """
    pairs = zip(keys.to_pylist(), language.to_pylist(), strict=True)
    return pa.array([key.removesuffix(f"@{tag or ''}") for key, tag in pairs], TEXT)


def _fields(part: Part) -> pa.Array:
    """The columns that nothing else is made of, as JSON, null where a row has nothing there."""
    named = part.rows.columns.named()
    others = [name for name in part.batch.schema.names if name not in named]
    if not others:
        return pa.nulls(len(part), TEXT)
    rows = part.batch.select(others).to_pylist()
    return pa.array([_json({name: value for name, value in row.items() if value is not None}) for row in rows], TEXT)


def _json(row: dict[str, Any]) -> str | None:
    return json.dumps(row, ensure_ascii=False, default=str) if row else None
