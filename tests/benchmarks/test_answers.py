"""Answer matching against the reference's own way of doing it."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.benchmarks.answers import has_answer, words_of

WORDS = regex.compile(r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])", flags=regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)


def reference_words(text: str) -> list[str]:
    return [match.group().lower() for match in WORDS.finditer(unicodedata.normalize("NFD", text))]


def reference_has_answer(passage: str, answers: list[str]) -> bool:
    """DrQA's: the words of the answer stand in the passage one after the other."""
    words = reference_words(passage)
    for answer in map(reference_words, answers):
        for start in range(len(words) - len(answer) + 1):
            if answer and words[start : start + len(answer)] == answer:
                return True
    return False


# Assigned characters only: which ones are depends on the version of Unicode that a library knows.
letters = st.characters(exclude_categories=("Cn", "Cs"), max_codepoint=0x2FFF)


@settings(deadline=None)  # the first call finds out which characters are letters
@given(st.text(letters))
def test_words_are_those_of_the_reference(text: str) -> None:
    assert words_of(text) == reference_words(text)


@settings(deadline=None)
@given(st.text("aBé .-\u0301", max_size=12), st.lists(st.text("abé .-", max_size=4), max_size=3))
def test_answers_are_found_where_the_reference_finds_them(passage: str, answers: list[str]) -> None:
    assert has_answer(passage, answers) == reference_has_answer(passage, answers)


@pytest.mark.parametrize(
    ("passage", "answer", "held"),
    [
        ("The 1990s were warm", "1990", False),
        ("In 1990, it was warm", "1990", True),
        ("by Antoine de Saint-Exupéry", "saint-exupe\u0301ry", True),
        ("state  of\nthe art", "State of the Art", True),
        ("anything", "", False),
        ("anything", " \t", False),
        ("", "x", False),
        ("東京は日本の首都", "東京", False),  # no blanks, so all of it is one word, as in the reference
    ],
)
def test_cases(passage: str, answer: str, held: bool) -> None:
    assert has_answer(passage, [answer]) is held
