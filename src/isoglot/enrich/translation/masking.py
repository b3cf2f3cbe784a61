"""What must come out of a translation as it went in: links, addresses, code, placeholders, tags, numbers.

They are replaced by words that no engine knows and put back afterwards. Plain numbers stay in sight at first, because
engines handle them well and need them for grammar; only where one got lost they are masked too.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

_EXTENSIONS = (
    "c|cc|cfg|conf|cpp|csv|css|deb|gz|h|hpp|html|ini|java|jpg|js|json|jsonl|log|md|pdf|php|png|py|rb|rs|sh|so|sql|tar|"
    "tex|toml|ts|txt|xml|yaml|yml|zip"
)
_PROTECTED = regex.compile(
    rf"""
      (?<!\w)`[^`\n]*[^`\s]`(?!\w)                           # code between backticks, not `quotes' of old books
    | (?:https?|ftp|file|git|ssh)://[^\s<>"]*[^\s<>".,;:!?)\]}}']  # links, without the full stop after them
    | \bwww\.[^\s<>"]*[^\s<>".,;:!?)\]}}']
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                          # e-mail addresses
    | (?<!<)</?[A-Za-z][\w:.-]*                              # tags, not <<words>> or <several words>
        (?:\s+[\w:.-]+\s*=\s*(?:"[^"\n]*"|'[^'\n]*'|[^\s"'<>=]+))*\s*/?>(?!>)
    | \{{\{{?\s*[^{{}}\s]*\s*\}}\}}?                           # placeholders: {{{{ name }}}}, not {{some words}}
    | \$\{{[^{{}}\s]+\}} | \$[A-Za-z_]\w*                     # not $5
    | %\(\w+\)[a-z] | (?<!\d)%(?:\d+\$)?[sdifux]\b
    | (?P<option>(?<![^\s(\["=,/|])                          # options of a command
        --?[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?![\w'’-])(?:=[^\s,;)]*[^\s,;).!?:])?)
    | (?<![^\s("'“‘«\[{{<=:,])                                # paths from a root, not 5 $/day
        (?:~|\.{{1,2}})?/[\w.@+-]*\w(?:/[\w.@+-]*\w)*/?
    | \b\w[\w.-]*(?:/[\w.-]+)+\.[a-z][a-z0-9]{{0,4}}\b        # paths from here
    | \b[\w-]+(?:\.[\w-]+)*\.(?:{_EXTENSIONS})\b            # names of files
    | \b[A-Za-z]\w*(?:_\w+)+\b | \b[A-Za-z_]\w*\(\)         # names in programs
    | \bXQ\d+Z\b                                            # what looks like a mask
    """,
    regex.VERBOSE,
)
# A dash at the start of what somebody says, as at the start of a line or after a full stop: -Hello, --No, -I know.
_SPOKEN = regex.compile(
    r"""(?:^|[.!?…:]["'”’»)\]]*\s+|["'“‘«(])\s*--?(?:\p{Lu}[\p{Ll}\p{M}'’]|\p{Lu}\s+\p{Ll}|[^\W\d_A-Za-z]|\p{Ll}+['’])
      | ^\s*--?\p{L}[\p{L}\p{M}'’]*(?!,\s*-|\s{2,}|\t|=|:|\s+[A-Z]{2,}\b|\s*$|[\w-])""",
    regex.VERBOSE,
)
_NUMBER = regex.compile(r"(?<![\p{L}\p{M}])\d+(?:[.,:'’]\d+)*")
_DIGITS = regex.compile(r"\d+(?:[.,'’\u00a0\u202f]\d+)*")
_ROMAN = regex.compile(r"\b[IVX]{1,6}\b")
_ROMAN_ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_ROMAN_NUMBERS = {"X" * (n // 10) + _ROMAN_ONES[n % 10]: str(n) for n in range(2, 40)}  # I is a word of English
_MASK = regex.compile(r"XQ\s?(\d{1,9})\s?Z", regex.IGNORECASE)  # no text has a mask of more digits

Span = tuple[int, int]


@dataclass(frozen=True)
class Masked:
    """A text with `XQ0Z`, `XQ1Z`, ... for its protected parts, and which of them touched a word before and after them.

    There a space was put in.
    """

    text: str
    parts: tuple[str, ...]
    glued: tuple[tuple[bool, bool], ...]


@lru_cache(maxsize=4096)  # the same texts are split, masked and checked
def protected_spans(text: str, numbers: bool = False) -> tuple[Span, ...]:
    """Where what must survive, plain numbers perhaps included, begins and ends, in order and without overlaps.

    >>> text = "Run `ls -l` or see https://example.org, {name}."
    >>> [text[start:end] for start, end in protected_spans(text)]
    ['`ls -l`', 'https://example.org', '{name}']
    """
    spans: list[Span] = []
    for line in regex.finditer(r"[^\n]+", text):
        spoken = "-" in line[0] and _SPOKEN.search(line[0]) is not None  # where people speak, dashes make no options
        for found in _PROTECTED.finditer(line[0]):
            if not (spoken and found["option"]):
                spans.append((line.start() + found.start(), line.start() + found.end()))
    if numbers:
        starts, ends = [0, *(end for _, end in spans)], [*(start for start, _ in spans), len(text)]
        for start, end in zip(starts, ends, strict=True):
            spans += [found.span() for found in _NUMBER.finditer(text, start, end)]
    return tuple(sorted(spans))


def apart(text: str, numbers: bool = False) -> list[tuple[str, bool]]:
    """The pieces of a text, in turn what stands between protected parts, perhaps empty, and such a part: True.

    >>> apart("see `x`.")
    [('see ', False), ('`x`', True), ('.', False)]
    """
    pieces, end = [], 0
    for start, stop in protected_spans(text, numbers):
        pieces += [(text[end:start], False), (text[start:stop], True)]
        end = stop
    return [*pieces, (text[end:], False)]


def protected_parts(text: str) -> Counter[str]:
    """How often each link, address, placeholder or piece of code is in a text.

    >>> protected_parts("{a} and {a}")
    Counter({'{a}': 2})
    """
    return Counter(piece for piece, kept in apart(text) if kept)


def numbers_in(text: str) -> Counter[str]:
    """How often each number is in a text, as its digits: languages group and part them differently.

    >>> sorted(numbers_in("1,234.5 or ١٢ in 3 steps").items())
    [('12', 1), ('12345', 1), ('3', 1)]
    """
    return Counter("".join(parts) for parts in _numbers(text))


def _numbers(text: str) -> list[list[str]]:
    """The groups of digits of each number, in ASCII."""
    return [
        ["".join(str(unicodedata.digit(sign)) for sign in part) for part in regex.findall(r"\d+", number)]
        for number in _DIGITS.findall(text)
    ]


def lost_numbers(source: str, translation: str) -> Counter[str]:
    """Numbers of the source that the translation lacks; in Roman ones, as for centuries, 2 to 39 are not lost.

    Nor are dates and times that are written with other signs between, in another order or with zeros in front.

    >>> lost_numbers("the 16th century, 3 times", "el siglo XVI")
    Counter({'3': 1})
    >>> lost_numbers("2026-03-09, 10:30", "9.3.2026, 10.30 Uhr")
    Counter()
    """
    lost = numbers_in(source) - numbers_in(translation)
    parts, found = (
        Counter(part.lstrip("0") or "0" for number in _numbers(each) for part in number)
        for each in (source, translation)
    )
    if not lost or not parts - found:
        return Counter()
    before, after = (
        Counter(_ROMAN_NUMBERS[word] for word in _ROMAN.findall(each) if word in _ROMAN_NUMBERS)
        for each in (source, translation)
    )
    return lost - (after - before)


def mask(text: str, spans: Sequence[Span]) -> Masked:
    """The text with a mask in place of each span.

    >>> mask("see <b>this</b>", protected_spans("see <b>this</b>")).text
    'see XQ0Z this XQ1Z'
    """
    pieces, parts, glued, end = [], [], [], 0
    for number, (start, stop) in enumerate(spans):
        before = start > end and text[start - 1].isalnum()
        after = stop < len(text) and (text[stop].isalnum() or any(stop == other for other, _ in spans))
        pieces += [text[end:start], " " * before, f"XQ{number}Z", " " * after]
        parts.append(text[start:stop])
        glued.append((before, after))
        end = stop
    return Masked("".join(pieces) + text[end:], tuple(parts), tuple(glued))


def restore(masked: Masked, translation: str) -> str | None:
    """The translation with the parts put back; None if a mask is missing, doubled or new.

    >>> restore(mask("see <b>this</b>", [(4, 7), (11, 15)]), "siehe XQ0Z dies XQ1Z")
    'siehe <b>dies</b>'
    """
    found = list(_MASK.finditer(translation))
    if sorted(int(match[1]) for match in found) != list(range(len(masked.parts))):
        return None
    pieces, end = [], 0
    for match in found:
        number = int(match[1])
        before, after = masked.glued[number]
        between = translation[end : match.start()]
        pieces += [between.rstrip(" ") if before else between, masked.parts[number]]
        end = match.end()
        if after and translation[end : end + 1] == " ":
            end += 1
    return "".join(pieces) + translation[end:]
