"""Any parallel pairs as a benchmark: every translation of a passage answers every translation of its query."""

from __future__ import annotations

from isoglot.benchmarks.retrieval_set import Passage, Query, RetrievalSet
from isoglot.pairs import ParallelPairs


def retrieval_set_of(pairs: ParallelPairs, name: str) -> RetrievalSet:
    """Turn parallel pairs into a benchmark.

    Rows whose query is null are candidates only. Where query and passage are the same text, as in aligned
    sentences, a query finds its own row for nothing; the monolingual setting then measures nothing and only the
    cross-lingual one should be read.

    Args:
        pairs: the pairs; ids join translations.
        name: the name that results carry.

    Raises:
        InputError: if no row has a query.
    """
    rows = pairs.table.select(["id", "language", "query", "passage"]).to_pylist()
    queries = [Query(row["id"], row["language"], row["query"]) for row in rows if row["query"] is not None]
    passages = [Passage(f"{row['id']}@{row['language']}", row["language"], row["passage"]) for row in rows]
    relevant = [(row["id"], f"{row['id']}@{row['language']}") for row in rows]
    return RetrievalSet.build(name, queries, passages, relevant)
