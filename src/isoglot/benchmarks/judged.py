"""Collections with a corpus, queries and judgements per language, as TREC and BEIR have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from isoglot.benchmarks.corpora import joined, stored_corpus
from isoglot.benchmarks.retrieval_set import Corpus, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.files import some_text, texts_by_id
from isoglot.sources.beir import Judgement, passage_text, whole_grade
from isoglot.sources.hub_tables import HubRows, HubTable


@dataclass(frozen=True)
class Collection:
    """One language of a benchmark: passages, queries by id, of which only the answered are asked, and judgements.

    The prefix stands before each id of a passage in the corpus, and before each example, so that the ids of several
    languages, which are not translations of each other, stay apart. Judgements are without it.
    """

    language: str
    corpus: Corpus
    queries: Mapping[str, str]
    judgements: Iterable[Judgement]
    prefix: str = ""


def judged_set(
    name: str, collections: Sequence[Collection], *, ignored: Iterable[tuple[str, str]] = ()
) -> RetrievalSet:
    """One benchmark of the collections of several languages; each query is an example of its own."""
    queries: list[Query] = []
    relevant: list[tuple[str, str, int]] = []
    for part in collections:
        answered: set[str] = set()
        for each in part.judgements:
            if each.query not in part.queries:
                raise InputError(f"{each.where}: names the query {each.query!r}, which is not among the queries")
            if each.grade > 0:
                answered.add(each.query)
                relevant.append((part.prefix + each.query, part.prefix + each.passage, each.grade))
        queries += [
            Query(part.prefix + key, part.language, part.queries[key]) for key in part.queries if key in answered
        ]
    corpus = joined([part.corpus for part in collections])
    return RetrievalSet.build(name, queries, corpus, relevant, ignored=ignored)


def hub_collection(
    language: str, corpus: HubTable, queries: HubTable, judgements: HubTable, prefix: str = ""
) -> Collection:
    """A collection on the hub, of a table each."""
    return Collection(
        language, hub_corpus(corpus, language, prefix), _hub_queries(queries), _hub_judgements(judgements), prefix
    )


def hub_corpus(table: HubTable, language: str, prefix: str = "") -> Corpus:
    """A corpus on the hub with an id, a title and a text per passage, kept on disk; see `passage_text`."""
    rows = HubRows(table, {"id": ("_id", "id"), "title": ("title",), "text": ("text",)})

    def passages(advance: Callable[[int], None]) -> Iterator[tuple[str, str]]:
        for number, row in enumerate(rows, start=1):
            yield f"{prefix}{row['id']}", passage_text(row["title"], row["text"], f"{table} row {number}")
            advance(1)

    source = [str(table), rows.fingerprint, prefix]
    return stored_corpus(source, passages, language=language, size=len(rows))


def _hub_queries(table: HubTable) -> dict[str, str]:
    rows = enumerate(HubRows(table, {"id": ("_id", "id"), "text": ("text",)}), start=1)
    places = ((f"{table} row {number}", row) for number, row in rows)
    return texts_by_id(
        ((where, str(row["id"]), some_text(row["text"], where, "text")) for where, row in places), "query"
    )


def _hub_judgements(table: HubTable) -> Iterator[Judgement]:
    columns = {"query": ("query-id",), "passage": ("corpus-id",), "grade": ("score",)}
    for number, row in enumerate(HubRows(table, columns), start=1):
        where = f"{table} row {number}"
        try:
            grade = whole_grade(row["grade"])
        except ValueError:
            raise InputError(f'{where}: "score" must be a whole number, got {row["grade"]!r:.40}') from None
        yield Judgement(str(row["query"]), str(row["passage"]), grade, where)
