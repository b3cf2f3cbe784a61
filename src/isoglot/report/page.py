"""An HTML page that needs nothing from outside itself, and other texts made of templates.

The browser is told to load nothing from anywhere; the plots are drawn by Vega-Lite, which is inside. The templates
escape whatever comes in as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from isoglot.common.extras import library
from isoglot.report.tables import latex_text, markdown_table, markdown_text

_DRAWING = {
    "font": "Arial, Helvetica, sans-serif",
    "padding": 12,
    "view": {"stroke": None},
    "axis": {"grid": True, "gridOpacity": 0.4},
    "range": {"category": ["#2f66ad", "#157347", "#b8400f", "#69727b", "#7b4ab0"]},  # the page's, on white
}


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    key: str  # its id
    title: str
    part: str = ""  # the macro of `parts.html` that shows it
    data: Mapping[str, Any] = field(default_factory=dict)  # what the macro takes
    inside: Sequence[Section] = ()


def html_page(title: str, sections: Sequence[Section]) -> str:
    """A whole page; raises as `plot_library`."""
    return render("page.html", title=title, sections=sections, plot_library=plot_library())


def render(template: str, package: str = "isoglot.report", /, **data: Any) -> str:
    """A text made of a template that lies in the package's folder `templates`."""
    return _environment(package).get_template(template).render(data)


def plot_library() -> Markup:
    """The script of Vega-Lite, to stand within a page.

    Raises:
        MissingExtraError: if `vl-convert-python`, which carries it, is not installed.
    """
    return _bundle(_converter().javascript_bundle)


def plot_svg(spec: dict[str, Any]) -> str:
    """A plot as a drawing of its own, dark on white; raises as `plot_library`."""
    drawing: str = _converter().vegalite_to_svg({**spec, "background": "white", "config": _DRAWING})
    return drawing.replace("currentColor", "#222")  # a drawing alone has no page to take its colour from


def _converter() -> Any:
    return library("vl_convert", "report", "a report as a page")


@cache
def _bundle(make: Callable[[str], str]) -> Markup:
    """The script of `make`, made once a process: it takes seconds."""
    script = make("window.vegaEmbed = vegaEmbed;")
    return Markup(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


@cache
def _environment(package: str) -> Environment:
    made = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    made.filters |= {"md": markdown_text, "tex": latex_text, "md_table": lambda it: markdown_table(it.header, it.rows)}
    return made
