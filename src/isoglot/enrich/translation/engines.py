"""What translates: the interface of an engine, and the engines there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

from isoglot.common.errors import InputError


class Engine(Protocol):
    """Anything that translates texts.

    Attributes:
        name: which engine it is: `apertium`.
        model: which version or model translates; written beside every translation.
        more: how to get languages that are missing, in a few words.
    """

    name: str
    model: str
    more: str

    def targets(self, source_language: str) -> Sequence[str]:
        """Standard tags of the languages it translates this one into; empty if it does not know it."""
        ...

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """One translation per text, in the same order. Texts are sentences, mostly, of one line each.

        Raises:
            InputError: if the engine fails; the message says what to do.
        """
        ...


ENGINES: Mapping[str, str] = {
    "apertium": "apertium",
    "ctranslate2": "ctranslate2:FOLDER",
    "transformers": "transformers:MODEL",
    "http": "http://HOST:PORT or https://HOST",
}
"""The engines there are, and how each is asked for."""


def load_engine(spec: str, **settings: Any) -> Engine:
    """The engine that a spec names.

    Args:
        spec: `apertium`, `ctranslate2:FOLDER`, `transformers:MODEL`, or the address of a LibreTranslate server.
        settings: what the engine's class takes besides, such as `beam_size`.

    Raises:
        InputError: if there is no such engine or setting, or it is not installed on this machine.
        MissingExtraError: if Python packages that it needs are not installed.

    >>> load_engine("babelfish")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    isoglot.common.errors.InputError: no engine "babelfish"; there are apertium, ctranslate2:FOLDER, ...
    """
    name, _, rest = spec.partition(":")
    if name not in _CLASSES or bool(rest) is (name == "apertium"):
        raise InputError(f'no engine "{spec}"; there are {", ".join(ENGINES.values())}')
    module, kind = _CLASSES[name]
    make = getattr(import_module(f"isoglot.enrich.translation.{module}"), kind)
    arguments = [spec] if name.startswith("http") else [rest] if rest else []
    try:
        engine: Engine = make(*arguments, **settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{name}: no such setting ({str(error).rpartition(' ')[2]})") from None
    return engine


_CLASSES: Mapping[str, tuple[str, str]] = {  # imported when asked for, because some import much
    "apertium": ("apertium_engine", "ApertiumEngine"),
    "ctranslate2": ("model_engines", "CTranslate2Engine"),
    "transformers": ("model_engines", "TransformersEngine"),
    "http": ("http_engine", "HttpEngine"),
    "https": ("http_engine", "HttpEngine"),
}
