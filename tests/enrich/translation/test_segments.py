"""Texts fall into sentences and come together again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.enrich.translation.masking import protected_parts
from isoglot.enrich.translation.segments import join_segments, split_text

anything = st.text(st.sampled_from("aB1 .!?\n\t-*()[]\"',;`。！」中 \u00a0") | st.characters(), max_size=80)
words = st.sampled_from(
    ["a", "word", "Another", "end.", "Stop!", "`a. B`", "https://e.org/x?y", "e.g.", "中文。", "then,"]
)
prose = st.lists(words, max_size=60).map(" ".join)


def whole(text: str, limit: int = 400) -> str:
    return "".join(part for segment in split_text(text, "en", limit) for part in segment)


@given(text=anything | prose, limit=st.integers(1, 60))
def test_segments_and_gaps_are_the_text(text: str, limit: int) -> None:
    assert whole(text, limit) == text


@given(text=anything | prose)
def test_no_segment_has_a_line_break_or_space_around_it(text: str) -> None:
    for segment in split_text(text, "en"):
        assert "\n" not in segment.text
        assert segment.text == segment.text.strip()


@given(text=prose, limit=st.integers(20, 60))
def test_no_segment_is_longer_than_the_limit_if_it_can_be_parted(text: str, limit: int) -> None:
    assert all(len(segment.text) <= limit for segment in split_text(text, "en", limit))


@given(text=prose, limit=st.integers(20, 60))
def test_nothing_protected_is_parted(text: str, limit: int) -> None:
    parted = sum(
        (protected_parts(segment.text) for segment in split_text(text, "en", limit)), start=protected_parts("")
    )
    assert parted == protected_parts(text)


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "It works. And well? Yes!", ["It works.", "And well?", "Yes!"]),
        ("en", "See J. Smith, e.g. Mr. Jones vs. Brown.", ["See J. Smith, e.g. Mr. Jones vs. Brown."]),
        ("en", 'He said "No." Then left.', ['He said "No."', "Then left."]),
        ("en", "It was.[1] As it is.[2][3] So.", ["It was.[1]", "As it is.[2][3]", "So."]),
        ("en", "Version 2.0 is out. It stays", ["Version 2.0 is out.", "It stays"]),
        ("ja", "これは本です。「はい。」それは？", ["これは本です。", "「はい。」", "それは？"]),
        ("hi", "यह है। वह है।", ["यह है।", "वह है।"]),
        ("en", "Items:\n - one\n - two\n\n3. three", ["Items:", "one", "two", "three"]),
    ],
)
def test_sentences(language: str, text: str, sentences: list[str]) -> None:
    assert [segment.text for segment in split_text(text, language) if segment.text] == sentences


@given(text=anything | prose, language=st.sampled_from(["de", "en"]))
def test_a_text_with_its_own_sentences_comes_back_but_for_spaces_that_were_missing(text: str, language: str) -> None:
    segments = split_text(text, language)
    joined = join_segments(segments, [segment.text for segment in segments], language)
    assert joined.replace(" ", "") == text.replace(" ", "")
    assert joined.count("\n") == text.count("\n")


def test_spaces_between_sentences_are_the_target_languages() -> None:
    chinese, english = split_text("一。二。", "zh"), split_text("One. Two.", "en")
    assert join_segments(chinese, ["One.", "Two."], "en") == "One. Two."
    assert join_segments(english, ["一。", "二。"], "zh-TW") == "一。二。"
    assert join_segments(chinese, ["一。", "二。"], "ja") == "一。二。"
