"""Libraries that are not installed with isoglot itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from isoglot.common.errors import MissingExtraError


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
