"""A server for all tests of serving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="serving needs an extra")

from service import Client, serving, small_index

from isoglot.models.loading import load_text_encoder
from isoglot.runtime.encoder import TextEncoder
from isoglot.search.searcher import Searcher


@pytest.fixture(scope="session")
def encoder(tiny_encoder_folder: Path) -> TextEncoder:
    return load_text_encoder(tiny_encoder_folder)


@pytest.fixture(scope="session")
def searcher(encoder: TextEncoder, tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    return small_index(encoder, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def client(encoder: TextEncoder, searcher: Searcher) -> Iterator[Client]:
    with serving(encoder, searcher, name="tiny") as client:
        yield client
