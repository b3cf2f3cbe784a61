"""The frame of an HTML page that needs nothing from outside itself: sections with a table of contents, style and plots.

The browser is told to load nothing from anywhere; the plots are drawn by Vega-Lite, which is inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from isoglot.report.markup import Html, element, join, plot_library

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading: its id, its title, what it shows and the sections inside it."""

    key: str
    title: str
    content: Html | None = None
    inside: tuple[Section, ...] = ()

    def html(self, level: int = 2) -> Html:
        """The section, its heading at this level."""
        heading = element(f"h{level}", self.title, id=f"{self.key}-title", dir="auto")
        inside = [section.html(level + 1) for section in self.inside]
        parts = [heading, *([self.content] if self.content else []), *inside]
        return element("section", join(parts), id=self.key, aria_labelledby=f"{self.key}-title")

    def entry(self) -> Html:
        """The section in the table of contents."""
        link = element("a", self.title, href=f"#{self.key}", dir="auto")
        inside = [element("ul", *(section.entry() for section in self.inside))] if self.inside else []
        return element("li", link, *inside)


def html_page(title: str, sections: Sequence[Section]) -> str:
    """A whole page.

    Raises:
        MissingExtraError: if the library that draws the plots is not installed.
    """
    head = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", _asset("report.css")),
    ]
    contents = element("ul", *(section.entry() for section in sections))
    body = [
        element("a", "Skip to the report", href=f"#{sections[0].key}", class_="skip"),
        element("header", element("h1", title, dir="auto")),
        element("nav", contents, aria_label="Contents"),
        element("main", join([section.html() for section in sections])),
        element("script", plot_library()),
        element("script", _asset("report.js")),
    ]
    return f'<!doctype html>\n<html lang="en">\n<head>\n{join(head)}\n</head>\n<body>\n{join(body)}\n</body>\n</html>\n'


def _asset(name: str) -> Html:
    return Html((files("isoglot.report") / "assets" / name).read_text(encoding="utf-8"))
