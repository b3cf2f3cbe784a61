"""Translations that keep what must survive, whatever the engine does to it.

A sentence is translated up to three times: with links, code and the like masked; if a mask or a number got lost, with
numbers masked too; if that fails, only what stands between them is translated and they are put in between. The last
way cannot lose anything, but the engine sees parts of a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isoglot.common.errors import InputError
from isoglot.enrich.translation.engines import Engine
from isoglot.enrich.translation.masking import apart, lost_numbers, mask, protected_spans, restore


class Protector:
    """Translates sentences with one engine in one direction, each distinct one once a call."""

    def __init__(self, engine: Engine, source_language: str, target_language: str) -> None:
        self._engine = engine
        self._direction = (source_language, target_language)

    def translate(self, sentences: Iterable[str]) -> dict[str, tuple[str, bool]]:
        """The translation of each distinct sentence, and whether the engine needed more than one try at it.

        A sentence without a letter outside what is protected stays as it is. Where the engine gives nothing for a
        part of a sentence, the translation is empty.
        """
        done = {sentence: (sentence, False) for sentence in sentences}
        left = list(filter(has_words, done))
        for numbers in (False, True):
            found = self._masked(left, numbers)
            done |= {sentence: (translation, numbers) for sentence, translation in found.items()}
            left = [sentence for sentence in left if sentence not in found]
        done |= {sentence: (translation, True) for sentence, translation in self._between(left).items()}
        return done

    def _masked(self, sentences: Sequence[str], numbers: bool) -> dict[str, str]:
        """Translations of those whose masks, and whose numbers, came through."""
        masks = [mask(sentence, protected_spans(sentence, numbers)) for sentence in sentences]
        found = {}
        for sentence, masked, answer in zip(sentences, masks, self._ask([one.text for one in masks]), strict=True):
            translation = restore(masked, answer)
            if translation is not None and not lost_numbers(sentence, translation):
                found[sentence] = translation
        return found

    def _between(self, sentences: Sequence[str]) -> dict[str, str]:
        """Translations made of the parts between what is protected, numbers included."""
        parts = {sentence: apart(sentence, numbers=True) for sentence in sentences}
        between = dict.fromkeys(piece.strip() for pieces in parts.values() for piece, kept in pieces if not kept)
        wanted = list(filter(has_words, between))
        answers = dict(zip(wanted, self._ask(wanted), strict=True))

        def translated(piece: str, kept: bool) -> str:
            """The translation of a piece with the space that was around it."""
            bare = piece.strip()
            return piece if kept or bare not in answers else piece.replace(bare, answers[bare])

        return {
            sentence: ""
            if any(not kept and answers.get(piece.strip()) == "" for piece, kept in pieces)
            else "".join(translated(*piece) for piece in pieces)
            for sentence, pieces in parts.items()
        }

    def _ask(self, texts: list[str]) -> list[str]:
        if not texts:
            return []
        answers = self._engine.translate(texts, *self._direction)
        if len(answers) != len(texts):
            raise InputError(f"{self._engine.name}: {len(answers):,} translations of {len(texts):,} texts; try another")
        return [answer.strip() for answer in answers]


def has_words(text: str) -> bool:
    """Whether there is a letter outside what is protected.

    >>> has_words("42 %"), has_words("see `x`"), has_words("https://example.org")
    (False, True, False)
    """
    return any(sign.isalpha() for piece, kept in apart(text) if not kept for sign in piece)
