"""Exact ranks from embeddings: every setting of an evaluation from one pass over the scores.

A rank is one plus the number of passages that come before; counting them needs no sort, so a corpus of any size can be
counted part by part. Within a part passages are laid out language by language, so the same comparisons serve both
ranks. Of passages with equal scores those of the language with the smaller number come first, then those that stand
first in the pool. Scores are float32: between parts one may differ in its last bit, so equal texts there may swap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from isoglot.common.arrays import BoolArray, FloatArray, IntArray
from isoglot.common.threads import one_thread
from isoglot.models.similarity import Similarity, as_declared, prepare, score_block, score_pairs

Part = tuple[FloatArray, IntArray]
"""Vectors `(passages, dimensions)` and language numbers `(passages,)` of a run of the corpus."""

DEFAULT_BLOCK_BYTES = 32 << 20  # scores each thread holds; smaller blocks make the product slower
PART_PASSAGES = 1 << 14  # passages scored at a time: queries enough in a block for the product to run at full speed
UNRANKED = 1 << 40  # the rank of a passage that a run of limited depth does not hold: beyond any cutoff
_TIE_MARGIN = 2  # extra candidates taken by `first_columns`, so that ties at its edge are rarely cut
_CHUNK = 64  # columns whose maximum stands for them while the best are looked for
_WORD = 8  # flags of a byte each that are added at once, as one 64-bit word; no byte overflows in 255 words
_COMPARED = 64  # judgements that are compared at once
_TOGETHER = 4  # queries that are compared at once: fewer calls, so threads wait less for each other
_NOWHERE = int(np.iinfo(np.int64).max)  # sorts behind every passage


@dataclass(frozen=True)
class Ranks:
    """Where the relevant passages stand, and what stands first.

    Attributes:
        pooled: `(judgements,)`; rank among all passages, from 1.
        in_language: `(judgements,)`; rank among the passages of the same language, from 1.
        top: `(queries, k)`; the first k passages of the pool, best first; -1 where a run of limited depth ends.
        top_scores: `(queries, k)`; their scores; distances are negative.
    """

    pooled: IntArray
    in_language: IntArray
    top: IntArray
    top_scores: FloatArray


def rank_relevant(
    queries: FloatArray,
    passages: FloatArray,
    *,
    similarity: Similarity = "dot",
    passage_language: IntArray,
    judgement_query: IntArray,
    judgement_passage: IntArray,
    top_k: int = 10,
    part_passages: int = PART_PASSAGES,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    on_progress: Callable[[int], None] | None = None,
) -> Ranks:
    """Rank every relevant passage for its query, in the pool and in the corpus of its language.

    Ranks are in the order of the judgements. Scores of a query are computed once, in float32.

    Args:
        queries: `(queries, dimensions)`, float32.
        passages: `(passages, dimensions)`, float32.
        similarity: how a query and a passage are scored.
        passage_language: `(passages,)`; language number of each passage.
        judgement_query: `(judgements,)`; the query of each judged pair.
        judgement_passage: `(judgements,)`; the passage of each judged pair.
        top_k: how many of the pool's first passages to return.
        part_passages: passages scored at a time.
        block_bytes: memory for scores; more queries at a time than fit are scored in turn.
        on_progress: called with the number of scores just computed, which sum to queries times passages.

    With two languages, the query's match is second in the pool but first in its language:

    >>> q, p = np.array([[1.0, 0.0]], np.float32), np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]], np.float32)
    >>> judged = {"judgement_query": np.array([0]), "judgement_passage": np.array([1])}
    >>> ranks = rank_relevant(q, p, passage_language=np.array([0, 1, 1]), top_k=2, **judged)
    >>> ranks.pooled.tolist(), ranks.in_language.tolist(), ranks.top.tolist()
    ([2], [1], [[0, 1]])
    """
    starts = range(0, len(passages), part_passages)
    judged = judgement_query, judgement_passage
    return rank_in_parts(
        queries,
        ((passages[n : n + part_passages], passage_language[n : n + part_passages]) for n in starts),
        similarity=similarity,
        judgement_query=judgement_query,
        judgement_passage=judgement_passage,
        judgement_language=passage_language[judgement_passage],
        thresholds=None if len(starts) < 2 else scores_of_pairs(queries, passages, *judged, similarity),
        top_k=min(top_k, len(passages)),
        block_bytes=block_bytes,
        on_progress=on_progress,
    )


def rank_in_parts(
    queries: FloatArray,
    parts: Iterable[Part],
    *,
    similarity: Similarity = "dot",
    judgement_query: IntArray,
    judgement_passage: IntArray,
    judgement_language: IntArray,
    thresholds: FloatArray | None,
    top_k: int = 10,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    on_progress: Callable[[int], None] | None = None,
) -> Ranks:
    """`rank_relevant` over a corpus that comes part by part, of which only one is held at a time.

    The parts come in order, each once. A judged passage is named by its place in the whole corpus, and beside it
    stands its language. The thresholds `(judgements,)` are the scores of the judged pairs (`scores_of_pairs`), which
    must be known before the first part is counted; None will do where there is one part only. `top_k` is at most the
    number of passages. All else is as for `rank_relevant`.
    """
    order = np.argsort(judgement_query, kind="stable")
    bounds = np.searchsorted(judgement_query[order], np.arange(len(queries) + 1))
    pooled, in_language = (np.ones(len(judgement_query), np.int64) for _ in range(2))
    best = np.full((len(queries), top_k), -np.inf, np.float32), np.full((len(queries), top_k), _NOWHERE)
    asked = prepare(queries, similarity, "query")
    first = 0
    for vectors, language in parts:
        part = _LaidOut(prepare(vectors, similarity, "passage"), language, first)
        block = max(1, min(len(queries), block_bytes // (4 * max(1, len(part.key)))))

        def score_blocks(starts: list[int], part: _LaidOut = part, block: int = block) -> None:
            scores = np.empty((block, len(part.key)), np.float32)
            flags = np.empty((_COMPARED, len(part.key)), bool)
            for start in starts:
                some = asked[start : start + block]
                block_scores = score_block(some, part.vectors, similarity, out=scores[: len(some)])
                block_scores[:, part.gaps] = -np.inf
                judged = order[bounds[start] : bounds[start + len(some)]]
                own, others = part.count_before(
                    block_scores,
                    judgement_query[judged] - start,
                    (judgement_language[judged] << 40) + judgement_passage[judged],
                    np.zeros(len(judged), np.float32) if thresholds is None else thresholds[judged],
                    flags,
                )
                in_language[judged] += own
                pooled[judged] += own + others
                found, columns = first_columns(block_scores, min(top_k, len(part.known)))
                _keep_best(best, slice(start, start + len(some)), (found, part.key[columns]))
                if on_progress:
                    on_progress(len(some) * len(part.known))

        _in_threads(score_blocks, list(range(0, len(queries), block)))
        first += len(vectors)
    return Ranks(pooled, in_language, best[1] & ((1 << 40) - 1), as_declared(best[0], asked, similarity))


def scores_of_pairs(
    queries: FloatArray, passages: FloatArray, query: IntArray, passage: IntArray, similarity: Similarity = "dot"
) -> FloatArray:
    """What `rank_in_parts` compares single pairs of a query and a passage by, `(pairs,)`; some thousands at a time."""
    scores = np.empty(len(query), np.float32)
    for start in range(0, len(query), PART_PASSAGES):
        some = slice(start, start + PART_PASSAGES)
        asked = prepare(queries[query[some]], similarity, "query")
        scores[some] = score_pairs(asked, prepare(passages[passage[some]], similarity, "passage"), similarity)
    return scores


def _in_threads(work: Callable[[list[int]], None], starts: list[int]) -> None:
    """Let each thread score blocks of its own.

    One thread per block beats many threads within each operation: blocks stay in their core's cache, and nobody waits
    at a barrier, which on a busy machine costs more than the work.
    """
    with one_thread() as threads, ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [starts[n::threads] for n in range(threads) if starts[n::threads]]))


class _LaidOut:
    """A part of the corpus, language by language and in the original order within each.

    Columns of a language are filled up to a multiple of a word's, and all to one of a chunk's, with gaps. A passage's
    key is its place in the whole corpus with its language before it, so it sorts as ties are broken.
    """

    def __init__(self, vectors: FloatArray, language: IntArray, first: int) -> None:
        layout = np.argsort(language, kind="stable")
        self._languages, counts = np.unique(language, return_counts=True)
        words = -(-counts // _WORD)
        self._starts = np.cumsum(words) - words
        self._column = np.arange(len(layout)) + np.repeat(_WORD * self._starts - (np.cumsum(counts) - counts), counts)
        columns = -(-_WORD * int(words.sum()) // _CHUNK) * _CHUNK
        table = np.zeros((columns, vectors.shape[1]), np.float32)
        table[self._column] = vectors[layout]
        self.vectors = table
        self.known = (language[layout].astype(np.int64) << 40) + layout + first
        self.key = np.full(columns, _NOWHERE)
        self.key[self._column] = self.known
        self.gaps = np.flatnonzero(self.key == _NOWHERE)
        pieces = [np.arange(start, start + size, 255) for start, size in zip(self._starts, words, strict=True)]
        self._pieces = np.concatenate([np.zeros(0, np.int64), *pieces])
        self._first_piece = np.searchsorted(self._pieces, self._starts)

    def count_before(
        self, scores: FloatArray, row: IntArray, key: IntArray, limit: FloatArray, flags: BoolArray
    ) -> tuple[IntArray, IntArray]:
        """Count this part's passages before each judged one: of the judged one's language, and of the others.

        Scores are `(rows, columns)`, of a block of queries. Each judged pair has its row, rising, the key of its
        passage, and its score as a limit; for a passage of this part the score as computed here is what counts. The
        flags, `(_COMPARED, columns)`, are room to work in.
        """
        at = np.searchsorted(self.known, key)
        column = np.append(self._column, scores.shape[1])[at]
        inside = np.append(self.known, _NOWHERE)[at] == key
        limit[inside] = scores[row[inside], column[inside]]
        above, reached = (np.empty((len(row), len(self._pieces)), np.int64) for _ in range(2))
        # A few queries at a time: their scores stay in the nearest caches while they are compared with all limits.
        for first, judged, count in _alike(row):
            some = slice(judged, judged + count[0] * count[1])
            mine, limits = scores[first : first + count[0], None], limit[some].reshape(*count, 1)
            passed = flags[: count[0] * count[1]].reshape(*count, -1)
            for compare, words in ((np.greater, above), (np.greater_equal, reached)):
                compare(mine, limits, out=passed)
                out = words[some].reshape(*count, -1)
                np.add.reduceat(passed.view(np.int64), self._pieces, axis=2, out=out)
        counts = self._counts(above)
        place = np.minimum(np.searchsorted(self._languages, key >> 40), len(self._languages) - 1)
        held = self._languages[place] == key >> 40
        own, total = np.where(held, counts[np.arange(len(row)), place], 0), counts.sum(1)
        itself = np.searchsorted(self._pieces, column[inside] // _WORD, side="right") - 1
        above[np.flatnonzero(inside), itself] += np.int64(1) << (8 * (column[inside] % _WORD))
        for n in np.flatnonzero((above != reached).any(1)).tolist():
            ties = np.flatnonzero(scores[row[n], : column[n]] == limit[n])  # those that stand before it
            own[n] += np.count_nonzero(self.key[ties] >> 40 == key[n] >> 40)
            total[n] += len(ties)
        return own, total - own

    def _counts(self, words: IntArray) -> IntArray:
        """The flags in sums of words, `(judged, pieces)`, counted by language, `(judged, languages)`."""
        pieces = words.view(np.uint8).reshape(*words.shape, _WORD).sum(2, dtype=np.int64)
        counts: IntArray = np.add.reduceat(pieces, self._first_piece, axis=1)
        return counts


def _alike(row: IntArray) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Split judgements, each with its query's rising row, into runs that are compared at once.

    Yields the first row and the first judgement of a run, and its numbers of rows and of judgements in each.
    """
    turn = np.arange(len(row)) - np.searchsorted(row, row)
    starts = np.flatnonzero(turn % _COMPARED == 0)
    sizes = np.diff(starts, append=len(row)).tolist()
    rows, start = row[starts].tolist(), 0
    while start < len(rows):
        stop = start + 1
        most = start + min(_TOGETHER, _COMPARED // sizes[start])
        while stop < min(most, len(rows)) and (rows[stop], sizes[stop]) == (rows[stop - 1] + 1, sizes[start]):
            stop += 1
        yield rows[start], int(starts[start]), (stop - start, sizes[start])
        start = stop


def _keep_best(best: tuple[FloatArray, IntArray], rows: slice, found: tuple[FloatArray, IntArray]) -> None:
    """Take the better passages found, scores and keys, in among the best so far of these queries."""
    scores, keys = best
    both = np.concatenate([scores[rows], found[0]], 1), np.concatenate([keys[rows], found[1]], 1)
    scores[rows], keys[rows] = _by_score(*both, scores.shape[1])


def first_columns(scores: FloatArray, k: int) -> tuple[FloatArray, IntArray]:
    """Scores and columns of the k best of each row, equal scores, but for -inf, in order of column.

    The best columns lie in the chunks with the largest maxima, and reading maxima is a tenth of the work of
    selecting, so only those chunks are searched where columns come in whole chunks.
    """
    wide = min(k + _TIE_MARGIN, scores.shape[1])
    chunks = scores.shape[1] // _CHUNK
    if chunks > 2 * wide and chunks * _CHUNK == scores.shape[1]:
        even = scores.reshape(len(scores), chunks, _CHUNK)
        maxima = np.maximum.reduceat(scores, np.arange(0, scores.shape[1], _CHUNK), axis=1)  # faster than max(2)
        best = _largest(maxima, wide)
        inside = even[np.arange(len(scores))[:, None], best].reshape(len(scores), -1)
        chosen = _largest(inside, wide)
        values = np.take_along_axis(inside, chosen, 1)
        columns = np.take_along_axis(best, chosen // _CHUNK, 1) * _CHUNK + chosen % _CHUNK
    else:
        columns = _largest(scores, wide)
        values = np.take_along_axis(scores, columns, 1)
    values, columns = _by_score(values, columns, wide)
    if wide > k:
        cut = (values[:, k - 1] == values[:, -1]) & (values[:, -1] > -np.inf)  # more ties than the margin
        for row in np.flatnonzero(cut).tolist():
            ties = np.flatnonzero(scores[row] >= values[row, -1])
            values[row], columns[row] = _by_score(scores[row, ties], ties, wide)
    return values[:, :k], columns[:, :k]


def _largest(values: FloatArray, number: int) -> IntArray:
    """Places of so many of the largest of each row, in no order."""
    return np.argpartition(values, -number, axis=1)[:, -number:]


def _by_score(values: FloatArray, columns: IntArray, k: int) -> tuple[FloatArray, IntArray]:
    """The first k of each row by falling score, then by rising column."""
    order = np.lexsort((columns, -values))[..., :k]
    return np.take_along_axis(values, order, -1), np.take_along_axis(columns, order, -1)
