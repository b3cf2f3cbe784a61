"""Searching over HTTP, and what the server says of the languages that it showed."""

from __future__ import annotations

import datetime
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service import TEXTS, Client, serving

from isoglot.common.errors import UnavailableError
from isoglot.search.building import build_index
from isoglot.search.hits import Hit, Hits
from isoglot.search.opening import open_index
from isoglot.serving.embeddings import as_json
from isoglot.serving.language_mix import LanguageMix, one_language_bias, shares


def test_hits_are_the_searchers_own(client: Client, searcher) -> None:
    vectors = searcher.encoder.encode(["red river"], "query")
    (expected,) = searcher.search_vectors(vectors, limit=3, languages=["de", "en"])
    answer = client.search("red river", limit=3, languages=["de", "en"], language="de")
    assert answer.headers["Content-Type"] == "application/json"
    found = answer.json()
    assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in expected.hits]
    assert [hit["score"] for hit in found["hits"]] == pytest.approx([hit.score for hit in expected.hits], abs=1e-5)
    assert found["note"] is None
    assert found["query_truncated"] is False


def test_notes_and_cut_questions_are_said(client: Client, searcher) -> None:
    assert "8 of 50" in client.search("red", limit=50).json()["note"]
    assert client.search("river " * 500).json()["query_truncated"] is True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searcher, "note", "The engine is behind.")
        assert client.search("red", limit=3).json()["note"] == "The engine is behind."
        assert client.search("red", limit=50).json()["note"].startswith("The engine is behind. 8 of 50 hits")


@pytest.mark.parametrize(
    "fields",
    [
        {"query": ""},
        {"query": " \n"},
        {"query": None},
        {"query": ["a"]},
        {"query": "a" * 8193},
        {"query": "a", "limit": 0},
        {"query": "a", "limit": 101},
        {"query": "a", "limit": "ten"},
        {"query": "a", "languages": "de"},
        {"query": "a", "lang": "de"},
        {"query": "a", "prefer_own_language": -1},
        {"query": "a", "mix": 3},
        {"query": "a", "mix": f"floor:0.{'5' * 30}"},
        {"query": "a", "language": "d" * 65},
        {"query": "a", "languages": ["de"] * 201},
        {},
    ],
    ids=str,
)
def test_what_is_no_question_is_refused(client: Client, fields: dict) -> None:
    answer = client.send("POST", "/search", fields)
    assert answer.status == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mix": "cap:\ud83d"}, "mix"),
        ({"languages": ["no language"]}, "no language"),
        ({"languages": []}, "languages"),
        ({"prefer_own_language": 0.1}, "language"),
    ],
    ids=str,
)
def test_what_the_searcher_refuses_is_refused_in_its_words(client: Client, fields: dict, words: str) -> None:
    answer = client.search("a", **fields)
    assert answer.status == 400
    assert words in answer.json()["error"]["message"]


def test_an_index_that_cannot_be_asked_is_no_fault_of_the_question(
    encoder, searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_, **__):
        raise UnavailableError("http://inside:6333/p: connection refused")

    monkeypatch.setattr(searcher, "search_vectors", gone)
    with serving(encoder, searcher) as client:
        answer, document = client.search("red"), client.get("/openapi.json").json()
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert "inside" not in answer.body.decode()
    assert "503" in document["paths"]["/search"]["post"]["responses"]


def test_the_first_of_many_unknown_fields_is_named(client: Client) -> None:
    for first in ("f", ""):
        answer = client.send("POST", "/search", {"query": "a", first: 0, **{f"f{n}": 0 for n in range(100_000)}})
        assert (answer.status, answer.json()["error"]["message"]) == (400, f"{first}: there is no such field")


def test_without_an_index_there_is_no_search(encoder) -> None:
    with serving(encoder) as client:
        assert client.search("a").status == 404
        assert client.get("/").status == 404
        assert "/search" not in client.get("/openapi.json").json()["paths"]


def test_questions_go_through_the_map_of_the_index(encoder, searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def mapped(vectors, language):
        assert language == "de"
        return encoder.encode(["川のそばの赤い家"], "query")

    monkeypatch.setattr(searcher, "mapped", mapped)
    expected = searcher.search_vectors(mapped(None, "de"), limit=1)[0].hits[0].id
    with serving(encoder, searcher) as client:
        assert client.search("anything", language="de", limit=1).json()["hits"][0]["id"] == expected


def test_columns_of_any_kind_become_json() -> None:
    fields = {"day": datetime.date(2020, 1, 2), "none": float("nan"), "bytes": b"a", "numbers": np.arange(2)}
    hits = Hits((Hit("a", None, None, 1.0, None, fields),))
    assert as_json(hits.as_dict()).body.decode().count('"fields":{"day":"2020-01-02","none":null,"bytes":"a"') == 1


def test_the_document_describes_what_is_served(client: Client) -> None:
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        (method,) = operations
        assert client.send(method.upper(), path, {} if method == "post" else None).status in (200, 400)
    schema = document["paths"]["/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) >= {"query", "limit", "mix"}


def test_the_languages_shown_are_counted_by_mix(encoder, searcher) -> None:
    rows = sum(map(len, TEXTS.values()))
    with serving(encoder, searcher) as client:
        before = client.get("/languages").json()
        assert before["rows"] == rows
        assert before["mixes"] == {}
        assert before["corpus"]["en"] == pytest.approx(3 / rows)
        assert before["corpus"]["und"] == pytest.approx(1 / rows)
        for _ in range(3):
            client.search("red", limit=4)
        client.search("red", limit=4, mix="cap:01")
        client.search("red", languages=["de"])  # the reader chose the language
        client.search("red", collapse=True, language="de")
        client.search("red", prefer_own_language=9.0, language="de")
        mixes = client.get("/languages").json()["mixes"]
    assert {mix: figures["questions"] for mix, figures in mixes.items()} == {"none": 3, "cap:1": 1}
    assert sum(mixes["none"]["shown"].values()) == pytest.approx(1)


COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=2)


@given(corpus=COUNTS)
def test_bias_is_one_for_lists_in_one_language_and_nothing_for_a_corpus_in_one(corpus: dict[str, int]) -> None:
    assert one_language_bias([{name: 10} for name in corpus], corpus) == pytest.approx(1)
    assert one_language_bias([{name: 10} for name in corpus], {"a": 100}) is None
    assert one_language_bias([{name: 1} for name in corpus], corpus) is None


def test_bias_is_none_on_average_where_lists_are_drawn_at_random() -> None:
    random = np.random.default_rng(0)
    languages = np.array(list("aaaaaaaabbbc") * 20)
    corpus = {str(name): int(n) for name, n in zip(*np.unique(languages, return_counts=True), strict=True)}
    drawn = [random.choice(languages, 10, replace=False) for _ in range(3000)]
    lists = [{str(name): int((names == name).sum()) for name in set(names.tolist())} for names in drawn]
    assert one_language_bias(lists, corpus) == pytest.approx(0, abs=0.01)


@given(counts=COUNTS)
def test_shares_are_of_all_and_the_largest_comes_first(counts: dict[str, int]) -> None:
    found = shares(counts)
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_last_questions_alone_count() -> None:
    mix = LanguageMix({"de": 5, "en": 5}, 10, questions=2)
    for language in ("de", "en", "en"):
        mix.add("none", [language] * 20)
    assert mix.figures()["mixes"]["none"]["shown"] == {"en": 1.0}
    assert mix.figures()["mixes"]["none"]["questions"] == 2


def test_no_label_of_the_metrics_holds_what_a_client_sent(client: Client) -> None:
    client.get("/warm-up")
    client.send("BREW", "/health")
    before = client.get("/metrics").body.decode()
    for n in range(20):
        client.get(f"/marker{n}?q=marker")
        client.send(f"MARKER{n}", "/health")
        client.embed(f"marker {n}", model=f"marker{n}")
        client.search(f"marker {n}", mix=f"marker:{n}")
    after = client.get("/metrics").body.decode()
    assert "marker" not in after.lower()
    assert len(after.splitlines()) - len(before.splitlines()) <= 40


@pytest.mark.parametrize("engine", ["exact", "edge"])
def test_columns_of_a_corpus_are_shown_whatever_they_hold(encoder, tmp_path: Path, engine: str) -> None:
    if engine == "edge":
        pytest.importorskip("qdrant_edge", reason="the engine edge needs an extra")
    corpus = tmp_path / "corpus.jsonl"
    row = {"id": "a", "language": "de", "text": "rot", "title": "Farbe", "number": 1e999}
    corpus.write_text(json.dumps(row) + "\n", encoding="utf-8")
    build_index(corpus, encoder, tmp_path / "index", engine=engine)
    searcher = open_index(tmp_path / "index", encoder)
    with serving(encoder, searcher) as client, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.search("rot"), range(8)))
    searcher.close()
    assert [answer.status for answer in answers] == [200] * 8, answers[0].body
    fields = answers[0].json()["hits"][0]["fields"]
    assert fields == {"title": "Farbe", "number": None}
