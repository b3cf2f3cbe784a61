"""One document once: translations of one text are found together, and the reader is shown one of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from isoglot.common.arrays import FloatArray
from isoglot.search.mixing import Language

ALIKE = 0.5
"""How far from the cosine that rows of two languages have in general to 1 that of translations lies at least."""
_ROUNDING = 1e-6
_BLOCK = 256  # candidates that are compared with all before them at a time


def by_document(documents: Sequence[Hashable]) -> list[list[int]]:
    """Candidates of each document, best first, the document whose best comes first before the others.

    >>> by_document(["a", "b", "a", "c"])
    [[0, 2], [1], [3]]
    """
    found: dict[Hashable, list[int]] = {}
    for number, document in enumerate(documents):
        found.setdefault(document, []).append(number)
    return list(found.values())


def usual_cosine(vectors: FloatArray, languages: Sequence[Language]) -> float:
    """The mean cosine of all pairs of different languages, 0 where there are none.

    Args:
        vectors: `(candidates, dimensions)`, of unit length.
        languages: those of the candidates.

    >>> x = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    >>> usual_cosine(x, ["en", "de", "de"])  # the English one with either of the German ones
    0.5
    """
    _, spoken = np.unique([str(language) for language in languages], return_inverse=True)
    sums = np.eye(spoken.max(initial=-1) + 1)[spoken].T @ vectors
    # Products of sums are sums of products, so that nothing as large as all pairs is held.
    pairs = len(vectors) ** 2 - int((np.bincount(spoken) ** 2).sum())
    return float((sums.sum(0) ** 2).sum() - (sums**2).sum()) / pairs if pairs else 0.0


def by_likeness(
    vectors: FloatArray, languages: Sequence[Language], usual: float | None = None, alike: float = ALIKE
) -> list[int]:
    """The document of each candidate, named by its first: rows of different languages that are nearly one vector.

    Best first, a candidate joins the first document before it whose first candidate it is alike and which has none
    in its language yet. Two are alike if their cosine is at least `m + alike (1 - m)`, with m what is usual between
    languages: models differ in what a cosine says. Translations come nearer to each other where language was taken out
    of the vectors. The rule is isoglot's own; docs/search.md says how often it is right.

    Args:
        vectors: `(candidates, dimensions)`, of unit length.
        languages: those of the candidates; one without a language joins nothing.
        usual: m; the `usual_cosine` of these candidates if None.
        alike: 0 to 1.

    >>> x = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    >>> by_likeness(x, ["en", "de", "de", "en"])  # the last is in English, which the first document has
    [0, 0, 2, 3]
    """
    usual = usual_cosine(vectors, languages) if usual is None else usual
    least = usual + alike * (1 - usual) - _ROUNDING
    document = list(range(len(vectors)))
    there: dict[int, set[Language]] = {}
    for start in range(0, len(vectors), _BLOCK):
        near = vectors[start : start + _BLOCK] @ vectors[: start + _BLOCK].T >= least
        for number, language in enumerate(languages[start : start + _BLOCK], start):
            for first in np.flatnonzero(near[number - start, :number]).tolist():
                if language is not None and None not in there.get(first, {None}) and language not in there[first]:
                    document[number] = first
                    break
            there.setdefault(document[number], set()).add(language)
    return document


def in_readers_language(members: Sequence[int], languages: Sequence[Language], reader: Language) -> list[int]:
    """A document's candidates with the one to show first: the best in the reader's language, else the best.

    >>> in_readers_language([0, 2, 5], ["en", "de", "fi", "en", "en", "de"], "de")
    [5, 0, 2]
    """
    return sorted(members, key=lambda number: reader is None or languages[number] != reader)
