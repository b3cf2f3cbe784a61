"""Requests to a server of `/v1/embeddings`: as many as it takes, as few as can be."""

from __future__ import annotations

import json
import random
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NoReturn

import httpx2
import numpy as np

from isoglot._version import __version__
from isoglot.common.arrays import FloatArray
from isoglot.common.errors import TextsError, UnavailableError
from isoglot.runtime.api_answers import (
    Answer,
    WrongAnswerError,
    quota_is_used_up,
    read_answer,
    reason_of,
    told_wait,
)
from isoglot.runtime.api_settings import API_KEY_VARIABLE, ApiOptions, server_key
from isoglot.vectors.probes import PROBES

_SIZE_MAY_BE_WRONG = frozenset({400, 413, 422})
_MAY_PASS = frozenset({408, 425, 429})  # and 5xx
_FIRST_WAIT = 1.0  # seconds; doubled each time
_LONGEST_WAIT = 120.0  # seconds, whatever the server asks for
_CONNECT = 10.0  # seconds
_TRIES_OF_500 = 3  # which may be one text's fault
_MOST_BAD = 10  # texts that are looked for by halving before the run ends
_ADVICE = {
    **dict.fromkeys((401, 403), f"put a key that the server accepts into {API_KEY_VARIABLE}"),
    **dict.fromkeys((404, 405), "see if the address and the model's name are right"),
}


class _RefusedError(Exception):
    """These texts are not taken together, or one of them not at all."""

    def __init__(self, why: str, status: int) -> None:
        super().__init__(why)
        self.status = status


class ApiClient:
    """Asks one server for vectors of one model.

    A request that fails in a way that may pass (408, 425, 429, 5xx, a lost connection, no whole answer in time) is sent
    again after what the server says, or after 1, 2, 4, ... seconds, less a random part of up to a half. One that is
    refused (400, 413, 422, or 500 three times) is halved; the smaller size is kept, unless it was one text's fault.

    Args:
        url: the whole address, as `parse_name` gives it.
        model: the server's name for it.
        options: how to ask.

    Attributes:
        size: texts in a request, as far as is known.
        tokens: that the server has counted; where it does not, an estimate.
        dimensions: of the vectors; None before the first answer.

    Raises:
        InputError: if the key of the environment is none.
    """

    def __init__(self, url: str, model: str, options: ApiOptions) -> None:
        self.url, self.model, self.options = url, model, options
        self.size, self.tokens = options.batch_size, 0
        self.dimensions: int | None = None
        self._counted_tokens = self._counted_bytes = 0
        self._key = server_key()
        headers = {"Content-Type": "application/json", "User-Agent": f"isoglot/{__version__}"}
        self._http = httpx2.Client(
            headers=headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=httpx2.Timeout(options.timeout, connect=min(_CONNECT, options.timeout)),
            follow_redirects=False,  # the key is for this address
        )

    def ask(
        self,
        texts: Sequence[str],
        prompt: str = "",
        fields: Mapping[str, str] | None = None,
        most_bad: int = _MOST_BAD,
    ) -> Iterator[tuple[list[int], FloatArray]]:
        """Ask for the vectors of texts.

        Args:
            texts: the texts.
            prompt: put before each.
            fields: sent beside `model` and `input`.
            most_bad: texts without a vector after which to stop.

        Yields:
            The places of some texts and their vectors, after each answer.

        Raises:
            TextsError: at the end, or when they are `most_bad`, if the server gives no vector for some texts.
            InputError: if it cannot be asked, or answers something else.
        """
        rest, bad = range(len(texts)), dict[int, str]()
        while rest and len(bad) < most_bad:
            batch, rest = rest[: self.size], rest[self.size :]
            sent = [prompt + texts[row] for row in batch]
            for rows, answer in self._answers(batch, sent, fields or {}, bad, most_bad):
                good = {row: vector for row, vector in zip(rows, answer.vectors, strict=True) if vector is not None}
                bad |= dict.fromkeys(set(rows) - set(good), "what came is no vector of finite numbers, some not zero")
                if good:
                    yield list(good), self._of_one_length(np.stack(list(good.values())))
        if bad:
            first, reason = next(iter(bad.items()))
            text = textwrap.shorten(texts[first], 60, placeholder=" ...")[:80]
            message = f"{self.url} gives no vector for the text {text!r}: {reason}"
            raise TextsError(message, [texts[row] for row in bad])

    def _answers(
        self, batch: range, texts: list[str], fields: Mapping[str, str], bad: dict[int, str], most_bad: int
    ) -> Iterator[tuple[range, Answer]]:
        """The answers for a batch, in as many parts as it takes; texts that are refused alone are added to the bad."""
        size, parts = self.size, deque([batch])
        while parts and len(bad) < most_bad:
            rows = parts.popleft()
            if len(rows) > self.size:
                parts.appendleft(rows[self.size :])
                rows = rows[: self.size]
            try:
                answer = self._answer([texts[row - batch.start] for row in rows], fields)
            except _RefusedError as refusal:
                if len(rows) > 1:
                    self.size = len(rows) // 2
                    parts.appendleft(rows)
                else:
                    if refusal.status == 500:
                        self._expect_an_answer(fields)
                    bad[rows[0]] = str(refusal)
                    self.size = size  # it was the text
            else:
                yield rows, answer

    def _expect_an_answer(self, fields: Mapping[str, str]) -> None:
        """Raise if nothing is answered at all, so that no text is at fault."""
        try:
            self._answer([PROBES[0]], fields)
        except _RefusedError as refusal:
            raise self._error(f"{refusal}, whatever the text") from None

    def tokens_in(self, texts: Sequence[str]) -> list[int]:
        """An estimate of each text's tokens: a token for four bytes, or for as many as in what was counted so far."""
        rate = self._counted_tokens / self._counted_bytes if self._counted_tokens else 0.25
        return [1 + round(len(text.encode()) * rate) for text in texts]

    def _of_one_length(self, vectors: FloatArray) -> FloatArray:
        found = vectors.shape[1]
        if self.dimensions not in (None, found):
            raise self._error(f"vectors of {found} numbers came, and of {self.dimensions} before: another model's")
        self.dimensions = found
        return vectors

    def _answer(self, texts: list[str], fields: Mapping[str, str]) -> Answer:
        """The answer to one request."""
        body = json.dumps({"model": self.model, "input": texts, **fields}, ensure_ascii=False).encode()
        content = self._content(body)
        try:
            answer = read_answer(content, len(texts))
        except WrongAnswerError as error:
            said = self._said(content) if error.no_vectors else ""
            what = f"{len(texts)} texts were sent, and {error}"
            raise self._error(f"{what}, but: {said}" if said else what) from None
        self.tokens += sum(self.tokens_in(texts)) if answer.tokens is None else answer.tokens
        if answer.tokens:
            self._counted_tokens += answer.tokens
            self._counted_bytes += sum(len(text.encode()) for text in texts)
        return answer

    def _content(self, body: bytes) -> bytes:
        """What is answered with status 200, however often that takes."""
        for attempt in range(1, self.options.tries + 1):
            wait = _FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1)
            try:
                response, content = self._send(body)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                why = f"cannot be reached ({error})"
                if self.dimensions is None:
                    raise self._error(f"{why}; see if the server runs and the address is right") from None
            except (TimeoutError, httpx2.TimeoutException):
                why = f"no whole answer within {self.options.timeout:g} seconds"
            except httpx2.HTTPError as error:
                why = str(error) or type(error).__name__
            else:
                if response.status_code == 200:
                    return content
                why = self._passing(response, content, attempt)
                told = told_wait(response.headers)
                if told is not None and told > _LONGEST_WAIT:
                    raise self._error(f"{why}; it says to wait {told:.0f} seconds: start the command again then")
                wait = wait if told is None else told + random.uniform(0.05, 0.1 + told / 10)
            if attempt < self.options.tries:
                time.sleep(wait)
        raise self._error(f"{why}, {self.options.tries} times; see if the server runs, then start the command again")

    def _passing(self, response: httpx2.Response, content: bytes, attempt: int) -> str:
        """Why a request failed, if that may pass; raises if it will not."""
        status, said = response.status_code, self._said(content)
        why = f"status {status}" + (f" ({said})" if said else "")
        if status in _SIZE_MAY_BE_WRONG or (status == 500 and attempt == _TRIES_OF_500):
            raise _RefusedError(f"{why}; see --api input_type=NAME,NAME" if "input_type" in said else why, status)
        if status == 429 and quota_is_used_up(response.headers, content):
            raise self._error(f"{why}; waiting does not help")
        if response.next_request is not None:
            url = response.next_request.url  # whose path may repeat the key, spelled in some other way
            raise self._error(
                f"{why}: it redirects to {url.scheme}://{url.netloc.decode()}; give the address there if it is right, "
                "for a key is sent to no other"
            )
        if status not in _MAY_PASS and status < 500:
            raise self._error(f"{why}; {_ADVICE.get(status, 'is it a server of /v1/embeddings?')}")
        return why

    def _send(self, body: bytes) -> tuple[httpx2.Response, bytes]:
        """One request, with what is answered if all of it is there in time.

        The library's time limit is for each part of an answer, so that a byte a second would never reach it.
        """
        end = time.monotonic() + self.options.timeout
        outcome: SimpleQueue[Callable[[], tuple[httpx2.Response, bytes]]] = SimpleQueue()

        def send() -> None:
            try:
                content = b""
                with self._http.stream("POST", self.url, content=body) as response:
                    for part in response.iter_bytes():
                        content += part
                        if time.monotonic() > end:
                            return
                outcome.put(lambda: (response, content))
            except Exception as error:
                outcome.put(partial(_raise, error))

        Thread(target=send, daemon=True).start()
        try:
            return outcome.get(timeout=self.options.timeout)()
        except Empty:
            raise TimeoutError from None

    def _said(self, content: bytes) -> str:
        """What the server says is wrong."""
        return reason_of(content, self._key)

    def _error(self, what: str) -> UnavailableError:
        return UnavailableError(f"{self.url}: {what}")


def _raise(error: Exception) -> NoReturn:
    raise error
