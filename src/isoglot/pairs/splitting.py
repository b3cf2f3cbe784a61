"""Parts of a table of translations that have nothing in common, so that what is measured was not trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isoglot.common.errors import InputError
from isoglot.pairs.duplicates import alike
from isoglot.pairs.parallel import ParallelPairs


def split_pairs(pairs: ParallelPairs, shares: Mapping[str, float], seed: int = 0) -> dict[str, ParallelPairs]:
    """Split into named parts by example, near-duplicates together.

    All translations of an example go to one part, and so do examples that share, in any language, their query or their
    passage or, as `ParallelPairs.deduplicate` sees it, nearly so. The parts' sizes are as near to the shares as such
    groups allow; groups larger than the smallest part go to the largest ones.

    Args:
        pairs: the table; parts keep its order.
        shares: of the examples, by the part's name; they add up to 1.
        seed: of the draw.

    Raises:
        InputError: if a share is not above 0, they do not add up to 1, or a part would be empty.

    >>> pairs = ParallelPairs.from_rows(
    ...     {"id": str(n), "language": "en", "query": f"question {n}", "passage": f"answer {n // 2}"} for n in range(10)
    ... )
    >>> {name: sorted(part.example_ids) for name, part in split_pairs(pairs, {"train": 0.8, "test": 0.2}).items()}
    {'train': ['0', '1', '4', '5', '6', '7', '8', '9'], 'test': ['2', '3']}
    """
    if any(not share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        said = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        raise InputError(f"parts {said}: shares must be above 0 and add up to 1, as in train=.8,test=.2")
    group = alike(pairs.store, pairs.numbers, pairs.example_count)
    sizes = np.bincount(group, minlength=pairs.example_count)
    names = sorted(shares, key=lambda name: -shares[name])
    edges = np.cumsum([shares[name] for name in names])[:-1] * pairs.example_count
    order = np.random.default_rng(seed).permutation(np.flatnonzero(sizes))
    large = sizes[order] > shares[names[-1]] * pairs.example_count
    order = order[np.argsort(~large, kind="stable")]
    part = np.zeros(pairs.example_count, np.int64)  # of each group, by the middle of the examples that it stands for
    part[order] = np.searchsorted(edges, np.cumsum(sizes[order]) - sizes[order] / 2, side="left")
    parts = {name: pairs.select_examples(part[group] == names.index(name)) for name in shares}
    if empty := [name for name, found in parts.items() if not len(found)]:
        raise InputError(
            f"part {empty[0]!r} would be empty: {len(order):,} of {pairs.example_count:,} examples have nothing in "
            "common with another; give fewer parts or larger shares"
        )
    return parts
