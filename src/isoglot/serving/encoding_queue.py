"""Texts of many clients through one encoder: in batches, in turn, and never more at a time than there is room for."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from isoglot.common.arrays import FloatArray
from isoglot.common.errors import InputError, TextsError, UnavailableError
from isoglot.common.roles import Role
from isoglot.runtime.encoder import TextEncoder
from isoglot.serving.refusals import RefusalError, unavailable

_BYTES_OF_A_TOKEN = 3
_PROMPT_TOKENS = 4
_LONGEST_WAIT = 60


@dataclass(frozen=True)
class Encoded:
    """Vectors of texts, `(texts, dimensions)`; the tokens that were read; and which texts were not read to the end."""

    vectors: FloatArray
    tokens: int
    truncated: list[int]


@dataclass(eq=False)
class _Job:
    """A request's texts, of which the first `taken` are encoded or being encoded."""

    texts: Sequence[str]
    role: Role
    estimates: list[int]
    done: asyncio.Future[Encoded]
    taken: int = 0
    left: bool = False
    vectors: list[FloatArray] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return sum(self.estimates[self.taken :])


@dataclass(frozen=True)
class _Piece:
    """The part of a job that goes into a batch."""

    job: _Job
    texts: Sequence[str]
    estimate: int


class EncodingQueue:
    """Encodes for many clients at once; lives in one event loop, and encodes in one thread of its own.

    A long request is cut into batches and takes turns with the others, so a question waits for one batch and not for
    somebody's corpus. What waits at the same time in one role goes into a batch together. Tokens are estimated from
    bytes to bound the work, and counted for the answer.

    Args:
        encoder: what encodes; called from one thread alone.
        batch_tokens: encoded at a time, about.
        queue_tokens: waiting at most, about; a single request may be larger when nothing else waits.
    """

    def __init__(self, encoder: TextEncoder, *, batch_tokens: int = 4_096, queue_tokens: int = 1_000_000) -> None:
        self.encoder = encoder
        self.waiting = self.in_flight = 0  # tokens, estimated
        self._batch_tokens, self._queue_tokens = batch_tokens, queue_tokens
        self._jobs: deque[_Job] = deque()
        self._thread = ThreadPoolExecutor(1, "encoder")
        self._turns: asyncio.Task[None] | None = None
        self._speed = 1_000.0  # tokens a second, as measured of late

    async def encode(self, texts: Sequence[str], role: Role) -> Encoded:
        """Vectors of texts in a role. If the caller is cancelled, what was not begun is not done.

        Raises:
            RefusalError: with 429 if too much waits, with 503 if what the model stands on cannot be had just now.
            InputError: if the encoder has no vector for a text, by its number.
        """
        job = _Job(texts, role, [self._estimate(text) for text in texts], asyncio.get_running_loop().create_future())
        new = job.waiting
        if self.waiting and self.waiting + new > self._queue_tokens:
            seconds = min(max(math.ceil(self.waiting / self._speed), 1), _LONGEST_WAIT)
            message = f"about {self.waiting} tokens wait to be encoded and {self._queue_tokens} may; come again"
            raise RefusalError(429, f"{message} in {seconds} s", code="busy", retry_after=seconds)
        self._jobs.append(job)
        self.waiting += new
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        try:
            return await job.done
        finally:
            self._leave(job)

    def close(self) -> None:
        """End the thread; what waits is not encoded."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _estimate(self, text: str) -> int:
        tokens = _PROMPT_TOKENS + len(text.encode()) // _BYTES_OF_A_TOKEN
        return min(tokens, self.encoder.max_tokens or tokens)

    def _leave(self, job: _Job) -> None:
        if not job.left:
            job.left = True
            self.waiting -= job.waiting
            if job in self._jobs:
                self._jobs.remove(job)

    async def _take_turns(self) -> None:
        while self._jobs:
            batch = self._next_batch()
            tokens = sum(piece.estimate for piece in batch)
            self.waiting -= tokens
            self.in_flight += tokens
            began = time.monotonic()
            try:
                await self._encode(batch)
            finally:
                self.in_flight -= tokens
            # What came meanwhile goes first.
            self._jobs.extend(piece.job for piece in batch if piece.job.waiting and not piece.job.left)
            self._speed += 0.2 * (tokens / max(time.monotonic() - began, 1e-3) - self._speed)

    def _next_batch(self) -> list[_Piece]:
        """Texts of the first job and of others in its role, which leave the line."""
        batch: list[_Piece] = []
        room, role = self._batch_tokens, self._jobs[0].role
        for job in [job for job in self._jobs if job.role == role]:
            start, size = job.taken, 0
            while job.taken < len(job.texts):
                estimate = job.estimates[job.taken]
                if size + estimate > room and (batch or size):
                    break
                size += estimate
                job.taken += 1
            if job.taken == start:
                break
            batch.append(_Piece(job, job.texts[start : job.taken], size))
            room -= size
            self._jobs.remove(job)
        return batch

    async def _encode(self, batch: list[_Piece]) -> None:
        """Encode a batch; if that fails, each piece by itself, so that nobody fails over another's text."""
        texts = [text for piece in batch for text in piece.texts]
        loop = asyncio.get_running_loop()
        try:
            tokens, vectors = await loop.run_in_executor(self._thread, self._work, texts, batch[0].job.role)
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0].job, _of_the_model(error, batch[0].job))
                return
            for piece in batch:
                await self._encode([piece])
            return
        start = 0
        for piece in batch:
            end = start + len(piece.texts)
            self._deliver(piece.job, tokens[start:end], vectors[start:end])
            start = end

    def _work(self, texts: list[str], role: Role) -> tuple[list[int], FloatArray]:
        return self.encoder.count_tokens(texts, role), self.encoder.encode(texts, role)

    def _fail(self, job: _Job, error: Exception) -> None:
        self._leave(job)
        if not job.done.done():
            job.done.set_exception(error)

    def _deliver(self, job: _Job, tokens: list[int], vectors: FloatArray) -> None:
        wrong = np.flatnonzero(~(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)))
        if len(wrong):
            at = len(job.tokens) + int(wrong[0])
            self._fail(job, _no_vector(at))
            return
        job.tokens += tokens
        job.vectors.append(vectors)
        if len(job.tokens) == len(job.texts) and not job.done.done():
            limit = self.encoder.max_tokens
            truncated = [at for at, count in enumerate(job.tokens) if limit is not None and count > limit]
            read = sum(count if limit is None else min(count, limit) for count in job.tokens)
            job.done.set_result(Encoded(np.concatenate(job.vectors), read, truncated))


def _no_vector(at: int) -> InputError:
    return InputError(f"the model has no vector for input {at}; is it empty?")


def _of_the_model(error: Exception, job: _Job) -> Exception:
    """A model's error as clients may know it: what a model behind an API says names the address."""
    if isinstance(error, TextsError):
        return _no_vector(job.texts.index(error.texts[0]))
    return unavailable("the model", error) if isinstance(error, UnavailableError) else error
