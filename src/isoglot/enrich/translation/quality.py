"""What is wrong with a translation, as far as that shows without a judge: pure functions of two texts."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
import pyarrow as pa
import regex

from isoglot.common.text import is_blank, word_count, words
from isoglot.enrich.translation.codes import script_of
from isoglot.enrich.translation.masking import apart, lost_numbers, protected_parts

SHORTEST, LONGEST = 1 / 5, 5.0
"""Bounds of the length ratio. Of the human translations of FLORES-200 (1,012 sentences of the devtest, all 870 ordered
pairs of 30 languages) 64 of 880,440 are outside. English to German lies between 0.74 and 1.72, to Chinese 0.24 and 1.
"""

_SLACK = 10  # characters added to both lengths, so that a title of one word may become four
_COPY_WORDS = 4  # words from which on a copy of the source is no name that stays as it is
_COPIED_SHARE = 0.9  # of the words of a text of twice as many; Danish and Norwegian share fewer
_SCRIPT_LETTERS = 20  # letters from which on a text shows its script; fewer may all be names
_SCRIPT_SHARE = 1 / 3  # of the letters that must be in the script; technical texts are full of Latin names
_KANA_SHARE = 1 / 10  # of the letters of a Chinese text; names of Japanese brands may have some
_LOOP_TIMES, _LOOP_CHARACTERS = 4, 12  # how often something follows itself, and how long that is in all
_LOOP_PERIOD = 60  # characters of what follows itself, at most
_SCRIPTS = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hani", "Hang")}
_TWO_SCRIPTS = {"sr": ("Cyrl", "Latn")}
_KANA = regex.compile(r"[\p{Hira}\p{Kana}]")
_UNWRITABLE = regex.compile(r"[\0\ud800-\udfff]")


def faults(source: str, translation: str, source_language: str, target_language: str) -> tuple[str, ...]:
    """Reasons not to use a translation; none if nothing shows.

    `empty`, `characters`: what `unfit` says. `length`: out of the bounds of `length_ratio`. `untranslated`: the source
    again, unless both are varieties of one language, in which a text may rightly stay as it is. `script`: not in the
    target language's script. `repetition`: a loop that the source lacks. `numbers`, `placeholders`: one got lost.

    >>> faults("It takes 20 minutes to build the house.", "Es dauert Minuten, Minuten, Minuten, Minuten, ", "en", "de")
    ('repetition', 'numbers')
    """
    if reason := unfit(translation):
        return (reason,)
    base, target_base = (language.partition("-")[0] for language in (source_language, target_language))
    checks = {
        "length": not SHORTEST <= length_ratio(source, translation) <= LONGEST,
        "untranslated": base != target_base and is_copy(source, translation),
        "script": not is_in_script(translation, target_language),
        "repetition": bool(loop := longest_loop(translation)) and loop > longest_loop(source),
        "numbers": bool(lost_numbers(source, translation)),
        "placeholders": bool(protected_parts(source) - protected_parts(translation)),
    }
    return tuple(name for name, wrong in checks.items() if wrong)


def unfit(translation: str) -> str | None:
    r"""Why pairs cannot hold a text: `empty` where nothing of it is seen, `characters` for NUL and half a character.

    >>> unfit("\u200b "), unfit("a\0b"), unfit("a b")
    ('empty', 'characters', None)
    """
    if _UNWRITABLE.search(translation):
        return "characters"
    return "empty" if is_blank(pa.chunked_array([[translation]]))[0].as_py() else None


def length_ratio(source: str, translation: str) -> float:
    """Characters of the translation per character of the source, 10 added to both; above 0, 1 for equal lengths.

    >>> length_ratio("a" * 10, "b" * 50)
    3.0
    """
    return (len(translation.strip()) + _SLACK) / (len(source.strip()) + _SLACK)


def is_copy(source: str, translation: str) -> bool:
    """Whether the translation is the source, or nearly all of its words.

    Names that stay as they are do not count: texts of under 4 words outside what is protected are never copies. Of 8
    words or more, 90 % in common, however ordered, are a copy too. Words are counted by `word_count`.

    >>> is_copy("GNU Emacs", "GNU Emacs"), is_copy("this is not translated", "This is not translated.")
    (False, True)
    """
    text = _unprotected(source)
    before, after, count = words(text), words(_unprotected(translation)), word_count(text)
    if count < _COPY_WORDS:
        return False
    if before == after:
        return True
    common = (Counter(before) & Counter(after)).total()
    return count >= 2 * _COPY_WORDS and common >= _COPIED_SHARE * max(len(before), len(after))


def is_in_script(text: str, language: str) -> bool:
    """Whether at least a third of the letters outside what is protected are in the script the language is written in.

    In Chinese at most a tenth may be kana. True for texts of under 20 letters, and for scripts that Unicode lacks.

    >>> is_in_script("Dies ist kein russischer Satz.", "ru"), is_in_script("Это русское предложение.", "ru")
    (False, True)
    """
    wanted = _letters_of(language)
    letters = [sign for sign in _unprotected(text) if sign.isalpha()]
    if wanted is None or len(letters) < _SCRIPT_LETTERS:
        return True
    text = "".join(letters)
    japanese = _SCRIPTS.get(script_of(language)) == ("Hani",) and len(_KANA.findall(text)) > _KANA_SHARE * len(letters)
    return not japanese and len(wanted.findall(text)) >= _SCRIPT_SHARE * len(letters)


def longest_loop(text: str) -> int:
    """Characters of the longest piece in which something with a letter follows itself at least 4 times; 0 if none.

    Up to 60 characters that follow themselves are seen, and only 12 characters or more in all are a loop.

    >>> longest_loop("the house the house the house the house "), longest_loop("-" * 16), longest_loop("hahaha")
    (40, 0, 0)
    """
    signs, longest = np.frombuffer(text.encode("utf-32-le"), np.uint32), 0
    for period in range(1, min(_LOOP_PERIOD, len(text) // _LOOP_TIMES) + 1):
        again = signs[period:] == signs[:-period]
        if again.sum() < (_LOOP_TIMES - 1) * period:
            continue
        edges = np.flatnonzero(np.diff(again, prepend=False, append=False)).reshape(-1, 2)
        for start, end in edges.tolist():
            times = (end - start) // period + 1
            if times >= _LOOP_TIMES and any(sign.isalpha() for sign in text[start : start + period]):
                longest = max(longest, times * period)
    return longest if longest >= _LOOP_CHARACTERS else 0


@lru_cache(maxsize=256)
def _letters_of(language: str) -> regex.Pattern[str] | None:
    """What finds the characters of the script that a language is written in; None if Unicode has no such script."""
    script = script_of(language)
    names = _TWO_SCRIPTS.get(language) or _SCRIPTS.get(script, (script,))
    try:
        return regex.compile("[" + "".join(rf"\p{{scx={name}}}" for name in names) + "]")
    except regex.error:
        return None


def _unprotected(text: str) -> str:
    return " ".join(piece for piece, kept in apart(text) if not kept)
