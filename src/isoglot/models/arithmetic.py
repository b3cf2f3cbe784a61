"""Which arithmetic a device is good at, and which one a model's vectors come from."""

from __future__ import annotations

import torch
from sentence_transformers import SentenceTransformer


def in_bf16(wanted: bool | None, device: torch.device) -> bool:
    """Whether to compute in bfloat16; if nothing is wanted, where the device multiplies it faster than float32.

    A processor without instructions for it takes several times as long as in float32, so there it is never used.
    """
    if device.type == "cpu":
        return wanted is not False and bool(torch.cpu._is_avx512_bf16_supported())
    return wanted if wanted is not None else device.type == "cuda" and bool(torch.cuda.is_bf16_supported())


def arithmetic(model: SentenceTransformer, bf16: bool) -> str:
    """What a model computes in, if bfloat16 is wanted or not: bfloat16, float32, or what an exported one has."""
    own: str | None = getattr(model[0], "arithmetic", None)
    return own or ("bfloat16" if in_bf16(bf16, model.device) else "float32")
