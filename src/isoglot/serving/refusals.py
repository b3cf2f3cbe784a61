"""What is said to a client that gets no answer: one line, in the shape that client libraries show."""

from __future__ import annotations

import json
import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error", 503: "rate_limit_error"}
_AGAIN = 5  # seconds after which what could not be reached may be
_SENTENCES = {404: "there is nothing at this path", 405: "this path takes another method"}
_log = logging.getLogger("uvicorn.error")


class RefusalError(Exception):
    """A request that is not served.

    Args:
        status: of the answer. Clients send 408, 409, 429 and 5xx again, the others never.
        message: what is wrong, and what would be right.
        code: what programs go by.
        retry_after: seconds after which the client may come again.
        headers: further ones of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def response(self) -> Response:
        """The answer, as OpenAI's clients read it."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        # ASCII, for a message may repeat half a character that a client sent.
        return Response(json.dumps({"error": error}), self.status, self.headers, "application/json")


def unavailable(what: str, error: Exception) -> RefusalError:
    """The refusal where something behind the server fails; where that is, the log says and clients need not know."""
    _log.warning("%s", error)
    message = f"{what} cannot be asked just now; come again in {_AGAIN} s"
    return RefusalError(503, message, code="unavailable", retry_after=_AGAIN)


async def refused(_request: Request, error: Exception) -> Response:
    """The answer to a request that was refused, by us or by the router."""
    if isinstance(error, HTTPException):
        message = _SENTENCES.get(error.status_code, error.detail)
        error = RefusalError(error.status_code, message, headers=dict(error.headers or {}))
    assert isinstance(error, RefusalError)
    return error.response()


FAILURE = RefusalError(500, "the server failed over this request; its log says why")
"""What the client need not know, the log says."""
