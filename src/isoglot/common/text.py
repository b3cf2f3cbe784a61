r"""What text is, whatever the script: words, sentences, and the characters that nobody sees.

Words of scripts with vowel signs hold characters that Python's `re` takes for no part of a word, so whoever looks for
words uses the `regex` library, whose `\w` and `\b` are Unicode's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import regex
import sentencex

# Unicode's Default_Ignorable_Code_Point, as a part of a character class: Arrow's expressions do not know the property.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that are not shown: soft hyphens, joiners, marks of direction, variation selectors and the like."""

UNSPACED = {
    "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff": 1 / 2,  # Han and kana
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff": 1 / 4,  # Thai, Lao, Burmese, Khmer
}
"""Characters of scripts without spaces, as parts of character classes, and about how much of a word one is."""

# Characters of Latin, Greek, Cyrillic, Hebrew and Arabic texts that NFKC leaves alone, whatever they stand beside.
_NORMAL = "".join(
    rf"\x{{{ord(sign):x}}}"
    for sign in map(chr, range(0x900))
    if unicodedata.is_normalized("NFKC", sign) and unicodedata.category(sign) not in ("Mn", "Cn")
)
_WORD = regex.compile(rf"[{''.join(UNSPACED)}]|[^\W{''.join(UNSPACED)}]+")
# What the splitter takes for an end before a capital letter: initials, and abbreviations that names follow.
_NO_END = regex.compile(r"(?:(?<!\w)(?:e\.g|i\.e|cf|vs|approx|z\.B|d\.h|bzw|[\p{Lu}\p{Lo}]))\.\s*$")
_SPACE = regex.compile(r"[\s\ud800-\udfff]")  # and halves of characters, which JSON may hold
_LINE = regex.compile(r"[^\n]*\n|[^\n]+")  # U+2028 and the like stand within sentences


def is_blank(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    r"""Whether texts hold nothing that is seen; null stays null.

    >>> is_blank(pa.chunked_array([["a", " \u200b\n", ""]])).to_pylist()
    [False, True, True]
    """
    return pc.match_substring_regex(texts, rf"^[\s\pZ\p{{Cc}}{INVISIBLE}]*$")


def first_broken(texts: pa.Array) -> int | None:
    r"""The place of the first text that is not UTF-8, as Parquet files may hold; None if all are.

    >>> first_broken(pa.array([b"a", None, b"caf\xe9"]).view(pa.string())), first_broken(pa.array(["a", None]))
    (2, None)
    """
    try:
        texts.validate(full=True)  # at the speed of memory, unlike a look at each
    except pa.ArrowInvalid:
        for place, text in enumerate(texts.cast(pa.large_binary()).to_pylist()):
            try:
                (text or b"").decode()
            except UnicodeDecodeError:
                return place
    return None


def comparable(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    r"""Texts without case, invisible characters and differences that Unicode's NFKC form removes; null stays null.

    Joiners go too, which tell some words of Persian and Hindi apart: people leave them out as often as not.

    >>> comparable(pa.chunked_array([["Stra\u00adße", "ＡＢＣ", "می\u200cخواهم"]])).to_pylist()
    ['straße', 'abc', 'میخواهم']
    """
    seen = pc.replace_substring_regex(texts, f"[{INVISIBLE}]+", "")
    return pc.utf8_lower(_normal(seen))


def _normal(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The NFKC form, made of those texts only that may not be in it: to look is ten times as fast as to make it."""
    if isinstance(texts, pa.ChunkedArray):
        return pa.chunked_array(map(_normal, texts.chunks), texts.type)
    change = pc.match_substring_regex(texts, f"[^{_NORMAL}]")
    # Python's own, because Arrow's leaves letters and accents apart before version 26.
    changed = [unicodedata.normalize("NFKC", text) for text in texts.filter(change).to_pylist()]
    return pc.replace_with_mask(texts, change, pa.array(changed, texts.type))


def words(text: str) -> list[str]:
    """The words of a text, in lower case; of scripts without spaces the characters.

    >>> words("नरेंद्र मोदी: It's 3 words"), words("北京2號")
    (['नरेंद्र', 'मोदी', 'it', 's', '3', 'words'], ['北', '京', '2', '號'])
    """
    found: list[str] = _WORD.findall(text.casefold())
    return found


def word_count(text: str) -> float:
    """How many words a text has, of scripts without spaces estimated from their characters.

    >>> word_count("three plain words"), word_count("東京タワー")
    (3.0, 2.5)
    """
    more = sum((1 - part) * len(regex.findall(f"[{signs}]", text)) for signs, part in UNSPACED.items())
    return len(words(text)) - more


def sentence_spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    r"""Where each sentence of a text begins and ends, the space after it included; the spans in order are all of it.

    A line break ends a sentence. Thai and Khmer mark no ends: there a line is one sentence.

    Args:
        text: any text.
        language: its tag; which abbreviations end no sentence depends on it.

    >>> text = "Dr. Wu came. Why?\nNobody knows."
    >>> [text[start:end] for start, end in sentence_spans(text, "en")]
    ['Dr. Wu came. ', 'Why?\n', 'Nobody knows.']
    """
    start = place = 0
    for line in _LINE.findall(text):
        place += len(line)
        plain = _SPACE.sub(" ", line)  # at a wider space before a full stop the splitter breaks
        ends = [part["end_index"] for part in sentencex.get_sentence_boundaries(language.partition("-")[0], plain)]
        for end in (place - len(line) + end for end in ends[:-1]):
            end += len(text[end:place]) - len(text[end:place].lstrip())
            if end < place and not _NO_END.search(text, start, end):
                yield start, end
                start = end
        yield start, place
        start = place
