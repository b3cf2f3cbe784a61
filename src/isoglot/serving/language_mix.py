"""Which languages a search shows, against those that there are: figures that need no judgements."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FIRST = 10
NO_LANGUAGE = "und"


def one_language_bias(lists: Iterable[Mapping[str, int]], corpus: Mapping[str, int]) -> float | None:
    r"""How far lists of hits keep to one language each: 0 as in the corpus, 1 every list in a single one.

    Of two hits of a list drawn at random, how often are they in one language? With p the mean over the lists and e the
    same of two rows of the corpus, the figure is `(p - e) / (1 - e)`; below 0, lists mix more than the corpus does.
    Which language a question is in need not be known. Questions about what only one language has texts on raise it as
    well, so compare it between two rankings of the same questions. The definition is isoglot's own, after Simpson's
    index of diversity.

    Args:
        lists: per list its hits by language; lists of fewer than two say nothing.
        corpus: rows by language.

    Returns:
        None where no list says anything, or the corpus is in one language.

    >>> corpus = {"de": 500, "en": 500}
    >>> round(one_language_bias([{"de": 10}, {"en": 10}], corpus), 2)
    1.0
    >>> round(one_language_bias([{"de": 5, "en": 5}], corpus), 2)
    -0.11
    """
    shares = [share for counts in lists if (share := _same_pairs(counts)) is not None]
    expected = _same_pairs(corpus)
    if not shares or expected is None or expected == 1:
        return None
    return (sum(shares) / len(shares) - expected) / (1 - expected)


def _same_pairs(counts: Mapping[str, int]) -> float | None:
    """Share of the pairs of things counted that are of one kind."""
    total = sum(counts.values())
    return sum(n * (n - 1) for n in counts.values()) / (total * (total - 1)) if total > 1 else None


def shares(counts: Mapping[str, int]) -> dict[str, float]:
    """Each count as a share of all, the largest first.

    >>> shares({"de": 1, "en": 3})
    {'en': 0.75, 'de': 0.25}
    """
    total = sum(counts.values())
    return {name: n / total for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n}


@dataclass(frozen=True)
class _Shown:
    mix: str
    languages: Mapping[str, int]


class LanguageMix:
    """The languages of the first hits of the last questions.

    Args:
        corpus: rows by language.
        rows: of the corpus, those without a language included.
        questions: how many of the last ones count.
    """

    def __init__(self, corpus: Mapping[str, int], rows: int, *, questions: int = 1_000) -> None:
        unknown = rows - sum(corpus.values())
        self.corpus = {**corpus, **({NO_LANGUAGE: unknown} if unknown > 0 else {})}
        self._shown: deque[_Shown] = deque(maxlen=questions)

    def add(self, mix: str, languages: Sequence[str | None]) -> None:
        """Take note of a list: its mix, and its hits' languages in order."""
        self._shown.append(_Shown(mix, Counter(each or NO_LANGUAGE for each in languages[:FIRST])))

    def figures(self) -> dict[str, object]:
        """Shares of the corpus, and per mix its questions, shares and bias; JSON."""
        by_mix = {mix: [each.languages for each in self._shown if each.mix == mix] for mix in self._mixes()}
        return {
            "first": FIRST,
            "corpus": shares(self.corpus),
            "mixes": {
                mix: {
                    "questions": len(lists),
                    "shown": shares(sum(map(Counter, lists), Counter())),
                    "bias": one_language_bias(lists, self.corpus),
                }
                for mix, lists in by_mix.items()
            },
        }

    def _mixes(self) -> list[str]:
        return sorted({each.mix for each in self._shown}, key=lambda mix: (mix != "none", mix))
