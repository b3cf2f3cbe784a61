"""Data that is read when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

Value = TypeVar("Value")


class Lazy(Mapping[str, Value]):
    """A mapping that is read when it is first looked into, so that importing its module costs nothing.

    Args:
        read: gives the mapping.

    >>> names = Lazy(lambda: {"de": "German"})
    >>> names["de"], len(names)
    ('German', 1)
    """

    def __init__(self, read: Callable[[], Mapping[str, Value]]) -> None:
        self._read = read

    @cached_property
    def _entries(self) -> Mapping[str, Value]:
        return self._read()

    def __getitem__(self, name: str) -> Value:  # noqa: D105
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:  # noqa: D105
        return iter(self._entries)

    def __len__(self) -> int:  # noqa: D105
        return len(self._entries)
