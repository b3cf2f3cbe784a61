"""What client libraries send to `/v1/embeddings`, and what they need back."""

from __future__ import annotations

import base64
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from service import Client, serving

from isoglot.common.errors import InputError
from isoglot.runtime.encoder import TextEncoder
from isoglot.serving.limits import Limits
from isoglot.serving.refusals import RefusalError
from isoglot.serving.requests import EmbeddingRequest, SearchRequest, parse


def vectors(answer) -> np.ndarray:
    assert answer.status == 200, answer.body
    data = answer.json()["data"]
    assert [each["index"] for each in data] == list(range(len(data)))
    return np.array([each["embedding"] for each in data], np.float32)


def message(answer, status: int) -> str:
    assert answer.status == status, answer.body
    return answer.json()["error"]["message"]


def test_vectors_are_the_encoders_own_in_order(client: Client, encoder: TextEncoder) -> None:
    texts = [f"red house {'river ' * (n % 7)}{n}" for n in range(100)]
    assert_allclose(vectors(client.embed(texts)), encoder.encode(texts, "passage"), atol=1e-5)


def test_base64_is_little_endian_float32_and_the_same_numbers(client: Client) -> None:
    answer = client.embed(["red", "rot"], encoding_format="base64").json()
    packed = [np.frombuffer(base64.b64decode(each["embedding"]), "<f4") for each in answer["data"]]
    assert_allclose(packed, vectors(client.embed(["red", "rot"], encoding_format=None)), atol=1e-7)


@pytest.mark.parametrize(
    ("fields", "role"),
    [
        ({}, "passage"),
        ({"input_type": None}, "passage"),
        ({"input_type": "document"}, "passage"),
        ({"input_type": "search_document"}, "passage"),
        ({"input_type": "query"}, "query"),
        ({"input_type": "search_query"}, "query"),
        ({"model": "tiny-query"}, "query"),
        ({"model": "tiny-passage", "input_type": "passage"}, "passage"),
    ],
)
def test_the_role_comes_from_the_type_or_the_name(
    client: Client, encoder: TextEncoder, fields: dict[str, str], role
) -> None:
    answer = client.embed("river", **fields)
    assert_allclose(vectors(answer), encoder.encode(["river"], role), atol=1e-5)
    assert answer.json()["model"] == "tiny"


def test_usage_counts_the_tokens_that_were_read(client: Client, encoder: TextEncoder) -> None:
    texts = ["red house", "river " * 500]
    counts = encoder.count_tokens(texts, "passage")
    answer = client.embed(texts).json()
    assert answer["usage"]["total_tokens"] == counts[0] + encoder.max_tokens
    assert counts[1] > encoder.max_tokens


def test_what_is_cut_is_named_or_refused(client: Client) -> None:
    long = "river " * 500
    assert client.embed(["red", long]).json()["truncated"] == [1]
    assert client.embed("red").json()["truncated"] == []
    assert "64 tokens" in (said := message(client.embed(["red", long], truncate=False), 400))
    assert said.endswith(": 1")
    assert client.embed("red", truncate=False).status == 200


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"input": [[1, 2]]}, 400, ["token", "check_embedding_ctx_length"]),
        ({"input": [1]}, 400, ["token"]),
        ({"input": ["a", 7]}, 400, ["at 1"]),
        ({"input": ["a", None]}, 400, ["at 1"]),
        ({"input": True}, 400, ["input"]),
        ({"input": []}, 400, ["input"]),
        ({}, 400, ["input"]),
        ({"input": ["a", "b" * 8193]}, 400, ["input 1", "8193", "8192"]),
        ({"input": ["a"] * 2049}, 413, ["2049", "2048", "2000000"]),
        ({"input": "a", "dimensions": 3}, 400, ["dimensions", "32"]),
        ({"input": "a", "dimensions": True}, 400, ["dimensions"]),
        ({"input": "a", "encoding_format": "md5"}, 400, ["float", "base64"]),
        ({"input": "a", "input_type": "passages"}, 400, ["query", "passage"]),
        ({"input": "a", "model": "other"}, 404, ["tiny"]),
        ({"input": "a", "model": "tiny-query", "input_type": "passage"}, 400, ["input_type"]),
        ({"input": "a", "model": "\ud83d"}, 404, ["tiny"]),
    ],
)
def test_what_cannot_succeed_is_refused_for_good(client: Client, fields: dict, status: int, words: list[str]) -> None:
    said = message(client.send("POST", "/v1/embeddings", fields), status)
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("text", ["", " \n\u3000", "\ud83d", "a\x00b", "\u200b", "👩‍👩‍👧" * 50])
def test_odd_texts_have_a_vector_of_unit_length(client: Client, text: str) -> None:
    assert_allclose(np.linalg.norm(vectors(client.embed(["river", text, text])), axis=1), 1, atol=1e-4)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"a"', b"\xff", b'{"input": NaN}', b"[" * 100_000, b'{"input": "a", "dimensions": 1e999}'],
    ids=repr,
)
def test_what_is_not_json_is_refused(client: Client, body: bytes) -> None:
    assert client.send("POST", "/v1/embeddings", body).status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys({*EmbeddingRequest.model_fields, *SearchRequest.model_fields}, JSON),
    )
)
def test_any_json_is_taken_or_refused(fields: dict) -> None:
    body = json.dumps(fields).encode()
    for kind in (EmbeddingRequest, SearchRequest):
        with suppress(RefusalError):
            parse(body, kind)


def test_a_text_without_a_vector_is_named_and_others_do_not_suffer(encoder: TextEncoder) -> None:
    class Picky:
        name, dimensions, max_tokens = "picky", encoder.dimensions, encoder.max_tokens
        count_tokens = staticmethod(encoder.count_tokens)

        def encode(self, texts, role):
            if "unlucky" in texts:
                raise InputError("the model gives a vector of NaN for the text 'unlucky'")
            found = encoder.encode(texts, role)
            found[[n for n, text in enumerate(texts) if text == "nothing"]] = 0
            return found

    with serving(Picky()) as client:
        assert "unlucky" in message(client.embed(["red", "unlucky"]), 400)
        assert "input 1" in message(client.embed(["red", "nothing"]), 400)
        assert client.embed(["red"]).status == 200


def test_a_failing_encoder_is_our_fault_and_says_nothing_of_it(encoder: TextEncoder) -> None:
    class Broken:
        name, dimensions, max_tokens = "broken", 3, None

        def count_tokens(self, texts, role):
            raise RuntimeError("secret/path")

    with serving(Broken()) as client:
        answer = client.embed("red")
        assert "secret" not in message(answer, 500)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert client.metric('isoglot_requests_total{path="/v1/embeddings",status="500"}') == 1


def test_a_long_request_is_cut_into_batches_and_lets_others_by(encoder: TextEncoder) -> None:
    sizes = []

    class Counting:
        name, dimensions, max_tokens = "counting", encoder.dimensions, encoder.max_tokens
        count_tokens = staticmethod(encoder.count_tokens)

        def encode(self, texts, role):
            sizes.append(len(texts))
            return encoder.encode(texts, role)

    texts = [f"red house {n}" for n in range(200)]
    with serving(Counting(), limits=Limits(batch_tokens=100)) as client:
        assert_allclose(vectors(client.embed(texts)), encoder.encode(texts, "passage"), atol=1e-5)
    assert len(sizes) > 10
    assert sum(sizes) == 200


def test_a_models_folder_is_not_told(encoder: TextEncoder) -> None:
    assert "/" in encoder.name
    with serving(encoder) as client:
        assert [each["id"] for each in client.get("/v1/models").json()["data"]] == [
            "model",
            "model-query",
            "model-passage",
        ]


def test_models_are_listed_and_paths_that_are_not_there_say_so(client: Client) -> None:
    assert [each["id"] for each in client.get("/v1/models").json()["data"]] == ["tiny", "tiny-query", "tiny-passage"]
    assert message(client.get("/v1/embeddings/"), 404)
    assert client.send("DELETE", "/v1/embeddings").headers["Allow"] == "POST"
    assert message(client.send("DELETE", "/v1/embeddings"), 405)
    assert message(client.send("POST", "/v1/models"), 405)
    assert client.get("/health").json() == {"status": "ok"}
