"""A model as a search sees it."""

import numpy as np
import torch

from isoglot import fingerprint
from isoglot.models.embed import embed
from isoglot.models.limits import token_limit
from isoglot.models.text_encoder import ModelEncoder


def test_vectors_are_those_of_embed_and_the_roles_differ_by_their_prompts(tiny_encoder):
    encoder = ModelEncoder(tiny_encoder, name="tiny")
    texts = ["ein roter Baum", "a red tree"]
    for role in ("query", "passage"):
        assert np.array_equal(encoder.encode(texts, role), embed(tiny_encoder, texts, role))
        assert encoder.encode([], role).shape == (0, encoder.dimensions)
    provenance = encoder.provenance("query")
    assert (provenance.model, provenance.role) == ("tiny", "query")
    assert provenance.fingerprint == fingerprint(tiny_encoder)
    assert provenance.max_tokens == encoder.max_tokens == token_limit(tiny_encoder)


def test_tokens_are_counted_with_the_prompt_and_before_the_cut(tiny_encoder):
    encoder = ModelEncoder(tiny_encoder)
    short, long = encoder.count_tokens(["tree", "tree " * 10_000], "query")
    assert short < encoder.max_tokens < 10_000 <= long
    assert encoder.count_tokens(["tree"], "query")[0] >= len(tiny_encoder.tokenizer("tree")["input_ids"])


def test_vectors_are_said_to_be_of_the_arithmetic_that_the_processor_has(tiny_encoder, monkeypatch):
    for has, said in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        assert ModelEncoder(tiny_encoder, bf16=True).provenance("query").arithmetic == said
