"""Whether the processor is good at bfloat16, as torch uses it."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_CLEARLY = 0.8  # of float32's time; with less to gain, float32's digits are worth more


def has_bf16() -> bool:
    """Whether it has instructions for bfloat16; without them it takes several times as long as float32."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported())


@cache
def bf16_is_faster() -> bool:
    """Whether it multiplies matrices as large as a small encoder's clearly faster in bfloat16 than in float32.

    That is measured, in less than a second, for instructions for bfloat16 may be slower than those for float32.
    """
    import torch

    if not has_bf16():
        return False
    float32, bfloat16 = (
        (torch.ones(1024, 384, dtype=dtype), torch.ones(384, 1536, dtype=dtype))
        for dtype in (torch.float32, torch.bfloat16)
    )
    # In turns, and the best of many, for others may use the processor.
    times = [(_seconds(*float32), _seconds(*bfloat16)) for _ in range(20)]
    best_float32, best_bfloat16 = map(min, zip(*times, strict=True))
    return bool(best_bfloat16 < _CLEARLY * best_float32)


def _seconds(tokens: torch.Tensor, weights: torch.Tensor) -> float:
    start = time.perf_counter()
    _ = tokens @ weights
    return time.perf_counter() - start
