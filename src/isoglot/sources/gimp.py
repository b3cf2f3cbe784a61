"""GIMP's manual: HTML pages made from DocBook.

Pages are named alike in all languages, and so are the sections that their authors named. The others have numbers, which
differ between languages, and are part of the named section before them.
"""

from __future__ import annotations

import re
from pathlib import Path

from isoglot.common.languages import normalize_language
from isoglot.sources.apt import files_of
from isoglot.sources.documentation import Manual, Section, in_one_line, lxml

_PAGE = re.compile(r"usr/share/gimp/2\.0/help/([^/]+)/([^/]+)\.html")
_ORDINAL = re.compile(r"^(?:\w+\s)?(?:(?:\d+|[A-Z])\.)+\s*")  # "3.1. ", "Chapter 5. ", "Appendix C. "
_NUMBERED = re.compile(r"id[mp]?\d+")
_LEFT_OUT = (
    '//*[@class="navheader" or @class="navfooter" or @class="toc" or @class="revhistory" or @class="figure"'
    ' or @class="informalfigure" or @class="mediaobject"] | //pre'
)
_BLOCKS = '//*[@class="title" and starts-with(name(), "h")] | //p | //dt'


def read_gimp(archive: Path) -> dict[str, Manual]:
    """Language -> manual, of one `gimp-help-*` package; keys are the page, `#` and the section's name."""
    manuals: dict[str, Manual] = {}
    for path, content in files_of(archive, _PAGE):
        folder, page = path.groups()
        if folder != "en_GB":  # differs from the English manual by spelling
            manuals.setdefault(normalize_language(folder), Manual()).update(read_page(content, page))
    return manuals


def read_page(content: bytes, page: str) -> Manual:
    """The sections of a page that have a name, without their ordinals."""
    root = lxml("html").document_fromstring(content)
    for element in root.xpath(_LEFT_OUT):
        element.drop_tree()
    manual, below = Manual(), list[str]()
    for element in root.xpath(_BLOCKS):
        text = in_one_line(element)
        name = next((anchor.get("id") for anchor in element.iter("a") if anchor.get("id")), "")
        if element.tag in ("p", "dt"):
            below.extend([text] if text else [])
        elif name and not _NUMBERED.fullmatch(name):
            below = []
            manual.sections[f"{page}#{name}"] = Section(_ORDINAL.sub("", text), below)
    return manual
