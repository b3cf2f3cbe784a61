"""Manuals in many languages as parallel pairs: headings with the text below them, and texts of their own.

A manual is read into sections or texts whose keys are the same in all languages. What translators left in English is
found by comparing with the English manual.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from isoglot.common.extras import library
from isoglot.common.files import Row

MIN_TEXT = 40
"""Characters of the English text below which it is a label or a remark; in Chinese the same says less of a text."""

_GENERIC = 4  # a heading that so many sections have, such as "Example", says nothing


class Section(NamedTuple):
    """A heading and the paragraphs below it, up to the next heading."""

    heading: str
    paragraphs: list[str]


@dataclass(frozen=True)
class Manual:
    """What was read in one language.

    Attributes:
        sections: by a key that is the same in all languages.
        texts: aligned texts, by such a key.
    """

    sections: dict[str, Section] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def update(self, other: Manual) -> None:
        """Add what another package has in this language."""
        self.sections.update(other.sections)
        self.texts.update(other.texts)


def section_rows(name: str, manuals: Mapping[str, Manual]) -> Iterator[Row]:
    """Rows of sections: the heading is the query, the text below it the passage.

    Left out are sections whose English is under `MIN_TEXT` characters or whose heading many others have too, and
    translations whose heading, whole text or any paragraph of `MIN_TEXT` characters is the English one.

    Args:
        name: of the data set; ids are `name/key`.
        manuals: language -> manual; English is among them.
    """
    generic = _generic(manuals["en"])
    for key, (heading, paragraphs) in manuals["en"].sections.items():
        text = "\n".join(paragraphs)
        if len(text) < MIN_TEXT or heading.casefold() in generic:
            continue
        english = {text, *(paragraph for paragraph in paragraphs if len(paragraph) >= MIN_TEXT)}
        for language, manual in manuals.items():
            query, below = manual.sections.get(key, (heading, []))
            passage = "\n".join(below)
            translated = query != heading and passage and passage != text and english.isdisjoint(below)
            if translated or language == "en":
                yield {"id": f"{name}/{key}", "language": language, "query": query, "passage": passage}


def text_rows(name: str, manuals: Mapping[str, Manual]) -> Iterator[Row]:
    """Rows of texts in two languages or more, each its own query and passage.

    Left out are texts whose English is under `MIN_TEXT` characters, and translations equal to it. Arguments are those
    of `section_rows`.
    """
    for key, text in manuals["en"].texts.items():
        if len(text) < MIN_TEXT:
            continue
        said = {language: manual.texts.get(key, text) for language, manual in manuals.items()}
        translations = {language: other for language, other in said.items() if other != text}
        for language, other in {"en": text, **translations}.items() if translations else ():
            yield {"id": f"{name}/{key}", "language": language, "query": other, "passage": other}


def lxml(module: str) -> Any:
    """A module of the library that reads HTML and XML.

    Raises:
        MissingExtraError: if it is not installed.
    """
    return library(f"lxml.{module}", "formats", "reading manuals, which are HTML or XML,")


def in_one_line(element: Any) -> str:
    """All text of an element of HTML or XML, with single spaces."""
    return " ".join("".join(element.itertext()).split())


def _generic(english: Manual) -> set[str]:
    """Headings that many sections have; one that several pages show under one id is one section."""
    places = defaultdict(set)
    for key, section in english.sections.items():
        places[section.heading.casefold()].add(key.rpartition("#")[2])
    return {heading for heading, found in places.items() if len(found) >= _GENERIC}
