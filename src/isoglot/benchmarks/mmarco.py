"""mMARCO (arXiv 2108.13897): MS MARCO's passages and queries, translated by machine into 13 languages.

Ids are the same in every language, so passages and queries are parallel throughout: with all 14 languages a question
has its answer 14 times among 124 million passages. The second version is taken, translated by Google, in the layout
of its release: `collections/german_collection.tsv`, `queries/dev/german_queries.dev.tsv` and, beside them or one folder
up, `qrels.dev.small.tsv`, which names the 6,980 queries that are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from isoglot.benchmarks.corpora import joined, size_of, stored_corpus
from isoglot.benchmarks.files import asked, read_judgements, read_tab_lines
from isoglot.benchmarks.hub import fetch_file
from isoglot.benchmarks.retrieval_set import Corpus, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.pairs.texts import identity

HUB_ID = "unicamp-dl/mmarco"
"""Its loading script is not run; the files that it would read are fetched."""
LANGUAGES = {
    "ar": "arabic",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fr": "french",
    "hi": "hindi",
    "id": "indonesian",
    "it": "italian",
    "ja": "japanese",
    "nl": "dutch",
    "pt": "portuguese",
    "ru": "russian",
    "vi": "vietnamese",
    "zh": "chinese",
}
_QRELS = "qrels.dev.small.tsv"

Finder = Callable[[str], Path]
"""Gives the file of a name within the release's `data/google`."""


def load_mmarco(folder: str | Path | None = None, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """Load mMARCO's small development split.

    Args:
        folder: `data/google` of the release; the hub if None.
        languages: read these only; all 14, or those in the folder, if None. One has 8.8 million passages.

    Raises:
        InputError: if a language or a file is not there, or not of this form.
    """
    if folder is None:
        parts = asked(LANGUAGES, languages, "mmarco")
        return _load(
            parts, lambda name: fetch_file(HUB_ID, f"data/google/{name}"), fetch_file(HUB_ID, f"data/{_QRELS}")
        )
    folder = Path(folder)
    found = {tag: name for tag, name in LANGUAGES.items() if (folder / _collection(name)).is_file()}
    if not found:
        raise InputError(f"{folder}: no {_collection('german')} or the like here; name the folder that holds them")
    beside = folder / _QRELS
    qrels = beside if beside.is_file() else folder.resolve().parent / _QRELS
    if not qrels.is_file():
        raise InputError(f"{beside}: no such file, nor one folder up; it says which passages are relevant")
    return _load(asked(found, languages, str(folder)), lambda name: folder / name, qrels)


def _load(parts: dict[str, str], find: Finder, qrels: Path) -> RetrievalSet:
    judgements = list(read_judgements(qrels))
    judged = {judgement.query for judgement in judgements}
    queries: list[Query] = []
    corpora: list[Corpus] = []
    for tag, language in parts.items():
        texts = {
            key: text
            for _, (key, text) in read_tab_lines(
                find(f"queries/dev/{language}_queries.dev.tsv"), 2, "a query's id and the query"
            )
            if key in judged
        }
        if missing := next((each for each in judgements if each.query not in texts), None):
            raise InputError(f"{missing.where}: names the query {missing.query!r}, which {language} does not have")
        queries += [Query(key, tag, text) for key, text in texts.items()]
        corpora.append(_corpus(find(_collection(language)), tag))
    relevant = [(each.query, f"{each.passage}@{tag}", each.grade) for each in judgements for tag in parts]
    return RetrievalSet.build("mmarco", queries, joined(corpora), relevant)


def _collection(language: str) -> str:
    return f"collections/{language}_collection.tsv"


def _corpus(file: Path, tag: str) -> Corpus:
    def passages(advance: Callable[[int], None]) -> Iterator[tuple[str, str]]:
        for _, (key, text) in read_tab_lines(file, 2, "a passage's id and the passage", advance):
            yield f"{key}@{tag}", text

    return stored_corpus([str(file), *identity([file]), tag], passages, language=tag, size=size_of([file]))
