"""BEIR (arXiv 2104.08663): retrieval collections in many domains, most in English, and anything in their format.

As in BEIR's own evaluation a passage with the id of the query is left out of that query's ranking: in ArguAna and
Quora it is the query itself.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from isoglot.benchmarks.corpora import stored_files
from isoglot.benchmarks.judged import Collection, hub_collection, judged_set
from isoglot.benchmarks.retrieval_set import Corpus, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.common.progress import tell
from isoglot.pairs.texts import places
from isoglot.sources.beir import corpus_file, read_judgements, read_passages, read_queries
from isoglot.sources.hub_tables import HubTable

HUB_ID = "BeIR/{}"
"""Corpus and queries of a set on the hub; the judgements are in `BeIR/NAME-qrels`."""
HUB_SETS = (
    *("arguana", "climate-fever", "dbpedia-entity", "fever", "fiqa", "hotpotqa", "msmarco", "nfcorpus", "nq"),
    *("quora", "scidocs", "scifact", "trec-covid", "webis-touche2020"),
)


def load_beir(
    folder: str | Path, *, name: str | None = None, language: str = "en", split: str | None = None
) -> RetrievalSet:
    """Load a folder in BEIR's format, which `isoglot.sources.beir` describes.

    Args:
        folder: what holds the corpus, the queries and `qrels/`.
        name: the benchmark's name in results; `beir:` and the folder's name if None.
        language: of queries and passages.
        split: whose judgements to take; `dev` for MS MARCO and `test` for others if None, as BEIR reports them.

    Raises:
        InputError: if a file is missing or not of this form.
    """
    folder = Path(folder)
    name = name or f"beir:{folder.resolve().name}"
    qrels = folder / "qrels" / f"{split or _usual_split(name)}.tsv"
    if not qrels.is_file():
        there = ", ".join(sorted(path.name for path in qrels.parent.glob("*.tsv"))) or "none"
        raise InputError(f"{qrels}: no such judgements; of {qrels.parent.name}/SPLIT.tsv there are: {there}")
    tag = normalize_language(language)
    return _set_of(name, Collection(tag, load_corpus(folder, tag), read_queries(folder), read_judgements(qrels)))


def load_beir_from_hub(dataset: str, *, split: str | None = None) -> RetrievalSet:
    """Load a set of BEIR from the hub.

    Args:
        dataset: one of `HUB_SETS`.
        split: see `load_beir`; MS MARCO's `dev` is `validation` there.

    Raises:
        InputError: if the name is unknown, or the set cannot be read.
    """
    if dataset not in HUB_SETS:
        raise InputError(f"beir:{dataset}: no such set on the hub; there are {', '.join(HUB_SETS)}")
    name, hub_id = f"beir:{dataset}", HUB_ID.format(dataset)
    split = (split or _usual_split(name)).replace("dev", "validation")
    corpus, queries = (HubTable(hub_id, part, part) for part in ("corpus", "queries"))
    return _set_of(name, hub_collection("en", corpus, queries, HubTable(f"{hub_id}-qrels", None, split)))


def load_corpus(folder: Path, language: str) -> Corpus:
    """The corpus of a folder in BEIR's format, kept on disk."""
    return stored_files(
        [corpus_file(folder)],
        lambda advance: ((key, text) for _, key, text in read_passages(folder, advance)),
        language=language,
    )


def _usual_split(name: str) -> str:
    return "dev" if name == "beir:msmarco" else "test"


def _set_of(name: str, collection: Collection) -> RetrievalSet:
    judgements = list(collection.judgements)
    if same := sum(each.query == each.passage for each in judgements if each.grade > 0):
        tell(f"{name}: {same:,} right answers have the id of their query, and are left out, as BEIR has it")
    own = places(collection.corpus.ids, {judgement.query for judgement in judgements if judgement.grade > 0})
    ignored = [(f"{key}@{collection.language}", key) for key in sorted(own)]
    return judged_set(name, [replace(collection, judgements=judgements)], ignored=ignored)
