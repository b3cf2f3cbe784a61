"""The audit of a mixed corpus without translations: documents ask for themselves.

The first sentence of a document is a query that the rest of it answers, as in the inverse cloze task (Lee et al., ACL
2019). What a ranking blind to language would show beside that answer is then known: the mix of all other documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks.retrieval_set import Passage, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.languages import LanguageCodes
from isoglot.common.text import sentence_spans
from isoglot.encoding.corpus import open_corpus
from isoglot.encoding.identification import identified
from isoglot.evaluation.audit import audited
from isoglot.evaluation.results import Results
from isoglot.vectors.checking import Survey, leaving_out, survey
from isoglot.vectors.columns import USUAL, Columns

DOCUMENTS = 600
QUERIES = 200
_LEAST_LETTERS = 12  # of a query and of what it asks for; less is a heading or a remark
_FEWEST_QUERIES = 5  # of a language that is asked in
_SEED = 0


class _Document(NamedTuple):
    id: str
    language: str
    text: str
    first: str
    """Its first sentence, empty where nothing stands after that."""


def audit_corpus(
    model: SentenceTransformer,
    corpus: str | Path,
    *,
    columns: Columns = USUAL,
    skip_bad: str | Path | None = None,
    documents: int = DOCUMENTS,
    **settings: Any,
) -> Results:
    """Measure which languages a model's rankings of a corpus show, against those there are; no translations are needed.

    Documents are sampled, so their mix is the corpus'. Of each language the first sentences of as many documents are
    queries, `QUERIES` in all; one that several documents begin with is none. Languages that are missing are found out,
    with the extra `identify`. Measures are those of `evaluate` where one passage answers a query.

    Args:
        model: any.
        corpus: what `open_corpus` reads.
        columns: names of columns that are not called as usual.
        skip_bad: a file that bad rows are left out into; None to refuse them.
        documents: how many to search at most.
        settings: `name`, `store` and `bf16`, as for `audit`.

    Returns:
        Results; `summary["corpus"]` has `rows`, and `documents` by language of those sampled.

    Raises:
        InputError: if a row is bad, documents are in one language only, or too few have a second sentence.
        MissingExtraError: if languages are missing and the library that finds them out is not installed.
    """
    with leaving_out(skip_bad, corpus) as leave_out:
        texts = open_corpus(corpus, columns)
        surveyed = survey(texts.rows, leave_out, needs=("id", "text"))
    drawn = _drawn(surveyed, documents)
    data = _known_items(drawn, Path(corpus).name)
    results = audited(model, data, **settings)
    counts = Counter(each.language for each in drawn)
    results.summary["corpus"] = {"rows": len(surveyed.language), "documents": dict(sorted(counts.items()))}
    results.summary["notes"] += [*texts.notes(), *surveyed.notes, *_left_out(surveyed, len(drawn), documents)]
    return results


def _drawn(surveyed: Survey, documents: int) -> list[_Document]:
    """Documents of known language, drawn from all good rows, in the corpus' order."""
    rows, good = surveyed.rows, np.flatnonzero(surveyed.good)
    chosen = np.sort(np.random.default_rng(_SEED).permutation(good)[:documents])
    found: list[_Document] = []
    names = [name for name in (rows.columns.id, rows.columns.language, rows.columns.text) if name]
    for part in rows.parts(names):
        low, high = np.searchsorted(chosen, [part.first, part.first + len(part)])
        if low == high:
            continue
        place = pa.array(chosen[low:high] - part.first)
        texts = part.text(rows.columns.text).take(place)
        codes = part.languages().take(place)
        if not all(LanguageCodes.of(codes.to_pylist()).tags.values()):
            codes = identified(codes, texts)
        tags, ids = LanguageCodes.of(codes.to_pylist()).tags, part.text(rows.columns.id).take(place)
        for key, code, text in zip(*(column.to_pylist() for column in (ids, codes, texts)), strict=True):
            if (tag := tags[code]) is not None:
                found.append(_Document(f"{key}@{tag}", tag, text, _first_sentence(text, tag)))
    return found


def _first_sentence(text: str, language: str) -> str:
    end = next((end for _, end in sentence_spans(text, language)), 0)
    long_enough = min(len(text[:end].strip()), len(text[end:].strip())) >= _LEAST_LETTERS
    return text[:end] if long_enough else ""


def _known_items(documents: Sequence[_Document], name: str) -> RetrievalSet:
    """First sentences as queries, as many in each language, and the rest of their documents as their answers."""
    tags = sorted({each.language for each in documents})
    if len(tags) < 2:
        raise InputError(f"{name}: documents in {', '.join(tags) or 'no language'} alone; an audit takes two or more")
    times = Counter(each.first.strip() for each in documents)
    asking: dict[str, list[_Document]] = {tag: [] for tag in tags}
    for number in np.random.default_rng(_SEED).permutation(len(documents)).tolist():
        if (each := documents[number]).first and times[each.first.strip()] == 1:
            asking[each.language].append(each)
    enough = [some for some in asking.values() if len(some) >= _FEWEST_QUERIES]
    asked = [each for some in enough for each in some[: max(_FEWEST_QUERIES, QUERIES // len(enough))]]
    if not asked:
        raise InputError(
            f"{name}: of no language {_FEWEST_QUERIES} of {len(documents):,} documents have a second sentence, so none "
            "asks for another; give queries and what answers them with --pairs"
        )
    rest = {each.id: each.text[len(each.first) :].strip() for each in asked}
    return RetrievalSet.build(
        name,
        [Query(each.id, each.language, each.first.strip()) for each in asked],
        [Passage(each.id, each.language, rest.get(each.id, each.text)) for each in documents],
        [(each.id, each.id) for each in asked],
    )


def _left_out(surveyed: Survey, known: int, documents: int) -> list[str]:
    good = int(surveyed.good.sum())
    sampled = min(good, documents)
    said = [f"{sampled:,} of {good:,} documents are searched, drawn at random."] if sampled < good else []
    if known < sampled:
        said.append(f"{sampled - known:,} of them are left out: which language they are in is not clear.")
    return said
