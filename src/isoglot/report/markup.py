"""Pieces of HTML. Whatever comes in as text is escaped here; only `Html` passes as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from isoglot.common.errors import MissingExtraError


class Html(str):
    """Text that is HTML already."""


def element(name: str, *content: str, **attributes: str) -> Html:
    """An element; attribute names lose a trailing underscore, and their other underscores become hyphens.

    >>> element("p", "1 < 2, ", element("b", "so"), class_="note")
    '<p class="note">1 &lt; 2, <b>so</b></p>'
    """
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"' for key, text in attributes.items())
    return Html(f"<{name}{given}>{''.join(escape(part) for part in content)}</{name}>")


def escape(text: str) -> Html:
    """Text as HTML; what is HTML already stays.

    >>> escape("<b> & 'c'")
    '&lt;b&gt; &amp; &#39;c&#39;'
    """
    if isinstance(text, Html):
        return text
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(sign, entity)
    return Html(text)


def join(parts: Sequence[str], between: str = "\n") -> Html:
    """Parts one behind the other."""
    return Html(between.join(escape(part) for part in parts))


def data_script(obj: Any, **attributes: str) -> Html:
    r"""Data for the page's script, which no text in it can leave.

    >>> data_script({"name": "</script>"}, class_="data")
    '<script type="application/json" class="data">{"name":"\\u003c/script>"}</script>'
    """
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return element("script", Html(text), type="application/json", **attributes)


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], **attributes: str) -> Html:
    """A table whose first column names its rows; it scrolls sideways, by keyboard too, where it is too wide."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    lines = [
        element("tr", element("th", row[0], scope="row", dir="auto"), *(element("td", cell) for cell in row[1:]))
        for row in rows
    ]
    body = element("table", element("caption", caption), element("thead", head), element("tbody", *lines), **attributes)
    return element("div", body, class_="scroll", tabindex="0", role="region", aria_label=caption)


def details(summary: str, *content: str) -> Html:
    """What opens on demand."""
    return element("details", element("summary", summary), *content)


def figure(spec: dict[str, Any], caption: str, behind: Html, **attributes: str) -> Html:
    """A plot with its caption and the table of its figures behind it."""
    return element(
        "figure",
        element("figcaption", caption, dir="auto"),
        element("div", class_="plot", tabindex="0", role="region", aria_label=spec["description"]),
        data_script(spec, class_="spec"),
        details("The figures as a table", behind),
        **attributes,
    )


def plot_library() -> Html:
    """The script of Vega-Lite, to stand within a page.

    Raises:
        MissingExtraError: if `vl-convert-python`, which carries it, is not installed.
    """
    return _bundle(_converter().javascript_bundle)


def plot_svg(spec: dict[str, Any]) -> str:
    """A plot as a drawing of its own, dark on white.

    Raises:
        MissingExtraError: as `plot_library`.
    """
    config = {
        "font": "Arial, Helvetica, sans-serif",
        "padding": 12,
        "view": {"stroke": None},
        "axis": {"grid": True, "gridOpacity": 0.4},
    }
    drawing: str = _converter().vegalite_to_svg({**spec, "background": "white", "config": config})
    return drawing.replace("currentColor", "#222")  # a drawing alone has no page to take its colour from


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError:
        raise MissingExtraError("a report as a page needs an extra: pip install 'isoglot[report]'") from None
    return vl_convert


@cache
def _bundle(make: Callable[[str], str]) -> Html:
    """The script of `make`, made once a process: it takes seconds."""
    script = make("window.vegaEmbed = vegaEmbed;")
    return Html(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
