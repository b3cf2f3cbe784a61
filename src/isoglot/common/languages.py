"""Language tags: one spelling per language, whatever code a data set uses.

Data sets write German as `de`, `DE`, `deu`, `ger` or `deu_Latn`. Inside isoglot it is always the shortest BCP 47 tag,
`de`, so that tables from different sources join.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import permutations

import langcodes
from langcodes.tag_parser import LanguageTagError

from isoglot.common.errors import InputError

_PRIVATE_USE = range(ord("a"), ord("t") + 1)  # second letters of the codes qaa to qtz, which name no language

_USUAL_SCRIPTS = {("ko", "Hang")}  # the standard names for Korean a mixed script, data sets the one in use


@lru_cache(maxsize=4096)
def normalize_language(tag: str) -> str:
    """The standard BCP 47 tag of a language code.

    Takes BCP 47, locale (`pt_BR`), FLORES (`deu_Latn`) and NTREX (`deu`, `zho-CN`) codes. A script is dropped where
    the language is written in it anyway, a region is kept where given, and a code for the standard variety of a
    macrolanguage becomes the macrolanguage (`arb` is `ar`, `swh` is `sw`).

    Raises:
        InputError: if the code names no language.

    >>> [normalize_language(tag) for tag in ["EN", "zh_cn", "deu_Latn", "zho_Hans", "zho-CN", "zh-Hant-TW"]]
    ['en', 'zh-CN', 'de', 'zh', 'zh-CN', 'zh-TW']
    """
    try:
        language = langcodes.Language.get(langcodes.standardize_tag(tag, macro=True))
    except LanguageTagError:
        raise _unknown(tag) from None
    code = language.language
    private = code is not None and len(code) == 3 and code[0] == "q" and ord(code[1]) in _PRIVATE_USE
    if code is None or code == "und" or code.startswith("x-") or private or not language.is_valid():
        raise _unknown(tag)
    if language.script:
        plain = langcodes.Language.make(language=code, territory=language.territory)
        if plain.maximize().script == language.script or (code, language.script) in _USUAL_SCRIPTS:
            language = language.update_dict({"script": None})
    return str(language.to_tag())


def language_name(tag: str) -> str:
    """The language's English name, or the tag where the `language_data` package that knows names is missing.

    Raises:
        InputError: if the code names no language.

    >>> language_name("x-unknown")
    Traceback (most recent call last):
    isoglot.common.errors.InputError: unknown language "x-unknown"; give a BCP 47 tag such as "de" or "pt-BR"
    """
    standard = normalize_language(tag)
    try:
        return str(langcodes.Language.get(standard).display_name())
    except ImportError:
        return standard


def ordered_pairs(languages: Iterable[str]) -> list[tuple[str, str]]:
    """All ordered pairs of different languages: query language first, passage language second.

    >>> ordered_pairs(["de", "en"])
    [('de', 'en'), ('en', 'de')]
    """
    return list(permutations(dict.fromkeys(languages), 2))


def _unknown(tag: str) -> InputError:
    return InputError(f'unknown language "{tag}"; give a BCP 47 tag such as "de" or "pt-BR"')
