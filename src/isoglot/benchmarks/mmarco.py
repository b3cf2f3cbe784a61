"""mMARCO (arXiv 2108.13897) as a benchmark: its small development split, 6,980 queries over 8.8 million passages.

Passages and queries are parallel throughout: with all 14 languages a question has its answer 14 times among 124 million
passages. `isoglot.sources.mmarco` describes the release; beside its collections stand `queries/dev` and, there or one
folder up, `qrels.dev.small.tsv`, which names the queries that are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from isoglot.benchmarks.corpora import joined, stored_files
from isoglot.benchmarks.retrieval_set import Corpus, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.files import read_tab_lines
from isoglot.sources.beir import read_judgements
from isoglot.sources.mmarco import collection, finder, parts_of

_QRELS = "qrels.dev.small.tsv"


def load_mmarco(folder: str | Path | None = None, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """Load mMARCO's small development split.

    Args:
        folder: `data/google` of the release; the hub if None.
        languages: read these only; all 14, or those in the folder, if None. One has 8.8 million passages.

    Raises:
        InputError: if a language or a file is not there, or not of this form.
    """
    place = None if folder is None else Path(folder)
    parts, find = parts_of(place, languages), finder(place)
    judgements = list(read_judgements(find(_QRELS)))
    judged = {judgement.query for judgement in judgements}
    queries: list[Query] = []
    corpora: list[Corpus] = []
    for tag, language in parts.items():
        lines = read_tab_lines(find(f"queries/dev/{language}_queries.dev.tsv"), 2, "a query's id and the query")
        texts = {key: text for _, (key, text) in lines if key in judged}
        if missing := next((each for each in judgements if each.query not in texts), None):
            raise InputError(f"{missing.where}: names the query {missing.query!r}, which {language} does not have")
        queries += [Query(key, tag, text) for key, text in texts.items()]
        corpora.append(_corpus(find(collection(language)), tag))
    relevant = [(each.query, f"{each.passage}@{tag}", each.grade) for each in judgements for tag in parts]
    return RetrievalSet.build("mmarco", queries, joined(corpora), relevant)


def _corpus(file: Path, tag: str) -> Corpus:
    def passages(advance: Callable[[int], None]) -> Iterator[tuple[str, str]]:
        for _, (key, text) in read_tab_lines(file, 2, "a passage's id and the passage", advance):
            yield f"{key}@{tag}", text

    return stored_files([file], passages, language=tag)
