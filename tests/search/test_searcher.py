"""What a search finds, in which order, and what it says of lists that are short."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_index import ToyEncoder, keys, row, write

import isoglot
from isoglot import InputError, build_index, open_index
from isoglot.search import collapsing
from isoglot.search.store import Store

WORDS = ["tree", "stone", "river", "bird", "fire"]
MIXES = ["none", "cap:1", "cap:3", "floor:1.0", "floor:0.5", "round-robin"]
SPOKEN = ("en", "de", "sw", "zh", None)


def rows(count=150):
    """Few texts in uneven languages, so that scores are often equal; every third document has translations."""
    rng = np.random.default_rng(0)
    made = []
    for n in range(count):
        text = " ".join(rng.choice(WORDS, 2))
        tags = rng.choice(5, 3 if n % 3 == 0 else 1, replace=False, p=[0.6, 0.2, 0.1, 0.05, 0.05])
        made += [row(f"d{n}", SPOKEN[tag], text, group=f"g{n}" if n % 2 else None, page=n) for tag in tags]
    return made


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    build_index(write(folder / "corpus.jsonl", rows()), ToyEncoder(), folder / "index")
    return folder / "index"


@pytest.fixture(scope="module")
def searcher(index):
    return open_index(index, ToyEncoder())


LISTS = st.fixed_dictionaries(
    {
        "mix": st.sampled_from(MIXES),
        "languages": st.sampled_from([None, ["en"], ["swh", "zh-Hans"], ["en", "de", "sw"]]),
        "prefer_own_language": st.sampled_from([None, 0.0, 0.3]),
        "collapse": st.booleans(),
        "language": st.sampled_from(["de", "en"]),
    }
)


@settings(max_examples=60)
@given(LISTS, st.integers(1, 40), st.integers(1, 40), st.sampled_from(WORDS))
def test_shorter_lists_are_beginnings_of_longer_ones(searcher, wish, one, other, question):
    short, long = sorted((one, other))
    first, second = (searcher.search(question, limit=limit, **wish) for limit in (short, long))
    assert second.hits[:short] == first.hits
    assert (first.note is None) == (len(first.hits) == short)
    seen = [
        key for hit in second.hits for key in [(hit.id, hit.language), *((t.id, t.language) for t in hit.translations)]
    ]
    assert len(set(seen)) == len(seen)
    if wish["languages"]:
        assert {tag for _, tag in seen} <= {"en", "de", "sw", "zh"}


@settings(max_examples=30)
@given(LISTS, st.integers(1, 30))
def test_a_list_is_that_of_sorting_everything(searcher, index, wish, limit):
    """By brute force: all rows scored and sorted, and the mix taken of the whole."""
    if wish["collapse"]:
        return
    store = Store.open(index)
    vector = ToyEncoder().encode(["bird"], "query")[0]
    found = store.rows(store.numbers, ["id", "language"])
    scores = store.vectors(store.numbers) @ (vector / np.linalg.norm(vector)).astype(np.float32)
    tags = None if wish["languages"] is None else {"swh": "sw", "zh-Hans": "zh"}
    among = None if tags is None else {tags.get(tag, tag) for tag in wish["languages"]}
    ranked = sorted(
        (-float(np.float32(score)), each["id"], each["language"] or "")
        for each, score in zip(found, scores, strict=True)
        if among is None or each["language"] in among
    )
    if wish["prefer_own_language"] is not None:
        own = [tag == wish["language"] for _, _, tag in ranked]
        order = isoglot.search.mixing.prefer_own([-score for score, _, _ in ranked], own, wish["prefer_own_language"])
        ranked = [ranked[n] for n in order]
    languages = [tag or None for _, _, tag in ranked]
    counts = Counter(each["language"] for each in found if among is None or each["language"] in among)
    shares = {tag: n / counts.total() for tag, n in counts.items()}
    shown = list(isoglot.load_mix(wish["mix"]).order(languages, shares))[:limit]
    assert keys(searcher.search("bird", limit=limit, **wish)) == [(ranked[n][1], ranked[n][2] or None) for n in shown]


def test_a_document_stands_once_in_the_readers_language_with_all_its_translations(tmp_path):
    made = [row(f"e{n}", tag, f"{word} {tag}") for n, word in enumerate(WORDS) for tag in ("en", "de", "es")]
    build_index(write(tmp_path / "c.jsonl", made), ToyEncoder(), tmp_path / "index")
    searcher = open_index(tmp_path / "index", ToyEncoder())
    found = searcher.search("tree en", limit=4, collapse=True, language="es").hits
    assert found[0].id == "e0"
    assert len({hit.id for hit in found}) == 4
    for hit in found:
        assert hit.language == "es"
        assert {each.language for each in hit.translations} == {"en", "de"}
        assert [each.score for each in hit.translations] == sorted((t.score for t in hit.translations), reverse=True)
    only = searcher.search("tree en", limit=9, collapse=True, language="es", languages=["en", "de"])
    assert {hit.language for hit in only.hits} <= {"en", "de"}
    assert only.note == "5 of 9 hits: the index has no more documents in de, en."
    alone = searcher.search("tree en", limit=2, collapse=True).hits
    assert alone[0].language == "en"  # each by its best where nobody says who reads


def test_without_groups_rows_of_two_languages_that_are_one_vector_are_one_document(tmp_path):
    made = [row(f"{word}-{tag}", tag, word) for word in WORDS for tag in ("en", "de")]
    made.append(row("copy", "en", "tree"))  # a second English row is another document
    build_index(write(tmp_path / "c.jsonl", made), ToyEncoder(), tmp_path / "index")
    found = open_index(tmp_path / "index", ToyEncoder()).search("tree", limit=20, collapse=True, language="de").hits
    assert [(hit.id, [each.id for each in hit.translations]) for hit in found[:2]] == [
        ("tree-de", ["copy"]),
        ("tree-en", []),
    ]
    assert len(found) == 6


def test_the_filter_comes_before_the_cut_and_takes_any_spelling(tmp_path):
    made = [row(f"en{n}", "en", "tree stone") for n in range(300)] + [
        row(f"sw{n}", "sw", "fire bird") for n in (1, 2, 3)
    ]
    build_index(write(tmp_path / "c.jsonl", made), ToyEncoder(), tmp_path / "index")
    searcher = open_index(tmp_path / "index", ToyEncoder())
    for spelling in ("sw", "swh", "SW", "swa_Latn"):
        assert keys(searcher.search("tree", languages=[spelling], limit=3)) == [
            ("sw1", "sw"),
            ("sw2", "sw"),
            ("sw3", "sw"),
        ]
    assert searcher.search("tree", languages=["sw"]).note == "3 of 10 hits: the index has no more rows in sw."
    assert searcher.search("tree", languages=["fi"]).note == "0 of 10 hits: the index has nothing in fi; it has en, sw."
    capped = searcher.search("tree", languages=["en"], mix="cap:1", limit=3)
    assert capped.note == "1 of 3 hits: cap:1 leaves no place to the other 299 that were found."


def test_a_floor_is_of_the_whole_corpus_rows_without_a_language_included(tmp_path):
    made = [row(f"n{n}", None, "tree stone") for n in range(90)] + [row(f"de{n}", "de", "fire") for n in range(10)]
    build_index(write(tmp_path / "c.jsonl", made), ToyEncoder(), tmp_path / "index")
    found = open_index(tmp_path / "index", ToyEncoder()).search("tree stone", limit=20, mix="floor:1.0").hits
    assert [hit.language for hit in found].count("de") == 2  # a tenth


def test_no_more_rows_are_compared_than_the_bound(index, monkeypatch):
    compared = []

    def counted(vectors, *more):
        compared.append(len(vectors))
        return collapsing.by_likeness(vectors, *more)

    monkeypatch.setattr("isoglot.search.searcher.by_likeness", counted)
    wish = {"mix": "cap:1", "collapse": True, "language": "de"}
    open_index(index, ToyEncoder()).search("tree", limit=3, **wish)
    monkeypatch.setattr("isoglot.search.searcher._ALL_COLLAPSED", 16)
    assert len(open_index(index, ToyEncoder()).search("tree", limit=3, **wish).hits) == 3
    assert compared[-1] < compared[0]


def test_a_column_of_numbers_with_gaps_is_json(tmp_path):
    build_index(write(tmp_path / "c.jsonl", [row("a", "en", "tree", price=float("nan"))]), ToyEncoder(), tmp_path / "i")
    found = open_index(tmp_path / "i", ToyEncoder()).search("tree").as_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["hits"][0]["fields"] == {"price": None}


def test_what_travels_along_comes_out(searcher):
    hit = searcher.search("tree", limit=1).hits[0]
    assert set(hit.fields) == {"page"}
    assert hit.as_dict()["fields"]["page"] == int(hit.id[1:])


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"limit": 0}, "at least 1 hit"),
        ({"languages": ["xx-nothing"]}, "unknown language"),
        ({"languages": []}, "none is named"),
        ({"mix": "cap"}, "there are none, cap:N"),
        ({"prefer_own_language": 0.1}, "needs the reader's language"),
        ({"prefer_own_language": -1.0, "language": "de"}, "0 or more"),
        ({"prefer_own_language": float("nan"), "language": "de"}, "0 or more"),
    ],
)
def test_what_cannot_be_is_refused(searcher, wish, said):
    with pytest.raises(InputError, match=said):
        searcher.search("tree", **wish)


def test_questions_and_vectors_that_cannot_be_are_refused(index, searcher):
    with pytest.raises(InputError, match="the question is empty"):
        searcher.search(" \n")
    with pytest.raises(InputError, match="no encoder was given"):
        open_index(index).search("tree")
    for vectors in (np.zeros(12), np.zeros((1, 5)), np.full((1, 12), np.nan)):
        with pytest.raises(InputError, match=r"the index takes finite ones, \(questions, 12\)"):
            searcher.search_vectors(vectors)


def test_several_questions_at_once_are_each_as_alone(searcher):
    vectors = ToyEncoder().encode(WORDS, "query")
    for mix in MIXES:
        together = searcher.search_vectors(vectors, mix=mix, limit=7)
        assert [keys(each) for each in together] == [keys(searcher.search(word, mix=mix, limit=7)) for word in WORDS]


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_scores_are_those_of_the_similarity_and_equal_those_of_evaluate(tmp_path, similarity):
    from isoglot.models.similarity import as_declared, prepare, score_block

    encoder = ToyEncoder(similarity=similarity)
    made = [row(f"r{n}", "en", f"{word} w{n}") for n, word in enumerate(WORDS)]
    build_index(write(tmp_path / "c.jsonl", made), encoder, tmp_path / "index")
    hits = open_index(tmp_path / "index", encoder).search("tree w9").hits
    passages = prepare(encoder.encode([each["text"] for each in made], "passage"), similarity, "passage")
    queries = prepare(encoder.encode(["tree w9"], "query"), similarity, "query")
    expected = as_declared(score_block(queries, passages, similarity), queries, similarity)[0]
    assert [hit.score for hit in hits] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-4)
    assert [hit.id for hit in hits] == [f"r{n}" for n in (-expected).argsort(kind="stable")]
