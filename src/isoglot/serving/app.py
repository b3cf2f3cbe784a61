"""The application: what is served at which path, behind the guard."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isoglot.runtime.encoder import TextEncoder
from isoglot.serving.embeddings import Embeddings, as_json
from isoglot.serving.encoding_queue import EncodingQueue
from isoglot.serving.guard import LOOPBACK, Guard
from isoglot.serving.limits import Limits
from isoglot.serving.measuring import Metrics
from isoglot.serving.openapi import describe
from isoglot.serving.page import page
from isoglot.serving.refusals import FAILURE, RefusalError, refused
from isoglot.serving.requests import Bodies
from isoglot.serving.searching import Searching

if TYPE_CHECKING:
    from isoglot.search.searcher import Searcher

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CLIENT_GONE = 499
Endpoint = Callable[[Request], Awaitable[Response]]
_log = logging.getLogger("uvicorn.error")


def build_app(
    encoder: TextEncoder,
    searcher: Searcher | None = None,
    *,
    name: str | None = None,
    keys: Sequence[bytes] = (),
    hosts: Iterable[str] = (),
    limits: Limits | None = None,
) -> Starlette:
    """An ASGI application over an encoder, and over an index if there is one.

    Run it in one process: the encoder and the places of a queue are shared by all requests. The time that a request may
    take to arrive is for the server to bound; `serve` does.

    Args:
        encoder: of the model's vectors.
        searcher: an index that was opened; without one there are neither `/search` nor a page.
        name: under which the model is served; the last part of its own by default.
        keys: any of which clients must send; none are wanted if empty.
        hosts: names by which clients call the server, beside those of this machine to itself.
        limits: on what is done for a client.
    """
    limits, metrics = limits or Limits(), Metrics()
    routes, closing = _served(encoder, searcher, name or Path(encoder.name).name, limits, metrics)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        for close in closing:
            close()

    guard = Guard({*LOOPBACK, *hosts}, keys, limits)
    app = Starlette(
        routes=[Route(path, endpoint, methods=[method]) for path, (method, endpoint) in routes.items()],
        middleware=[Middleware(_Door, paths=frozenset(routes), guard=guard, metrics=metrics)],
        exception_handlers={RefusalError: refused, HTTPException: refused, ClientDisconnect: _gone},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would send the key, or the body, to a path that was not asked for
    return app


def _served(
    encoder: TextEncoder, searcher: Searcher | None, name: str, limits: Limits, metrics: Metrics
) -> tuple[dict[str, tuple[str, Endpoint]], list[Callable[[], None]]]:
    """By path the method and what answers, and what is to be closed at the end."""
    queue = EncodingQueue(encoder, batch_tokens=limits.batch_tokens, queue_tokens=limits.queue_tokens)
    metrics.gauge("isoglot_tokens_waiting", "Tokens that wait to be encoded, about", lambda: queue.waiting)
    metrics.gauge("isoglot_tokens_in_flight", "Tokens being encoded, about", lambda: queue.in_flight)
    bodies = Bodies(limits)
    embeddings = Embeddings(name, queue, bodies, metrics)
    routes: dict[str, tuple[str, Endpoint]] = {
        "/health": ("GET", _health),
        "/metrics": ("GET", metrics.endpoint),
        "/v1/embeddings": ("POST", embeddings.embed),
        "/v1/models": ("GET", embeddings.models),
    }
    closing = [queue.close]
    if searcher is not None:
        searching = Searching(searcher, queue, bodies, metrics)
        routes |= {
            "/": ("GET", page),
            "/languages": ("GET", searching.languages),
            "/search": ("POST", searching.search),
        }
        closing.append(searching.close)
    document = describe(frozenset(routes))

    async def description(_request: Request) -> Response:
        return as_json(document)

    routes["/openapi.json"] = "GET", description
    return routes, closing


class _Door:
    """What every request passes: the guard, the counters, and the headers that browsers mind."""

    def __init__(self, app: ASGIApp, paths: frozenset[str], guard: Guard, metrics: Metrics) -> None:
        self.app, self.paths, self.guard, self.metrics = app, paths, guard, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, began, status = Headers(scope=scope), time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answer = MutableHeaders(scope=message)
                for field, value in _HEADERS.items():
                    answer.setdefault(field, value)
                if status >= 400 and "expect" in headers:
                    answer["Connection"] = "close"  # whether the body follows is not known
            await send(message)

        with self.metrics.in_progress.track_inprogress():
            try:
                self.guard.check(scope["method"], scope["path"], headers)
                await self.app(scope, receive, send_with_headers)
            except RefusalError as error:
                await error.response()(scope, receive, send_with_headers)
            except Exception:
                _log.exception("a request to %r failed", scope["path"])
                if status:
                    raise  # the answer is under way: the connection's end must do
                await FAILURE.response()(scope, receive, send_with_headers)
        path = scope["path"] if scope["path"] in self.paths else "other"
        self.metrics.answered(path, status, time.monotonic() - began)


async def _health(_request: Request) -> Response:
    return as_json({"status": "ok"})


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=_CLIENT_GONE)  # nobody reads it; the counters tell it apart
