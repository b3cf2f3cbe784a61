"""What the server counts of itself, for Prometheus; no label holds what a client sent."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import Response

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("isoglot_requests", "Requests answered", ("path", "status"), registry=registry)
        self._seconds = Histogram(
            "isoglot_request_seconds", "From headers to answer", ("path",), buckets=_SECONDS, registry=registry
        )
        self.in_progress = Gauge("isoglot_requests_in_progress", "Requests not answered yet", registry=registry)
        self.texts = Counter("isoglot_texts", "Texts encoded, by role", ("role",), registry=registry)
        self.tokens = Counter("isoglot_tokens", "Tokens read by the encoder, by role", ("role",), registry=registry)
        self.truncated = Counter(
            "isoglot_texts_truncated", "Texts that the model did not read to their end", registry=registry
        )
        ProcessCollector(registry=registry)

    def gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Show a number that is read when it is asked for."""
        Gauge(name, description, registry=self._registry).set_function(value)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer; the path is one that is served, or `other`."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    async def endpoint(self, _request: Request) -> Response:
        """GET /metrics."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
