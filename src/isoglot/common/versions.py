"""Versions of everything that a figure or a fault may depend on."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from isoglot._version import __version__

LIBRARIES = ("torch", "sentence-transformers", "transformers", "tokenizers", "datasets", "numpy", "pyarrow")


def versions() -> dict[str, str]:
    """Those of isoglot and of the libraries that are installed."""
    found = {"isoglot": __version__}
    for library in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found
