"""Several tables as one: numbers move by what stands before them, texts stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isoglot.pairs.numbers import Column, blocks, numbered
from isoglot.pairs.rows import Part, Rows, put_together
from isoglot.pairs.texts import ArrowTexts, IntArray, texts_of

if TYPE_CHECKING:
    from isoglot.pairs.parallel import ParallelPairs


def joined(
    parts: Sequence[ParallelPairs],
) -> tuple[ArrowTexts, ArrowTexts, tuple[str, ...], tuple[str, ...], Rows, IntArray]:
    """What makes a `ParallelPairs` of all rows; see `ParallelPairs.concatenate`."""
    ids = ArrowTexts.joined([part.example_ids for part in parts])
    number, first = numbered(ids.hashes())
    if len(first) < len(number):
        names = (
            f"{part.datasets[n]}/{name}"
            for part in parts
            for name, n in zip(part.example_ids, part.example_dataset.tolist(), strict=True)
        )
        ids = texts_of(names)
        number, first = numbered(ids.hashes())
    languages = sorted({tag for part in parts for tag in part.languages})
    datasets = list(dict.fromkeys(name for part in parts for name in part.datasets))
    taken, start, text, negative = [], 0, 0, Column(np.int32)
    for part in parts:
        own = number[start : start + part.example_count]
        named = np.array([datasets.index(name) for name in part.datasets], np.int32)
        spoken = np.searchsorted(languages, part.languages)
        taken.append(Part(part.numbers, None, own, spoken, named, text, len(negative)))
        for _, some in blocks(part.negative):
            negative.append(some + text)
        start, text = start + part.example_count, text + len(part.store)
    rows = put_together(taken, len(languages), len(datasets))
    store = ArrowTexts.joined([part.store for part in parts])
    return store, ids.select(first), tuple(languages), tuple(datasets), rows, negative.finish()
