"""What nobody sees does not count, words are whole in every script, and sentences in their order are the text."""

import sys
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from isoglot.common.text import INVISIBLE, comparable, is_blank, sentence_spans, words

SIGNS = st.text(st.sampled_from("ab Zé.!?。\n東 \u2028\r\u00a0\u3000\"'[1]“”»)…😀ा्") | st.characters(), max_size=60)


def test_invisible_is_what_unicode_says_may_be_ignored() -> None:
    ours, theirs = regex.compile(f"[{INVISIBLE}]"), regex.compile(r"\p{Default_Ignorable_Code_Point}")
    signs = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    assert [hex(ord(sign)) for sign in signs if bool(ours.match(sign)) != bool(theirs.match(sign))] == []


@given(st.text(max_size=20), st.sampled_from("\u200b\u200f\u202a\u2060\ufeff\u00ad\ufe0f\u200d"), st.integers(0, 20))
def test_an_invisible_character_anywhere_changes_nothing(text: str, sign: str, place: int) -> None:
    with_it = text[:place] + sign + text[place:]
    keys = comparable(pa.chunked_array([[text, with_it]])).to_pylist()
    assert keys[0] == keys[1]


def _whole(text: str) -> str:
    """A text without halves of characters, which no column of texts may hold."""
    return text.encode(errors="ignore").decode()


@given(
    st.lists(
        st.none()
        | SIGNS.map(_whole)
        | st.text(st.characters(max_codepoint=0x0E00, exclude_categories=["Cn"]), max_size=9)
    )
)
def test_only_texts_that_need_it_are_normalised_and_it_does_not_show(texts: list[str | None]) -> None:
    column = pa.chunked_array([texts, texts[::2]], pa.large_string())
    seen = pc.replace_substring_regex(column, f"[{INVISIBLE}]+", "")
    normal = [None if text is None else normalize("NFKC", text) for text in seen.to_pylist()]
    assert comparable(column).to_pylist() == pc.utf8_lower(pa.array(normal, pa.large_string())).to_pylist()


def test_texts_that_show_nothing_are_blank() -> None:
    texts = ["", " \t\n\x0b\x1c\x85", "\u3000", "\u200b", "\ufeff \u00ad", "a\u200b", ".", None]
    assert is_blank(pa.chunked_array([texts])).to_pylist() == [True] * 5 + [False] * 2 + [None]


@pytest.mark.parametrize(
    ("text", "count"),
    [("भारतीय रिज़र्व बैंक", 3), ("নরেন্দ্র মোদী", 2), ("می\u200cخواهم بروم", 2), ("ಕನ್ನಡ ಭಾಷೆ", 2), ("זֶה סֵפֶר", 2)],
)
def test_vowel_signs_part_no_words(text: str, count: int) -> None:
    assert len(words(text)) == count


@given(SIGNS, st.sampled_from(["en", "zh-Hant", "hi", "ar", "th", "xx"]))
def test_sentences_in_their_order_are_the_text(text: str, language: str) -> None:
    spans = list(sentence_spans(text, language))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)
    assert all("\n" not in text[start : end - 1] for start, end in spans)


@pytest.mark.parametrize("space", "\u00a0\u2028\u3000\u2009")
def test_a_wide_space_before_a_full_stop_is_a_space(space: str) -> None:
    text = f"Z{space}. 1»😀 »{space}. Next."
    assert "".join(text[start:end] for start, end in sentence_spans(text, "en")) == text


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("en", "Dr. Smith paid $3.50 to J. R. Jones on Jan. 5, e.g. in the U.S. market. “Why?” Nobody knows!", 3),
        ("de", "Er kam z. B. am 3. Mai zu Dr. Müller. Wann? Heute.", 3),
        ("zh", "我来了。他笑了。真的？", 3),
        ("ja", "東京は首都です。本当？はい！", 3),
        ("hi", "यह है। वह नहीं। क्या?", 3),
        ("ar", "ذهب إلى البيت. هل جاء؟ نعم!", 3),
        ("ur", "یہ ہے۔ کیا؟ ہاں۔", 3),
        ("am", "ሰላም ነው። እሺ።", 2),
        ("th", "สวัสดีครับ ผมชื่อสมชาย", 1),
    ],
)
def test_sentences_end_where_readers_end_them(language: str, text: str, count: int) -> None:
    assert len(list(sentence_spans(text, language))) == count


def test_half_a_character_is_in_a_sentence_like_any_other() -> None:
    text = "One \ud800. Two."
    assert [text[start:end] for start, end in sentence_spans(text, "en")] == ["One \ud800. ", "Two."]
