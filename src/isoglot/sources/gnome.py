"""GNOME's user documentation: Mallard pages, named alike in all languages, as are the sections in them."""

from __future__ import annotations

import re
from pathlib import Path

from isoglot.common.languages import is_language, normalize_language
from isoglot.sources.apt import files_of
from isoglot.sources.documentation import Manual, Section, in_one_line, lxml

_PAGE = re.compile(r"usr/share/help/([^/]+)/([^/]+/[^/]+)\.page")


def read_gnome(archive: Path) -> dict[str, Manual]:
    """Language -> manual, of `gnome-user-docs`; keys are the page, and for a section of it `#` and its id."""
    manuals: dict[str, Manual] = {}
    for path, content in files_of(archive, _PAGE):
        folder, page = path.groups()
        if folder == "C" or is_language(folder):  # else a script of its own, such as sr@latin
            language = "en" if folder == "C" else normalize_language(folder)
            manuals.setdefault(language, Manual()).update(read_page(content, page))
    return manuals


def read_page(content: bytes, page: str) -> Manual:
    """A page, whose description begins its text, and its sections; text below a section without an id is in none."""
    etree = lxml("etree")
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))
    manual, texts = Manual(), dict[str, list[str]]()
    for element in root.iter("{*}title", "{*}desc", "{*}p"):
        owner = next(element.iterancestors("{*}section", "{*}page"))
        key = page if owner is root else f"{page}#{owner.get('id')}"
        text = in_one_line(element)
        if not text or (owner is not root and not owner.get("id")):
            continue
        if not element.tag.endswith("}title"):
            if next(element.iterancestors("{*}media"), None) is None:  # what a picture shows, in words
                texts.setdefault(key, []).append(text)
        elif element.getparent() is owner:  # else the title of a note or a table
            manual.sections[key] = Section(text, texts.setdefault(key, []))
    return manual
