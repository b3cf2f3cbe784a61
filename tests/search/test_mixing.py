"""Fair lists hold what they promise, and shorter ones are beginnings of longer ones."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot import InputError
from isoglot.search import collapsing
from isoglot.search.collapsing import by_document, by_likeness, in_readers_language, usual_cosine
from isoglot.search.mixing import cap, floor, load_mix, prefer_own, round_robin

LANGUAGES = st.lists(st.sampled_from(["en", "de", "fi", "sw", None]), max_size=40)
NAMES = st.sampled_from(["none", "cap:1", "cap:3", "floor:1.0", "floor:0.4", "round-robin"])


def shares_of(languages):
    return {tag: languages.count(tag) / len(languages) for tag in languages}


@given(LANGUAGES, NAMES)
def test_nothing_is_shown_twice_and_of_one_language_the_better_comes_first(languages, name):
    order = list(load_mix(name).order(languages, shares_of(languages)))
    assert len(set(order)) == len(order)
    assert set(order) <= set(range(len(languages)))
    for tag in set(languages):
        own = [n for n in order if languages[n] == tag]
        assert own == [n for n, each in enumerate(languages) if each == tag][: len(own)]
    if not name.startswith("cap"):
        assert len(order) == len(languages)


@given(LANGUAGES, NAMES, st.integers(0, 12), st.integers(0, 12))
def test_so_many_of_each_language_are_candidates_enough(languages, name, limit, more):
    mix, shares = load_mix(name), shares_of(languages)
    whole = list(mix.order(languages, shares))[:limit]
    enough = limit + more
    if mix.by_language:
        kept = [n for n, tag in enumerate(languages) if languages[:n].count(tag) < enough]
    else:
        kept = list(range(len(languages)))[:enough]
    some = list(islice(mix.order([languages[n] for n in kept], shares), limit))
    assert [kept[n] for n in some] == whole


@given(LANGUAGES, st.integers(1, 5), st.integers(1, 10))
def test_a_cap_holds_in_every_run_of_places_and_fills_what_it_can(languages, most, places):
    order = list(cap(languages, most, places))
    for start in range(0, len(order), places):
        shown = [languages[n] for n in order[start : start + places]]
        assert all(shown.count(tag) <= most for tag in shown)
    left = [n for n in range(len(languages)) if n not in order]
    last = [languages[n] for n in order[len(order) // places * places :]]
    assert all(last.count(languages[n]) == most for n in left)
    assert bool(last) or not left


@given(LANGUAGES, st.floats(0.05, 1))
def test_where_a_language_falls_short_of_its_floor_one_that_does_is_shown(languages, part):
    shares = shares_of(languages)
    order = list(floor(languages, shares, part))
    for place in range(1, len(order) + 1):
        before, now = [languages[n] for n in order[: place - 1]], languages[order[place - 1]]
        short = {
            tag
            for tag in shares
            if before.count(tag) < int(part * shares[tag] * place + 1e-9) and before.count(tag) < languages.count(tag)
        }
        if short:
            assert now in short
        else:
            assert order[place - 1] == min(set(range(len(languages))) - set(order[: place - 1]))


@given(st.integers(1, 8), st.integers(2, 5))
def test_equal_languages_get_equal_parts_a_round_late_at_most(rounds, count):
    languages = [tag for tag in "abcde"[:count] for _ in range(rounds)]  # the worst case: one language after another
    order = list(floor(languages, shares_of(languages), 1.0))
    for end in range(count, len(order) + 1):
        shown = [languages[n] for n in order[:end]]
        assert all(shown.count(tag) >= end // count - 1 for tag in "abcde"[:count])


@given(LANGUAGES)
def test_in_a_round_each_language_that_has_some_left_is_shown_once(languages):
    shown = [languages[n] for n in round_robin(languages)]
    while shown:
        size = len(set(shown))
        assert len(set(shown[:size])) == size
        shown = shown[size:]


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=30), st.integers(0, 6), st.integers(0, 30))
def test_own_language_is_lifted_among_equals_only(pairs, epsilon, limit):
    pairs = sorted(pairs, key=lambda pair: -pair[0])
    scores, own = [float(score) for score, _ in pairs], [mine for _, mine in pairs]
    order = prefer_own(scores, own, epsilon)
    assert sorted(order) == list(range(len(pairs)))
    for place, n in enumerate(order):
        for later in order[place + 1 :]:
            if later < n:  # n was lifted above it
                assert own[n]
                assert not own[later]
                assert scores[later] - scores[n] <= epsilon
    # As many of the own language and of the others are candidates enough.
    kept = [n for n in range(len(pairs)) if own[:n].count(own[n]) < limit]
    some = prefer_own([scores[n] for n in kept], [own[n] for n in kept], epsilon)
    assert [kept[n] for n in some][:limit] == order[:limit]


@pytest.mark.parametrize(
    ("asked", "name"),
    [("cap:03", "cap:3"), ("cap: 3", "cap:3"), ("floor:1", "floor:1.0"), ("floor:.50000001", "floor:0.50000001")],
)
def test_a_mix_has_one_name_however_it_is_asked_for(asked, name):
    assert load_mix(asked).name == load_mix(name).name == name


@pytest.mark.parametrize("name", ["cap", "cap:0", "cap:x", "floor:0", "floor:1.1", "floor:nan", "best", ""])
def test_a_mix_that_is_none_is_refused(name):
    with pytest.raises(InputError, match=r"there are none, cap:N .* floor:P .* round-robin"):
        load_mix(name)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["en", "de", None])), min_size=1, max_size=20))
def test_rows_are_one_document_if_alike_and_of_different_languages(rows):
    vectors = np.eye(6, dtype=np.float32)[[place for place, _ in rows]]
    languages = [tag for _, tag in rows]
    document = by_likeness(vectors, languages)
    for members in by_document(document):
        tags = [languages[n] for n in members]
        assert len(set(tags)) == len(tags)
        assert len(tags) == 1 or None not in tags
        assert len({rows[n][0] for n in members}) == 1
        assert document[members[0]] == members[0]
    heads = [n for n, first in enumerate(document) if n == first and languages[n] is not None]
    for n in heads:  # whoever stands alone found no place before
        for head in heads:
            if head < n and rows[head][0] == rows[n][0]:
                assert languages[n] in {languages[m] for m in range(n) if document[m] == head}


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["en", "de", None])), max_size=9), st.integers(0, 9))
def test_the_usual_cosine_is_the_mean_over_pairs_of_different_languages(rows, seed):
    vectors = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)[[place for place, _ in rows]]
    cosines = [
        a @ b
        for a, (_, one) in zip(vectors, rows, strict=True)
        for b, (_, two) in zip(vectors, rows, strict=True)
        if one != two
    ]
    assert usual_cosine(vectors, [tag for _, tag in rows]) == pytest.approx(np.mean(cosines or [0]), abs=1e-5)


def test_rows_are_compared_with_those_of_all_blocks_before(monkeypatch):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(12, 16)).repeat(3, axis=0).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = random.permutation(len(vectors))
    languages = [("en", "de", "fi")[n % 3] for n in order]
    whole = by_likeness(vectors[order], languages, 0.0)
    assert [len(members) for members in by_document(whole)] == [3] * 12
    monkeypatch.setattr(collapsing, "_BLOCK", 5)
    assert by_likeness(vectors[order], languages, 0.0) == whole


def test_the_reader_sees_the_own_language_first_if_it_is_there():
    assert in_readers_language([3, 4], ["x", "x", "x", "en", "de"], "de") == [4, 3]
    assert in_readers_language([3, 4], ["x", "x", "x", "en", "de"], "fi") == [3, 4]
    assert in_readers_language([3, 4], ["x", "x", "x", None, "de"], None) == [3, 4]
