"""The script that makes what the studies need: text held out, and an initial model that knows less."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from isoglot import load_encoder, save_model
from isoglot.pairs import ParallelPairs

pytest.importorskip("sentencex", reason="the script cuts sentences with it")
prepare = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "recipes" / "prepare.py")))


def test_a_static_model_is_the_mean_of_word_vectors(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    save_model(prepare.static(tiny_encoder), tmp_path / "static")
    model = load_encoder(tmp_path / "static")
    words = tiny_encoder[0].auto_model.get_input_embeddings().weight.detach()
    texts = ["red house", "green stone river"]
    ids = [tiny_encoder.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    means = torch.nn.functional.normalize(torch.stack([words[some].mean(0) for some in ids]), dim=1)
    assert np.allclose(model.similarity(*model.encode(texts)), means[0] @ means[1], atol=1e-5)  # turned, not changed
    assert prepare.static(tiny_encoder, dimensions=8).encode(texts).shape == (2, 8)
    assert not any(model.prompts.values())


def test_pages_are_held_out_whole() -> None:
    ids = [f"libreoffice-help/text/{page}.html#{place}" for page in range(400) for place in ("hd_1", "hd_2")]
    held_out = [prepare.is_held_out(name) for name in ids]
    assert held_out[::2] == held_out[1::2]
    assert 25 < sum(held_out[::2]) < 80  # one in eight


def test_a_first_sentence_asks_for_the_rest() -> None:
    text = "The first sentence says this. The second one says more, and it is long enough to be found."
    rows = [
        {"id": "1", "language": "en", "query": text, "passage": text},
        {"id": "2", "language": "en", "query": "One alone.", "passage": "One alone."},
    ]
    (row,) = prepare.first_sentence_asks(ParallelPairs.from_rows(rows)).rows()
    assert row["query"] == "The first sentence says this."
    assert row["passage"] == text[len(row["query"]) + 1 :]


def test_examples_in_most_languages_come_first(pairs: ParallelPairs) -> None:
    without = pairs.select_rows(~((pairs.example % 2 == 0) & (pairs.language == 0)))
    chosen = prepare.in_most(without, (*pairs.languages, "xx"), examples=10)
    assert chosen.example_count == 10
    assert len(chosen) == 10 * len(pairs.languages)


def test_questions_held_out_are_in_no_training_text() -> None:
    rows = [
        {"id": f"{tag}{n}", "language": tag, "query": f"q {tag} {n}", "passage": f"answer {tag} {n // 2}"}
        for tag in ("de", "en")
        for n in range(600)
    ]
    training, held_out = prepare.split_questions(ParallelPairs.from_rows(rows))
    assert not {*training.texts("passage")} & {*held_out.texts("passage")}
    for number in range(2):
        asked = held_out.has_query[held_out.language == number]
        assert 0 < asked.sum() <= 40 < len(asked) <= 240
