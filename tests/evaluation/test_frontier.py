"""The search for weights: the grid, what is kept, what is chosen."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

import isoglot
from isoglot.common.errors import InputError
from isoglot.evaluation import frontier as frontier_module
from isoglot.evaluation.frontier import _grid, search_weights
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore


@given(st.integers(2, 4), st.sampled_from([0.5, 0.25, 0.2, 0.1]))
def test_the_grid_holds_all_multiples_of_a_step_once_the_last_model_at_its_end(models: int, step: float) -> None:
    grid = [*_grid(models, step)]
    assert len({*grid}) == len(grid)
    assert all(sum(weights) == pytest.approx(1) and min(weights) >= 0 for weights in grid)
    assert all(weight / step == pytest.approx(round(weight / step)) for weights in grid for weight in weights)
    assert grid[-1] == (*[0.0] * (models - 1), 1.0)
    if models == 2:
        assert len(grid) == round(1 / step) + 1


@pytest.mark.parametrize("step", [0, -0.1, 0.3, 2])
def test_a_step_that_does_not_divide_one_is_refused(step: float) -> None:
    with pytest.raises(InputError, match="has to divide 1"):
        [*_grid(2, step)]


def test_a_search_scores_what_merge_makes(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = deepcopy(tiny_encoder)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    data = isoglot.retrieval_set_of(pairs.sample(20, 0), "dev")
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    found = search_weights([other, tiny_encoder], {"dev": data}, names=["A", "B"], step=0.5, max_tokens=20, store=store)
    assert len([*store.folder.iterdir()]) == 4, "two models, two prompts, no merged one"
    for point in found.points:
        merged, _ = isoglot.merge([other, tiny_encoder], point.weights)
        expected = isoglot.evaluate(merged, data)
        for setting in ("monolingual", "cross_lingual", "multilingual"):
            assert point.figures["dev"][setting] == pytest.approx(expected.setting(setting), abs=1e-6)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["chosen"]["weights"] == list(found.chosen.weights)
    with pytest.raises(InputError, match="no development set"):
        search_weights([other, tiny_encoder], {}, names=["A", "B"])


@pytest.mark.parametrize("lost", ["monolingual", "own_success@10"])
def test_what_loses_on_one_set_is_not_chosen_however_much_it_gains(
    lost: str, tiny_encoder: SentenceTransformer, pairs: ParallelPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By figures made up: the more of A the better, but beyond .5 one set falls by more than the tolerance."""
    same = {"monolingual": 0.8, "cross_lingual": np.nan, "own_success@10": np.nan, "rank_distance": 1.0}
    figures = iter(
        {**same, "multilingual": share, lost: kept}
        for share in (1.0, 0.75, 0.5, 0.25, 0.0)
        for kept in (0.8, 0.8 - (0.01 if share > 0.5 else 0.004))
    )
    last = iter([None] * 9 + [0.8])  # what the last model itself reaches on the second set
    monkeypatch.setattr(frontier_module, "evaluate", lambda *_, **__: None)

    def made_up(_: object) -> dict[str, float]:
        return {**next(figures), **({lost: kept} if (kept := next(last)) else {})}

    monkeypatch.setattr(frontier_module, "figures_of", made_up)
    data = isoglot.retrieval_set_of(pairs.sample(20, 0), "dev")
    models = [tiny_encoder, tiny_encoder]
    found = search_weights(models, {"x": data, "y": data}, names=["A", "B"], step=0.25)
    assert found.chosen.weights == (0.5, 0.5)
    assert "0.5 A, 0.5 B" in found.sentence()
    assert found.as_dict()["points"][0]["figures"]["x"]["cross_lingual"] is None
