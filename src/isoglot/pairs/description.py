"""What is in a table of translations, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isoglot.common.roles import Role

QUANTILES = (0.5, 0.9, 0.99, 1.0)
_PAGE = 80  # characters of a line that any terminal has room for
_ENDS = 5  # pairs of languages that stand for all, at either end

CountTokens = Callable[[Sequence[str], Role], Sequence[int]]
"""Tokens of each text in a role, as `TextEncoder.count_tokens` counts them."""


@dataclass(frozen=True)
class Description:
    """Counts of a table of translations.

    Attributes:
        examples, rows: how many distinct ids and translations.
        languages, datasets: language tag -> rows; data set -> examples.
        pairs: `(languages, languages)`; examples with a query in the row's language and a passage in the column's.
        token_lengths: role -> quantiles (.5, .9, .99, 1) of its texts' lengths in tokens; empty if none were counted.
    """

    examples: int
    rows: int
    languages: dict[str, int]
    datasets: dict[str, int]
    pairs: npt.NDArray[np.int64]
    token_lengths: dict[str, list[int]]

    def to_dict(self) -> dict[str, Any]:
        """The description as plain JSON values."""
        return {**self.__dict__, "pairs": self.pairs.tolist()}

    def __str__(self) -> str:
        """A text table for the terminal."""
        lines = [f"{self.examples:,} examples, {self.rows:,} rows, {len(self.languages)} languages"]
        lines += [f"  {name}: {count:,} examples" for name, count in self.datasets.items()]
        most = sorted(self.languages.items(), key=lambda counted: -counted[1])
        lines += ["rows: " + ", ".join(f"{tag} {count:,}" for tag, count in most)]
        if self.token_lengths:
            lines += ["", "tokens" + "".join(f"{f'{q:.0%}':>8}" for q in QUANTILES)]
            lines += [f"{role:<6.6}" + "".join(f"{n:>8,}" for n in ns) for role, ns in self.token_lengths.items()]
        return "\n".join([*lines, "", *self._pairs_in_lines()])

    def _pairs_in_lines(self) -> list[str]:
        """The table of pairs of languages; where it is wider than a page, its largest and its smallest cells."""
        tags = list(self.languages)
        cells = [*tags, *(f"{count:,}" for count in self.pairs.ravel())]
        width = max(map(len, cells), default=0) + 2
        if width * (len(tags) + 1) <= _PAGE:
            rows = [("", tags), *zip(tags, ([f"{count:,}" for count in counts] for counts in self.pairs), strict=True)]
            table = [f"{tag:<{width}}" + "".join(f"{cell:>{width}}" for cell in row) for tag, row in rows]
            return ["pairs: query language down, passage language across", *table]
        across = [
            f"{asked}-{tag} {count:,}"
            for count, asked, tag in sorted(
                (int(count), asked, tag)
                for asked, counts in zip(tags, self.pairs, strict=True)
                for tag, count in zip(tags, counts, strict=True)
                if tag != asked
            )
        ]
        most, fewest = ", ".join(across[: -_ENDS - 1 : -1]), ", ".join(across[:_ENDS])
        return [
            "pairs of a query language and another passage language (--json has all)",
            f"  most: {most}",
            f"  fewest: {fewest}",
        ]


def length_quantiles(lengths: Sequence[int]) -> list[int]:
    """The `QUANTILES` of the texts' lengths in tokens; zeros for no text."""
    return [int(n) for n in np.quantile(lengths or [0], QUANTILES, method="higher")]
