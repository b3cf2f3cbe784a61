"""The picture of the README, for light and for dark pages: python readme_picture.py BASE TRAINED FOLDER.

BASE and TRAINED are folders with results, such as runs/demo/results/base and runs/demo/results/hybrid-debias.
"""

import sys
from pathlib import Path

import vl_convert

import isoglot

COLOURS = {
    "light": {"text": "#1f2328", "low": "#eef3fa", "high": "#0b4f9e"},
    "dark": {"text": "#e6edf3", "low": "#1c2530", "high": "#79b8ff"},
}


def cells(results: isoglot.Results, title: str) -> list[dict[str, object]]:
    """What share of the first ten results of each query language is in each language."""
    mix = results.summary["language_mix"]
    return [
        {"system": title, "query": query, "found": found, "share": share}
        for query, row in zip(mix["rows"], mix["values"], strict=True)
        for found, share in zip(mix["columns"], row, strict=True)
    ]


def picture(base: isoglot.Results, trained: isoglot.Results, colours: dict[str, str]) -> str:
    """Two maps side by side, as SVG."""
    before, after = "before: the query's language fills the list", "after: lists hold all languages"
    text = colours["text"]
    axis = {"labelAngle": 0, "ticks": False, "domain": False, "labelColor": text, "titleColor": text}
    scale = {"domain": [0, 1], "range": [colours["low"], colours["high"]], "interpolate": "lab"}
    legend = {"format": ".0%", "labelColor": text, "titleColor": text}
    share = {"field": "share", "type": "quantitative", "title": "share", "scale": scale, "legend": legend}
    header = {"title": None, "labelColor": text, "labelFontSize": 13, "labelFontWeight": "bold"}
    spec = {
        "data": {"values": [*cells(base, before), *cells(trained, after)]},
        "facet": {"column": {"field": "system", "sort": [before, after], "header": header}},
        "spec": {
            "width": 300,
            "height": 300,
            "mark": {"type": "rect"},
            "encoding": {
                "x": {"field": "found", "title": "language of the first ten results", "axis": axis},
                "y": {"field": "query", "title": "language of the query", "axis": axis},
                "color": share,
            },
        },
        "background": "transparent",
        "config": {"view": {"stroke": None}, "font": "system-ui, sans-serif"},
    }
    return str(vl_convert.vegalite_to_svg(spec))


def main(base: str, trained: str, folder: Path) -> None:
    """Draw both."""
    results = isoglot.load_results(base), isoglot.load_results(trained)
    for name, colours in COLOURS.items():
        (folder / f"languages-{name}.svg").write_text(picture(*results, colours), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
