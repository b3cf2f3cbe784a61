"""Bounds are on work: what is too large, too slow or too much, and clients that go away."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from service import Client, serving

from isoglot.common.errors import TextsError, UnavailableError
from isoglot.serving.encoding_queue import EncodingQueue
from isoglot.serving.limits import Limits
from isoglot.serving.refusals import RefusalError

HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Slow:
    """An encoder that says what it was asked, and waits until it is let go on."""

    name, dimensions, max_tokens = "slow", 2, None

    def __init__(self) -> None:
        self.go, self.calls = threading.Event(), []

    def count_tokens(self, texts, role):
        return [len(text) for text in texts]

    def encode(self, texts, role):
        self.calls.append((list(texts), role))
        assert self.go.wait(20)
        return np.array([[len(text), 1 if role == "query" else 2] for text in texts], np.float32)


def until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def raw(port: int, data: bytes, wait: float = 5) -> bytes:
    """All that comes back, until the server closes or the time is over."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        connection.sendall(data)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except (TimeoutError, ConnectionResetError):
            pass
        return b"".join(parts)


def answered(connection: socket.socket) -> bool:
    """Whether `/health` says that all is well; the answer may come in parts."""
    data = b""
    while not data.endswith(b'{"status":"ok"}'):
        part = connection.recv(65536)
        if not part:
            return False
        data += part
    return data.startswith(b"HTTP/1.1 200")


# --- the queue


@given(
    requests=st.lists(
        st.tuples(st.lists(st.text("ab", max_size=30), min_size=1, max_size=9), st.sampled_from(["query", "passage"])),
        min_size=1,
        max_size=9,
    ),
    batch_tokens=st.integers(1, 60),
)
def test_everyone_gets_their_own_vectors_in_their_role(requests, batch_tokens: int) -> None:
    slow = Slow()
    slow.go.set()

    async def run():
        queue = EncodingQueue(slow, batch_tokens=batch_tokens)
        found = await asyncio.gather(*(queue.encode(texts, role) for texts, role in requests))
        assert (queue.waiting, queue.in_flight) == (0, 0)
        queue.close()
        return found

    for (texts, role), encoded in zip(requests, asyncio.run(run()), strict=True):
        expected = [[len(text), 1 if role == "query" else 2] for text in texts]
        assert_array_equal(encoded.vectors, np.array(expected, np.float32))
        assert encoded.tokens == sum(map(len, texts))
    for texts, _ in slow.calls:
        assert len(texts) == 1 or sum(4 + len(text) // 3 for text in texts) <= batch_tokens


def test_a_question_waits_for_one_batch_and_questions_share_one() -> None:
    slow = Slow()

    async def run():
        queue = EncodingQueue(slow, batch_tokens=10)
        long = asyncio.create_task(queue.encode(["corpus"] * 20, "passage"))
        await asyncio.sleep(0.05)
        asked = [asyncio.create_task(queue.encode([f"q{n}"], "query")) for n in range(2)]
        await asyncio.sleep(0.05)
        slow.go.set()
        await asyncio.gather(long, *asked)
        queue.close()

    asyncio.run(run())
    assert slow.calls[1] == (["q0", "q1"], "query")


def test_too_much_work_is_told_when_to_come_again_but_one_large_request_is_served() -> None:
    slow = Slow()

    async def run():
        queue = EncodingQueue(slow, batch_tokens=10, queue_tokens=50)
        large = asyncio.create_task(queue.encode(["x" * 30] * 50, "passage"))
        await asyncio.sleep(0.05)
        with pytest.raises(RefusalError) as refusal:
            await queue.encode(["a"], "query")
        slow.go.set()
        assert len((await large).vectors) == 50
        assert len((await queue.encode(["a"], "query")).vectors) == 1
        queue.close()
        return refusal.value

    refusal = asyncio.run(run())
    assert refusal.status == 429
    assert 1 <= int(refusal.headers["Retry-After"]) <= 60


# --- clients that go away, and too many of them


def test_a_place_is_free_when_the_client_is_gone() -> None:
    slow = Slow()
    with serving(slow, limits=Limits(batch_tokens=10)) as client:
        body = json.dumps({"input": ["x" * 60] * 100}).encode()
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            until(lambda: client.metric("isoglot_tokens_waiting") > 2000)
        until(lambda: client.metric("isoglot_tokens_waiting") == 0)
        slow.go.set()
        until(lambda: client.metric("isoglot_tokens_in_flight") == 0)
        until(lambda: client.metric("isoglot_requests_in_progress") == 1)  # the one that asks
        assert len(slow.calls) == 1
        assert client.metric('isoglot_requests_total{path="/v1/embeddings",status="499"}') == 1


def test_health_answers_and_others_are_told_to_wait_while_much_is_done() -> None:
    slow = Slow()
    with serving(slow, limits=Limits(queue_tokens=100)) as client, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(client.embed, "x" * 60) for _ in range(20)]
        until(lambda: sum(each.done() for each in answers) >= 10)
        assert client.get("/health").status == 200
        slow.go.set()
        statuses = [each.result().status for each in answers]
    assert set(statuses) == {200, 429}
    refused = next(each.result() for each in answers if each.result().status == 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["error"]["code"] == "busy"


def test_what_a_model_behind_an_api_says_is_not_told() -> None:
    class Behind(Slow):
        def encode(self, texts, role):
            if "bad" in texts:
                raise TextsError("http://inside:1 gives no vector for the text 'bad'", ["bad"])
            raise UnavailableError("http://inside:1: connection refused")

    with serving(Behind()) as client:
        down, bad = client.embed(["a"]), client.embed(["a", "bad"])
    assert (down.status, int(down.headers["Retry-After"])) == (503, 5)
    assert (bad.status, bad.json()["error"]["code"]) == (400, "no_vector")
    assert "input 1" in bad.json()["error"]["message"]
    assert b"inside" not in down.body + bad.body


def test_searches_are_bounded_as_well(encoder, searcher) -> None:
    with serving(encoder, searcher, limits=Limits(searches=0)) as client:
        answer = client.search("red")
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "1"


def test_bodies_that_are_being_read_are_bounded_together(encoder) -> None:
    with serving(encoder, limits=Limits(buffered_bytes=10_000)) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: 20000\r\n\r\n" + b" " * 9_000)
            until(lambda: client.embed("x" * 5_000).status == 429)
        until(lambda: client.embed("x" * 5_000).status == 200)


# --- what is too large, or no HTTP


def test_a_body_too_large_is_refused_by_what_it_announces_and_is_no_request(client: Client) -> None:
    inside = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(client.port, HEAD + b"Content-Length: 3000000\r\n\r\n" + inside * 3, wait=1)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"3000000" in answer
    assert b"2000000 bytes and 2048 texts" in answer


def test_a_body_too_large_is_refused_by_counting(client: Client) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer = raw(client.port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 60 + b"0\r\n\r\n", wait=2)
    assert answer.startswith(b"HTTP/1.1 413")


def test_the_connection_goes_on_after_a_refused_body_that_was_sent(client: Client) -> None:
    body = b" " * 2_100_000
    follow = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(client.port, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body + follow)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'{"status":"ok"}' in answer


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: -13\r\n\r\n{}",
        b"Content-Length: 13\r\nContent-Length: 5\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"X-Long: " + b"a" * 140_000 + b"\r\n\r\n",
        b"Host: localhost\r\n\r\n",
    ],
    ids=["negative", "two lengths", "no chunk", "long header", "two hosts"],
)
def test_what_is_not_http_ends_the_connection(client: Client, rest: bytes) -> None:
    answer = raw(client.port, HEAD + rest)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b""
    assert client.get("/health").status == 200


def test_a_chunk_that_is_none_after_a_refusal_ends_the_connection(client: Client) -> None:
    other = HEAD.replace(b"application/json", b"text/plain")
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        connection.sendall(other + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}}"):  # it may come in several pieces
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 415")
        connection.sendall(b"zz\r\n")
        assert connection.recv(65536) == b""


def test_expect_continue_works_and_a_refusal_of_it_closes(client: Client) -> None:
    body = b'{"input": "a"}'
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    answer = raw(client.port, HEAD + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


# --- what is too slow


@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD + b"Content-Length: 100\r\n\r\n{"], ids=["none", "head", "body"])
def test_a_request_is_there_in_time_or_not_at_all(encoder, sent: bytes) -> None:
    with serving(encoder, limits=Limits(request_seconds=0.6)) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
            connection.sendall(sent)
            began = time.monotonic()
            for _ in range(40):  # a byte now and then wins no time
                time.sleep(0.1)
                try:
                    connection.sendall(b" ")
                except OSError:
                    break
            assert 0.3 < time.monotonic() - began < 2.5
        assert client.embed("red").status == 200


def test_the_time_of_a_later_request_begins_with_its_first_byte(encoder) -> None:
    get = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        serving(encoder, limits=Limits(request_seconds=0.8)) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection,
    ):
        for _ in range(3):
            connection.sendall(get)
            assert answered(connection)
            time.sleep(0.5)
        connection.sendall(get + get[:10])  # the second comes behind the first, and does not end
        assert answered(connection)
        assert connection.recv(65536) == b""


def test_work_may_take_longer_than_a_request_may(encoder) -> None:
    slow = Slow()
    with serving(slow, limits=Limits(request_seconds=0.3)) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.embed, "x")
        time.sleep(1)
        slow.go.set()
        assert answer.result().status == 200


class Wide(Slow):
    dimensions = 3_000

    def encode(self, texts, role):
        return np.ones((len(texts), self.dimensions), np.float32)


def ask_without_reading(client: Client, connection: socket.socket) -> None:
    """Wait until an answer of 24 MB is written, of which little fits on the way."""
    body = json.dumps({"input": ["a"] * 2000}).encode()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect(("127.0.0.1", client.port))
    served = 'isoglot_requests_total{path="/v1/embeddings",status="200"}'
    before = client.metric(served) if served in client.get("/metrics").body.decode() else 0
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    until(lambda: served in client.get("/metrics").body.decode() and client.metric(served) > before)


def rest_of(connection: socket.socket) -> int:
    """Bytes that still come."""
    received = 0
    with suppress(ConnectionResetError):
        while received < 24_000_000 and (part := connection.recv(65536)):
            received += len(part)
    return received


def test_a_client_that_does_not_take_its_answer_is_left() -> None:
    with serving(Wide(), limits=Limits(answer_seconds=0.5)) as client, socket.socket() as connection:
        ask_without_reading(client, connection)
        time.sleep(1)
        assert rest_of(connection) < 15_000_000


def test_answers_that_nobody_takes_are_bounded_together_and_the_oldest_go() -> None:
    with serving(Wide(), limits=Limits(untaken_bytes=40_000_000)) as client, ExitStack() as stack:
        connections = [stack.enter_context(socket.socket()) for _ in range(4)]
        for connection in connections:
            ask_without_reading(client, connection)
        received = [rest_of(connection) for connection in connections]
        assert max(received[:3]) < 15_000_000
        assert received[3] >= 24_000_000
    with serving(Wide(), limits=Limits(untaken_bytes=0)) as client, socket.socket() as connection:
        ask_without_reading(client, connection)
        assert rest_of(connection) >= 24_000_000  # one alone may be as large as it is
