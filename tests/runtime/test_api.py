"""A model behind an API: right vectors, each asked for once, under one name as long as they are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embeddings_server import DIMENSIONS, Open, Server, but_for_probes, good, vector_of
from isoglot.common.errors import InputError, TextsError
from isoglot.runtime.api_settings import ApiOptions
from isoglot.vectors.probes import PROBES, probe_fingerprint, same_weights
from isoglot.vectors.provenance import refuse_mixing

TEXTS = [f"text {number} über {'Brot ' * (number % 3)}" for number in range(20)]


def test_vectors_are_the_servers_by_their_index_with_the_prompt_before_the_text(server: Server, opened: Open) -> None:
    encoder = opened("Q: ", batch_size=6)
    assert encoder.encode(TEXTS, "query") == pytest.approx(np.array([vector_of(f"Q: {text}") for text in TEXTS]))
    assert encoder.encode(TEXTS, "passage") == pytest.approx(np.array([vector_of(text) for text in TEXTS]))
    assert {tuple(sorted(body)) for body in server.requests} == {("input", "model")}
    assert max(len(body["input"]) for body in server.requests) == 6
    assert set(server.paths) == {"/v1/embeddings"}
    assert encoder.encode([], "query").shape == (0, DIMENSIONS)
    made = encoder.provenance("query")
    assert (made.prompt, made.similarity, made.normalised) == ("Q: ", "cosine", True)


def test_nothing_is_asked_twice_but_the_known_texts(server: Server, opened: Open) -> None:
    first = opened().encode([*TEXTS, *TEXTS], "passage")
    again = opened()
    assert np.array_equal(again.encode([*TEXTS, "new"], "query")[:-1], first[: len(TEXTS)])  # no prompt: one text
    assert sorted(server.asked()) == sorted([*TEXTS, "new"])
    assert server.requests[-2]["input"] == list(PROBES)


def noisy(scale: float) -> object:
    def day(body: dict) -> tuple:
        _, answer, *_ = good(body)
        rng = np.random.default_rng(len(body["input"]))
        for item in answer["data"]:
            item["embedding"] = list(np.array(item["embedding"]) + rng.normal(size=DIMENSIONS) * scale)
        return 200, answer

    return day


def test_a_little_noise_is_the_same_model_and_a_swapped_one_is_another(
    server: Server, opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    first = opened()
    server.always = noisy(1e-3)
    assert opened().fingerprint == first.fingerprint
    assert not capsys.readouterr().err
    server.always = noisy(0.1)
    other = opened()
    assert "gives other vectors than at an earlier start" in " ".join(capsys.readouterr().err.split())
    assert other.space("query") != first.space("query")
    server.always = good
    assert opened().fingerprint == first.fingerprint
    with pytest.raises(InputError, match="different weights"):
        refuse_mixing(first.provenance("passage"), other.provenance("query"), ("a", "b"))


def test_fingerprints_of_two_machines_agree_within_the_noise() -> None:
    rng = np.random.default_rng(0)
    for dimensions in (64, 384, 1024):
        for _ in range(50):
            vectors = rng.normal(size=(len(PROBES), dimensions)) + rng.normal(size=dimensions)
            size = np.linalg.norm(vectors, axis=1, keepdims=True) / dimensions**0.5
            a, b, c = (
                probe_fingerprint("m", (vectors + rng.normal(size=vectors.shape) * size * noise).astype(np.float32))
                for noise in (0, 0.014, 0.14)  # cosines of 1, .9999 and .99
            )
            assert same_weights(a, b)
            assert not same_weights(a, c)
            assert not same_weights(a, probe_fingerprint("n", vectors.astype(np.float32)))


def test_tokens_are_estimated_then_counted_and_said(
    server: Server, opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = opened(batch_size=8, price=2)
    estimate = sum(encoder.count_tokens(TEXTS, "query"))
    spent = encoder.client.tokens
    encoder.encode(TEXTS, "query")
    said = " ".join(capsys.readouterr().err.split())
    assert f"asking for 20 query texts, about {estimate} tokens, at 2 a million" in said
    assert f"answered, {encoder.client.tokens - spent} tokens" in said
    assert encoder.client.tokens == sum(len(text.split()) + 2 for text in [*PROBES, *TEXTS])
    server.always = lambda body: good(body, usage=None)
    encoder.encode(["without a count"], "query")
    assert encoder.client.tokens > sum(len(text.split()) + 2 for text in [*PROBES, *TEXTS])


def test_what_would_cost_too_much_is_not_asked_for(server: Server, opened: Open) -> None:
    encoder = opened(budget=60)
    encoder.encode(TEXTS[:2], "query")
    with pytest.raises(InputError, match=r"20 texts of about .* of 60 are spent; raise --api budget=60; 0 of 20"):
        encoder.encode([f"other {text}" for text in TEXTS], "query")
    assert server.asked() == TEXTS[:2]


def test_a_budget_holds_though_texts_cost_more_than_was_estimated(server: Server, opened: Open) -> None:
    encoder = opened(budget=300, batch_size=4)
    server.always = lambda body: good(body, usage={"prompt_tokens": 40 * len(body["input"])})
    with pytest.raises(InputError, match=r"16 texts of about 640 tokens are still .* raise --api budget=300; 4 of 20"):
        encoder.encode(TEXTS, "query")
    assert len(server.asked()) == 4


def test_a_role_is_named_to_the_server_where_asked_for_only(server: Server, opened: Open) -> None:
    def asymmetric(body: dict) -> tuple:
        missing = {"error": {"message": "'input_type' parameter is required"}}
        return good(body) if body.get("input_type") in ("search", "doc") else (400, missing)

    server.always = asymmetric
    with pytest.raises(InputError, match=r"'input_type' parameter is required\); see --api input_type"):
        opened()
    encoder = opened(input_type="search, doc")
    encoder.encode(["a"], "query")
    encoder.encode(["a"], "passage")
    assert [body["input_type"] for body in server.requests[-3:]] == ["search", "search", "doc"]


def test_texts_without_a_vector_are_named_and_the_others_kept(server: Server, opened: Open) -> None:
    def empty_refused(body: dict) -> tuple:
        return (400, {"error": {"message": "$.input is invalid"}}) if "" in body["input"] else good(body)

    server.always = but_for_probes(empty_refused)
    encoder = opened(batch_size=8)
    with pytest.raises(TextsError, match=r"the text '': status 400 \(.*invalid\); 20 of 21 texts are .*kept") as caught:
        encoder.encode([*TEXTS[:9], "", *TEXTS[9:]], "query")
    assert caught.value.texts == ("",)
    server.requests.clear()
    assert encoder.encode(TEXTS, "query").shape == (20, DIMENSIONS)
    assert not server.requests


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["batch_size"], "write key=value"),
        (["batch_size=0"], "batch_size: Input should be greater than or equal to 1"),
        (["size=3"], r"unknown key size; docs/api-models\.md lists the keys"),
        (["input_type=query"], "input_type: String should match"),
    ],
)
def test_settings_that_are_none_are_one_clear_line(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ApiOptions.parse(settings)


def test_an_interrupt_keeps_what_was_answered(server: Server, opened: Open, tmp_path: Path) -> None:
    def stop(_: dict) -> None:
        raise KeyboardInterrupt

    encoder = opened(batch_size=5)
    original, sent = encoder.client._send, []

    def send(body: bytes) -> object:
        sent.append(body)
        return original(body) if len(sent) < 3 else stop({})

    encoder.client._send = send  # type: ignore[assignment, method-assign]
    with pytest.raises(KeyboardInterrupt):
        encoder.encode(TEXTS, "query")
    server.requests.clear()
    opened().encode(TEXTS, "query")
    assert server.asked() == TEXTS[10:]
