"""The command line as a test calls it."""

from __future__ import annotations

import pytest

from isoglot.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of `isoglot` with these words."""
    monkeypatch.setattr("sys.argv", ["isoglot", *map(str, words)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
