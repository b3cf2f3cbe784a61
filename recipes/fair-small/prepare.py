"""Training text and development sets of the recipe beside this file.

    python recipes/fair-small/prepare.py $DATA $TEXT

$DATA holds ntrex/ and qa-monolingual.jsonl (docs/training.md says what they are); everything else is fetched by apt.
$TEXT gets train/, for the configurations beside this file, and development/, six kinds of text that recipes are chosen
by, none of which is trained on:

- software: LibreOffice's help, headings and the text below them; pages held out whole.
- narrative: Wesnoth's campaigns, whose catalogues are held out whole. A text's first sentence asks for the rest of it.
- encyclopaedia: what Freeciv says of nations, likewise.
- questions: human questions and answer sentences, each in one language, among more sentences of that language.
- law and technical: evaluation sets as they are (legal/cc-by-4.0.jsonl, technical/cncf-glossary.jsonl).

The recipe is not finished: its first stage has run for 126 steps of 250, and nothing of it has been scored.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sentencex import segment

from isoglot import ParallelPairs, load_pairs, read_pairs, write_pairs

LANGUAGES = ("de", "el", "en", "es", "fr", "it", "ja", "pl", "ru", "tr", "vi", "zh-CN")
HELD_OUT = {"software": 120, "narrative": 120, "encyclopaedia": 120}  # examples; questions: 40 a language
QUESTIONS, CANDIDATES = 40, 240  # a language


def page_of(identifier: str) -> str:
    """`libreoffice-help/text/swriter/01.html#hd_id1` and the paragraphs of that page have one page."""
    return identifier.partition("/")[2].partition("#")[0]


def is_held_out(page: str) -> bool:
    """One page in eight, the same ones in every release."""
    return hashlib.sha256(page.encode()).digest()[0] < 32


def keep(pairs: ParallelPairs, wanted: Any) -> ParallelPairs:
    """The examples whose id is wanted."""
    return pairs.select_examples(np.array([wanted(identifier) for identifier in pairs.example_ids]))


def first_sentence_asks(pairs: ParallelPairs) -> ParallelPairs:
    """Texts of two sentences or more become pairs: the first sentence, and the rest (an inverse cloze task)."""

    def rows() -> Iterator[dict[str, Any]]:
        for row in pairs.rows():
            first, *rest = [sentence.strip() for sentence in segment(row["language"], row["passage"])]
            if len(first) >= 15 and len(" ".join(rest)) >= 40:
                yield {**row, "query": first, "passage": " ".join(rest)}

    return ParallelPairs.from_rows(rows())


def in_most_languages(pairs: ParallelPairs, examples: int) -> ParallelPairs:
    """Examples in as many of the languages as there are, those with most translations first, then by id."""
    pairs = pairs.filter_languages([tag for tag in LANGUAGES if tag in pairs.languages])
    count = np.bincount(pairs.example, minlength=pairs.example_count)
    order = sorted(range(pairs.example_count), key=lambda n: (-count[n], pairs.example_ids[n]))[:examples]
    return pairs.select_examples(np.isin(np.arange(pairs.example_count), order))


def split_questions(pairs: ParallelPairs) -> tuple[ParallelPairs, ParallelPairs]:
    """For training, and held out: some questions of each language, among sentences that others of its answer."""
    training, held_out = [], []
    seen: dict[str, int] = {}
    order = np.random.default_rng(0).permutation(len(pairs))
    for row in pairs.rows(order):
        number = seen[row["language"]] = seen.get(row["language"], 0) + 1
        if number > CANDIDATES or row["language"] == "pt":  # nine hundred rows in all
            training.append(row)
        else:
            held_out.append(row if number <= QUESTIONS else {**row, "query": None})
    known = {row["passage"] for row in held_out}
    return (
        ParallelPairs.from_rows(row for row in training if row["passage"] not in known),
        ParallelPairs.from_rows(held_out).deduplicate()[0],
    )


def main() -> None:
    """Write both folders, and say what they hold."""
    data, text = Path(sys.argv[1]), Path(sys.argv[2])
    train, development = text / "train", text / "development"
    help_text, paragraphs = load_pairs("libreoffice-help"), load_pairs("libreoffice-help-paragraphs")
    gettext = load_pairs("gettext")

    def write(pairs: ParallelPairs, path: Path) -> None:
        write_pairs(pairs, path)
        print(f"{path}: {pairs.example_count:,} examples, {len(pairs):,} rows", flush=True)

    for name, pairs in (("libreoffice-help", help_text), ("libreoffice-help-paragraphs", paragraphs)):
        write(keep(pairs, lambda identifier: not is_held_out(page_of(identifier))), train / f"{name}.parquet")
    software = keep(help_text, lambda identifier: is_held_out(page_of(identifier)))
    write(in_most_languages(software, HELD_OUT["software"]), development / "software.parquet")

    domain = "gettext/{}".format
    story = keep(gettext, lambda identifier: identifier.startswith(domain("wesnoth")))
    nations = keep(gettext, lambda identifier: identifier.startswith(domain("freeciv-nations/")))
    other = ("gettext/wesnoth", "gettext/freeciv-nations/")
    write(keep(gettext, lambda identifier: not identifier.startswith(other)), train / "gettext.parquet")
    for name, pairs in (("narrative", story), ("encyclopaedia", nations)):
        write(in_most_languages(first_sentence_asks(pairs), HELD_OUT[name]), development / f"{name}.parquet")

    training, questions = split_questions(read_pairs(data / "qa-monolingual.jsonl"))
    write(training, train / "questions.parquet")
    write(questions, development / "questions.parquet")


if __name__ == "__main__":
    main()
