"""LibreOffice's help: HTML pages whose headings and paragraphs carry the same ids in all languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from isoglot.common.languages import normalize_language
from isoglot.sources.apt import files_of
from isoglot.sources.documentation import Manual, Section, in_one_line, lxml

_PAGE = re.compile(r"usr/share/libreoffice/help/([^/]+)/(text/.+\.html)")
_VARIANTS = frozenset({"en-GB", "ca-valencia"})  # differ from another manual by spelling
_SHOWN = b'<div id="DisplayArea"', b'<div id="SearchFrame"'  # what is before and behind is navigation
# Of variants for several systems or programs the default one is shown, though a browser has to unhide it. Programs are
# the same in all languages; links and "To access this command" are the same in all pages.
_LEFT_OUT = (
    '//*[(@hidden and not(starts-with(@id, "default"))) or self::pre or (self::p and contains(@class, "code"))'
    ' or @class="relatedtopics" or @class="noteicon" or @class="howtogetheader"]'
)


def read_libreoffice(archive: Path) -> dict[str, Manual]:
    """Language -> manual, of one `libreoffice-help-*` package; keys are the page's path, `#` and the element's id."""
    manuals: dict[str, Manual] = {}
    for path, content in files_of(archive, _PAGE):
        folder, page = path.groups()
        if folder not in _VARIANTS:
            language = "en" if folder == "en-US" else normalize_language(folder)
            manuals.setdefault(language, Manual()).update(read_page(content, page))
    return manuals


def read_page(content: bytes, page: str) -> Manual:
    """Sections and paragraphs of a page. Text before its first heading or below one without an id is in no section."""
    manual, below = Manual(), list[str]()
    for tag, name, text in _blocks(content):
        key = f"{page}#{name}"
        if tag == "p":
            below.append(text)
            if name:
                manual.texts.setdefault(key, text)
        else:
            below = []
            if name:
                manual.sections.setdefault(key, Section(text, below))
    return manual


def _blocks(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Tag, id and text of each heading and paragraph."""
    start, end = map(content.find, _SHOWN)
    if min(start, end) < 0:
        return
    root = lxml("html").fragment_fromstring(content[start:end].decode("utf-8"))
    for element in root.xpath(_LEFT_OUT):
        element.drop_tree()
    for element in root.iter("h1", "h2", "h3", "h4", "h5", "h6", "p"):
        if text := in_one_line(element):
            yield element.tag, element.get("id") or "", text
