"""The page in a browser that reaches nothing."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from browser import BROWSER, NAMES, open_browser
from isoglot.evaluation.results import Results
from isoglot.report import LossLog, save_report

pytest.importorskip("vl_convert", reason="plots need the extra report")
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"needs a browser on the path: {', '.join(NAMES)}")


@pytest.fixture(scope="module")
def address(results: list[Results], log: LossLog, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    save_report(results, path, logs=[None, log])
    return path.as_uri()


def visit(address: str, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The document after its scripts ran, and what the console said."""
    assert BROWSER is not None
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--proxy-server=127.0.0.1:9",  # nothing listens there
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=20000",
        *flags,
        "--dump-dom",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
def test_every_plot_is_drawn_and_nothing_complains(address: str, tmp_path: Path, scheme: str) -> None:
    page, console = visit(address, tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert console == []
    assert 'data-plots="drawn"' in page
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert len(figures) == 9
    for figure in figures:
        assert '<svg xmlns="http://www.w3.org/2000/svg"' in figure
        assert re.search(r"mark-(rect|rule|symbol|line)", figure)
        assert "NaN" not in figure[: figure.index("<script")]


def test_the_address_chooses_a_question(address: str, tmp_path: Path) -> None:
    page, console = visit(f"{address}#q=zh-1", tmp_path)
    assert console == []
    asked = re.search(r'<p class="asked".*?</p>', page, re.DOTALL)
    assert asked is not None
    assert '<bdi lang="zh" dir="auto">法国的首都是哪里? 1</bdi>' in asked[0]
    answers = page[page.index('class="answers"') : page.index('class="legend"')]
    assert answers.count("✓ right answer") == 2  # one of each system
    assert 'lang="ar" dir="auto">باريس هي عاصمة فرنسا.' in answers
    assert "&lt;/script&gt;&lt;b&gt;Frankreichs" in answers
    pressed = re.search(r'<button[^>]*aria-pressed="true"[^>]*>(\w+)<', page)
    assert pressed is not None
    assert pressed[1] == "zh"


@pytest.mark.parametrize("asked", ["none", "50%"])
def test_a_question_that_is_not_there_leaves_the_first(address: str, tmp_path: Path, asked: str) -> None:
    page, console = visit(f"{address}#q={asked}", tmp_path)
    assert console == []
    assert "ما هي عاصمة فرنسا؟ 0</bdi>" in page


def test_long_names_stay_on_the_page(results: list[Results], tmp_path: Path) -> None:
    named = [
        replace(one, summary={**one.summary, "model": {**one.summary["model"], "name": f"{n}{'x' * 300}"}})
        for n, one in enumerate(results)
    ]
    save_report(named, tmp_path / "report.html")
    with open_browser(tmp_path / "profile") as page:
        page.visit((tmp_path / "report.html").as_uri(), width=1280, wait=False)
        page.wait("document.querySelector('[data-plots=drawn]') !== null")
        cut = page.evaluate(
            "[...document.querySelectorAll('p, li, h1, h2, .tile')]"
            ".filter(part => part.scrollWidth > part.clientWidth + 1)"
            ".map(part => part.textContent.slice(0, 60)).join('; ')"
        )
        assert cut == ""


def test_nothing_is_cut_on_a_screen_of_1280_pixels_and_a_phone_scrolls_parts_alone(
    address: str, tmp_path: Path
) -> None:
    with open_browser(tmp_path / "profile") as page:
        for width in (1280, 390):
            page.visit(address, width=width, wait=False)
            page.wait("document.querySelector('[data-plots=drawn]') !== null")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            cut = page.evaluate(
                "[...document.querySelectorAll('.scroll, .plot, .answers')]"
                ".filter(part => part.offsetParent && part.scrollWidth > part.clientWidth + 1)"
                ".map(part => part.getAttribute('aria-label')).join('; ')"
            )
            assert width == 390 or not cut, cut
        assert page.complaints == []
