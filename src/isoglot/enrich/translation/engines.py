"""What translates: the interface of an engine, and the engines there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class EngineKind:
    """One kind of engine.

    Attributes:
        spec: how it is asked for.
        summary: what it is, in a line.
        install: what makes it work.
        licence: terms of the engine and of what it translates with.
    """

    spec: str
    summary: str
    install: str
    licence: str


ENGINES: Mapping[str, EngineKind] = {
    "apertium": EngineKind(
        spec="apertium",
        summary="rules and dictionaries, on this machine, for related languages and some others",
        install="apt-get install apertium and a language pair such as apertium-eng-spa",
        licence="GPL-2.0-or-later, language pairs GPL-2.0-or-later or GPL-3.0-or-later",
    ),
    "ctranslate2": EngineKind(
        spec="ctranslate2:FOLDER",
        summary="a converted NLLB-200, M2M-100 or OPUS-MT model, fast on a CPU",
        install="pip install 'isoglot[translate]'",
        licence="MIT; models: NLLB-200 CC BY-NC 4.0, M2M-100 MIT, OPUS-MT CC BY 4.0 or Apache-2.0",
    ),
    "transformers": EngineKind(
        spec="transformers:MODEL",
        summary="the same models unconverted: a hub id or a folder",
        install="nothing for NLLB-200; pip install 'isoglot[translate]' for M2M-100 and OPUS-MT",
        licence="Apache-2.0; models as for ctranslate2",
    ),
    "http": EngineKind(
        spec="http://HOST:PORT or https://HOST",
        summary="a server with the interface of LibreTranslate",
        install="nothing here; a server elsewhere",
        licence="the server's terms; LibreTranslate is AGPL-3.0",
    ),
}


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
    make = _MAKERS.get(name)
    if make is None or (bool(rest) is (name == "apertium")):
        there_are = ", ".join(kind.spec for kind in ENGINES.values())
        raise InputError(f'no engine "{spec}"; there are {there_are}')
    try:
        return make(spec if name.startswith("http") else rest, settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{name}: no such setting ({str(error).rpartition(' ')[2]})") from None


# Heavy libraries are imported when their engine is asked for.
def _apertium(rest: str, settings: dict[str, Any]) -> Engine:
    from isoglot.enrich.translation.apertium_engine import ApertiumEngine

    return ApertiumEngine(**settings)


def _ctranslate2(rest: str, settings: dict[str, Any]) -> Engine:
    from isoglot.enrich.translation.ctranslate2_engine import CTranslate2Engine

    return CTranslate2Engine(rest, **settings)


def _transformers(rest: str, settings: dict[str, Any]) -> Engine:
    from isoglot.enrich.translation.transformers_engine import TransformersEngine

    return TransformersEngine(rest, **settings)


def _http(rest: str, settings: dict[str, Any]) -> Engine:
    from isoglot.enrich.translation.http_engine import HttpEngine

    return HttpEngine(rest, **settings)


_MAKERS: Mapping[str, Callable[[str, dict[str, Any]], Engine]] = {
    "apertium": _apertium,
    "ctranslate2": _ctranslate2,
    "transformers": _transformers,
    "http": _http,
    "https": _http,
}
