"""The page in a browser: as people use it, by keyboard too, in all scripts, and on a phone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from service import Client, serving

from browser import BROWSER, NAMES, Page, open_browser
from isoglot.search.mixing import load_mix

in_browser = pytest.mark.skipif(BROWSER is None, reason=f"needs a browser on the path: {', '.join(NAMES)}")
HITS = "document.querySelectorAll('#results .hit').length"


def test_the_page_runs_nothing_but_its_own_and_loads_nothing(client: Client) -> None:
    answer = client.get("/")
    policy, page = answer.headers["Content-Security-Policy"], answer.body.decode()
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert re.findall(r"(?:src|href)=\"(?!#|data:)", page) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", page) == []


def test_the_panel_knows_the_mixes_that_the_page_offers(client: Client) -> None:
    _, _, mixes = client.get("/").body.decode().partition('id="mixes"')
    offered = re.findall(r'type="checkbox" value="([^"]+)"', mixes)
    assert len(offered) == 4
    assert [load_mix(name).name for name in offered] == offered


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


@pytest.fixture
def address(encoder, searcher) -> Iterator[str]:
    with serving(encoder, searcher, name="tiny") as client:
        yield f"http://127.0.0.1:{client.port}/"


@in_browser
class TestInBrowser:
    def test_a_question_is_asked_and_read_by_keyboard_alone(self, page: Page, address: str) -> None:
        page.visit(address)
        assert page.evaluate("document.activeElement.id") == "query"
        page.write("red river בית")
        page.press("Enter")
        page.wait(f"{HITS} === 8")
        page.press("ArrowDown")
        page.press("ArrowDown")
        assert page.evaluate("[...document.querySelectorAll('.hit')].indexOf(document.activeElement)") == 1
        page.press("ArrowUp")
        page.press("ArrowUp")
        assert page.evaluate("document.activeElement.id") == "query"
        page.press("ArrowDown")
        page.press("/")
        assert page.evaluate("document.activeElement.id") == "query"
        assert page.evaluate("document.querySelector('#query').value") == "red river בית"
        assert page.complaints == []

    def test_texts_are_text_in_their_own_language_and_direction(self, page: Page, address: str) -> None:
        page.visit(f"{address}#q=red")
        page.wait(f"{HITS} === 8")
        texts = page.evaluate(
            "[...document.querySelectorAll('.hit .text')].map((e) => [e.lang, e.textContent, "
            "getComputedStyle(e).direction, e.children.length])"
        )
        found = {text: (language, direction, children) for language, text, direction, children in texts}
        assert found["<script>alert(1)</script> green tree"] == ("en", "ltr", 0)
        assert found["בית אדום ליד הנהר (1923)"] == ("he", "rtl", 0)
        assert found["川のそばの赤い家"] == ("ja", "ltr", 0)
        assert found["..."][0] == ""
        assert page.complaints == []

    def test_mixes_stand_side_by_side_and_the_panel_counts_them(self, page: Page, address: str) -> None:
        page.visit(f"{address}#q=red&mix=none,round-robin")
        page.wait("document.querySelectorAll('#results section').length === 2")
        first, second = page.evaluate("[...document.querySelectorAll('#results section')].map((e) => e.offsetTop)")
        assert first == second
        page.wait("document.querySelectorAll('#panel .bar').length === 3")
        assert re.search(
            r"In turn: 1 question, bias -?\d\.\d\d", page.evaluate("document.querySelector('#panel').innerText")
        )

    def test_filters_ask_again(self, page: Page, address: str) -> None:
        page.visit(f"{address}#q=red")
        page.wait(f"{HITS} === 8")
        page.evaluate("document.querySelector('#languages input[value=de]').click()")
        page.wait(f"{HITS} === 2")
        assert "2 of 10 hits" in page.evaluate("document.querySelector('.note').textContent")

    def test_nothing_is_cut_off_on_a_phone(self, page: Page, address: str) -> None:
        page.visit(f"{address}#q=red&mix=none,cap:3,round-robin", width=360, height=740)
        page.wait(f"{HITS} === 24")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        columns = page.evaluate("[...document.querySelectorAll('#results section')].map((e) => e.offsetLeft)")
        assert len(set(columns)) == 1

    def test_a_key_is_asked_for_and_kept_by_the_page_alone(self, page: Page, encoder, searcher) -> None:
        with serving(encoder, searcher, keys=[b"secret"]) as client:
            page.visit(f"http://127.0.0.1:{client.port}/", wait=False)
            page.wait("document.activeElement?.id === 'key'")
            page.write("secret")
            page.press("Enter")
            page.wait("document.querySelector('#corpus').textContent.includes('8 texts')")
            stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
            assert "secret" not in json.dumps(stored)
            page.complaints.clear()  # the browser notes the 401

    def test_errors_are_said(self, page: Page, address: str) -> None:
        page.visit(f"{address}#q=red")
        page.wait(f"{HITS} === 8")
        page.evaluate("document.querySelectorAll('#mixes input').forEach((e) => e.checked && e.click())")
        page.wait("document.querySelector('#status').classList.contains('wrong')")
