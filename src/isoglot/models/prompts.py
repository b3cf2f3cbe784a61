"""What families of models want before their texts, by name: their files often lack it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_INSTRUCTION = "Instruct: Given a question, retrieve passages that answer the question\nQuery: "
_SEARCH = "Represent this sentence for searching relevant passages: "


@dataclass(frozen=True)
class PromptFamily:
    """Models that want the same prompts; the pattern is looked for in names in lower case."""

    name: str
    pattern: str
    query: str
    passage: str

    def fits(self, query: str, passage: str) -> bool:
        """Whether prompts are those that the family wants; an instruction may say what it will."""
        if self.query == _INSTRUCTION:
            return query.lower().startswith("instruct") and not passage.strip()
        return (query.strip(), passage.strip()) == (self.query.strip(), self.passage.strip())


E5 = PromptFamily("E5", r"(?<![a-z0-9])e5(?![a-z0-9])(?!.*(instruct|mistral))", "query: ", "passage: ")
FAMILIES = (
    E5,
    PromptFamily("E5 with instructions", r"(?<![a-z0-9])e5(?![a-z0-9]).*(instruct|mistral)", _INSTRUCTION, ""),
    PromptFamily("Qwen", r"gte-qwen|qwen3-embedding", _INSTRUCTION, ""),
    PromptFamily("BGE", r"bge-(small|base|large)-en", _SEARCH, ""),
    PromptFamily("BGE for Chinese", r"bge-(small|base|large)-zh", "为这个句子生成表示以用于检索相关文章：", ""),
    PromptFamily("mxbai-embed", r"mxbai-embed-large", _SEARCH, ""),
    PromptFamily("arctic-embed", r"arctic-embed-(xs|s|m|l)(?!.*v2)", _SEARCH, ""),
    PromptFamily("nomic-embed", r"nomic-embed-text", "search_query: ", "search_document: "),
)
"""As their model cards say, and as MTEB uses them."""


def prompt_family(names: Iterable[str]) -> PromptFamily | None:
    """The family that a model belongs to by one of its names, if any.

    >>> prompt_family(["intfloat/multilingual-e5-base"]).query, prompt_family(["BAAI/bge-m3"])
    ('query: ', None)
    """
    lowered = [name.lower() for name in names]
    return next((each for each in FAMILIES if any(re.search(each.pattern, name) for name in lowered)), None)
