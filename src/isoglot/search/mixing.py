"""Fair lists: which of the passages found are shown, and in which order, so that languages get their places.

Every mix takes the languages of the candidates, best first, and yields the candidates' numbers in the order in which
they are shown. It is asked for as many as are wanted, so shorter lists are beginnings of longer ones. No mix shows more
of a language than is asked for in all, so the best of each language, as many as that, are candidates enough. A passage
without a language (None) stands for a language of its own.

What each mix costs and brings was measured: docs/search.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from isoglot.common.errors import InputError

Language = str | None
PLACES = 10
"""Of so many places `cap` gives each language at most its number."""
_ROUNDING = 1e-9  # a share of .3 of 10 places is 3, whatever floating point makes of it


@dataclass(frozen=True)
class Mix:
    """A way to share the places of a list among languages.

    Attributes:
        name: as it may be asked for, `cap:3`; one name, however the number is written.
        order: takes the candidates' languages, best first, and what share of the corpus each language has.
        by_language: whether it needs the best candidates of each language; else the best of all are enough.
    """

    name: str
    order: Callable[[Sequence[Language], Mapping[Language, float]], Iterator[int]]
    by_language: bool = True


def load_mix(name: str) -> Mix:
    """The mix that is called so: `none`, `cap:N`, `floor:P` or `round-robin`.

    Raises:
        InputError: if there is none such, or its number is out of range.

    >>> mix = load_mix("cap:1")
    >>> list(mix.order(["en", "en", "de"], {}))
    [0, 2]
    """
    kind, _, number = name.partition(":")
    if name == "none":
        return Mix(name, lambda languages, _: iter(range(len(languages))), by_language=False)
    if name == "round-robin":
        return Mix(name, lambda languages, _: round_robin(languages))
    try:
        if kind == "cap" and int(number) >= 1:
            most = int(number)
            return Mix(f"cap:{most}", lambda languages, _: cap(languages, most))
        if kind == "floor" and 0 < float(number) <= 1:
            return Mix(f"floor:{float(number)}", partial(floor, part=float(number)))
    except ValueError:
        pass
    raise InputError(
        f"no mix {name!r}; there are none, cap:N (at most N of {PLACES} places to a language), floor:P (at least the "
        "part P, above 0 to 1, of a language's share) and round-robin"
    )


def cap(languages: Sequence[Language], most: int, places: int = PLACES) -> Iterator[int]:
    """At most so many of each ten places to one language: the best candidate whose language is not at its limit.

    The list ends where only languages at their limit are left; the next ten places begin anew. This is the plainest of
    the rules for groups in ranked lists (Geyik, Ambler and Kenthapadi, arXiv 1905.01989), with an upper bound alone.

    >>> list(cap(["en", "en", "en", "de", "en", "fi"], 2))
    [0, 1, 3, 5]
    >>> list(cap(["en", "en", "de", "en"], 1, places=2))  # places 1 and 2, then 3 and 4, where German has none left
    [0, 2, 1]
    """
    waiting, shown = _waiting(languages), Counter[Language]()
    place = 0
    while waiting:
        if place % places == 0:
            shown.clear()
        allowed = [language for language in waiting if shown[language] < most]
        if not allowed:
            return
        yield _best_of(allowed, waiting, shown)
        place += 1


def floor(languages: Sequence[Language], shares: Mapping[Language, float], part: float) -> Iterator[int]:
    """At least a part of its share of the corpus to every language, in the beginnings of the list, or soon after.

    At the k-th place a language has too few of the places so far if they are fewer than `floor(part * share * k)`; the
    best candidate of those languages is shown, and where there is none the best of all. The bound on every beginning
    is that of FA*IR (Zehlike et al., arXiv 1706.06368), taken for several groups at once and without its test of
    chance, as DetGreedy does (Geyik, Ambler and Kenthapadi, arXiv 1905.01989), so that lists are the same at each call.
    Languages that fall short at one place are shown one after the other, the best candidate first, whatever was due
    longest: a language of small share whose candidates are worst may be dozens of places late among many.

    German has half of the corpus, so it must have one of two places and two of four:

    >>> list(floor(["en", "en", "en", "de", "de"], {"en": 0.5, "de": 0.5}, part=1.0))
    [0, 3, 1, 4, 2]
    >>> list(floor(["en", "en", "en", "de", "de"], {"en": 0.5, "de": 0.5}, part=0.5))
    [0, 1, 2, 3, 4]
    """
    waiting, shown = _waiting(languages), Counter[Language]()
    place = 1
    while waiting:
        short = [
            language
            for language in waiting
            if shown[language] < int(part * shares.get(language, 0.0) * place + _ROUNDING)
        ]
        yield _best_of(short or waiting, waiting, shown)
        place += 1


def round_robin(languages: Sequence[Language]) -> Iterator[int]:
    """Languages take turns: first the best of each, in the order in which they were found, then the second of each.

    The oldest way to merge result lists whose scores cannot be compared (Voorhees, Gupta and Johnson-Laird, "The
    collection fusion problem", TREC-3, 1995), used between languages since CLEF's first multilingual track.

    >>> list(round_robin(["en", "en", "de", "en", "de", "fi"]))
    [0, 2, 5, 1, 4, 3]
    """
    waiting = _waiting(languages)
    while waiting:
        for language in sorted(waiting, key=lambda each: waiting[each][0]):
            yield _best_of([language], waiting)


def prefer_own(scores: Sequence[float], own: Sequence[bool], epsilon: float) -> list[int]:
    """The order in which passages of the reader's own language come before equals, and before nothing else.

    From the best down, what scores at most `epsilon` below the first that is not yet placed is its equal; of equals
    those in the own language come first, else they stay as they were. So a passage is lifted above none that is more
    than `epsilon` better. A reader may want the own language first among right answers; that is preference and no
    error (MLAIRE, arXiv 2605.07249; see `evaluation.preference`). The rule is isoglot's own.

    Args:
        scores: best first.
        own: which are in the reader's language.
        epsilon: how far scores of equals may lie apart, at least 0.

    >>> prefer_own([0.90, 0.89, 0.88, 0.80, 0.79], [False, True, False, False, True], epsilon=0.02)
    [1, 0, 2, 4, 3]
    """
    order: list[int] = []
    while (start := len(order)) < len(scores):
        end = start
        while end < len(scores) and scores[end] >= scores[start] - epsilon:
            end += 1
        order += sorted(range(start, end), key=lambda n: not own[n])
    return order


def _waiting(languages: Sequence[Language]) -> dict[Language, deque[int]]:
    """Candidates of each language, best first."""
    waiting: dict[Language, deque[int]] = {}
    for number, language in enumerate(languages):
        waiting.setdefault(language, deque()).append(number)
    return waiting


def _best_of(
    among: Iterable[Language], waiting: dict[Language, deque[int]], shown: Counter[Language] | None = None
) -> int:
    """Take the best candidate of some languages out of those that wait."""
    language = min(among, key=lambda each: waiting[each][0])
    number = waiting[language].popleft()
    if not waiting[language]:
        del waiting[language]
    if shown is not None:
        shown[language] += 1
    return number
