"""Relevance by answer string: a passage is relevant if it holds one of the accepted answers.

As DPR, XOR-TyDi and mContriever decide it, in the way of DrQA (arXiv 1704.00051): text in Unicode's canonical
decomposition, in words, in lower case; an answer is held if its words stand in the passage one after the other. BGE-M3
(arXiv 2402.03216) also folds kinds of quotation marks and dashes in the corpus; that is not done here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")


def has_answer(passage: str, answers: Iterable[str]) -> bool:
    """Whether a passage holds one of the answers, word by word.

    An answer without any word, such as an empty one, is held by no passage.

    >>> has_answer("Born in Ulm, Einstein moved to Munich.", ["Berlin", "ulm"])
    True
    >>> has_answer("The Ulmer Minster is a church.", ["Ulm"])
    False
    >>> has_answer("Die Stadt Zürich", ["Zu\u0308rich"])
    True
    """
    words = _joined_words(passage)
    return any(len(answer) > 1 and answer in words for answer in map(_joined_words, answers))


def words_of(text: str) -> list[str]:
    """Words of a text: runs of letters, digits and marks, and single other signs, decomposed and in lower case.

    >>> words_of("It's 3.5% of U.S. GDP")
    ['it', "'", 's', '3', '.', '5', '%', 'of', 'u', '.', 's', '.', 'gdp']
    """
    return [word.lower() for word in _WORD.findall(unicodedata.normalize("NFD", text))]


@lru_cache(maxsize=1 << 14)
def _joined_words(text: str) -> str:
    """The words between blanks, which no word holds, so that a run of words is a part of the string."""
    return f" {' '.join(words_of(text))} ".replace("  ", " ")
