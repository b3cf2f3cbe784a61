"""What a search needs of an encoder, whatever computes its vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from isoglot.common.arrays import FloatArray
from isoglot.common.roles import Role
from isoglot.vectors.provenance import Provenance


class TextEncoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        name: what people call it.
        dimensions: how many numbers a vector has.
        max_tokens: where longer texts are cut, prompt and special tokens included; None where nothing is cut or nobody
            knows.
    """

    name: str
    dimensions: int
    max_tokens: int | None

    def provenance(self, role: Role) -> Provenance:
        """All that its vectors depend on in a role, to be kept beside them and compared."""
        ...

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """`(texts, dimensions)`, float32, in the order of the texts; the prompt of the role is put before each."""
        ...

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text before anything is cut, prompt and special tokens included; an estimate if need be."""
        ...
