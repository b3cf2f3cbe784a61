"""Which examples say the same, by exact keys of their texts; linear in the length of the text.

Contrastive training takes every other passage of a batch for wrong. Two examples with one passage, or with one query,
make each other's right answer wrong, so they must not meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array  # type: ignore[import-untyped]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]

from isoglot.common.text import comparable
from isoglot.pairs.numbers import blocks, numbered
from isoglot.pairs.rows import Rows
from isoglot.pairs.texts import ArrowTexts, BoolArray, IntArray

Key = Callable[[pa.Array], pa.Array]
"""Texts to what stays of them when two are held to be the same; null where one has no such key."""

LONG = 100  # normalised characters from which a text says enough to be known by its shape or its beginning
_READ = 4000  # characters in which that beginning is looked for
_SIGNS = r"[\t\n\f\r\pP\pS\p{Zl}\p{Zp}\x{1680}]+"  # the last is the one blank that NFKC leaves beside the plain one
PREFIX = 200  # characters of a first paragraph that make two passages nearly the same


@dataclass(frozen=True)
class DuplicateReport:
    """What deduplication dropped.

    Attributes:
        examples_before, examples_after: examples given, and kept.
        rows_before, rows_after: translations given, and kept.
        same_passage, near_passage: examples dropped because their passage equals, or begins like, a kept one's.
        same_query: examples dropped because their query equals a kept one's.
    """

    examples_before: int
    examples_after: int
    rows_before: int
    rows_after: int
    same_passage: int
    near_passage: int
    same_query: int

    def __str__(self) -> str:
        """One line of counts."""
        return (
            f"{self.examples_before:,} examples -> {self.examples_after:,} "
            f"({self.rows_before:,} rows -> {self.rows_after:,}); dropped {self.same_passage:,} with the same passage, "
            f"{self.near_passage:,} with nearly the same, {self.same_query:,} with the same query"
        )


def passage_key(texts: pa.Array) -> pa.Array:
    r"""What stays of passages when case, punctuation, spacing and, in long ones, numbers do not count.

    >>> passage_key(pa.array(["Born in\t1950.", "BORN - in 1950", "born in 1960", "?!"])).to_pylist()
    ['born in 1950', 'born in 1950', 'born in 1960', '?!']
    """
    key = comparable(texts)
    words = pc.replace_substring_regex(key, _SIGNS, " ")  # runs of blanks in a second step: thrice as fast as at once
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(words, "  +", " "))
    words = pc.if_else(pc.equal(words, ""), key, words)
    without_numbers = pc.replace_substring_regex(words, r"\p{Nd}+", "0")
    return pc.if_else(pc.greater_equal(pc.utf8_length(words), LONG), without_numbers, words)


def near_key(texts: pa.Array) -> pa.Array:
    """The beginning of passages whose first paragraph is long enough to know them by; null for the others.

    Texts about members of one family share it and differ in a last paragraph.
    """
    beginnings = pc.utf8_slice_codeunits(texts, 0, _READ)
    key = passage_key(pc.replace_substring_regex(beginnings, r"(?s)\n\s*\n.*", ""))
    return pc.if_else(pc.greater_equal(pc.utf8_length(key), LONG), pc.utf8_slice_codeunits(key, 0, PREFIX), None)


def query_key(texts: pa.Array) -> pa.Array:
    """What stays of queries when case and spacing do not count; C and C++ stay apart. Null stays null."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(comparable(texts), r"[\s\pZ]+", " "))


def key_numbers(texts: ArrowTexts, used: IntArray, key: Key) -> IntArray:
    """`(texts,)`; numbers that are equal where the keys of used texts are, by hashes of 64 bits; -1 for no key.

    `used` holds the numbers of those to look at, often many times the same; -1 is none.
    """
    wanted = np.zeros(len(texts), np.bool_)
    for _, some in blocks(used):
        wanted[some[some >= 0]] = True
    hashed = texts.hashes(wanted, key)
    has = hashed != 0
    numbers = np.full(len(texts), -1, np.int32)
    numbers[has] = numbered(hashed[has])[0]
    return numbers


@dataclass(frozen=True)
class Shared:
    """The rows with a key that several examples have: their examples, languages and keys, `(rows,)` each."""

    example: IntArray
    language: IntArray
    key: IntArray


def shared(rows: Rows, role: Literal["query", "passage"], key: IntArray) -> Shared:
    """Rows whose text of this role has a key that several examples have; `key`: `(texts,)`, -1 for none."""
    count = int(key.max(initial=-1)) + 1
    first, last = np.full(count, np.iinfo(np.int32).max, np.int32), np.full(count, -1, np.int32)
    text = rows.passage if role == "passage" else rows.query
    for _, example, some in blocks(rows.example, text):
        keys = np.where(some >= 0, key[some], -1)
        has = keys >= 0
        np.minimum.at(first, keys[has], example[has])
        np.maximum.at(last, keys[has], example[has])
    several = first < last
    nothing = np.zeros(0, np.int32)
    parts = [(nothing, nothing, nothing)]
    for _, example, language, some in blocks(rows.example, rows.language, text):
        keys = np.where(some >= 0, key[some], -1)
        chosen = np.flatnonzero((keys >= 0) & several[keys]) if count else np.zeros(0, np.intp)
        parts.append((example[chosen], language[chosen], keys[chosen]))
    return Shared(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def connected(links: Sequence[Shared], examples: int) -> IntArray:
    """`(examples,)`; the smallest of all examples that share keys with each, directly or through others.

    Each of the links is a kind of key of its own.

    >>> none = np.zeros(4, int)
    >>> connected([Shared(np.array([0, 1, 1, 2]), none, np.array([7, 7, 8, 8]))], 4).tolist()
    [0, 0, 0, 3]
    """
    group = np.arange(examples, dtype=np.int32)
    example = np.concatenate([np.zeros(0, np.int32), *(link.example for link in links)])
    if len(example):
        kind = np.repeat(np.arange(len(links)), [len(link.key) for link in links])
        key = kind + len(links) * np.concatenate([link.key for link in links]).astype(np.int64)
        (members, at), to = np.unique(example, return_inverse=True), np.unique(key, return_inverse=True)[1]
        size = len(members) + int(to.max()) + 1
        graph = coo_array((np.ones(len(at), np.bool_), (at, len(members) + to)), shape=(size, size))
        label = connected_components(graph, directed=False)[1][: len(members)]
        _, least, back = np.unique(label, return_index=True, return_inverse=True)
        group[members] = members[least][back]
    return group


def alike(texts: ArrowTexts, rows: Rows, examples: int) -> IntArray:
    """`(examples,)`; the smallest of all examples that share a passage, nearly so, or a query, directly or not."""
    passages = [shared(rows, "passage", key_numbers(texts, rows.passage, key)) for key in (passage_key, near_key)]
    return connected([*passages, shared(rows, "query", key_numbers(texts, rows.query, query_key))], examples)


def distinct(texts: ArrowTexts, rows: Rows, examples: int) -> tuple[BoolArray, int, int]:
    """`(examples,)`, those that deduplication keeps; how many go for the same passage, and for nearly the same."""
    passage, near = (shared(rows, "passage", key_numbers(texts, rows.passage, key)) for key in (passage_key, near_key))
    asked = shared(rows, "query", key_numbers(texts, rows.query, query_key))
    order = np.argsort(-np.bincount(rows.example, minlength=examples), kind="stable")
    group = connected([passage, near], examples)
    different = len(np.unique(connected([passage], examples)))
    kept = np.zeros(examples, np.bool_)
    kept[order[np.unique(group[order], return_index=True)[1]]] = True  # the first in the order of each group
    left = kept[asked.example]
    asked = Shared(asked.example[left], asked.language[left], asked.key[left])
    return kept & first_with_key(asked, order), examples - different, different - int(kept.sum())


def first_with_key(asked: Shared, order: IntArray) -> BoolArray:
    """True for examples none of whose keys an example earlier in `order` has in the same language."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    _, key = np.unique(asked.key.astype(np.int64) << 32 | asked.language, return_inverse=True)
    earliest = np.full(int(key.max(initial=-1)) + 1, len(order))
    np.minimum.at(earliest, key, place[asked.example])
    kept = np.ones(len(order), np.bool_)
    kept[asked.example[earliest[key] < place[asked.example]]] = False
    return kept
