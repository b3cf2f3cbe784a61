"""Language tags: one spelling per language, whatever code a data set uses.

Data sets write German as `de`, `DE`, `deu`, `ger` or `deu_Latn`. Inside isoglot it is always the shortest BCP 47 tag,
`de`, so that tables from different sources join.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import langcodes
from langcodes.tag_parser import LanguageTagError

from isoglot.common.errors import InputError

Part = TypeVar("Part")

_PRIVATE_USE = re.compile(r"q[a-t][a-z]|x-")  # codes that name no language
_NO_LANGUAGE = frozenset({None, "und", "mul", "mis", "zxx"})

_USUAL_SCRIPTS = {("ko", "Hang")}  # the standard names for Korean a mixed script, data sets the one in use
# CLDR writes Bokmål apart from Norwegian, which it is in every data set, and Twi and Fante as Akan, which FLORES has
# beside them.
_MERGED = {"nb": "no"}
_APART = {"tw": "tw", "twi": "tw", "fat": "fat"}
# Codes of Windows, older systems and Wikipedia that BCP 47 reads as something else, or as a language of their own.
_LEGACY = {
    "bat-smg": "sgs",
    "be-x-old": "be-tarask",
    "cbk-zam": "cbk",
    "en-simple": "en",
    "fiu-vro": "vro",
    "roa-rup": "rup",
    "zh-chs": "zh-Hans",
    "zh-cht": "zh-Hant",
    "zh-classical": "lzh",
}


@lru_cache(maxsize=4096)
def normalize_language(tag: str) -> str:
    """The standard BCP 47 tag of a language code.

    Takes BCP 47, locale (`pt_BR`), FLORES (`deu_Latn`) and NTREX (`deu`, `zho-CN`) codes, and those of Windows
    (`zh-CHS`) and Wikipedia (`be-x-old`). A script is dropped where the language is written in it anyway, a region is
    kept where given, and a code for the standard variety of a macrolanguage becomes the macrolanguage (`arb` is `ar`,
    `nb` is `no`; `nn` stays).

    Raises:
        InputError: if the code names no language, or one by a part that is no standard.

    >>> [normalize_language(tag) for tag in ["EN", "zh_cn", "deu_Latn", "zho_Hans", "zho-CN", "zh-Hant-TW", "nob"]]
    ['en', 'zh-CN', 'de', 'zh', 'zh-CN', 'zh-TW', 'no']
    """
    plain = tag.replace("_", "-").lower()
    try:
        language = langcodes.Language.get(langcodes.standardize_tag(_LEGACY.get(plain, tag), macro=True))
    except LanguageTagError:
        raise _unknown(tag) from None
    code = _APART.get(plain.partition("-")[0]) or _MERGED.get(language.language, language.language)
    if code != language.language:
        language = language.update_dict({"language": code})
    odd = language.extlangs or language.extensions or language.private or not language.is_valid()
    if odd or code in _NO_LANGUAGE or _PRIVATE_USE.match(code):
        raise _unknown(tag)
    if language.script:
        unscripted = langcodes.Language.make(language=code, territory=language.territory)
        if unscripted.maximize().script == language.script or (code, language.script) in _USUAL_SCRIPTS:
            language = language.update_dict({"script": None})
    return str(language.to_tag())


def language_at(where: str, code: str) -> str:
    """The tag of a code that stands somewhere in the data; the error names the place.

    >>> language_at("line 3", "deu")
    'de'
    """
    try:
        return normalize_language(code)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def is_language(code: str) -> bool:
    """Whether a code names a language.

    >>> is_language("deu_Latn"), is_language("README")
    (True, False)
    """
    try:
        return bool(normalize_language(code))
    except InputError:
        return False


@lru_cache(maxsize=4096)
def shortest_language(tag: str) -> str:
    """The shortest tag of a language as a code spells it: without the region or script that goes without saying.

    `normalize_language` keeps a region where one is given, for people ask for it by name. Rows that one person marked
    `zh-Hans`, another `zh-CN` and a third `zh` are in one language all the same.

    Raises:
        InputError: as `normalize_language`.

    >>> [shortest_language(code) for code in ["zh-Hans", "zh_CN", "zh-Hant", "pt-BR", "pt-PT", "nb"]]
    ['zh', 'zh', 'zh-TW', 'pt', 'pt-PT', 'no']
    """
    standard = langcodes.Language.get(normalize_language(tag), normalize=False)
    whole = standard.maximize()
    plain = standard.update_dict({"script": None, "territory": None})
    for parts in ({}, {"territory": whole.territory}, {"script": whole.script}):
        shorter = plain.update_dict(parts)
        if shorter.maximize() == whole:
            return str(shorter.to_tag())
    return str(standard.to_tag())


@dataclass(frozen=True)
class LanguageCodes:
    """The codes that rows carry, and the language that each stands for: its shortest tag, None for no language.

    >>> codes = LanguageCodes.of(["de", "DE", "deu_Latn", "pt-BR", "pt-PT", None, "und", "unknown"])
    >>> codes.tags["DE"], codes.tags["und"]
    ('de', None)
    >>> codes.sentences()
    ['Languages: de stands for DE, de, deu_Latn; pt for pt-BR. Kept apart: pt, pt-PT.']
    """

    tags: Mapping[str | None, str | None]

    @classmethod
    def of(cls, codes: Iterable[str | None]) -> LanguageCodes:
        """What the codes stand for."""
        return cls({code: shortest_language(code) if code and is_language(code) else None for code in codes})

    def sentences(self) -> list[str]:
        """What was merged and what was kept apart, where that is not plain."""
        spellings: dict[str, list[str]] = {}
        for code, tag in self.tags.items():
            if code is not None and tag is not None:
                spellings.setdefault(tag, []).append(code)
        merged = [f"{tag} {{}} {', '.join(sorted(of))}" for tag, of in sorted(spellings.items()) if of != [tag]]
        relatives: dict[str, list[str]] = {}
        for tag in sorted(spellings):
            relatives.setdefault(tag.partition("-")[0], []).append(tag)
        apart = [", ".join(tags) for tags in relatives.values() if len(tags) > 1]
        said = "; ".join(each.format("stands for" if n == 0 else "for") for n, each in enumerate(merged))
        sentence = [f"Languages: {said}."] if merged else []
        sentence += [f"Kept apart: {'; '.join(apart)}."] if apart else []
        return [" ".join(sentence)] if sentence else []


def asked(available: Mapping[str, Part], languages: Iterable[str] | None, name: str) -> dict[str, Part]:
    """The parts of a data set in the languages asked for, however either spells them; all of them if None.

    Raises:
        InputError: if a language is none, or the data set lacks it.

    >>> asked({"de": 1, "en": 2, "fi": 3}, ["en", "deu"], "toy")
    {'de': 1, 'en': 2}
    >>> asked({"zh": 1, "zh-Hant": 2}, ["zh-TW"], "toy")
    {'zh-Hant': 2}
    """
    if languages is None:
        return dict(available)
    spelled = {shortest_language(tag): tag for tag in available}
    normal = map(normalize_language, languages)
    wanted = {tag if tag in available else spelled.get(shortest_language(tag), tag) for tag in normal}
    if unknown := sorted(wanted - available.keys()):
        raise InputError(f"{name}: no language {unknown[0]!r}; there are {', '.join(available)}")
    return {tag: part for tag, part in available.items() if tag in wanted}


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


def _unknown(tag: str) -> InputError:
    return InputError(f'unknown language "{tag}"; give a BCP 47 tag such as "de" or "pt-BR"')
