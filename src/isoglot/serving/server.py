"""Runs the application: on which address, for how long a client may take, and until when."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.runtime.encoder import TextEncoder
from isoglot.serving.app import build_app
from isoglot.serving.guard import read_keys, refuse_no_names
from isoglot.serving.limits import Limits

if TYPE_CHECKING:
    from isoglot.search.searcher import Searcher

_LONGEST_HEADERS = 16_384  # bytes
_LAST_ANSWERS = 5  # seconds for what is under way when the server ends


def serve(
    encoder: TextEncoder,
    searcher: Searcher | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    key_file: Path | None = None,
    allow_hosts: Iterable[str] = (),
    name: str | None = None,
    limits: Limits | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve an encoder, and an index if there is one, until interrupted.

    Args:
        encoder: of the model's vectors.
        searcher: an index that was opened.
        host: the address to listen on.
        port: 0 for any that is free.
        key_file: keys, one a line, of which clients must send one; wanted for every address beyond this machine.
        allow_hosts: names by which clients call the server.
        name: under which the model is served; the last part of its own by default.
        limits: on what is done for a client.
        on_start: called with the address when the server listens.

    Raises:
        InputError: if the address is not this machine's own and there is no key, or it cannot be listened on.
    """
    limits = limits or Limits()
    if key_file is None and not _is_loopback(host):
        raise InputError(f"--host {host}: others can reach it, so it wants a key; write one to a file for --key-file")
    refuse_no_names(names := tuple(allow_hosts))
    keys = read_keys(expanded_path(key_file)) if key_file else []
    app = build_app(encoder, searcher, name=name, keys=keys, hosts={host, *names}, limits=limits)
    with listen(host, port) as listening:
        bound, port = listening.getsockname()[:2]
        if on_start:
            on_start(f"http://[{bound}]:{port}/" if ":" in bound else f"http://{bound}:{port}/")
        server_of(app, limits).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address; port 0 is any that is free.

    Raises:
        InputError: if it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host} port {port}: {reason}; choose another with --host and --port") from None


def server_of(app: Starlette, limits: Limits) -> uvicorn.Server:
    """The server of an application, with the limits that are the server's to keep."""
    config = uvicorn.Config(
        app,
        http=type("Protocol", (TimedProtocol,), {"limits": limits, "untaken": {}}),
        ws="none",
        lifespan="on",
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_LONGEST_HEADERS,
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    return uvicorn.Server(config)


class TimedProtocol(H11Protocol):
    """Ends a connection whose request is not there whole in time, or whose client does not take the answer.

    uvicorn bounds neither: a client that sends a byte a second is served for ever, and an application never sees
    headers that do not end. The time runs from the connection, or from the first byte of a later request on it. An
    answer lies in memory until it is taken, so all of them together are bounded as well.

    Attributes:
        limits: of the server.
        untaken: its connections whose clients have not taken an answer, the longest first; a dict for its order.
    """

    limits = Limits()
    untaken: ClassVar[dict[TimedProtocol, None]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        self._arriving: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop("_arriving", "_leaving")
        self.untaken.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        self._await_request()
        super().data_received(data)
        self._look_whether_whole()

    def on_response_complete(self) -> None:
        """Go on to the next request, a part of which may be there."""
        super().on_response_complete()
        self._look_whether_whole()

    def pause_writing(self) -> None:
        """More is to be sent than the client takes."""
        super().pause_writing()
        if self._leaving is None:
            self._leaving = self.loop.call_later(self.limits.answer_seconds, self.transport.abort)
            self.untaken[self] = None
            self._leave_the_slowest()

    def resume_writing(self) -> None:
        """The client took it."""
        super().resume_writing()
        self._stop("_leaving")
        self.untaken.pop(self, None)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP; where an answer is under way already, the connection's end must do."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _leave_the_slowest(self) -> None:
        """Make room for this answer; it is itself sent, however large."""
        held = {each: each.transport.get_write_buffer_size() for each in self.untaken}
        for slowest in [each for each in held if each is not self]:
            if sum(held.values()) <= self.limits.untaken_bytes:
                break
            del held[slowest], self.untaken[slowest]
            slowest.transport.abort()

    def _await_request(self) -> None:
        if self._arriving is None:
            self._arriving = self.loop.call_later(self.limits.request_seconds, self.transport.abort)

    def _look_whether_whole(self) -> None:
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if begun or self.conn.their_state is h11.SEND_BODY:
            self._await_request()
        else:
            self._stop("_arriving")

    def _stop(self, *timers: str) -> None:
        for name in timers:
            timer = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)
