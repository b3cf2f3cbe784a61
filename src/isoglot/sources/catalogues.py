"""Message catalogues (MO files) of programs with long texts: stories, riddles, help and descriptions of things."""

from __future__ import annotations

import hashlib
import html
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from isoglot.common.languages import is_language, normalize_language
from isoglot.sources.apt import files_of
from isoglot.sources.documentation import MIN_TEXT, Manual

_CATALOGUE = re.compile(r".*/([A-Za-z_]+)/LC_MESSAGES/([^/]+)\.mo")
_REGIONS = frozenset({"pt_BR", "zh_CN", "zh_TW"})  # further ones differ little from the language without one
_CONTEXT = re.compile(r"^(?:\?[\w ]+:|[\w ,:.'-]{1,60}\^)")  # a hint to translators, before the text
_LINK = re.compile(r"<(\w+)>[^<>]*?\btext='((?:[^'\\]|\\.)*)'[^<>]*</\1>")
_EMPTY = re.compile(r"<img>[^<>]*</img>|</?(?:p|br|hr|img|li)\b[^<>]*>|<!--.*?-->")
_PAIRED = re.compile(r"<(\w+)\b[^<>]*>(?P<one>(?:(?!<\1\b).)*?)</\1>|<color_\w+>(?P<other>.*?)</color>", re.DOTALL)
_PLACEHOLDER = re.compile(r"<[\w/]|%[-+#0-9.$]*[a-zA-Z0-9]|\$\w|\{\w*\}|&\w+;|@\w+@|\|/\|")


def read_catalogues(archive: Path) -> dict[str, Manual]:
    """Language -> manual, of a package; keys are the catalogue's name, `/` and a hash of context and source text."""
    manuals: dict[str, Manual] = {}
    for path, content in files_of(archive, _CATALOGUE):
        folder, catalogue = path.groups()
        if (language := _language(folder)) is None:
            continue
        for source, translation in _messages(content):
            english, said = plain(source.rpartition("\x04")[2]), plain(translation)
            if english and said:
                key = f"{catalogue}/{hashlib.md5(source.encode(), usedforsecurity=False).hexdigest()[:16]}"
                manuals.setdefault("en", Manual()).texts[key] = english
                manuals.setdefault(language, Manual()).texts[key] = said
    return manuals


def plain(text: str) -> str:
    r"""A message without markup and with single spaces; paragraphs become lines. Empty if it has a placeholder.

    >>> plain("story^The <i>old</i>\nking was <ref>dst='sad' text='sad'</ref>.\n\nHe sat."), plain("%s was sad.")
    ('The old king was sad.\nHe sat.', '')
    """
    text = _EMPTY.sub("\n\n", _LINK.sub(r"\2", _CONTEXT.sub("", text)))
    count = 1
    while count:  # from the innermost outwards
        text, count = _PAIRED.subn(lambda found: found["one"] or found["other"] or "", text)
    text = html.unescape(text)
    if _PLACEHOLDER.search(text):
        return ""
    return "\n".join(filter(None, (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))))


def _language(code: str) -> str | None:
    """The language of a folder of catalogues; None if it is none, English, or a region's variant."""
    language, _, region = code.partition("_")
    if code in _REGIONS:
        return normalize_language(code)
    usual = region.lower() in ("", language) or code == "nb_NO"
    return normalize_language(language) if usual and language != "en" and is_language(language) else None


def mo_entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Source and translation of each message of a MO file, which is two tables of lengths and places.

    Raises:
        ValueError: if it is no MO file, or cut short.
        struct.error: likewise.
    """
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(content[:4])
    if order is None:
        raise ValueError("does not begin as MO files do")
    count, *tables = struct.unpack_from(f"{order}3I", content, 8)
    for number in range(count):
        places = [struct.unpack_from(f"{order}2I", content, table + 8 * number) for table in tables]
        if any(start + length > len(content) for length, start in places):
            raise ValueError("cut short")
        source, translation = (content[start : start + length] for length, start in places)
        yield source, translation


def _messages(content: bytes) -> Iterator[tuple[str, str]]:
    """Source and translation of a catalogue's longer messages, without those in singular and plural.

    Its header may hold anything, so only UTF-8 is believed in.
    """
    for source, translation in mo_entries(content):
        if len(source) < MIN_TEXT or b"\0" in source:
            continue
        try:
            yield source.decode(), translation.decode()
        except UnicodeDecodeError:
            continue
