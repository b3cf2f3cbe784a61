"""Several tables as one: numbers move by what stands before them, texts stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isoglot.pairs.numbers import Column, blocks, numbered
from isoglot.pairs.rows import RowColumns, Rows
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
    columns, negative, start, text = RowColumns(len(languages), len(datasets)), Column(np.int32), 0, 0
    for part in parts:
        example = number[start : start + part.example_count]
        language = np.searchsorted(languages, part.languages)
        dataset = np.array([datasets.index(name) for name in part.datasets], np.int32)
        for _, some in part.numbers.parts():
            columns.append(some.renumbered(example, language, dataset, text, len(negative)))
        for _, numbers in blocks(part.negative):
            negative.append(numbers + text)
        start, text = start + part.example_count, text + len(part.store)
    store = ArrowTexts.joined([part.store for part in parts])
    return store, ids.select(first), tuple(languages), tuple(datasets), columns.finish(), negative.finish()
