"""Known-item search in a mixed corpus: every document once, in one language, and few languages have most of them.

A pool of parallel passages holds an answer in every language; what people search rarely does. Here corpora are drawn
from the pool so that each document stands in one language it has, and the languages' shares fall as Zipf's law says.
The document a query wants is taken out and put back in each of its languages in turn, the rest staying as drawn, so
that a rare language is asked for as often as English. *Own*: it stands in the query's language; *other*: in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.arrays import FloatArray, IntArray, Values, ratio
from isoglot.evaluation.agreement import Scores
from isoglot.evaluation.language_bias import fair_share, same_language_share
from isoglot.evaluation.ranking import first_columns

MIXED = ("mixed_own", "mixed_other")
"""Settings: the right document in the query's language, or in another."""
MIXED_MEASURES = ("success@10", "mrr@10", "same_language_share@10", "fair_share@10")
DRAWS = 10  # corpora that figures are the mean over; docs/measures.md says how little they differ
SEED = 0
SHOWN = 10  # places that are looked at
_BLOCK_BYTES = 32 << 20  # memory for scores
_FEWEST = 64  # queries that are scored at once, whatever the memory


def zipf_shares(documents: IntArray, first: int | None = None) -> Values:
    """What share of a mixed corpus each language should have, by Zipf's law: `1 / k` for the k-th, in sum 1.

    Languages `(languages,)` come in the order of how many documents they have, of equals the one with the smaller
    number first; `first`, where given, comes before all. One without any has no share.

    >>> zipf_shares(np.array([5, 9, 0, 2]), first=0).round(4).tolist()  # 1, 1/2, none and 1/3 over 11/6
    [0.5455, 0.2727, 0.0, 0.1818]
    """
    counts = np.array(documents, np.float64)
    if first is not None:
        counts[first] = np.inf
    weights: Values = np.zeros(len(counts))
    weights[np.argsort(-counts, kind="stable")] = 1 / np.arange(1, len(counts) + 1)
    weights[np.asarray(documents) == 0] = 0
    weights /= weights.sum()
    return weights


class MixedCorpora:
    """How mixed corpora are drawn from a set's pool.

    A document is what answers a question: passages that answer it, in as many languages as there are; of several
    questions that a passage answers the one whose id sorts first counts. A passage that answers nothing, or the only
    one of its document, stays with the chance that is its language's share, so that corpora keep their distractors.

    Attributes:
        shares: `(languages,)`; what share of a corpus each language should have.
        parallel: whether any document stands in two languages or more; if none does, there is nothing to draw.
    """

    def __init__(self, data: RetrievalSet) -> None:
        self._language, self._document = data.passage_language, _documents(data)
        present = np.zeros((int(self._document.max(initial=-1)) + 1, len(data.languages)), bool)
        present[self._document, self._language] = True
        english = data.languages.index("en") if "en" in data.languages else None
        held = present.sum(0)
        self.shares = zipf_shares(held, english if english is not None and held[english] else None)
        choice = present.sum(1) > 1
        self.parallel = bool(choice.any())
        self._up_to = np.cumsum(present * self.shares, 1)
        self._up_to[choice] /= self._up_to[choice, -1:]

    def draw(self, draws: int, seed: int) -> Iterator[IntArray]:
        """The passages of each corpus, those of a language together, as `ranking` orders equal scores.

        Every document has its place on a circle, at random by the seed; the languages share the circle as the law
        says, and from draw to draw it turns by an equal part. So each corpus has the languages' shares almost
        exactly, and over all draws each document stands in each language about as often as its share.
        """
        size = len(self._up_to)
        place = np.random.default_rng(seed).permutation(size) + 0.5
        by_language = np.argsort(self._language, kind="stable")
        for turn in range(draws):
            at = (place / size + turn / draws) % 1
            drawn = (self._up_to <= at[:, None]).sum(1)  # the number of languages where it is in none
            yield by_language[(drawn[self._document] == self._language)[by_language]]


def mixed_search(
    data: RetrievalSet, scores: Scores, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[dict[str, dict[str, Values]], dict[str, Any] | None]:
    """Search mixed corpora: values of every query by setting and measure, `(queries,)`, and what the corpora were like.

    Values are means over the corpora; `other` is a mean over the document's other languages, too, each with the weight
    of its share. They are nan where a query has no right passage there, as in its own language where query and
    passage are one text; and all, with None for the corpora, where no document stands in two languages.

    Args:
        data: a set with judgements.
        scores: of any queries and passages; equal scores come in the order of `ranking`, and -inf is not found.
        draws: how many corpora.
        seed: of the draws, which depend on it, on ids and on languages alone.
    """
    corpora, count = MixedCorpora(data), len(data.query_texts)
    if not corpora.parallel:
        return {setting: {name: np.full(count, np.nan) for name in MIXED_MEASURES} for setting in MIXED}, None
    drawn = list(corpora.draw(draws, seed))
    judged = _by_query(data.judgement_query, data.judgement_passage)
    both = (data.judgement_query, data.ignored_query), (data.judgement_passage, data.ignored_passage)
    out, passages = _by_query(*map(np.concatenate, both)), np.arange(len(data.passage_language))
    size = max(_FEWEST, _BLOCK_BYTES // (4 * len(passages)))
    found = []
    for start in range(0, count, size):
        rows = np.arange(start, min(start + size, count))
        found.append(_search(data, drawn, rows, scores(rows, passages), _of(rows, judged), _of(rows, out)))
    query, language = (np.concatenate([block[n] for block in found]) for n in (0, 1))
    values = np.concatenate([block[2] for block in found], 1)
    own = language == data.query_language[query]
    weights = own.astype(np.float64), np.where(own, 0.0, corpora.shares[language])

    def mean(each: Values, weight: Values) -> Values:
        return ratio(np.bincount(query, weight * each, count), draws * np.bincount(query, weight, count))

    held = np.bincount(data.passage_language[np.concatenate(drawn)], minlength=len(data.languages))
    described = {
        "draws": draws,
        "seed": seed,
        "documents": float(held.sum() / draws),
        "shares": {tag: round(float(n / held.sum()), 6) for tag, n in zip(data.languages, held, strict=True)},
    }
    return {
        setting: {name: mean(each, weight) for name, each in zip(MIXED_MEASURES, values, strict=True)}
        for setting, weight in zip(MIXED, weights, strict=True)
    }, described


Pairs = tuple[IntArray, IntArray]
"""Queries and passages, one pair each."""


def _by_query(query: IntArray, passage: IntArray) -> Pairs:
    order = np.argsort(query, kind="stable")
    return query[order], passage[order]


def _of(rows: IntArray, pairs: Pairs) -> Pairs:
    """The pairs of some queries in a row, these numbered from 0."""
    low, high = np.searchsorted(pairs[0], [rows[0], rows[-1] + 1])
    return pairs[0][low:high] - rows[0], pairs[1][low:high]


def _search(
    data: RetrievalSet, corpora: Sequence[IntArray], rows: IntArray, table: FloatArray, judged: Pairs, out: Pairs
) -> tuple[IntArray, IntArray, Values]:
    """Let some queries search all corpora for each document that is right.

    Of a query's right passages in one language that which scores best is put in, in place of all that it has judged.
    Returns query and language of each search, and the sums over corpora of `MIXED_MEASURES` `(measures, searches)`.
    The table has the queries' scores, `(rows, passages)`; those of pairs that are left `out` are overwritten.
    """
    row, item, score = *judged, table[judged]
    order = np.lexsort((item, -score, data.passage_language[item], row))
    row, item, score = row[order], item[order], score[order, None]
    best = np.flatnonzero(np.diff(row * len(data.languages) + data.passage_language[item], prepend=-1))
    row, item, score = row[best], item[best], score[best]
    language, asked = data.passage_language[item], data.query_language[rows][row]
    own = (language == asked).astype(np.int64)
    key = np.append((data.passage_language << 40) + np.arange(table.shape[1]), -1)  # as equal scores are ordered
    table[out] = -np.inf
    sums = np.zeros((len(MIXED_MEASURES), len(row)))
    for corpus in corpora:
        values, first = _first(table, corpus)
        rivals, top = values[row], first[row]
        rank = 1 + ((rivals > score) | ((rivals == score) & (key[top] < key[item, None]))).sum(1)
        hit = (rank <= SHOWN) & (score[:, 0] > -np.inf)
        spoken = np.append(data.passage_language, -1)[top]
        place = np.where(hit, language, -1)[:, None]  # where it stands among the first does not matter
        shown = np.where(hit[:, None], np.append(place, spoken, 1), np.append(spoken, place, 1))[:, :SHOWN]
        pool, same = (each[row] for each in _pools(data, corpus, rows, out))
        blind = fair_share(hit.astype(np.int64), (shown >= 0).sum(1), np.ones_like(own), own, pool + 1, same + own)
        share = same_language_share(asked, shown, SHOWN)
        sums += np.stack([hit, np.where(hit, 1 / rank, 0.0), share, blind])
    return rows[row], language, sums


def _first(table: FloatArray, corpus: IntArray) -> tuple[FloatArray, IntArray]:
    """Scores and passages that stand first in a corpus, `(rows, places)`, -inf and -1 where there are no more."""
    values, columns = first_columns(np.take(table, corpus, axis=1), min(SHOWN, len(corpus)))
    return values, np.where(values > -np.inf, corpus[columns], -1)


def _pools(data: RetrievalSet, corpus: IntArray, rows: IntArray, out: Pairs) -> Pairs:
    """`(rows,)` twice: passages that a corpus has left for each query, and how many of them are in its language."""
    inside = np.isin(out[1], corpus)
    row, asked = out[0][inside], data.query_language[rows]
    same = data.passage_language[out[1][inside]] == asked[row]
    held = np.bincount(data.passage_language[corpus], minlength=len(data.languages))[asked]
    return len(corpus) - np.bincount(row, minlength=len(rows)), held - np.bincount(row[same], minlength=len(rows))


def _documents(data: RetrievalSet) -> IntArray:
    """The document of each passage, `(passages,)`; numbers go by ids, not by the order of rows."""
    examples = {example: n for n, example in enumerate(sorted(set(data.query_example)))}
    asks = np.array([examples[example] for example in data.query_example], np.int64)
    document = np.full(len(data.passage_ids), len(examples))
    np.minimum.at(document, data.judgement_passage, asks[data.judgement_query])
    alone = np.flatnonzero(document == len(examples)).tolist()
    for place, passage in enumerate(sorted(alone, key=data.passage_ids.__getitem__)):
        document[passage] += place
    return np.unique(document, return_inverse=True)[1].astype(np.int64)
