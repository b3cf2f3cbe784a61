"""Errors with one clear line each: what is wrong, where, and what would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class IsoglotError(Exception):
    """Anything isoglot raises on purpose."""


class InputError(IsoglotError, ValueError):
    """Data, a setting or an argument that cannot be used; the message says what would be."""


class UnavailableError(InputError):
    """What answers cannot be had as things stand, such as a server; it is no fault of what was asked."""


class TextsError(InputError):
    """Texts that a model gives no vector for; others have theirs.

    Args:
        message: says why.
        texts: which.
    """

    def __init__(self, message: str, texts: Sequence[str]) -> None:
        super().__init__(message)
        self.texts = tuple(texts)

    def name(self, names: Mapping[str, str]) -> None:
        """Put the first texts' names, such as their ids and languages, in front of the message."""
        first = [names[text] for text in self.texts[:3]]
        more = f" and {len(self.texts) - 3} more" if len(self.texts) > 3 else ""
        self.args = (f"{', '.join(first)}{more}: {self}",)


class MissingExtraError(IsoglotError, ImportError):
    """An optional part of isoglot is not installed; the message says what to install."""


def hub_errors() -> tuple[type[Exception], ...]:
    """What the hub's client raises when it cannot fetch; a connection lost amid an answer is no OSError to it."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, RuntimeError, *HfHubHTTPError.__bases__)
