"""Texts in the pieces that engines are made for: sentences, and lines where a text has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from isoglot.common.text import sentence_spans
from isoglot.enrich.translation.masking import protected_spans

MOST_CHARACTERS = 400
"""Longest sentence that goes to an engine in one piece; models see 512 tokens and drop the rest without a word."""

_LINE_START = re.compile(r"(?:\s*(?:[-*•+·]|\d{1,3}[.)])(?=\s))?\s*")
_BREATH = re.compile(r"[;:,、，；]\s*|\s+")
_WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "km", "my", "bo", "yue"})


class Segment(NamedTuple):
    """A piece of a text, and the gap after it, kept as it is; a gap before the first one follows an empty piece."""

    text: str
    gap: str


def split_text(text: str, language: str, limit: int = MOST_CHARACTERS) -> list[Segment]:
    r"""Sentences of a text, with what is between them.

    A line break ends a sentence; what marks an item of a list is no part of one. A sentence of more than `limit`
    characters is parted at its last comma or space before that. Nothing is parted within what `protected_spans` finds.
    Texts and gaps in their order are the whole text. The language says which abbreviations end no sentence.

    >>> split_text("One. Two!\n* three, e.g. Four", "en")
    [Segment(text='One.', gap=' '), Segment(text='Two!', gap='\n* '), Segment(text='three, e.g. Four', gap='')]
    """
    segments: list[Segment] = []
    for number, line in enumerate(text.split("\n")):
        start = _LINE_START.match(line)
        gap = ("\n" if number else "") + (start[0] if start else "")
        _append_gap(segments, gap)
        body = line[start.end() :] if start else line
        for sentence, space in _sentences(body, language):
            segments += [Segment(piece, between) for piece, between in _pieces(sentence, limit)]
            _append_gap(segments, space)
    return segments


def join_segments(segments: Sequence[Segment], translations: Sequence[str], target_language: str) -> str:
    """The translations with the gaps of the source, as the target language writes them.

    Between sentences a language with spaces gets one where the source has none, Chinese and Japanese lose it.

    >>> join_segments([Segment("一。", ""), Segment("二。", "")], ["One.", "Two."], "en")
    'One. Two.'
    """
    written_apart = target_language.split("-")[0] not in _WITHOUT_SPACES
    pieces: list[str] = []
    for number, (segment, translation) in enumerate(zip(segments, translations, strict=True)):
        gap = segment.gap
        inside = bool(translation) and number + 1 < len(segments)
        if inside and not gap and written_apart:
            gap = " "
        elif inside and gap == " " and translation[-1] in "。！？｡":
            gap = ""
        pieces += [translation, gap]
    return "".join(pieces)


def _append_gap(segments: list[Segment], gap: str) -> None:
    if gap:
        last = segments.pop() if segments else Segment("", "")
        segments.append(Segment(last.text, last.gap + gap))


def _sentences(line: str, language: str) -> Iterator[tuple[str, str]]:
    """The sentences of a line, each with the space after it; none ends within what is protected."""
    protected, start = protected_spans(line), 0
    for _, end in sentence_spans(line, language):
        if end < len(line) and any(first < end < last for first, last in protected):
            continue
        sentence = line[start:end].rstrip()
        yield sentence, line[start + len(sentence) : end]
        start = end


def _pieces(sentence: str, limit: int) -> Iterator[tuple[str, str]]:
    """Parts of a sentence of at most `limit` characters where it can be parted, each with the space after it."""
    spans = list(protected_spans(sentence)) if len(sentence) > limit else []
    while len(sentence) > limit:
        best = None
        for found in _BREATH.finditer(sentence):
            if best is not None and found.end() > limit:
                break
            if found.end() < len(sentence) and not any(first < found.end() < last for first, last in spans):
                best = found
        if best is None:
            break
        end = best.end()
        text = sentence[:end].rstrip()
        yield text, sentence[len(text) : end]
        sentence, spans = sentence[end:], [(first - end, last - end) for first, last in spans]
    if sentence:
        yield sentence, ""
