"""Parallel texts as benchmarks: pairs of query and passage, or sentences that are each other's translations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isoglot.benchmarks.retrieval_set import Passage, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs
from isoglot.sources.files import read_sentence_folder


def retrieval_set_of(pairs: ParallelPairs, name: str) -> RetrievalSet:
    """Turn parallel pairs into a benchmark: every translation of a passage answers every translation of its query.

    Rows whose query is null are candidates only. Where query and passage are the same text, as in aligned
    sentences, a query would find its own row for nothing, so that row is left out of its ranking; within its own
    language it then has nothing to find, and there are no monolingual figures.

    Args:
        pairs: the pairs; ids join translations.
        name: the name that results carry.

    Raises:
        InputError: if no row has a query.
    """
    rows = list(pairs.rows())
    queries = [Query(row["id"], row["language"], row["query"]) for row in rows if row["query"] is not None]
    passages = [Passage(f"{row['id']}@{row['language']}", row["language"], row["passage"]) for row in rows]
    relevant = [(row["id"], f"{row['id']}@{row['language']}") for row in rows]
    itself = [f"{row['id']}@{row['language']}" for row in rows if row["query"] == row["passage"]]
    return RetrievalSet.build(name, queries, passages, relevant, ignored=zip(itself, itself, strict=True))


def load_bitext(folder: str | Path, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """Load a folder of aligned sentences, as FLORES and NTREX come, as sentence-to-sentence retrieval.

    Args:
        folder: a text file per language, named by its code; line n of every file is the same sentence.
        languages: take these only; all of them if None.

    Raises:
        InputError: what `isoglot.sources.files.read_sentence_folder` raises, or if no sentence has a translation.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; bitext needs one text file per language, deu.txt or deu_Latn.txt")
    pairs = read_sentence_folder(folder)
    if languages is not None:
        pairs = pairs.filter_languages(languages)
    return retrieval_set_of(pairs, f"bitext:{folder.resolve().name}")
