"""Libraries that are not installed with isoglot itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from isoglot.common.errors import MissingExtraError

WITH_TORCH = (
    "accelerate",
    "datasets",
    "huggingface_hub",
    "sentence_transformers",
    "tokenizers",
    "torch",
    "transformers",
)
"""Libraries that the extra `torch` brings."""
_EXTRAS = {
    **dict.fromkeys(WITH_TORCH, "torch"),
    **dict.fromkeys(("prometheus_client", "starlette", "uvicorn"), "serve"),
}


@contextmanager
def naming_extra() -> Iterator[None]:
    """Say which extra brings a library, where something within needs one and it is missing.

    torch and what goes with it are imported at the head of many modules, so it is noticed where modules are loaded.

    Raises:
        MissingExtraError: in place of Python's own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        extra = _EXTRAS[missing]
        raise MissingExtraError(
            f"{missing} is not installed; an extra has it: pip install 'isoglot[{extra}]'"
        ) from None


def library(module: str, extra: str, needed_by: str) -> Any:
    """A library that an extra brings.

    Args:
        module: its name for import.
        extra: of isoglot, that installs it.
        needed_by: what needs it, as the error begins.

    Raises:
        MissingExtraError: if it is not installed.

    >>> library("json", "dev", "an example").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(f"{needed_by} needs an extra: pip install 'isoglot[{extra}]'") from None
