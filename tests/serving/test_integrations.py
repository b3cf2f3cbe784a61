"""Retrievers of other frameworks over an index, as the documentation has them; each runs where its package is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def retriever(package: str) -> Any:
    """The class that the page defines with a package."""
    pytest.importorskip(package, reason=f"needs {package}")
    (code,) = [block for block in PAGE.read_text(encoding="utf-8").split("```") if f"from {package}" in block]
    scope: dict[str, Any] = {"__name__": "documented"}
    exec(compile(code.removeprefix("python\n"), str(PAGE), "exec", dont_inherit=True), scope)
    return scope["FairRetriever"]


@pytest.fixture
def expected(searcher) -> list[tuple[str, str]]:
    return [(hit.id, hit.text) for hit in searcher.search("red river", limit=4, mix="cap:3").hits]


def test_langchain(searcher, expected) -> None:
    kind = retriever("langchain_core")
    found = kind(searcher=searcher, options={"limit": 4, "mix": "cap:3"}).invoke("red river")
    assert [(each.id, each.page_content) for each in found] == expected
    assert {"language", "score"} <= found[0].metadata.keys()


def test_llama_index(searcher, expected) -> None:
    found = retriever("llama_index.core")(searcher, limit=4, mix="cap:3").retrieve("red river")
    assert [(each.node.node_id, each.node.text) for each in found] == expected
    assert found[0].score >= found[-1].score


def test_haystack(searcher, expected) -> None:
    found = retriever("haystack")(searcher, limit=4, mix="cap:3").run(query="red river")["documents"]
    assert [(each.id, each.content) for each in found] == expected
