"""Parts of a table that have nothing in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs
from isoglot.pairs.splitting import split_pairs

words = st.sampled_from(["red", "green", "blue", "black", "white"])
rows = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["de", "en"]), words, words, words), max_size=60)


def table(said: list[tuple[int, str, str, str, str]]) -> ParallelPairs:
    """Rows whose queries and passages are often the same but for case and punctuation."""
    found = {
        (example, tag): {"id": str(example), "language": tag, "query": query, "passage": f"{first.upper()}, {second}!"}
        for example, tag, query, first, second in said
    }
    return ParallelPairs.from_rows(found.values())


@given(said=rows, seed=st.integers(0, 9))
def test_parts_share_no_query_and_no_passage_and_lose_nothing(
    said: list[tuple[int, str, str, str, str]], seed: int
) -> None:
    pairs = table([*said, *((100 + n, "en", f"only {n}", f"mine {n}", "x") for n in range(40))])
    parts = split_pairs(pairs, {"train": 0.6, "development": 0.2, "test": 0.2}, seed)
    assert list(parts) == ["train", "development", "test"]
    assert sorted(name for part in parts.values() for name in part.example_ids) == sorted(pairs.example_ids)
    for role in ("query", "passage"):
        texts = [set(part.texts(role)) for part in parts.values()]  # type: ignore[arg-type]
        assert sum(map(len, texts)) == len(set.union(*texts))
    again = split_pairs(pairs, {"train": 0.6, "development": 0.2, "test": 0.2}, seed)
    assert [part.fingerprint for part in again.values()] == [part.fingerprint for part in parts.values()]


@given(examples=st.integers(10, 200), seed=st.integers(0, 9))
def test_without_duplicates_shares_are_kept_to_the_example(examples: int, seed: int) -> None:
    pairs = table([(n, tag, f"q {n}", f"p {n}", "x") for n in range(examples) for tag in ("de", "en")])
    parts = split_pairs(pairs, {"test": 0.1, "train": 0.9}, seed)
    assert abs(parts["test"].example_count - examples / 10) <= 1
    assert len(parts["test"]) == 2 * parts["test"].example_count


def test_a_group_larger_than_a_part_goes_to_the_largest() -> None:
    pairs = table([(n, "en", "the same" if n < 50 else f"q {n}", f"p {n}", "x") for n in range(100)])
    for seed in range(5):
        parts = split_pairs(pairs, {"test": 0.1, "train": 0.9}, seed)
        assert parts["test"].example_count == 10
        assert "the same" not in parts["test"].texts("query")


def test_draws_differ_by_seed_and_are_even() -> None:
    pairs = table([(n, "en", f"q {n}", f"p {n}", "x") for n in range(50)])
    drawn = [
        int(name) for seed in range(200) for name in split_pairs(pairs, {"a": 0.9, "b": 0.1}, seed)["b"].example_ids
    ]
    counts = np.bincount(drawn, minlength=50)
    assert counts.min() > 5
    assert counts.max() < 40


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"a": 0.5, "b": 0.4}, "add up to 1"),
        ({"a": 1.2, "b": -0.2}, "above 0"),
        ({"a": float("nan"), "b": 1.0}, "above 0"),
        ({}, "add up to 1"),
        ({"a": 0.5, "b": 0.5}, "'b' would be empty: 1 of 3 examples"),
    ],
)
def test_what_cannot_be_split_is_refused(shares: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        split_pairs(table([(n, "en", "the same", "p", "x") for n in range(3)]), shares)
