"""Servers, a store of the test's own, and waits that are noted and not waited for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embeddings_server import Open, Server, running
from isoglot.runtime.api import ApiEncoder
from isoglot.runtime.api_settings import API_KEY_VARIABLE, ApiOptions
from isoglot.runtime.store import EmbeddingStore


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    noted: list[float] = []
    monkeypatch.setattr("isoglot.runtime.api_requests.time.sleep", noted.append)
    return noted


@pytest.fixture
def opened(server: Server, tmp_path: Path) -> Open:
    """Opens the server's model, with options and a store in the test's folder."""

    def open_model(query_prompt: str | None = None, passage_prompt: str | None = None, **options: Any) -> ApiEncoder:
        prompts = {"query_prompt": query_prompt, "passage_prompt": passage_prompt}
        store = EmbeddingStore(tmp_path / "store")
        return ApiEncoder(server.name, **prompts, options=ApiOptions(**options), store=store)

    return open_model
