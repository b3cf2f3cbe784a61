"""Engines for tests: small, and each with one habit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

TARGETS = {"en": ["de", "es", "ru"], "fr": ["de"]}


class Habit:
    """Translates en to de, es and ru by one function of the text."""

    name, model, more = "habit", "1", "there are no more"

    def __init__(self, say: Callable[[str], str]) -> None:
        self._say = say
        self.seen: list[str] = []
        self.calls = 0

    def targets(self, source_language: str) -> Sequence[str]:
        return TARGETS.get(source_language, [])

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        self.calls += 1
        self.seen += texts
        return [self._say(text) for text in texts]


def backwards(text: str) -> str:
    """Words of letters reversed, everything else as it is: another language of the same length."""
    return re.sub(r"[^\W\d_]{2,}(?!\d)", lambda word: word[0] if word[0] == "XQ" else word[0][::-1], text)
