"""`/v1/embeddings` and `/v1/models`, as OpenAI's clients speak to them."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from isoglot.common.arrays import FloatArray
from isoglot.common.errors import InputError
from isoglot.common.roles import Role
from isoglot.serving.encoding_queue import Encoded, EncodingQueue
from isoglot.serving.measuring import Metrics
from isoglot.serving.refusals import RefusalError
from isoglot.serving.requests import ROLES, Bodies, EmbeddingRequest, while_connected

DEFAULT_ROLE: Role = "passage"


class Embeddings:
    """The endpoints of a model.

    Args:
        name: under which it is served.
        queue: through which texts are encoded.
        bodies: reads requests.
        metrics: where texts and tokens are counted.
    """

    def __init__(self, name: str, queue: EncodingQueue, bodies: Bodies, metrics: Metrics) -> None:
        self.name, self._queue, self._bodies, self._metrics = name, queue, bodies, metrics
        # Most clients cannot send a role, but all of them a name.
        self._names: dict[str, Role | None] = {name: None, f"{name}-query": "query", f"{name}-passage": "passage"}

    async def models(self, _request: Request) -> Response:
        """GET /v1/models."""
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "isoglot"} for name in self._names]
        return as_json({"object": "list", "data": models})

    async def embed(self, request: Request) -> Response:
        """POST /v1/embeddings."""
        asked = await self._bodies.read(request, EmbeddingRequest)
        role = self._role(asked)
        dimensions = self._queue.encoder.dimensions
        if asked.dimensions not in (None, dimensions):
            message = f"dimensions: {self.name} has {dimensions}, and no other number is offered; leave it out"
            raise RefusalError(400, message, code="invalid_value")
        texts = asked.texts(self._bodies.limits)
        try:
            encoded = await while_connected(request, self._queue.encode(texts, role))
        except InputError as error:
            raise RefusalError(400, str(error), code="no_vector") from None
        self._count(role, len(texts), encoded)
        if encoded.truncated and asked.truncate is False:
            named = ", ".join(map(str, encoded.truncated[:20]))
            message = f"{self.name} reads {self._queue.encoder.max_tokens} tokens of a text, and these inputs have more"
            raise RefusalError(400, f"{message}: {named}", code="text_too_long")
        return await asyncio.to_thread(self._answer, encoded, asked.encoding_format == "base64")

    def _role(self, asked: EmbeddingRequest) -> Role:
        """The role that the name or the type says.

        Raises:
            RefusalError: if the name is not served, or the two contradict each other.
        """
        if asked.model is not None and asked.model not in self._names:
            message = f"there is no model {asked.model[:100]!r} here; there are {', '.join(self._names)}"
            raise RefusalError(404, message, code="model_not_found")
        named = self._names[asked.model or self.name]
        typed = ROLES[asked.input_type] if asked.input_type else None
        if named and typed and named != typed:
            message = f"input_type: {asked.input_type!r} does not go with the model {asked.model!r}"
            raise RefusalError(400, message, code="invalid_value")
        return named or typed or DEFAULT_ROLE

    def _count(self, role: Role, texts: int, encoded: Encoded) -> None:
        self._metrics.texts.labels(role).inc(texts)
        self._metrics.tokens.labels(role).inc(encoded.tokens)
        self._metrics.truncated.inc(len(encoded.truncated))

    def _answer(self, encoded: Encoded, packed: bool) -> Response:
        vectors = _packed(encoded.vectors) if packed else encoded.vectors.tolist()
        return as_json(
            {
                "object": "list",
                "data": [{"object": "embedding", "index": at, "embedding": each} for at, each in enumerate(vectors)],
                "model": self.name,
                "usage": {"prompt_tokens": encoded.tokens, "total_tokens": encoded.tokens},
                "truncated": encoded.truncated,
            }
        )


def _packed(vectors: FloatArray) -> list[str]:
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in vectors.astype("<f4", copy=False)]


def as_json(content: Any) -> Response:
    """An answer; what JSON cannot hold becomes null (NaN) or text (dates and the like in a corpus' columns)."""
    return Response(to_json(content, inf_nan_mode="null", fallback=_plain), media_type="application/json")


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
