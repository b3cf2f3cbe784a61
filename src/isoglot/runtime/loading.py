"""Encoders by name that need no torch."""

from __future__ import annotations

from isoglot.common.errors import InputError
from isoglot.runtime.api import ApiEncoder
from isoglot.runtime.api_settings import API_PREFIX, ApiOptions
from isoglot.runtime.encoder import TextEncoder
from isoglot.runtime.exported import ExportedEncoder, is_exported
from isoglot.runtime.universal import UNIVERSAL_NAME, UniversalEncoder


def open_encoder(
    name: str,
    *,
    query_prompt: str | None = None,
    passage_prompt: str | None = None,
    api: ApiOptions | None = None,
) -> TextEncoder | None:
    """The encoder of a name, if it is one that runs without torch; None of any other model.

    Args:
        name: `api:URL#MODEL`, `builtin:universal-sentence-encoder` or a folder that `export` wrote for another runtime.
        query_prompt: put before queries: a text, for these have no prompts by name.
        passage_prompt: the same for passages.
        api: how a server is asked.

    Raises:
        InputError: if it cannot be opened, or `api` is given for a model that is not behind one.
        MissingExtraError: if it is not installed.
    """
    if name.startswith(API_PREFIX):
        return ApiEncoder(name, query_prompt=query_prompt, passage_prompt=passage_prompt, options=api)
    if api is not None:
        raise InputError(f"--api is for models behind one, {API_PREFIX}URL#MODEL; {name} is none")
    if name == UNIVERSAL_NAME:
        return UniversalEncoder(query_prompt=query_prompt, passage_prompt=passage_prompt)
    if is_exported(name):
        return ExportedEncoder(name, query_prompt=query_prompt, passage_prompt=passage_prompt)
    return None
