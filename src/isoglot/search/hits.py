"""What a search gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Hit:
    """A row that was found.

    Attributes:
        id: as the corpus has it.
        group: which rows are one document, where the corpus says so.
        language: its tag; None for none.
        score: of this text with the question; distances are negative.
        text: None where the corpus has vectors alone.
        fields: the other columns.
        translations: with `collapse`, the document's other texts, the best first.
    """

    id: str
    group: str | None
    language: str | None
    score: float
    text: str | None
    fields: Mapping[str, Any] = field(default_factory=dict)
    translations: tuple[Hit, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "translations": [each.as_dict() for each in self.translations]}


@dataclass(frozen=True)
class Hits:
    """What a question found, best first, and why there are fewer than asked for; None where there are not."""

    hits: tuple[Hit, ...]
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"hits": [each.as_dict() for each in self.hits], "note": self.note}
