"""What studies and recipes need beside published data: text of four kinds held out, and a model that knows less.

    python recipes/prepare.py $DATA
    python recipes/prepare.py $DATA --fair-small    the same, and the training text of recipes/fair-small

Everything goes to $DATA/prepared; the text is fetched by apt, as `isoglot data fetch` does.

- train/help.parquet: LibreOffice's help without the pages that are held out, headings and the text below them.
- development/software.parquet: sections of those pages, in rich languages.
- development/scarce.parquet: those that exist in Khmer, Oromo or Dzongkha too, of which there is little text.
- development/narrative.parquet, encyclopaedia.parquet: messages of games, which a text's first sentence asks for.
- models/static: the built-in encoder's word vectors alone, in fewer dimensions, averaged: a bag of words.

For recipes/fair-small, which takes qa-monolingual.jsonl from $DATA, too:

- train/paragraphs.parquet: paragraphs of LibreOffice's help, without the pages that are held out.
- train/messages.parquet: messages of games and science programs, without those that are held out.
- train/questions.parquet, development/questions.parquet: human questions and answer sentences, each in one language;
  what is held out stands among more sentences of its language.
"""

import argparse
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from sentencex import segment
from tokenizers import Tokenizer

from isoglot import ParallelPairs, load_encoder, load_pairs, read_pairs, save_model, write_pairs

RICH = ("de", "el", "en", "es", "fr", "it", "ja", "pl", "ru", "tr", "vi", "zh-CN")
SCARCE = ("de", "dz", "en", "es", "km", "om", "ru")
HELD_OUT = 120  # examples of each kind
DIMENSIONS = 128  # of the bag of words
SEED = 0
STORIES = {"narrative": "gettext/wesnoth", "encyclopaedia": "gettext/freeciv-nations/"}  # how the ids begin
QUESTIONS, SENTENCES = 40, 240  # of a language that are held out: pairs, and sentences with those of the pairs


def is_held_out(identifier: str) -> bool:
    """One page in eight, the same ones in every release; `libreoffice-help/text/swriter/01.html#hd_id1` is on one."""
    page = identifier.partition("/")[2].partition("#")[0]
    return hashlib.sha256(page.encode()).digest()[0] < 32


def keep(pairs: ParallelPairs, wanted: Callable[[str], bool]) -> ParallelPairs:
    """The examples whose id is wanted."""
    return pairs.select_examples(np.array([wanted(identifier) for identifier in pairs.example_ids]))


def in_most(pairs: ParallelPairs, languages: Sequence[str], examples: int = HELD_OUT) -> ParallelPairs:
    """Some examples in these languages, those with most translations first, then by id."""
    pairs = pairs.filter_languages([tag for tag in languages if tag in pairs.languages])
    count = np.bincount(pairs.example, minlength=pairs.example_count)
    order = sorted(range(pairs.example_count), key=lambda n: (-count[n], pairs.example_ids[n]))[:examples]
    return pairs.select_examples(np.isin(np.arange(pairs.example_count), order))


def of_story(messages: ParallelPairs, start: str) -> ParallelPairs:
    """Those whose identifiers begin so."""
    return keep(messages, lambda identifier: identifier.startswith(start))


def first_sentence_asks(pairs: ParallelPairs) -> ParallelPairs:
    """Texts of two sentences or more become pairs: the first sentence, and the rest (an inverse cloze task)."""

    def rows() -> Iterator[dict[str, Any]]:
        for row in pairs.rows():
            first, *rest = [sentence.strip() for sentence in segment(row["language"], row["passage"])]
            if len(first) >= 15 and len(" ".join(rest)) >= 40:
                yield {**row, "query": first, "passage": " ".join(rest)}

    return ParallelPairs.from_rows(rows())


def static(model: SentenceTransformer, dimensions: int = DIMENSIONS) -> SentenceTransformer:
    """The word vectors of a model, averaged over a text, in the dimensions in which they differ most."""
    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_truncation()
    words = model[0].auto_model.get_input_embeddings().weight.detach()
    _, directions = torch.linalg.eigh((words.T @ words).double())  # the largest eigenvalues are the last
    words = words @ directions[:, -dimensions:].float()
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=words), Normalize()], device="cpu")


def write(pairs: ParallelPairs, path: Path) -> None:
    """Write pairs and say how many there are."""
    write_pairs(pairs, path)
    print(f"{path}: {pairs.example_count:,} examples, {len(pairs):,} rows", flush=True)


def split_questions(pairs: ParallelPairs) -> tuple[ParallelPairs, ParallelPairs]:
    """For training, and held out: questions of each language with their answers, among sentences others ask for."""
    training, held_out = [], []
    seen: dict[str, int] = {}
    for row in pairs.rows(np.random.default_rng(SEED).permutation(len(pairs))):
        number = seen[row["language"]] = seen.get(row["language"], 0) + 1
        if number > SENTENCES or row["language"] == "pt":  # nine hundred rows in all
            training.append(row)
        else:
            held_out.append(row if number <= QUESTIONS else {**row, "query": None})
    known = {row["passage"] for row in held_out}
    return (
        ParallelPairs.from_rows(row for row in training if row["passage"] not in known),
        ParallelPairs.from_rows(held_out).deduplicate()[0],
    )


def main(folder: Path) -> None:
    """What studies need, into the folder."""
    save_model(static(load_encoder("builtin:multilingual-e5-small")), folder / "models" / "static")

    manual, messages = load_pairs("libreoffice-help"), load_pairs("gettext")
    held_out = keep(manual, is_held_out)
    write(keep(manual, lambda identifier: not is_held_out(identifier)), folder / "train" / "help.parquet")
    write(in_most(held_out, RICH), folder / "development" / "software.parquet")
    write(in_most(held_out, SCARCE), folder / "development" / "scarce.parquet")
    for name, start in STORIES.items():
        found = first_sentence_asks(of_story(messages, start))
        write(in_most(found, RICH), folder / "development" / f"{name}.parquet")


def for_fair_small(questions: Path, folder: Path) -> None:
    """What recipes/fair-small trains on beside that, into the folder."""
    paragraphs, messages = load_pairs("libreoffice-help-paragraphs"), load_pairs("gettext")
    stories = tuple(STORIES.values())
    write(keep(paragraphs, lambda identifier: not is_held_out(identifier)), folder / "train" / "paragraphs.parquet")
    write(keep(messages, lambda identifier: not identifier.startswith(stories)), folder / "train" / "messages.parquet")
    for part, found in zip(("train", "development"), split_questions(read_pairs(questions)), strict=True):
        write(found, folder / part / "questions.parquet")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of data")
    parser.add_argument("--fair-small", action="store_true", help="also what recipes/fair-small trains on")
    arguments = parser.parse_args()
    main(arguments.data / "prepared")
    if arguments.fair_small:
        for_fair_small(arguments.data / "qa-monolingual.jsonl", arguments.data / "prepared")
