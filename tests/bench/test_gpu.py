"""The bundle for training on a GPU: nothing is lost on the way, and the whole way works without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from isoglot import ParallelPairs, save_model, write_pairs
from isoglot.common.errors import InputError
from toy_pairs import parallel_rows

GPU = Path(__file__).parents[2] / "bench" / "gpu"
TEXTS = ["query: red house", "passage: rio piedra 7"]

sys.path.insert(0, str(GPU))
import pack  # noqa: E402
import packing  # noqa: E402
import run  # noqa: E402

numbers = st.lists(st.integers(-8, 7), min_size=31, max_size=31)
scales = st.floats(-1000, 1000, width=16).filter(lambda scale: abs(scale) > 1e-3)


@given(numbers, scales)
def test_weights_that_were_in_blocks_come_back_exactly(others: list[int], scale: float) -> None:
    weights = torch.tensor([[*others, -8]]).float() * scale
    found = packing.restored(*packing.quantised(weights, torch.float16))
    assert torch.equal(found, weights)


@given(st.integers(0, 10_000), st.sampled_from([1e-8, 1e-3, 10.0]))
def test_of_other_weights_an_eighth_of_the_largest_is_lost_at_most(seed: int, size: float) -> None:
    weights = size * torch.randn(3, 64, generator=torch.Generator().manual_seed(seed))
    found = packing.restored(*packing.quantised(weights, torch.bfloat16))
    largest = weights.reshape(3, 2, 32).abs().amax(-1).repeat_interleave(32, -1)
    assert ((found - weights).abs() <= largest / 8 * 1.05).all()  # scales are rounded too


def in_blocks(model: SentenceTransformer) -> SentenceTransformer:
    """The model as 4-bit blocks would have it."""
    for weights in model.state_dict().values():
        if weights.dim() == 2:
            weights.copy_(packing.restored(*packing.quantised(weights, torch.float16)))
    return model


@pytest.mark.parametrize("blocks", [False, True], ids=["any weights", "weights in blocks"])
def test_an_encoder_is_unpacked_as_it_was(blocks: bool, tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    model = in_blocks(tiny_encoder) if blocks else tiny_encoder
    save_model(model, tmp_path / "model")
    packing.pack_model(tmp_path / "model", tmp_path / "encoder.tar.xz")
    packing.unpack_model(tmp_path / "encoder.tar.xz", tmp_path / "unpacked")
    found = SentenceTransformer(str(tmp_path / "unpacked"), device="cpu")
    assert all(torch.equal(weights, found.state_dict()[name]) for name, weights in model.state_dict().items())
    assert (found.encode(TEXTS) == model.encode(TEXTS)).all()
    weights = sum(file.stat().st_size for file in (tmp_path / "model").rglob("*.safetensors"))
    assert ((tmp_path / "encoder.tar.xz").stat().st_size < weights / 3) == blocks


def test_what_training_changed_comes_back_nearly(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    first, last, found = (SentenceTransformer(str(tiny_encoder_folder), device="cpu") for _ in range(3))
    torch.manual_seed(0)
    for name, weights in last.state_dict().items():
        if "encoder" in name:
            weights += 1e-5 * torch.randn_like(weights)
    error = packing.write_change(first, last, tmp_path / "change.safetensors")
    assert 0 < error < 0.1
    packing.add_change(found, tmp_path / "change.safetensors")
    for name, weights in first.state_dict().items():
        change = last.state_dict()[name] - weights
        assert torch.allclose(found.state_dict()[name] - weights, change, atol=float(change.abs().max()) / 7, rtol=0)


def test_a_change_of_another_model_is_refused(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    packing.write_tensors({"0.other": torch.ones(2, 32)}, tmp_path / "change.safetensors", exact=False)
    with pytest.raises(InputError, match=r"no weights 0\.other \(2, 32\)"):
        packing.add_change(tiny_encoder, tmp_path / "change.safetensors")


def test_packages_that_are_not_there_are_taken_along_with_what_they_need(tmp_path: Path) -> None:
    listing = tmp_path / "list"
    listing.write_text("Package Version\n------- ---\ntorch   2.11.0+cu130\nTyping_Extensions 4\nnumpy==2.5\n")
    present = pack.names_in(listing)
    assert {"torch", "typing-extensions", "numpy"} <= present
    needed = ["torch>=2", 'tomli; python_version < "3.11"', "pydantic>=2", 'pytest; extra == "dev"']
    found = pack.missing(needed, present, "3.12")
    assert {"pydantic", "pydantic-core", "annotated-types"} <= found
    assert not found & {"torch", "tomli", "pytest", "typing-extensions"}


@given(st.lists(st.text("abcdehortu ", max_size=40), min_size=1, max_size=20), st.sampled_from([None, 3, 8]))
def test_telling_texts_hold_every_piece(tiny_encoder_folder: Path, texts: list[str], limit: int | None) -> None:
    reader = pack.Reader(SentenceTransformer(str(tiny_encoder_folder), device="cpu"))
    cut = reader.cut([None, *texts], limit)
    assert cut[0] is None
    assert all(text.startswith(part) for text, part in zip(texts, cut[1:], strict=True))
    if limit is None:
        assert cut[1:] == [text.rstrip() for text in texts]
    reader.tokenizer.no_truncation()
    told, all_pieces = (
        {piece for part in parts if part for piece in reader.tokenizer.encode(part).ids}
        for parts in (reader.telling, cut)
    )
    assert told == all_pieces


def test_stages_share_the_time_by_their_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(run.time, "monotonic", lambda: now)
    budget = run.Budget(400, [500, 300, 500, 300])
    shares = []
    for _ in range(4):
        shares.append(budget.share() / run.MARGIN)
        now += shares[-1]
    assert shares == pytest.approx([125, 75, 125, 75])


def write_recipe(folder: Path, rows: list[dict[str, str]], model: Path) -> Path:
    """A recipe of two stages on toy pairs, as small as it can be."""
    other = {"id": "n1", "language": "no", "query": "rødt", "passage": "rødt hus", "dataset": "norwegian"}
    rows = [{**row, "dataset": "toy"} for row in rows] + [other]
    write_pairs(ParallelPairs.from_rows(rows), folder / "toy.parquet")
    common = {"model": str(model), "data": [{"source": str(folder / "toy.parquet")}], "validation": {"examples": 0}}
    target = {"weight": 1.0, "target": "english"}
    stages = {
        "align": {"loss": {"weight": 0, "distillation": target}, "batches": {"strategy": "cross-lingual"}, "steps": 12},
        "hybrid": {
            "loss": {"distillation": {**target, "teacher": str(model)}},
            "batches": {"dataset_weights": {"toy": 2, "norwegian": 1}},
            "steps": 8,
        },
    }
    for name, settings in stages.items():
        settings = {**common, "output": str(folder / "unused"), **settings}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.mark.slow
@pytest.mark.network
def test_a_bundle_is_packed_trained_and_brought_back(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    """Wheels of this interpreter, two sizes of batches, no GPU."""
    save_model(in_blocks(tiny_encoder), tmp_path / "model")
    development = tmp_path / "development"
    development.mkdir()
    rows = parallel_rows(200)
    write_pairs(ParallelPairs.from_rows(rows[:90]), development / "toy.parquet")
    recipe = write_recipe(tmp_path, rows[90:], tmp_path / "model")
    installed = subprocess.run([sys.executable, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    kept = [line for line in installed.splitlines() if not line.startswith(("isoglot", "langcodes", "language_data"))]
    (tmp_path / "present").write_text("\n".join(kept))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    options = ["--recipe", recipe, "--development", development, "--present", tmp_path / "present", "--python", python]
    subprocess.run([sys.executable, GPU / "pack.py", tmp_path / "bundle", *options], check=True)
    wheels = {file.name.partition("-")[0] for file in (tmp_path / "bundle" / "wheels").iterdir()}
    assert wheels == {"isoglot", "langcodes"}, "the names of languages stay at home"

    environment = {**os.environ, "PYTHON": sys.executable, "LIMIT": "300", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    options = ["--batches", "32", "64", "--mini-batch", "16", "--set", "optimizer.learning_rate=0.001"]
    command = ["bash", GPU / "run.sh", tmp_path / "bundle", tmp_path / "out", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.json",
        "change-32.safetensors",
        "change-64.safetensors",
    }
    for size, steps in {"32": [12, 8], "64": [6, 4]}.items():
        found = report["batches"][size]
        assert [found[stage]["steps"] for stage in ("align", "hybrid")] == steps
        assert all(found[stage]["pairs_per_second"] > 0 for stage in ("align", "hybrid"))
        assert 0 < found["change_error"] < 0.1
        assert report["scores"][size]["toy"] != report["scores"]["initial"]["toy"]

    restore = [sys.executable, GPU / "restore.py", tmp_path / "model", tmp_path / "out" / "change-64.safetensors"]
    subprocess.run([*restore, tmp_path / "trained"], check=True)
    trained = SentenceTransformer(str(tmp_path / "trained"), device="cpu")
    assert (trained.encode(TEXTS) != tiny_encoder.encode(TEXTS)).any()
