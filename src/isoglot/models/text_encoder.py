"""Models as a search needs them: `TextEncoder` over a sentence-transformers model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from transformers import PreTrainedTokenizerBase

from isoglot.common.arrays import FloatArray
from isoglot.common.roles import Role
from isoglot.models.arithmetic import arithmetic
from isoglot.models.embed import embed
from isoglot.models.encoders import own_name, role_prompt
from isoglot.models.fingerprint import fingerprint
from isoglot.models.limits import token_limit
from isoglot.runtime.store import EmbeddingStore
from isoglot.vectors.provenance import Provenance


class ModelEncoder:
    """A sentence-transformers model as a `TextEncoder`.

    Args:
        model: any that gives one vector per text.
        name: what people call it; its own name where None.
        bf16: use bfloat16 arithmetic, where the processor has it.
        store: where vectors are kept and looked up; nowhere if None.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        name: str | None = None,
        bf16: bool = False,
        store: EmbeddingStore | None = None,
    ) -> None:
        self.model, self.name, self.bf16, self.store = model, name or own_name(model), bf16, store
        self.dimensions = int(model.get_embedding_dimension() or 0)
        self.max_tokens = token_limit(model)

    def provenance(self, role: Role) -> Provenance:
        """All that the model's vectors depend on in a role."""
        *_, last = self.model.children()
        return Provenance(
            model=self.name,
            fingerprint=fingerprint(self.model),
            prompt=role_prompt(self.model, role),
            role=role,
            max_tokens=self.max_tokens,
            similarity=str(self.model.similarity_fn_name),
            normalised=isinstance(last, Normalize) and self.model.truncate_dim is None,
            arithmetic=arithmetic(self.model, self.bf16),
        )

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """`(texts, dimensions)`, as `embed` gives them."""
        return embed(self.model, texts, role, store=self.store, bf16=self.bf16)

    def replicas(self) -> list[ModelEncoder]:
        """An encoder for each GPU, where the model stands on one; else this one alone."""
        if self.model.device.type != "cuda":
            return [self]
        others = [n for n in range(torch.cuda.device_count()) if n != (self.model.device.index or 0)]
        models = [deepcopy(self.model).to(f"cuda:{n}") for n in others]
        return [self, *(ModelEncoder(model, name=self.name, bf16=self.bf16, store=self.store) for model in models)]

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text with the role's prompt, before anything is cut; letters by four without a tokenizer."""
        prompt, tokenizer = role_prompt(self.model, role), getattr(self.model, "tokenizer", None)
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            return [1 + len(prompt + text) // 4 for text in texts]
        return [len(tokens) for tokens in tokenizer([prompt + text for text in texts], truncation=False)["input_ids"]]
