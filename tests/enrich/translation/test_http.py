"""A LibreTranslate server that has good days and bad ones."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.enrich.translation import load_engine
from isoglot.enrich.translation.http_engine import API_KEY_VARIABLE, HttpEngine

LANGUAGES = [
    {"code": "en", "name": "English", "targets": ["en", "de", "zt", "pb"]},
    {"code": "de", "name": "German", "targets": ["de", "en"]},
    {"code": "zt", "name": "Chinese (traditional)", "targets": ["en"]},
    {"code": "auto", "name": "no language", "targets": []},
]

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


class Server(ThreadingHTTPServer):
    """Says what the test tells it to; by default a translation is the target's code and the text."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.moments: list[float] = []
        self.bad_days: list[Callable[[dict[str, Any]], Answer | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self._say(200, LANGUAGES)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(message)
        self.server.moments.append(time.monotonic())
        good = (200, {"translatedText": [f"{message['target']} {text}" for text in message["q"]]})
        answer = self.server.bad_days.pop(0)(message) if self.server.bad_days else good
        if answer is None:
            self.connection.close()
        else:
            self._say(*answer)

    def _say(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def engine(server: Server, **settings: Any) -> HttpEngine:
    return HttpEngine(server.address, **{"first_wait": 0.01, "timeout": 5.0, **settings})


def test_languages_are_standard_tags_and_go_back_as_the_servers_codes(server: Server) -> None:
    libre = engine(server)
    assert sorted(libre.targets("en")) == ["de", "pt-BR", "zh-Hant"]
    assert libre.targets("de") == ["en"]
    assert libre.targets("fr") == []
    assert libre.translate(["one"], "en-US", "zh-TW") == ["zt one"]
    assert libre.translate(["one"], "en", "pt-BR") == ["pb one"]
    assert server.requests[0] == {"q": ["one"], "source": "en", "target": "zt", "format": "text"}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=30), max_size=20),
    most=st.integers(1, 7),
    characters=st.integers(1, 60),
)
def test_limits_hold_and_every_text_comes_back_in_its_place(
    server: Server, texts: list[str], most: int, characters: int
) -> None:
    server.requests.clear()
    libre = engine(server, texts_per_request=most, characters_per_request=characters)
    assert libre.translate(texts, "en", "de") == [f"de {text}" for text in texts]
    for request in server.requests:
        assert 1 <= len(request["q"]) <= most
        assert len(request["q"]) == 1 or sum(map(len, request["q"])) <= characters


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    server.bad_days = [lambda _: (status, {"error": "slow down"})] * 2
    assert engine(server).translate(["one"], "en", "de") == ["de one"]
    assert len(server.requests) == 3


def test_waits_double_and_the_servers_wish_comes_first(server: Server) -> None:
    server.bad_days = [
        lambda _: (500, {}),
        lambda _: (500, {}),
        lambda _: (429, {}, {"Retry-After": "0.4"}),
        lambda _: (429, {}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    ]
    engine(server, first_wait=0.05).translate(["one"], "en", "de")
    waits = [later - sooner for sooner, later in zip(server.moments, server.moments[1:], strict=False)]
    for wait, least in zip(waits, [0.05, 0.1, 0.4, 0.4], strict=True):
        assert wait >= least


def test_lost_connections_are_tried_again(server: Server) -> None:
    server.bad_days = [lambda _: None]
    assert engine(server).translate(["one"], "en", "de") == ["de one"]


def test_trying_ends(server: Server) -> None:
    server.bad_days = [lambda _: (500, {"error": "out of\nmemory"})] * 9
    with pytest.raises(InputError, match=r"/translate: status 500 \(out of memory\), 3 times; see if the server runs"):
        engine(server, tries=3).translate(["one"], "en", "de")
    assert len(server.requests) == 3


def test_a_slow_server_runs_into_the_time_out(server: Server) -> None:
    libre = engine(server, timeout=0.2, tries=2)
    assert libre.targets("en")
    server.bad_days = [lambda _: time.sleep(0.5)] * 2
    with pytest.raises(InputError, match=r"no answer within 0\.2 seconds, 2 times"):
        libre.translate(["one"], "en", "de")


def test_no_server_is_one_line() -> None:
    with pytest.raises(InputError, match=r"http://127.0.0.1:9/languages: .+, 2 times; see if the server runs"):
        HttpEngine("http://127.0.0.1:9", tries=2, first_wait=0.01).targets("en")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, b"<html>hello</html>"), "the answer is not JSON; is it a LibreTranslate server"),
        ((200, b"\xff"), "the answer is not JSON"),
        ((200, {"translatedText": "one text"}), "no list of texts in the answer"),
        ((200, {"translatedText": [1]}), "no list of texts in the answer"),
        ((200, ["one"]), "no list of texts in the answer"),
        ((200, {"translatedText": ["one", "two"]}), "2 translations of 1 texts; lower texts_per_request"),
        ((400, {"error": "Batch limit 2 exceeded"}), r"status 400 \(Batch limit 2 exceeded\); lower texts_per_request"),
        ((403, {"error": "Invalid API key"}), rf"status 403 \(Invalid API key\); put a key .* into {API_KEY_VARIABLE}"),
        ((404, b"nothing"), "status 404; is it a LibreTranslate server"),
    ],
)
def test_what_cannot_pass_is_said_at_once(server: Server, answer: Answer, message: str) -> None:
    server.bad_days = [lambda _: answer] * 5
    with pytest.raises(InputError, match=message) as caught:
        engine(server).translate(["one"], "en", "de")
    assert len(server.requests) == 1
    assert "\n" not in str(caught.value)


def test_the_key_comes_from_the_environment_and_is_never_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv(API_KEY_VARIABLE, "s3cr3t")
    server.bad_days = [lambda message: (403, {"error": f"{message['api_key']} is no key"})]
    libre = engine(server)
    with pytest.raises(InputError, match=r"status 403 \(\.\.\. is no key\)") as caught:
        libre.translate(["one"], "en", "de")
    assert server.requests[0]["api_key"] == "s3cr3t"
    libre.translate(["one"], "en", "de")
    said = capfd.readouterr()
    assert "s3cr3t" not in "".join([str(caught.value), said.out, said.err, caplog.text, repr(vars(libre))])


def test_the_rate_is_kept(server: Server) -> None:
    libre = engine(server, texts_per_request=1, requests_per_minute=60 / 0.08)
    began = time.perf_counter()  # a busy server may notice the first request late
    libre.translate(["a", "b", "c", "d"], "en", "de")
    assert time.perf_counter() - began >= 3 * 0.08


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"address": "ftp://example.org"}, "is no server; give an address such as"),
        ({"address": "http://"}, "is no server"),
        ({"address": "http://[::1"}, "is no server"),
        ({"address": "http://e.org:port"}, "is no server"),
        ({"address": "http://me:hush@example.org"}, f"put the key into {API_KEY_VARIABLE}"),
        ({"address": "http://example.org?api_key=hush"}, f"put the key into {API_KEY_VARIABLE}"),
        ({"address": "http://e.org", "tries": 0}, "tries is 0; it must be above 0"),
        ({"address": "http://e.org", "requests_per_minute": -1}, "requests_per_minute is -1"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        HttpEngine(**settings)
    assert "hush" not in str(caught.value)


def test_it_is_loaded_by_its_address(server: Server) -> None:
    libre = load_engine(f"{server.address}/", texts_per_request=2)
    assert (libre.name, libre.model) == ("http", server.address)
    with pytest.raises(InputError, match=r"http: no such setting \('colour'\)"):
        load_engine(server.address, colour="red")
