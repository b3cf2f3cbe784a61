"""Texts of like length together: the vectors of one call, and the cheapest cuts there are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from architectures import build_encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from isoglot.training import lengths
from isoglot.training.lengths import by_length, cheapest_cuts
from isoglot.training.losses import Objective
from isoglot.training.model_setup import set_dropout

TEXTS = ["rot", "rot gruen blau haus baum " * 4, "haus", "winter sommer brot", "rot gruen " * 9, "feuer"]


def cost(widths: list[int], cuts: list[int], call: int) -> int:
    return sum(call + (end - start) * widths[end - 1] for start, end in zip([0, *cuts], cuts, strict=False))


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=8), st.integers(0, 60), st.integers(1, 9))
def test_no_other_cuts_are_cheaper(drawn: list[int], call: int, most: int) -> None:
    widths = sorted(drawn)
    cuts = cheapest_cuts(np.array(widths), call, most)
    ends = range(1, len(widths))
    others = [[*some, len(widths)] for n in range(len(widths)) for some in combinations(ends, n)]
    allowed = [some for some in others if max(np.diff([0, *some])) <= most]
    assert cuts in allowed
    if most >= len(widths):  # parts that are too large are cut again, where that pads least
        assert cost(widths, cuts, call) == min(cost(widths, some, call) for some in allowed)


def test_equal_lengths_stay_together() -> None:
    features = {"input_ids": torch.ones(6, 9), "attention_mask": torch.ones(6, 9)}
    assert by_length(features) == [(None, features)]


@pytest.mark.parametrize("side", ["right", "left"])
def test_parts_hold_every_token_once(tiny_encoder: SentenceTransformer, side: str) -> None:
    tiny_encoder.tokenizer.padding_side = side
    features = tiny_encoder.preprocess(TEXTS, prompt="query: ")
    ids, mask = features["input_ids"], features["attention_mask"].bool()
    seen = {}
    parts = by_length(features, 2)
    for rows, part in parts:
        assert rows is not None
        assert len(rows) <= 2
        assert part["prompt_length"] == features["prompt_length"]
        for row, own, real in zip(rows.tolist(), part["input_ids"], part["attention_mask"].bool(), strict=True):
            seen[row] = own[real].tolist()
    assert seen == {row: ids[row][mask[row]].tolist() for row in range(len(TEXTS))}
    assert sum(part["input_ids"].numel() for _, part in parts) < ids.numel()


@pytest.mark.parametrize("mini_batch", [None, 2])
@pytest.mark.parametrize(("kind", "side"), [("bert", "right"), ("mpnet", "right"), ("t5", "right"), ("qwen3", "left")])
def test_vectors_and_gradients_are_those_of_one_call(
    tiny_encoder_folder: Path,
    tmp_path: Path,
    mini_batch: int | None,
    kind: str,
    side: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build_encoder(kind, tiny_encoder_folder, tmp_path)
    model.tokenizer.padding_side = side
    features = [model.preprocess(texts) for texts in (TEXTS, TEXTS[::-1])]
    outcomes = []
    for call in (0, 1 << 30):
        monkeypatch.setattr(lengths, "_CALL_COST", {"cpu": call})
        model.train()
        set_dropout(model, 0.0)
        model.zero_grad()
        loss = Objective(model, temperature=0.1, mini_batch=mini_batch if call == 0 else None)
        value = loss(features, None)
        value.backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        outcomes.append((value.item(), gradient))
    assert outcomes[0][0] == pytest.approx(outcomes[1][0], rel=1e-5)
    assert (outcomes[0][1] - outcomes[1][1]).norm() < 1e-5 * outcomes[1][1].norm()
