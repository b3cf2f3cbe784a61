"""The rows of a table as numbers: who is whose translation, in which language, with which texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.batching.translations import smallest
from isoglot.common.errors import InputError
from isoglot.pairs.numbers import Column, blocks, first_places, numbered
from isoglot.pairs.texts import BoolArray, IntArray, hashes

_SORTED_AT_A_TIME = 1 << 25

TEXT_COLUMNS = ("query", "passage", "negatives")


@dataclass(frozen=True)
class Rows:
    """Columns of numbers, `(rows,)` each.

    Attributes:
        example, language, dataset: numbers of each; examples by first appearance.
        query, passage: texts; -1 where there is no query.
        negatives_from: where a row's negatives begin in the list of all negatives.
        negatives_count: how many there are; -1 where none are known.
    """

    example: IntArray
    language: IntArray
    dataset: IntArray
    query: IntArray
    passage: IntArray
    negatives_from: IntArray
    negatives_count: IntArray

    def __len__(self) -> int:  # noqa: D105
        return len(self.example)

    def __reduce__(self) -> tuple[Any, ...]:
        """A column of one number all along is handed on as that number, else it would be written out."""
        columns = (getattr(self, field.name) for field in fields(self))
        return _spread, (len(self), *(column[:1].copy() if column.strides == (0,) else column for column in columns))

    def parts(self) -> Iterator[tuple[slice, Rows]]:
        """The rows block by block, and where each block stands."""
        for at, *part in blocks(*(getattr(self, field.name) for field in fields(self))):
            yield at, Rows(*part)

    def where(self, chosen: BoolArray | IntArray) -> Rows:
        """The rows that a mask or their numbers choose."""
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def renumbered(
        self, example: IntArray, language: IntArray, dataset: IntArray, text: int = 0, listed: int = 0
    ) -> Rows:
        """The rows with new numbers for old ones, texts and places in the list of negatives moved by so many."""
        return Rows(
            example[self.example],
            language[self.language],
            dataset[self.dataset],
            np.where(self.query >= 0, self.query + text, -1),
            self.passage + text,
            self.negatives_from + np.where(self.negatives_count > 0, listed, 0),
            self.negatives_count,
        )

    def negative_places(self) -> IntArray:
        """Where the negatives of these rows stand in the list of all, row after row."""
        counts = np.maximum(self.negatives_count, 0)
        ends = np.cumsum(counts)
        return np.asarray(np.arange(counts.sum()) + np.repeat(self.negatives_from - (ends - counts), counts))


def _spread(length: int, *columns: IntArray) -> Rows:
    return Rows(*(np.broadcast_to(column, (length,)) if len(column) < length else column for column in columns))


class RowColumns:
    """Rows of so many languages and data sets that grow block by block, in memory or on disk."""

    def __init__(self, languages: int, datasets: int) -> None:
        kinds = (np.int32, smallest(languages), smallest(datasets), np.int32, np.int32, np.int64, np.int32)
        self._columns = [Column(kind) for kind in kinds]

    def append(self, rows: Rows) -> None:
        """Add rows at the end."""
        for column, field in zip(self._columns, fields(rows), strict=True):
            column.append(getattr(rows, field.name))

    def finish(self) -> Rows:
        """All the rows."""
        return Rows(*(column.finish() for column in self._columns))


def rows_of_batches(
    batches: Sequence[pa.RecordBatch], languages: Sequence[str], datasets: Sequence[str]
) -> tuple[Rows, IntArray, IntArray]:
    """The rows of checked batches; the text numbers of all negatives; the row in which each example stands first.

    Text numbers count the texts of `TEXT_COLUMNS`, batch by batch; `languages` and `datasets` are all that occur.

    Raises:
        InputError: if there are more texts than a number counts.
    """
    example, firsts = _examples(batches)
    columns, negatives = RowColumns(len(languages), len(datasets)), Column(np.int32)
    text = row = listed = 0
    for batch in batches:
        count, items = len(batch), batch["negatives"].flatten()
        own = np.arange(text, text + count)
        has = batch["query"].is_valid().to_numpy(zero_copy_only=False)
        same = pc.fill_null(pc.equal(batch["query"], batch["passage"]), False).to_numpy(zero_copy_only=False)
        counts = pc.fill_null(pc.list_value_length(batch["negatives"]), -1).to_numpy()
        before = np.cumsum(np.maximum(counts, 0)) - np.maximum(counts, 0)
        columns.append(
            Rows(
                example=example[row : row + count],
                language=pc.index_in(batch["language"], pa.array(languages, pa.large_string())).to_numpy(),
                dataset=pc.index_in(batch["dataset"], pa.array(datasets, pa.large_string())).to_numpy(),
                query=np.where(has, np.where(same, own + count, own), -1),
                passage=own + count,
                negatives_from=np.where(counts > 0, listed + before, 0),
                negatives_count=counts,
            )
        )
        negatives.append(np.arange(len(items)) + text + 2 * count)
        text, row, listed = text + 2 * count + len(items), row + count, listed + len(items)
        if text > np.iinfo(np.int32).max:
            raise InputError(f"more than {np.iinfo(np.int32).max:,} texts; sample them, or read parts")
    return columns.finish(), negatives.finish(), firsts


def _examples(batches: Sequence[pa.RecordBatch]) -> tuple[IntArray, IntArray]:
    """The example number of each row, by first appearance of its id, and the row in which each stands first.

    Rows of one id most often follow each other, so only the first of each run is looked at.
    """
    begins, keys, last = Column(np.bool_), Column(np.uint64), None
    for batch in batches:
        ids = batch["id"]
        if len(ids):
            new = np.ones(len(ids), np.bool_)
            new[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
            new[0] = ids[0].as_py() != last
            last = ids[-1].as_py()
            begins.append(new)
            keys.append(hashes(ids.filter(pa.array(new))))
    begin = begins.finish()
    number, first_run = numbered(keys.finish())
    example, runs, done = Column(np.int32), Column(np.int32), 0
    for at, some in blocks(begin):
        example.append(number[done + np.cumsum(some) - 1])
        runs.append(at.start + np.flatnonzero(some))
        done += int(some.sum())
    return example.finish(), runs.finish()[first_run]


def selected(rows: Rows, chosen: BoolArray, sizes: tuple[int, int, int]) -> tuple[Rows, list[IntArray]]:
    """The rows that a mask chooses, renumbered, and which examples, languages and data sets are left."""
    first = first_places(rows.example, sizes[0], chosen)
    examples = np.flatnonzero(first >= 0)
    left: list[IntArray] = [examples[np.argsort(first[examples], kind="stable")].astype(np.int32)]
    for column, size in ((rows.language, sizes[1]), (rows.dataset, sizes[2])):
        left.append(np.flatnonzero(first_places(column, size, chosen) >= 0))
    new: list[IntArray] = [np.zeros(size, np.int32) for size in sizes]
    for number, old in zip(new, left, strict=True):
        number[old] = np.arange(len(old))
    columns = RowColumns(len(left[1]), len(left[2]))
    for at, some in rows.parts():
        columns.append(some.where(chosen[at]).renumbered(new[0], new[1], new[2]))
    return columns.finish(), left


def patterns(rows: Rows, languages: int) -> tuple[IntArray, npt.NDArray[np.int32]]:
    """`(examples,)`, the pattern of each example, a number for what it has; `(patterns, languages, 3)`, what that is.

    Of its rows in each language it is how many have no query, another text as the query, the passage as the query.
    """
    examples, kinds = int(rows.example.max(initial=-1)) + 1, 3 * languages
    # The sum of a random number for each thing that an example has tells what it has, but for one chance in 2^64.
    number_of = np.random.default_rng(0).integers(1 << 64, size=kinds, dtype=np.uint64)
    sums = np.zeros(examples, np.uint64)
    for _, part in rows.parts():
        np.add.at(sums, part.example, number_of[_kinds(part)])
    known = np.zeros(0, np.uint64)
    for _, some in blocks(sums):
        known = np.union1d(known, some)
    pattern = Column(smallest(len(known)))
    for _, some in blocks(sums):
        pattern.append(np.searchsorted(known, some))
    found = pattern.finish()
    stands_for = first_places(found, len(known))
    is_one = np.zeros(examples, np.bool_)
    is_one[stands_for] = True
    table = np.zeros((len(known), kinds), np.int32)
    for _, part in rows.parts():
        some = part.where(is_one[part.example])
        np.add.at(table, (found[some.example], _kinds(some)), 1)
    return found, table.reshape(len(known), languages, 3)


def repeated(rows: Rows, found: tuple[IntArray, IntArray]) -> tuple[int, int] | None:
    """The first row with the example and language of an earlier one, and that one; `found` are the rows' patterns."""
    pattern, table = found
    twice = (table.sum(2) > 1).any(1)[pattern]
    if not twice.any():
        return None
    suspects = np.flatnonzero(twice[rows.example])
    key = rows.example[suspects].astype(np.int64) * table.shape[1] + rows.language[suspects]
    _, first, back = np.unique(key, return_index=True, return_inverse=True)
    again = int(np.flatnonzero(first[back] != np.arange(len(key)))[0])
    return int(suspects[again]), int(suspects[first[back[again]]])


def _kinds(part: Rows) -> IntArray:
    kind = np.where(part.query < 0, 0, np.where(part.query == part.passage, 2, 1))
    return part.language.astype(np.int64) * 3 + kind


def by_example(rows: Rows, languages: int) -> IntArray | None:
    """The rows with a query by example and within one by language, `(rows,)`; None where all stand so."""
    last, in_order = -1, True
    for _, part in rows.parts():
        key = part.example.astype(np.int64) * languages + part.language
        in_order = in_order and key[0] > last and bool((np.diff(key) > 0).all() and (part.query >= 0).all())
        last = key[-1]
    if in_order:
        return None
    ends = np.cumsum(np.bincount(rows.example)) if len(rows) else np.zeros(0, np.int64)
    order, first = Column(np.int32), 0
    for bound in range(_SORTED_AT_A_TIME, len(rows) + _SORTED_AT_A_TIME, _SORTED_AT_A_TIME):
        last_example = int(np.searchsorted(ends, bound, side="right"))
        keys, places = [], []
        for at, part in rows.parts():
            chosen = (part.example >= first) & (part.example < last_example) & (part.query >= 0)
            places.append(at.start + np.flatnonzero(chosen))
            keys.append(part.example[chosen].astype(np.int64) * languages + part.language[chosen])
        order.append(np.concatenate(places)[np.argsort(np.concatenate(keys), kind="stable")])
        first = last_example
    return order.finish()
