"""Text on the page stands out enough to be read: WCAG 2, level AA."""

from __future__ import annotations

import colorsys
import re
from importlib.resources import files

import pytest

Colour = tuple[float, ...]
CSS = (files("isoglot.report") / "templates" / "report.css").read_text(encoding="utf-8")
BLOCKS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
LIGHT, DARK, PRINT = (dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in BLOCKS)
PAIRS = [
    ("ink", "paper"),
    ("ink", "soft"),
    ("ink", "right"),
    ("quiet", "paper"),
    ("quiet", "soft"),
    ("quiet", "right"),
    ("link", "paper"),
    ("better", "paper"),
    ("better", "right"),
    ("worse", "paper"),
]


def rgb(text: str) -> Colour:
    digits = text.strip().removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    return tuple(int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4))


def luminance(colour: Colour) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: Colour, other: Colour) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, {**LIGHT, **DARK}, {**LIGHT, **PRINT}], ids=["light", "dark", "print"])
def test_text_stands_out_from_its_ground(scheme: dict[str, str]) -> None:
    assert contrast(rgb("#fff"), rgb("#000000")) == pytest.approx(21)
    low = {pair: value for pair in PAIRS if (value := contrast(*(rgb(scheme[name]) for name in pair))) < 4.5}
    assert not low
    saturation, lightness = (float(scheme[name].rstrip("%")) / 100 for name in ("chip-s", "chip-l"))
    for hue in range(360):
        assert contrast(colorsys.hls_to_rgb(hue / 360, lightness, saturation), rgb(scheme["ink"])) >= 4.5
