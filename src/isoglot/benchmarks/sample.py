"""A small parallel set in any languages, for a first look at a model without parallel text of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from isoglot.benchmarks.belebele import load_belebele
from isoglot.benchmarks.parallel import retrieval_set_of
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.languages import shortest_language
from isoglot.sources.debian import load_debian_in

SAMPLE_TEXTS = 600  # queries and passages: half a minute for a small encoder on two cores
FEWEST_EXAMPLES = 20
_SEED = 0


def parallel_sample(languages: Iterable[str], *, texts: int = SAMPLE_TEXTS) -> RetrievalSet:
    """Some parallel questions and answers, fetched from where this machine reaches; kept for the next time.

    First come descriptions of Debian's packages by the machine's own apt (`load_debian_in`), then Belebele from the
    hub, which has 122 languages. Every example stands in all languages; which are drawn depends on the source alone.

    Args:
        languages: codes of two or more.
        texts: how many queries and passages at most, together; `FEWEST_EXAMPLES` examples there always are.

    Raises:
        InputError: if there are fewer than two languages, or no source has them; the message has each one's reason.
    """
    tags = sorted({shortest_language(tag) for tag in languages})
    if len(tags) < 2:
        raise InputError(f"{', '.join(tags)}: a parallel set takes two languages or more, such as de,en,ja")
    examples = max(FEWEST_EXAMPLES, texts // (2 * len(tags)))
    reasons = []
    for draw in (_of_debian, _of_belebele):
        try:
            return draw(tags, examples)
        except InputError as error:
            reasons.append(str(error))
    raise InputError(f"no parallel text in {', '.join(tags)} from here ({'; '.join(reasons)}); name yours with --pairs")


def _of_debian(tags: Sequence[str], examples: int) -> RetrievalSet:
    pairs = load_debian_in(tags)
    _refuse_few("debian", pairs.example_count, tags)
    return retrieval_set_of(pairs.sample(min(examples, pairs.example_count), _SEED), "debian")


def _of_belebele(tags: Sequence[str], examples: int) -> RetrievalSet:
    """One question for each of some passages."""
    data = load_belebele(languages=tags)
    names, number = np.unique(np.array(data.query_example), return_inverse=True)
    questions = np.flatnonzero(np.bincount(number) == len(tags))
    _refuse_few("belebele", len(questions), tags)
    drawn = questions[np.random.default_rng(_SEED).permutation(len(questions))]
    about = np.array([name.rpartition("#")[0] for name in names[drawn]])  # the link of the passage
    _, first = np.unique(about, return_index=True)
    queries = np.flatnonzero(np.isin(number, drawn[np.sort(first)[:examples]]))
    return data.select(queries, np.unique(data.judgement_passage[np.isin(data.judgement_query, queries)]))


def _refuse_few(source: str, examples: int, tags: Sequence[str]) -> None:
    if examples < FEWEST_EXAMPLES:
        raise InputError(f"{source}: only {examples} examples in all of {', '.join(tags)}")
