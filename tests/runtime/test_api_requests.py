"""Requests that fail, in the ways that servers do: asked again where that helps, and never otherwise."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings_server import Answer, Day, Open, Server, but_for_probes, good, running, vector_of
from isoglot.common.errors import InputError, TextsError
from isoglot.runtime.api_requests import ApiClient
from isoglot.runtime.api_settings import API_KEY_VARIABLE, ApiOptions, parse_name

TEXTS = [f"text {number}" for number in range(20)]
MISTAKE = {"error": {"message": "said\nthe server"}}


def changed(change: Any) -> Day:
    """A good answer after a change to its `data`."""

    def day(body: dict[str, Any]) -> Answer:
        _, answer, *_ = good(body)
        return 200, {**answer, "data": change(sorted(answer["data"], key=lambda item: item["index"]))}

    return day


def with_value(value: Any) -> Day:
    """A good answer but for a number of one text's vector."""

    def change(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        data[1]["embedding"][3] = value
        return data

    return changed(change)


@given(
    count=st.integers(1, 60),
    batch=st.integers(1, 40),
    most=st.integers(1, 40),
    bad=st.sets(st.integers(0, 59), max_size=4),
)
def test_any_limit_is_found_and_any_bad_text(count: int, batch: int, most: int, bad: set[int]) -> None:
    with patch("httpx2.Client"):  # making one takes a while
        client = ApiClient("http://server/v1/embeddings", "m", ApiOptions(batch_size=batch))
    texts, refused = [f"text {number}" for number in range(count)], []

    def send(body: bytes) -> tuple[httpx2.Response, bytes]:
        assert body not in refused
        sent = json.loads(body)["input"]
        fine = len(sent) <= most and not {int(text.split()[1]) for text in sent} & bad
        refused.extend([] if fine else [body])
        return httpx2.Response(200 if fine else 413), json.dumps(good(json.loads(body))[1]).encode()

    client._send = send  # type: ignore[method-assign]
    found: dict[int, Any] = {}
    wrong = {number for number in bad if number < count}
    with pytest.raises(TextsError) if wrong else nullcontext() as caught:
        for rows, vectors in client.ask(texts):
            found |= dict(zip(rows, vectors, strict=True))
    if caught is not None:
        assert sorted(caught.value.texts) == sorted(texts[number] for number in wrong)
    assert found.keys() == set(range(count)) - wrong
    assert all(found[row] == pytest.approx(np.array(vector_of(texts[row]))) for row in found)
    assert len(refused) <= (1 + len(wrong)) * 7 * 2
    if not wrong:
        assert len(refused) <= 6


@pytest.mark.parametrize(
    ("day", "message"),
    [
        (changed(lambda data: data[:-1]), "20 texts were sent, and 19 vectors came"),
        (changed(lambda data: []), "20 texts were sent, and 0 vectors came"),
        (changed(lambda data: None), "20 texts were sent, and no vectors came"),
        (changed(lambda data: [{**item, "index": 0} for item in data]), "index is not 0 to 19, each once"),
        (changed(lambda data: [{**item, "index": item["index"] + 1} for item in data]), "index is not 0 to 19"),
        (changed(lambda data: [{**item, "index": [1]} for item in data]), "index is not 0 to 19"),
        (changed(lambda data: [item["embedding"] for item in data]), "index is not 0 to 19"),
        (
            changed(lambda data: [{**item, "embedding": [1.0] * 8} for item in data]),
            "of 8 numbers came, and of 16 befo",
        ),
        (changed(lambda data: [{**data[0], "embedding": [1.0]}, *data[1:]]), "vectors of 1 and of 16 numbers came"),
        (lambda _: (200, MISTAKE), "no vectors came, but: said the server"),
        (lambda _: (200, b"<html>Sign in</html>"), "what came is not JSON"),
        (lambda _: (200, b"[]"), "no vectors came"),
        (lambda _: (404, b"<html>nothing</html>"), r"status 404; see if the address and the model's name are right"),
        (lambda _: (403, MISTAKE), f"status 403 .said the server.; put a key that .* {API_KEY_VARIABLE}"),
        (lambda _: (418, b"short and stout"), r"status 418 \(short and stout\); is it a server"),
        (lambda _: (302, b"", {"Location": "http://elsewhere/?key=1"}), "redirects to http://elsewhere; give the"),
        (lambda _: (200, b'{"data":' + b"[" * 100_000), "what came is not JSON"),
        (lambda _: (404, b"[" * 100_000), "status 404; see if"),
        (lambda _: (429, {"error": {"code": "insufficient_quota"}}, {"Retry-After": "1"}), "waiting does not help"),
        (lambda _: (429, {"error": {"message": "exceeded your quota"}}), "waiting does not help"),
        (lambda _: (429, MISTAKE, {"Retry-After": "3600"}), "it says to wait 3600 seconds"),
    ],
)
def test_what_no_waiting_mends_ends_the_run_in_one_line_at_once(
    server: Server, opened: Open, waits: list[float], tmp_path: Path, day: Day, message: str
) -> None:
    server.always = but_for_probes(day)
    encoder = opened()
    with pytest.raises(InputError, match=message) as caught:
        encoder.encode(TEXTS, "query")
    assert str(caught.value).startswith(f"http://127.0.0.1:{server.server_port}/v1/embeddings")
    assert "\n" not in str(caught.value)
    assert (len(server.requests), waits) == (2, [])
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("value", [float("nan"), None, True, "0.5", 1e300, 10**400, [1.0]])
def test_a_vector_that_is_none_is_never_kept_and_the_others_are(
    server: Server, opened: Open, tmp_path: Path, value: Any
) -> None:
    server.always = but_for_probes(with_value(value))
    encoder = opened()
    with pytest.raises(TextsError, match=r"'text 1': what came is no vector .*; 19 of 20 texts are encoded and kept"):
        encoder.encode(TEXTS, "query")
    (kept,) = tmp_path.rglob("vectors.npy")
    assert np.isfinite(np.load(kept)).all()
    assert len(np.load(kept)) == 19


def test_zeros_are_no_vector(server: Server, opened: Open) -> None:
    server.always = lambda body: good(
        body, data=[{"index": n, "embedding": [0] * 8} for n in range(len(body["input"]))]
    )
    with pytest.raises(TextsError, match="'A bridge of stone': what came is no vector"):
        opened()


def test_a_text_that_breaks_the_server_is_found(server: Server, opened: Open, waits: list[float]) -> None:
    server.always = lambda body: (500, MISTAKE) if TEXTS[7] in body["input"] else good(body)
    with pytest.raises(TextsError, match=r"'text 7': status 500 .*; 19 of 20") as caught:
        opened(batch_size=16).encode(TEXTS, "query")
    assert caught.value.texts == (TEXTS[7],)
    assert len(server.requests) < 30


def test_a_server_that_breaks_over_everything_is_not_a_texts_fault(
    server: Server, opened: Open, waits: list[float]
) -> None:
    encoder = opened(batch_size=16)
    server.always = lambda _: (500, MISTAKE)
    with pytest.raises(InputError, match=r"status 500 .*, whatever the text; 0 of 20") as caught:
        encoder.encode(TEXTS, "query")
    assert not isinstance(caught.value, TextsError)
    assert len(server.requests) < 25


@pytest.mark.parametrize(
    "day",
    [
        lambda _: None,
        lambda body: (200, json.dumps(good(body)[1]).encode(), {"Content-Length": "100000", "Connection": "close"}),
        lambda _: (502, b"<html>Bad Gateway</html>"),
        lambda _: (408, MISTAKE),
        lambda _: (429, MISTAKE),
    ],
    ids=["hangs up", "ends early", "502", "408", "429"],
)
def test_what_may_pass_is_asked_again_after_waits_that_grow(
    server: Server, opened: Open, waits: list[float], day: Day
) -> None:
    encoder = opened(batch_size=20, timeout=1)
    server.days = [day, day, day]
    assert len(encoder.encode(TEXTS, "query")) == 20
    assert len(server.requests) == 5
    assert [0.5 <= wait / 2**n <= 1 for n, wait in enumerate(waits)] == [True] * 3


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "in a minute"}, 50),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": "nan"}, 0.5),
        ({"Retry-After": "-5"}, 0),
    ],
)
def test_no_request_comes_before_the_time_that_was_given(
    server: Server, opened: Open, waits: list[float], headers: dict[str, str], least: float
) -> None:
    encoder = opened()
    if least == 50:
        headers = {"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)}
    server.days = [lambda _: (429, MISTAKE, headers)]
    encoder.encode(TEXTS, "query")
    assert len(waits) == 1
    assert least < waits[0] < 1.4 * least + 1


def test_a_server_that_stays_down_ends_the_run_and_the_next_asks_for_the_rest(
    server: Server, opened: Open, waits: list[float]
) -> None:
    encoder = opened(batch_size=5, tries=3)
    server.days = [good, good]
    server.always = lambda _: (503, b"<html>away</html>")
    with pytest.raises(InputError, match=r"status 503, 3 times; see .* again; 10 of 20 texts are encoded and kept"):
        encoder.encode(TEXTS, "query")
    assert len(server.requests) == 6
    server.always = good
    server.requests.clear()
    opened().encode(TEXTS, "query")
    assert server.asked() == TEXTS[10:]


def test_a_server_that_is_not_there_is_said_at_once(waits: list[float], opened: Open, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match=r"cannot be reached .*; see if the server runs and the address is right"):
        opened()
    assert not waits


@pytest.mark.parametrize("drip", [0.05, None])
def test_the_time_limit_is_for_the_whole_answer(
    server: Server, opened: Open, waits: list[float], drip: float | None
) -> None:
    encoder = opened(timeout=0.4, tries=2)
    server.drip = drip
    if drip is None:
        server.always = lambda _: threading.Event().wait(2) or good(_)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"embeddings: no whole answer within 0\.4 seconds, 2 times"):
        encoder.encode(TEXTS, "query")
    assert 0.8 <= time.monotonic() - start < 1.5


def test_the_key_goes_to_its_address_alone_and_into_no_message_or_file(
    server: Server, opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, " sk-7319 \n")
    opened().encode(TEXTS, "query")
    assert set(server.keys) == {"Bearer sk-7319"}
    with running() as elsewhere:
        where = {"Location": f"http://127.0.0.1:{elsewhere.server_port}/v1/embeddings"}
        server.always = lambda _: (307, b"", where)
        with pytest.raises(InputError, match="redirects to"):
            opened()
        assert not elsewhere.requests
    before = len(server.requests)
    for answer in ((401, {"detail": "x" * 190 + " sk-7319"}), (200, {"error": "Bearer sk-7319"}), (400, b"sk-7319")):
        server.always = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(InputError) as caught:
            opened()
        assert "sk-7" not in str(caught.value)
    assert len(server.requests) == before + 1 + 1 + 3
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"sk-7319" in file.read_bytes()]
    monkeypatch.setenv(API_KEY_VARIABLE, "sk-7319/a+b")
    for answer in (
        (401, b'{"error": "the key sk-7319\\/a\\u002bb"}'),
        (401, b'{"error": "sk-7319\\/a+b", "input": "' + b"x" * 20_000 + b'"}'),
        (401, b'{"error": "sk-7319\\/a+b'),
        (307, b"", {"Location": "http://elsewhere/sk-7319%2Fa%2Bb"}),
    ):
        server.always = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(InputError) as caught:
            opened()
        assert "sk-7" not in str(caught.value)
    monkeypatch.setenv(API_KEY_VARIABLE, "schlüssel")
    with pytest.raises(InputError, match="letters, digits and signs of ASCII"):
        opened()


@pytest.mark.parametrize("url", ["", "/", "/v1", "/v1/", "//v1//", "/v1/embeddings", "/v1/embeddings/"])
def test_addresses_with_and_without_v1_are_one(url: str) -> None:
    assert parse_name(f"api:http://server:8080{url}#org/m:1") == ("http://server:8080/v1/embeddings", "org/m:1")


def test_an_address_that_ends_in_embeddings_is_the_whole_one() -> None:
    assert parse_name("api:http://server/embeddings#m") == ("http://server/embeddings", "m")


@pytest.mark.parametrize("setting", ["timeout=inf", "timeout=1e10", "timeout=nan", "price=inf", "price=nan"])
def test_settings_that_no_run_could_keep_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match=f"--api: .*{setting.partition('=')[0]}"):
        ApiOptions.parse([setting])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("api:http://user:secret@server#m", "put the key into"),
        ("api:https://server/v1?key=secret#m", "put the key into"),
        ("api:https://server/v1", "write the model's name behind a #"),
        ("api:server/v1#m", "is no server; write api:URL#MODEL"),
        ("api:http://server:port#m", "is no server"),
        ("api:http://[::1#m", "is no server"),
        ("api:#m", "is no server"),
    ],
)
def test_names_that_are_none_are_one_clear_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_name(name)
    assert "secret" not in str(caught.value)
