"""Texts on disk are a sequence of strings like any other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.pairs.texts import ArrowTexts, places, select

chunks = st.lists(st.lists(st.text(max_size=4), max_size=5), min_size=1, max_size=5)


def texts_of(parts: list[list[str]], data: st.DataObject) -> tuple[ArrowTexts, list[str]]:
    """Texts in several chunks, some of them empty; of all rows, or of some in any order."""
    column = pa.chunked_array([pa.array(part, pa.string()) for part in parts])
    whole = [text for part in parts for text in part]
    if not whole or data.draw(st.booleans()):
        return ArrowTexts(column), whole
    rows = data.draw(st.lists(st.integers(0, len(whole) - 1), unique=True))
    return ArrowTexts(column, np.array(rows, np.int64)), [whole[row] for row in rows]


@given(chunks, st.data())
def test_they_are_read_like_a_list(parts: list[list[str]], data: st.DataObject) -> None:
    texts, expected = texts_of(parts, data)
    assert len(texts) == len(expected)
    assert list(texts) == expected
    assert [texts[n] for n in range(-len(expected), len(expected))] == expected + expected
    for place in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            texts[place]
    cut = data.draw(st.slices(len(expected)))
    assert texts[cut] == expected[cut]


@given(chunks, st.data())
def test_some_of_them_are_taken_or_seen(parts: list[list[str]], data: st.DataObject) -> None:
    texts, expected = texts_of(parts, data)
    places_ = st.lists(st.integers(0, len(expected) - 1)) if expected else st.just([])
    wanted = np.array(data.draw(places_), np.int64)
    assert texts.take(wanted) == [expected[n] for n in wanted]
    assert list(select(texts, wanted)) == select(expected, wanted)
    assert list(texts.select(wanted).select(np.arange(len(wanted))[::-1])) == [expected[n] for n in wanted][::-1]


@given(chunks, st.data(), st.sets(st.text(max_size=4), max_size=5))
def test_they_are_found(parts: list[list[str]], data: st.DataObject, others: set[str]) -> None:
    texts, expected = texts_of(parts, data)
    wanted = others | set(expected[::2])
    found = places(texts, wanted)
    assert found.keys() == wanted & set(expected)
    assert all(expected[place] == text for text, place in found.items())
    if len(set(expected)) == len(expected):
        assert found == places(expected, wanted)
