"""An engine's own language codes, and which of them a language tag means."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import langcodes

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language

_SAME_LANGUAGE = 5
"""Largest CLDR distance within a language, between regions; `hr` and `bs`, which are two, are 8 apart."""


def by_language(codes: Iterable[str]) -> dict[str, str]:
    """The engine's code of each language; the first of several, and none for codes that name no language.

    >>> by_language(["deu_Latn", "zho_Hant", "ROMANCE"])
    {'de': 'deu_Latn', 'zh-Hant': 'zho_Hant'}
    """
    found: dict[str, str] = {}
    for code in codes:
        try:
            found.setdefault(normalize_language(code), code)
        except InputError:
            continue
    return found


def closest(language: str, languages: Iterable[str]) -> str | None:
    """The one of `languages` that is this language in this script, whatever the region; None if there is none.

    All are standard tags; the tag itself wins, then the nearest, then the first.

    >>> closest("zh-TW", ["zh", "zh-Hant"]), closest("no", ["da", "nb"]), closest("sr", ["hr", "sr-Latn"])
    ('zh-Hant', 'nb', None)
    """
    tags = [tag for tag in languages if script_of(tag) == script_of(language)]
    if language in tags:
        return language
    nearest = min(tags, key=lambda tag: langcodes.tag_distance(language, tag), default=None)
    near = nearest is not None and langcodes.tag_distance(language, nearest) <= _SAME_LANGUAGE
    return nearest if near else None


@lru_cache(maxsize=4096)
def script_of(language: str) -> str:
    """The script that a language is usually written in, or that its tag says; empty if that is not known."""
    return langcodes.Language.get(language).maximize().script or ""
