"""Errors with one clear line each: what is wrong, where, and what would be right."""

from __future__ import annotations


class IsoglotError(Exception):
    """Anything isoglot raises on purpose."""


class InputError(IsoglotError, ValueError):
    """Data, a setting or an argument that cannot be used; the message says what would be."""


class MissingExtraError(IsoglotError, ImportError):
    """An optional part of isoglot is not installed; the message says what to install."""


def hub_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises when it cannot fetch; a connection lost amid an answer is no OSError to it."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, RuntimeError, *HfHubHTTPError.__bases__)
