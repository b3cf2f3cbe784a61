"""Rows with vectors and an encoder that needs no model, for tests of indexes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isoglot.vectors.provenance import Provenance

LANGUAGES = ("en", "de", "es")


@dataclass(frozen=True)
class ToyEncoder:
    """Each word a direction of its own; a text is the sum of its words."""

    name: str = "toy"
    weights: str = "one"
    dimensions: int = 12
    max_tokens: int | None = None
    similarity: str = "cosine"
    prompt: str = ""

    def provenance(self, role: str) -> Provenance:
        return Provenance(self.name, self.weights, self.prompt, role, self.max_tokens, self.similarity, False)

    def encode(self, texts: Sequence[str], role: str) -> np.ndarray:
        vectors = [sum((self._word(word) for word in text.split()), np.zeros(self.dimensions)) for text in texts]
        return np.array(vectors, np.float32).reshape(len(texts), self.dimensions)

    def count_tokens(self, texts: Sequence[str], role: str) -> list[int]:
        return [len(text.split()) for text in texts]

    def _word(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(f"{self.weights} {word}".encode())).normal(size=self.dimensions)


def row(ident: str, language: str | None, text: str, **fields: object) -> dict[str, object]:
    return {"id": ident, "language": language, "text": text, **fields}


def write(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return path


def keys(hits: object) -> list[tuple[str, str | None]]:
    return [(hit.id, hit.language) for hit in hits.hits]  # type: ignore[attr-defined]
