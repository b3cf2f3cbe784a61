"""What clients send: bodies within bounds, and what stands in them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError, field_validator
from starlette.requests import ClientDisconnect, Request

from isoglot.common.roles import Role
from isoglot.serving.guard import too_large
from isoglot.serving.limits import Limits
from isoglot.serving.refusals import RefusalError

Value = TypeVar("Value")
Parsed = TypeVar("Parsed", bound=BaseModel)
Tag = Annotated[StrictStr, Field(max_length=64)]
InputType = Literal["query", "passage", "search_query", "search_document", "document"]

ROLES: dict[str, Role] = {
    "query": "query",
    "passage": "passage",
    "search_query": "query",
    "search_document": "passage",
    "document": "passage",
}
_TOKEN_IDS = (
    "token ids are not taken, for they belong to another model's tokenizer; send texts (LangChain's OpenAIEmbeddings "
    "does with check_embedding_ctx_length=False)"
)
_MOST_TAGS = 200
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


class EmbeddingRequest(BaseModel):
    """A body of `/v1/embeddings`; null stands for the default, and what is not named here is not minded."""

    input: StrictStr | list[StrictStr] = Field(description="Text, or texts")
    model: StrictStr | None = Field(None, description="The served name; with -query or -passage behind it the role too")
    input_type: InputType | None = Field(
        None, description="query or passage, the default; search_query, search_document and document mean the same"
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="float (the default): lists of numbers; base64: of little-endian float32 values"
    )
    dimensions: StrictInt | None = Field(None, description="The model's own number; no other is offered")
    truncate: StrictBool | None = Field(
        None, description="false: refuse a text that the model does not read to its end; else the answer names it"
    )

    @field_validator("input", mode="before")
    @classmethod
    def _only_texts(cls, given: Any) -> Any:
        texts = given if isinstance(given, list) else [given]
        if not texts:
            raise ValueError("holds no text")
        for at, text in enumerate(texts):
            if isinstance(text, int | list) and not isinstance(text, bool):
                if isinstance(text, list) and text and not isinstance(text[0], int):
                    raise ValueError(f"is nested at {at}; send a text or a list of texts")
                raise ValueError(f"holds no text at {at}: {_TOKEN_IDS}")
            if not isinstance(text, str):
                place = f" at {at}" if isinstance(given, list) else ""
                raise ValueError(f"holds no text{place}; send a text or a list of texts")
        return whole(given) if isinstance(given, str) else list(map(whole, given))

    def texts(self, limits: Limits) -> list[str]:
        """The texts, which are no more and no longer than is allowed.

        Raises:
            RefusalError: if they are.
        """
        texts = [self.input] if isinstance(self.input, str) else self.input
        if len(texts) > limits.texts:
            raise too_large(f"holds {len(texts)} texts", limits)
        for at, text in enumerate(texts):
            check_length(text, f"input {at}", limits)
        return texts


class SearchRequest(BaseModel):
    """A body of `/search`."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[StrictStr, Field(min_length=1, description="What is asked, in any language")]
    limit: Annotated[StrictInt, Field(ge=1, description="How many hits")] = 10
    languages: list[Tag] | None = Field(None, max_length=_MOST_TAGS, description="Only hits in these")
    language: Tag | None = Field(None, description="The reader's, for prefer_own_language and collapse")
    mix: StrictStr = Field("none", max_length=32, description="none, cap:N, floor:P or round-robin")
    prefer_own_language: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Lift hits in the reader's language among scores this close"
    )
    collapse: StrictBool = Field(False, description="Show a document once, its translations under it")

    @field_validator("query", mode="before")
    @classmethod
    def _something(cls, given: Any) -> Any:
        if isinstance(given, str) and not given.strip():
            raise ValueError("is empty")
        return whole(given) if isinstance(given, str) else given


def whole(text: str) -> str:
    r"""A text without halves of characters, which clients send that cut by UTF-16; U+FFFD stands for each.

    >>> whole("a\ud83d")
    'a�'
    """
    return text if text.isascii() else _HALF_CHARACTER.sub("\ufffd", text)


def check_length(text: str, what: str, limits: Limits) -> None:
    """Refuse a text that is too long.

    Raises:
        RefusalError: naming its length and the longest allowed.
    """
    if len(text) > limits.characters:
        message = f"{what} has {len(text)} characters; at most {limits.characters} are taken: send it in parts"
        raise RefusalError(400, message, code="text_too_long")


class Bodies:
    """Reads bodies, no more of them at a time than there is room for.

    Args:
        limits: of one body, and of all that are being read.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self._buffered = limits, 0

    async def read(self, request: Request, kind: type[Parsed]) -> Parsed:
        """What a request's body says.

        Raises:
            RefusalError: if it is too large, no JSON, or not what is wanted.
        """
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                self._buffered += len(part)
                if len(body) > self.limits.body_bytes:
                    raise too_large(f"has more than {self.limits.body_bytes} bytes", self.limits)
                if self._buffered > self.limits.buffered_bytes:
                    raise RefusalError(429, "too many requests are being read; come again", code="busy", retry_after=2)
        finally:
            self._buffered -= len(body)
        return parse(bytes(body), kind)


def parse(body: bytes, kind: type[Parsed]) -> Parsed:
    """A body as what it should be.

    Raises:
        RefusalError: if it is not; the message names the first field that is wrong.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise RefusalError(400, f"the body is not JSON in UTF-8: {reason}", code="not_json") from None
    if not isinstance(content, dict):
        raise RefusalError(400, "the body is not a JSON object", code="not_an_object")
    if (
        kind.model_config.get("extra") == "forbid"
        and (unknown := next((name for name in content if name not in kind.model_fields), None)) is not None
    ):
        # Left to the validator, each of thousands would become an error of its own.
        raise RefusalError(400, f"{unknown[:100]}: there is no such field", code="invalid_value")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        reason = first["msg"].removeprefix("Value error, ")
        raise RefusalError(400, f"{place}: {reason}", code="invalid_value") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


async def while_connected(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """The result of work, which is given up if the client goes away.

    Raises:
        ClientDisconnect: if it did.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return await task
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
