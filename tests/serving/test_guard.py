"""Who may ask: other sites in the user's browser may not, nor whoever lacks the key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service import KEY, Client, serving
from starlette.datastructures import Headers

from isoglot.common.errors import InputError
from isoglot.runtime.encoder import TextEncoder
from isoglot.serving.guard import LOOPBACK, Guard, host_of, read_keys
from isoglot.serving.limits import Limits
from isoglot.serving.refusals import RefusalError
from isoglot.serving.server import listen, serve

BODY = {"input": "a"}


@pytest.fixture(scope="module")
def locked(encoder: TextEncoder, searcher) -> Iterator[Client]:
    with serving(encoder, searcher, keys=[b"another", KEY.encode()], hosts=["search.example"]) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:80"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "search.example"}, 421),  # not configured here
        ({"Host": "LOCALHOST:9"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://localhost:3000", "Host": "localhost:8000"}, 403),
        ({"Origin": "http://localhost:8000", "Host": "localhost:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://LOCALHOST", "Host": "localhost"}, 200),  # behind a proxy that speaks TLS
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Mode": "cors"}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "text/plain; application/json"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "APPLICATION/JSON; charset=utf-8"}, 200),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Authorization": "Bearer "}, 200),  # no key in use: whatever comes is fine
        ({"Authorization": "Bearer caf\xe9"}, 200),
    ],
    ids=str,
)
def test_headers_decide_before_any_work(client: Client, headers: dict[str, str], status: int) -> None:
    answer = client.send("POST", "/v1/embeddings", BODY, headers)
    assert answer.status == status, answer.body
    assert [name for name in answer.headers if name.lower().startswith("access-control")] == []
    assert (status == 200) == ("error" not in answer.json())


def test_the_page_may_be_linked_to_but_not_asked_by_another_name(client: Client) -> None:
    assert client.get("/", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status == 200
    assert client.get("/", Host="evil.example").status == 421
    assert client.get("/languages", **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert client.send("OPTIONS", "/v1/embeddings", headers={"Origin": "https://evil.example"}).status == 403


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/search", "/v1/models", "/metrics", "/languages", "/openapi.json", "/no"]
)
@pytest.mark.parametrize(
    "given",
    [None, "Bearer", "Bearer ", "Bearer x", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", "Bearer caf\xe9"],
)
def test_without_the_key_nothing_is_said(locked: Client, path: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    for answer in (locked.get(path, **headers), locked.send("POST", f"{path}?api_key={KEY}", BODY, headers)):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["error"]["message"]
        assert KEY not in answer.body.decode()


def test_any_of_the_keys_opens(locked: Client) -> None:
    for given in (f"Bearer {KEY}", f"bearer  {KEY}", "BEARER another"):
        assert locked.send("POST", "/v1/embeddings", BODY, {"Authorization": given}).status == 200
    assert locked.get("/health").status == 200
    assert KEY not in locked.get("/").body.decode()
    assert locked.with_key(KEY).get("/v1/models", Host="search.example").status == 200


def test_keys_are_lines_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    one, two = "one-key-of-letters", "another-key-of-letters"
    file.write_text(f"\n {one} \r\n{two}\n\n")
    assert read_keys(file) == [one.encode(), two.encode()]
    wrong = (("\n \n", "no key in it"), (f"{one}\n{two}é\n", "key 2"), (f"{one}\t{two}\n", "key 1"), ("short\n", "16"))
    for content, reason in wrong:
        file.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=reason):
            read_keys(file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "search.example"])
def test_beyond_this_machine_a_key_is_wanted(encoder: TextEncoder, host: str) -> None:
    with pytest.raises(InputError, match="--key-file"):
        serve(encoder, host=host)


def test_an_address_that_is_taken_is_named(encoder: TextEncoder, client: Client) -> None:
    with pytest.raises(InputError, match=f"127.0.0.1 port {client.port}: .*--port"):
        serve(encoder, port=client.port)
    with pytest.raises(InputError, match="port 70000"):
        serve(encoder, port=70000)


def test_a_name_may_have_a_port_and_is_no_address(encoder: TextEncoder) -> None:
    guard = Guard(["Search.example:8443", "::1", "[fd00::2]:8443", ""], [], Limits())
    for host in ("search.example:8443", "search.example", "[::1]:80", "[fd00::2]"):
        guard.check("GET", "/health", Headers({"host": host}))
    with pytest.raises(RefusalError):
        guard.check("GET", "/health", Headers({"host": ""}))
    for wrong in ("https://search.example", "", ":8443", "*.example", "büro.example", "a b"):
        with pytest.raises(InputError, match="give the name alone"):
            serve(encoder, allow_hosts=iter(["search.example", wrong]))
    with pytest.raises(InputError, match="--host"):
        listen("é" * 70, 0)


@pytest.mark.parametrize("authority", ["", ":", "[", "[]", "a:b:c", "localhost.", "\xedlocalhost", "127.0.0.1\t"])
def test_no_host_passes_by_its_form(authority: str) -> None:
    guard = Guard(LOOPBACK, [], Limits())
    if host_of(authority) not in LOOPBACK:
        with pytest.raises(RefusalError):
            guard.check("GET", "/health", Headers({"host": authority}))
