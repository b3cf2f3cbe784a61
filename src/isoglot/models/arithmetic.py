"""Which arithmetic a device is good at, and which one a model's vectors come from."""

from __future__ import annotations

import torch
from sentence_transformers import SentenceTransformer

from isoglot.common.processor import bf16_is_faster, has_bf16
from isoglot.models.foreign import ForeignReader


def in_bf16(wanted: bool | None, device: torch.device) -> bool:
    """Whether to compute in bfloat16; if nothing is wanted, where the device multiplies it faster than float32.

    A processor without instructions for it takes several times as long as in float32, so there it is never used.
    """
    if device.type == "cpu":
        return bf16_is_faster() if wanted is None else wanted and has_bf16()
    return wanted if wanted is not None else device.type == "cuda" and bool(torch.cuda.is_bf16_supported())


def arithmetic(model: SentenceTransformer, bf16: bool) -> str:
    """What a model computes in, if bfloat16 is wanted or not; one that is not torch's has its own arithmetic."""
    if isinstance(model[0], ForeignReader):
        return model[0].encoder.provenance("passage").arithmetic or "not known"
    return "bfloat16" if in_bf16(bf16, model.device) else "float32"
