"""Errors with one clear line each: what is wrong, where, and what would be right."""

from __future__ import annotations


class IsoglotError(Exception):
    """Anything isoglot raises on purpose."""


class InputError(IsoglotError, ValueError):
    """Data, a setting or an argument that cannot be used; the message says what would be."""


class MissingExtraError(IsoglotError, ImportError):
    """An optional part of isoglot is not installed; the message says what to install."""
