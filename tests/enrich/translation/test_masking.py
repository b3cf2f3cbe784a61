"""What must survive does, whatever is around it and whatever the engine does to the order of words."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from engines import Habit, backwards
from hypothesis import given
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.enrich.translation.masking import lost_numbers, mask, numbers_in, protected_parts, protected_spans, restore
from isoglot.enrich.translation.protecting import Protector, has_words

PROTECTED = [
    "https://example.org/a?b=c#d",
    "www.example.org",
    "some.one+x@mail.example.org",
    "`ls -l`",
    "--quiet",
    "--name=value",
    "-l",
    "/etc/fstab",
    "~/.bashrc",
    "src/main.py",
    "setup.cfg",
    "{name}",
    "{{ name }}",
    "${HOME}",
    "%s",
    "%(count)d",
    "%1$s",
    "<b>",
    "</b>",
    '<a href="x y">',
    "max_length",
    "main()",
]
WORDS = ["see", "the", "Datei", "naïve", "слово", "42", "3.5", "and", "XQ3Z", "«", "(", "50%"]

DIALOGUE = [  # what people say, in the dashes and quotes of several languages
    "-Hola -dijo Juan-. ¿Qué tal?",
    "--No, she said.",
    "-I don't know.",
    "-Where are you going?\n-I don't know.\n-Me neither.",
    "-Où vas-tu ? -demanda-t-il.",
    "-A ver si viene.",
    "-y tú, ¿qué?",
    "Juan entró. -Hola -dijo.",
    "Dijo: -Hola.",
    "-Кто там? -спросил он.",
    "--¿Y tú? --preguntó",
    "C'est -peut-être- vrai",
    '"-Tak" -powiedział.',
    "<<Hola>>, dijo.",
    "`Hello' he said, `what'",
    "{he said something}",
    "<so to speak>",
    "It costs $5 million or $100,000.",
    "30 €/mois, 5 $/day, 100%d'eau",
    "и/или, हाँ/नहीं, בְּ/לְ",
    "he said/she said.Then",
]

texts = st.lists(st.sampled_from(PROTECTED + WORDS), min_size=1, max_size=12).map(" ".join)
anything = st.text(st.sampled_from("ab XQ0Z19.,/`{}<>%@-_$\n:é中"), max_size=40)


@pytest.mark.parametrize("part", PROTECTED)
@pytest.mark.parametrize("frame", ["{}", "see {} there", "({}), then", "Take {}, or {}!", "end {}."])
def test_each_kind_is_found_whole_wherever_it_stands(part: str, frame: str) -> None:
    text = frame.replace("{}", part)
    found = [text[start:end] for start, end in protected_spans(text)]
    assert found == [part] * frame.count("{}")


@pytest.mark.parametrize(
    "text", [*DIALOGUE, "and/or", "TCP/IP at 5 km/h", "a - b", "well-known", "5 < 6 > 4", "100 % sure", "i.e. so"]
)
def test_plain_prose_is_not_protected(text: str) -> None:
    assert protected_spans(text) == ()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("-v, --verbose  print more", ["-v", "--verbose"]),
        ("  --dry-run\tdo nothing", ["--dry-run"]),
        ("-name PATTERN find it", ["-name"]),
        ("Run ls -la with --verbose or --max-steps=3.", ["-la", "--verbose", "--max-steps=3"]),
        ("gcc -Wall -O2", ["-Wall", "-O2"]),
    ],
)
def test_lists_of_options_are_no_dialogue(text: str, options: list[str]) -> None:
    assert [text[start:end] for start, end in protected_spans(text)] == options


@pytest.mark.parametrize(
    ("source", "translation", "lost"),
    [
        ("on 2020-01-02 at 10:30", "am 02.01.2020 um 10.30 Uhr", []),
        ("on 1/2/2020", "2.1.2020", []),
        ("1,234,567.5 of 12", "12 von 1.234.567,5", []),
        ("1,234 and 3.50", "1234 und 3,50", []),
        ("on 2020-01-02", "am 02.01.2021", ["01", "02", "2020"]),
        ("3.50", "3.05", ["350"]),
    ],
)
def test_numbers_written_another_way_are_not_lost(source: str, translation: str, lost: list[str]) -> None:
    assert sorted(lost_numbers(source, translation)) == lost


@given(text=texts | anything, numbers=st.booleans())
def test_restoring_what_was_masked_gives_the_text_back(text: str, numbers: bool) -> None:
    spans = protected_spans(text, numbers)
    assert all(start < end for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    masked = mask(text, spans)
    assert restore(masked, masked.text) == text


@given(text=texts, seed=st.integers(0, 99))
def test_parts_survive_any_order_of_words(text: str, seed: int) -> None:
    masked = mask(text, protected_spans(text))
    words = masked.text.split(" ")
    random.Random(seed).shuffle(words)
    restored = restore(masked, " ".join(words))
    assert restored is not None
    for part, count in protected_parts(text).items():
        assert restored.count(part) >= count


@given(text=texts.filter(protected_spans), breaker=st.sampled_from(["lost", "doubled", "new"]))
def test_a_broken_mask_is_noticed(text: str, breaker: str) -> None:
    masked = mask(text, protected_spans(text))
    broken = {
        "lost": masked.text.replace("XQ0Z", "", 1),
        "doubled": masked.text + " XQ0Z",
        "new": masked.text + f" XQ{len(masked.parts)}Z",
    }[breaker]
    assert restore(masked, broken) is None


def test_an_engine_may_space_and_lower_a_mask() -> None:
    masked = mask("see {a} and {b}", protected_spans("see {a} and {b}"))
    assert restore(masked, "siehe xq1z und XQ 0 Z") == "siehe {b} und {a}"


@pytest.mark.parametrize(
    ("one", "other"), [("1,234.50", "1.234,50"), ("10\u00a0000", "10000"), ("٤٢", "42"), ("२५", "25")]
)
def test_numbers_are_the_same_in_any_dress(one: str, other: str) -> None:
    assert numbers_in(f"about {one} of them") == numbers_in(f"etwa {other} davon") != numbers_in("none")


def test_roman_numbers_stand_for_small_ones_that_they_were_made_of() -> None:
    from isoglot.enrich.translation.masking import lost_numbers

    for number, roman in {2: "II", 4: "IV", 9: "IX", 14: "XIV", 20: "XX", 39: "XXXIX"}.items():
        assert not lost_numbers(f"century {number}", f"siglo {roman}")
        assert lost_numbers(f"century {number + 1}", f"siglo {roman}")
        assert lost_numbers(f"century {number}, Louis {roman}", f"siglo, Luis {roman}")
    assert lost_numbers("1 of them", "I did")


def honest(text: str) -> str:
    return backwards(text)


def loses_masks(text: str) -> str:
    return re.sub(r"XQ\d+Z", "", backwards(text))


def loses_numbers_in_sight(text: str) -> str:
    return re.sub(r"(?<![XQ\d])\d+", "viele", backwards(text))


def doubles_everything(text: str) -> str:
    return f"{backwards(text)} {backwards(text)}"


@pytest.mark.parametrize("habit", [honest, loses_masks, loses_numbers_in_sight, doubles_everything])
@given(sentences=st.lists(texts, max_size=6))
def test_nothing_protected_is_lost_by_any_engine(habit, sentences: list[str]) -> None:
    found = Protector(Habit(habit), "en", "de").translate(sentences)
    assert set(found) == set(sentences)
    for sentence, (translation, _) in found.items():
        assert not protected_parts(sentence) - protected_parts(translation)
        assert not numbers_in(sentence) - numbers_in(translation)


def test_an_honest_engine_is_asked_once_and_each_sentence_once() -> None:
    engine = Habit(honest)
    found = Protector(engine, "en", "de").translate(["see {a} now", "see {a} now", "42 %", "{b}"])
    assert engine.calls == 1
    assert engine.seen == ["see XQ0Z now"]
    assert found == {"see {a} now": ("ees {a} won", False), "42 %": ("42 %", False), "{b}": ("{b}", False)}


def test_a_repaired_sentence_says_so() -> None:
    found = Protector(Habit(loses_masks), "en", "de").translate(["see {a} now", "plain words"])
    assert found == {"see {a} now": ("ees {a} won", True), "plain words": ("nialp sdrow", False)}


def test_an_engine_that_answers_with_another_number_of_texts_is_refused() -> None:
    engine = Habit(honest)
    engine.translate = lambda texts, *_: ["one"] * (len(texts) + 1)  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"habit: 2 translations of 1 texts"):
        Protector(engine, "en", "de").translate(["some words"])


@given(text=texts)
def test_what_has_no_words_is_what_masking_leaves_no_letters_of(text: str) -> None:
    bare = re.sub(r"XQ\d+Z", "", mask(text, protected_spans(text)).text)
    assert has_words(text) == any(sign.isalpha() for sign in bare)


def test_numbers_and_masks_of_any_length_are_read() -> None:
    digits = "7" * 5000
    assert not lost_numbers(f"{digits} and 8", f"8 und 0{digits}")
    assert sorted(lost_numbers(f"{digits} and 8", "8")) == [digits]
    assert restore(mask("{a}", [(0, 3)]), f"XQ{digits}Z") is None
