"""Collections with a corpus, queries and judgements per language, as TREC and BEIR have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from isoglot.benchmarks.corpora import joined, stored_corpus
from isoglot.benchmarks.files import Judgement
from isoglot.benchmarks.hub import HubRows, HubTable
from isoglot.benchmarks.retrieval_set import Corpus, Query, RetrievalSet
from isoglot.common.errors import InputError


@dataclass(frozen=True)
class Collection:
    """One language of a benchmark.

    Attributes:
        language: its tag.
        corpus: the passages.
        queries: id to text; those without a relevant passage are not asked.
        judgements: by the ids of queries and, without `prefix`, of passages.
        prefix: stands before each id of a passage in the corpus, and before each example, so that the ids of several
            languages, which are not translations of each other, stay apart.
    """

    language: str
    corpus: Corpus
    queries: Mapping[str, str]
    judgements: Iterable[Judgement]
    prefix: str = ""


def judged_set(
    name: str, collections: Sequence[Collection], *, ignored: Iterable[tuple[str, str]] = ()
) -> RetrievalSet:
    """One benchmark of the collections of several languages; each query is an example of its own.

    Raises:
        InputError: if a judgement names a query or a passage that is not there.
    """
    queries: list[Query] = []
    relevant: list[tuple[str, str, int]] = []
    for part in collections:
        judgements = [judgement for judgement in part.judgements if _is_known(judgement, part)]
        answered = {judgement.query for judgement in judgements}
        queries += [
            Query(part.prefix + key, part.language, part.queries[key]) for key in part.queries if key in answered
        ]
        relevant += [(part.prefix + each.query, part.prefix + each.passage, each.grade) for each in judgements]
    corpus = joined([part.corpus for part in collections])
    return RetrievalSet.build(name, queries, corpus, relevant, ignored=ignored)


def hub_corpus(table: HubTable, language: str, prefix: str = "") -> Corpus:
    """A corpus on the hub with an id, a title and a text per passage, kept on disk; see `passage_text`."""
    rows = HubRows(table, {"id": ("_id", "id"), "title": ("title",), "text": ("text",)})
    return stored_corpus(
        [str(table), rows.fingerprint, prefix],
        lambda advance: _advancing(
            ((f"{prefix}{row['id']}", passage_text(row["title"], row["text"])) for row in rows), advance
        ),
        language=language,
        size=len(rows),
    )


def hub_queries(table: HubTable) -> dict[str, str]:
    """Queries on the hub: id to text."""
    return {str(row["id"]): row["text"] for row in HubRows(table, {"id": ("_id", "id"), "text": ("text",)})}


def hub_judgements(table: HubTable) -> Iterator[Judgement]:
    """Judgements on the hub."""
    columns = {"query": ("query-id",), "passage": ("corpus-id",), "grade": ("score",)}
    for number, row in enumerate(HubRows(table, columns), start=1):
        yield Judgement(str(row["query"]), str(row["passage"]), int(row["grade"]), f"{table} row {number}")


def passage_text(title: str | None, text: str) -> str:
    """What is encoded for a passage: the title and the text with a blank between, as BEIR (arXiv 2104.08663) has it.

    >>> passage_text("Ulm", "A city."), passage_text("", "A city."), passage_text(None, " A city.")
    ('Ulm A city.', 'A city.', 'A city.')
    """
    return f"{title or ''} {text}".strip()


def _is_known(judgement: Judgement, part: Collection) -> bool:
    """Whether a judgement says that a passage is relevant."""
    if judgement.query not in part.queries:
        raise InputError(f"{judgement.where}: names the query {judgement.query!r}, which is not among the queries")
    return judgement.grade > 0


def _advancing(rows: Iterable[tuple[str, str]], advance: Callable[[int], None]) -> Iterator[tuple[str, str]]:
    for row in rows:
        yield row
        advance(1)
