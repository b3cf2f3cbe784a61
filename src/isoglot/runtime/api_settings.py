"""How a server of `/v1/embeddings` is named and asked, and where its key is: in the environment alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isoglot.common.errors import InputError
from isoglot.common.settings import first_problem

API_PREFIX = "api:"
API_KEY_VARIABLE = "ISOGLOT_API_KEY"
"""Environment variable with the server's key, if it wants one."""


class ApiOptions(BaseModel):
    """How a server is asked.

    Attributes:
        batch_size: texts in a request; halved where the server takes fewer.
        timeout: seconds within which a whole answer must be there, at most a day.
        tries: how often a request is sent that fails in a way that may pass.
        input_type: what the server calls queries and passages in the field `input_type`, comma-separated, as
            `query,document`; the field is not sent where None.
        budget: tokens that may be asked for in all; None for no limit.
        price: of a million tokens, to say what the tokens to be asked for cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(default=32, ge=1)
    timeout: float = Field(default=60.0, gt=0, le=86_400)
    tries: int = Field(default=5, ge=1)
    input_type: str | None = Field(default=None, pattern=r"^[^,]+,[^,]+$")
    budget: int | None = Field(default=None, ge=1)
    price: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @classmethod
    def parse(cls, settings: Sequence[str]) -> ApiOptions:
        """From `key=value`s.

        Raises:
            InputError: naming the first that is none of them.

        >>> ApiOptions.parse(["batch_size=8", "input_type=query,passage"]).batch_size
        8
        """
        if wrong := next((each for each in settings if "=" not in each), None):
            raise InputError(f"--api {wrong}: write key=value, for example --api batch_size=8")
        try:
            return cls.model_validate(dict(each.split("=", 1) for each in settings))
        except ValidationError as error:
            raise InputError(f"--api: {first_problem(error, 'settings', 'docs/api-models.md')}") from None


def server_key() -> str:
    """The key of the environment; empty where there is none.

    Raises:
        InputError: if it cannot stand in a header.
    """
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    if not (key.isascii() and (key + "x").isprintable()):
        raise InputError(f"{API_KEY_VARIABLE}: a key has letters, digits and signs of ASCII alone")
    return key


def parse_name(name: str) -> tuple[str, str]:
    """The address that is called and the model, of `api:URL#MODEL`.

    Raises:
        InputError: if it is none of that form.

    >>> parse_name("api:http://localhost:8080#BAAI/bge-m3")
    ('http://localhost:8080/v1/embeddings', 'BAAI/bge-m3')
    """
    url, _, model = name.removeprefix(API_PREFIX).partition("#")
    address = endpoint(url)
    if not model:
        raise InputError(f"{name}: write the model's name behind a #, such as {API_PREFIX}{url}#bge-m3")
    return address, model


def endpoint(url: str) -> str:
    """The whole address that is called, from one as people give it.

    Raises:
        InputError: if it is no http address, or holds a password or a query.

    >>> endpoint("http://localhost:8080//")
    'http://localhost:8080/v1/embeddings'
    >>> endpoint("https://example.org/api/v1/"), endpoint("https://example.org/v1/embeddings")
    ('https://example.org/api/v1/embeddings', 'https://example.org/v1/embeddings')
    >>> endpoint("https://example.org/embeddings")
    'https://example.org/embeddings'
    """
    try:
        parts = urlsplit(url)
        httpx2.URL(url)
        _ = parts.port
    except (ValueError, httpx2.InvalidURL):
        parts = urlsplit("")
    if parts.username or parts.password or parts.query:
        raise InputError(
            f"the address of a server holds no key, password or query; put the key into {API_KEY_VARIABLE}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"{url!r} is no server; write api:URL#MODEL, such as api:http://localhost:8080/v1#bge-m3")
    steps = [step for step in parts.path.split("/") if step] or ["v1"]
    if steps[-1] != "embeddings":
        steps.append("embeddings")
    return f"{parts.scheme}://{parts.netloc}/{'/'.join(steps)}"
