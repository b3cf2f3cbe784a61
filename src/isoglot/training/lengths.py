"""Texts of like length encoded together, so that little of what a model computes is padding.

A column of texts is as wide as its longest one. Where lengths differ, a few calls, each as wide as its own longest
text, cost less than one; where they do not, one call does. Vectors are the same but for rounding and dropout.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IntArray = npt.NDArray[np.int64]

_CALL_COST = {"cpu": 48}
_OTHER_CALL_COST = 4096
"""What a call costs beside its tokens, in tokens, by device. On a processor that is reading the weights and adding up
their gradients once more, 16 tokens on one core; for other devices it is a cautious guess that keeps calls few."""


def by_length(features: dict[str, Any], most: int | None = None) -> list[tuple[Tensor | None, dict[str, Any]]]:
    """Split tokenised texts into parts of like length, each of at most so many texts.

    Features are as a model's `preprocess` gives them; without `attention_mask` they are left whole. With each part come
    the places of its rows in the column, None for all rows in their order.
    """
    mask = features.get("attention_mask")
    if mask is None or mask.dim() != 2:
        return [(None, features)]
    count, width = mask.shape
    starts_full, ends_full = bool(mask[:, 0].all()), bool(mask[:, -1].all())
    padded = starts_full != ends_full  # on one side, which can be cut off
    lengths = mask.sum(1).cpu().numpy() if padded else np.full(count, width)
    order = np.argsort(lengths, kind="stable")
    cuts = cheapest_cuts(lengths[order], _CALL_COST.get(mask.device.type, _OTHER_CALL_COST), most or count)
    if len(cuts) == 1:
        return [(None, features)]
    parts: list[tuple[Tensor | None, dict[str, Any]]] = []
    for start, end in zip([0, *cuts], cuts, strict=False):
        rows, longest = torch.from_numpy(order[start:end]).to(mask.device), int(lengths[order[end - 1]])
        kept = slice(longest) if starts_full else slice(width - longest, None)
        cut = {
            name: value[rows][:, kept] if value.shape[1:2] == (width,) else value[rows]
            for name, value in features.items()
            if isinstance(value, Tensor) and value.shape[:1] == (count,)
        }
        parts.append((rows, features | cut))
    return parts


def cheapest_cuts(lengths: IntArray, call: int, most: int) -> list[int]:
    """Where to cut texts, the shortest first, so that calls and padded tokens together cost least.

    Lengths are `(texts,)`, ascending; `call` is what a call costs, in tokens, `most` the texts in one. Gives the end of
    each call, ascending; the last is the number of texts.

    Eight texts of 10 tokens and one of 100 are 900 tokens in one call, 180 in two; two of 10 and one of 12 are left.

    >>> cheapest_cuts(np.array([10] * 8 + [100]), call=50, most=9)
    [8, 9]
    >>> cheapest_cuts(np.array([10, 10, 12]), call=50, most=9)
    [3]
    """
    widths, counts = np.unique(lengths, return_counts=True)
    ends = np.append(0, np.cumsum(counts))
    cost, before = np.zeros(len(ends)), np.zeros(len(ends), np.int64)
    for end in range(1, len(ends)):
        texts = ends[end] - ends[:end]
        costs = cost[:end] + texts * widths[end - 1] + call * np.ceil(texts / most)
        before[end] = costs.argmin()
        cost[end] = costs[before[end]]
    cuts: list[int] = []
    end = len(widths)
    while end:
        start = int(before[end])
        cuts += range(int(ends[end]), int(ends[start]), -most)
        end = start
    return sorted(cuts)
