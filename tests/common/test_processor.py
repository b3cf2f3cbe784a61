"""What a processor is good at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from isoglot.common import processor
from isoglot.models.arithmetic import in_bf16

CPU = torch.device("cpu")


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[torch.dtype, float]]:
    """Seconds that a product is said to take on a processor that has instructions for bfloat16, to be set."""
    taken: dict[torch.dtype, float] = {}
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(processor, "_seconds", lambda tokens, _: taken[tokens.dtype])
    processor.bf16_is_faster.cache_clear()
    yield taken
    processor.bf16_is_faster.cache_clear()


@pytest.mark.parametrize(("bfloat16", "taken"), [(0.4, True), (0.9, False), (2.0, False)])
def test_bfloat16_is_the_default_only_where_it_is_measured_to_be_clearly_faster(
    seconds: dict[torch.dtype, float], bfloat16: float, taken: bool
) -> None:
    seconds.update({torch.float32: 1.0, torch.bfloat16: bfloat16})
    assert in_bf16(None, CPU) is taken
    assert in_bf16(True, CPU) is True  # who asks for it gets it
    assert in_bf16(False, CPU) is False


def test_nothing_is_measured_where_there_are_no_instructions(
    seconds: dict[torch.dtype, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert not processor.bf16_is_faster()
    assert in_bf16(True, CPU) is False
