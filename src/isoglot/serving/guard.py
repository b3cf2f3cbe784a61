"""Who may ask: checked of every request by its headers, before any work.

Loopback is no wall: a page of any site, open in the user's browser, can send requests to this machine, and a site can
point its own name here. What such a page cannot do is choose the Host, Origin and Sec-Fetch-Site that its browser
sends, or declare JSON without the browser's asking first.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from starlette.datastructures import Headers

from isoglot.common.errors import InputError
from isoglot.serving.limits import Limits
from isoglot.serving.refusals import RefusalError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WITHOUT_KEY = frozenset({"/", "/health"})  # the bare page, and what probes ask
_WITH_BODY = frozenset({"/v1/embeddings", "/search"})
_JSON = "application/json"
_SHORTEST_KEY = 16
_NAME = re.compile(r"[a-z0-9._:-]+")


def host_of(authority: str) -> str:
    """The name in a Host header, without port, brackets and case.

    >>> [host_of(each) for each in ["LOCALHOST:8000", "[::1]:80", "127.0.0.1.evil.example:80"]]
    ['localhost', '::1', '127.0.0.1.evil.example']
    """
    name = authority.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def name_of(host: str) -> str:
    """The name that somebody allows a server to be called by: as `host_of`; an IPv6 address may lack its brackets.

    >>> [name_of(each) for each in ["Search.example:8443", "::1", "[::1]:8443"]]
    ['search.example', '::1', '::1']
    """
    return host.lower() if host.count(":") > 1 and not host.startswith("[") else host_of(host)


def refuse_no_names(hosts: Iterable[str]) -> None:
    """Refuse what no client calls a server, so that nobody waits for requests which all are refused.

    Raises:
        InputError: naming the first that is no name.
    """
    if wrong := [each for each in hosts if "/" in each or not _NAME.fullmatch(name_of(each))]:
        raise InputError(f"--allow-host {wrong[0]}: give the name alone, in ASCII, such as search.example.org")


def read_keys(file: Path) -> list[bytes]:
    """The keys in a file, one a line.

    Raises:
        InputError: if there is none, or one that no header can carry.
    """
    keys = [line.strip() for line in file.read_bytes().splitlines() if line.strip()]
    if not keys:
        raise InputError(f"{file}: no key in it; write one to a line, of 16 letters and digits or more")
    for number, key in enumerate(keys, 1):
        if len(key) < _SHORTEST_KEY:
            raise InputError(f"{file}: key {number} has {len(key)} characters, which can be guessed; write 16 or more")
        if not all(0x20 < byte < 0x7F for byte in key):
            raise InputError(f"{file}: key {number} has characters other than ASCII letters, digits and signs")
    return keys


class Guard:
    """Refuses requests from elsewhere, without a key, or of a kind or size that is not taken.

    Args:
        hosts: names by which this server may be called.
        keys: any of which opens it; open to all if there are none.
        limits: of which the size of bodies matters here.
    """

    def __init__(self, hosts: Iterable[str], keys: Sequence[bytes], limits: Limits) -> None:
        self.hosts = frozenset(filter(None, map(name_of, hosts)))
        self.keys, self.limits = keys, limits

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Let a request pass, or not.

        Raises:
            RefusalError: if it may not.
        """
        self._check_host(headers)
        self._check_site(method, path, headers)
        if path not in _WITHOUT_KEY:
            self._check_key(headers)
        if method == "POST" and path in _WITH_BODY:
            self._check_body(headers)

    def _check_host(self, headers: Headers) -> None:
        name = host_of(headers.get("host", ""))
        if name not in self.hosts:
            message = f"this server does not go by the name {name[:100]!r}"
            raise RefusalError(421, f"{message}; if it should, start it with --allow-host NAME", code="unknown_host")

    def _check_site(self, method: str, path: str, headers: Headers) -> None:
        """A link to the page may stand anywhere; all else is for the page itself and for programs."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none").lower()
        to_page = method in ("GET", "HEAD") and path == "/"
        elsewhere = origin is not None and origin.lower().partition("://")[2] != headers["host"].strip().lower()
        if elsewhere or (site not in ("none", "same-origin") and not to_page):
            raise RefusalError(403, "pages of other sites may not ask this server", code="other_site")

    def _check_key(self, headers: Headers) -> None:
        if not self.keys:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        key = given.strip().encode("latin-1")  # as it came: headers are read as Latin-1
        known = [hmac.compare_digest(key, each) for each in self.keys]
        if scheme.lower() != "bearer" or not any(known):
            message = "this server wants a key, sent as the header Authorization: Bearer KEY"
            raise RefusalError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def _check_body(self, headers: Headers) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON:
            message = f"send the body with Content-Type: {_JSON}, not {kind[:100] or 'none'}"
            raise RefusalError(415, message, code="content_type")
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise RefusalError(415, "send the body as it is, not compressed", code="content_encoding")
        length = headers.get("content-length")
        if length and int(length) > self.limits.body_bytes:
            raise too_large(f"has {int(length)} bytes", self.limits)


def too_large(what: str, limits: Limits) -> RefusalError:
    """The refusal of a body that is too large; it names all that is bounded, so that a client can be set right."""
    message = f"the request {what}; at most {limits.body_bytes} bytes and {limits.texts} texts are taken at a time"
    return RefusalError(413, f"{message}: send smaller batches", code="too_large")
