"""Bounds that figures must keep, for a pipeline that is to stop where they do not."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isoglot.common.arrays import plain
from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results
from isoglot.statistics.figures import Figure, figures, known_figure

_RELATIONS: Mapping[str, Callable[[float, float], bool]] = {
    **{"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
}
_FORM = re.compile(r"\s*([\w@]+)\s*(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*")


@dataclass(frozen=True)
class Requirement:
    """A figure, `<=`, `>=`, `<` or `>`, and the bound."""

    figure: str
    relation: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """A requirement as people write it.

        Raises:
            InputError: if it is not of this form, or there is no such figure; the message lists those there are.

        >>> print(Requirement.parse("same_language_share@1 <= .5"))
        same_language_share@1<=0.5
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise InputError(
                f"requirement {text!r}: write a figure, <=, >=, < or >, and a number, such as multilingual_map>=0.6"
            )
        try:
            return cls(known_figure(found[1]), found[2], float(found[3]))
        except InputError as error:
            raise InputError(f"requirement {text!r}: {error}") from None

    def __str__(self) -> str:
        """As it is parsed."""
        return f"{self.figure}{self.relation}{self.bound:g}"


@dataclass(frozen=True)
class Checked:
    """A requirement and the figure that it was held against."""

    requirement: Requirement
    figure: Figure

    @property
    def met(self) -> bool:
        """Whether the figure itself keeps the bound, whatever its interval; one that was not measured does not."""
        value = plain(self.figure.interval.value)  # as results hold it: a mean of ones may come out below 1
        return value is not None and _RELATIONS[self.requirement.relation](value, self.requirement.bound)

    def __str__(self) -> str:
        """What is required and what was found, in a line."""
        if not self.figure.examples:
            return f"{self.requirement}: {self.figure.name} could not be measured on these texts"
        line = f"{self.requirement}: {'met' if self.met else 'not met'}, {self.figure}"
        if self.figure.interval.low <= self.requirement.bound <= self.figure.interval.high:
            line += "; the bound lies within the interval, so other texts like these may decide otherwise"
        return line

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"requirement": str(self.requirement), "met": self.met, **self.figure.as_dict()}


def check_requirements(results: Results, requirements: Sequence[Requirement]) -> list[Checked]:
    """Hold a system's figures against bounds, in their order."""
    found = {each.name: each for each in figures(results, [each.figure for each in requirements])}
    return [Checked(each, found[each.figure]) for each in requirements]
