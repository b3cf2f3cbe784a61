"""Exact ranks from embeddings: every setting of an evaluation from one pass over the scores.

A rank is one plus the number of passages that come before; counting them is a comparison and a sum, so no pool is
ever sorted, and a corpus of any size can be counted part by part. Within a part passages are laid out language by
language, so the same comparisons give a passage's rank in the pool of all languages and its rank in the corpus of its
own.

Ties are broken by place: of passages with equal scores those of the language with the smaller number come first, and
within a language those that stand first in the pool. Scores are float32, by the similarity that the model declares;
between parts a score may differ in its last bit from the same score computed elsewhere, so passages of one text in
different parts may swap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from isoglot.models.similarity import Similarity, as_declared, prepare, score_block, score_pairs

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
Part = tuple[FloatArray, IntArray]
"""Vectors `(passages, dimensions)` and language numbers `(passages,)` of a run of the corpus."""

DEFAULT_BLOCK_BYTES = 32 << 20  # scores each thread holds; smaller blocks make the product slower
PART_PASSAGES = 1 << 14  # passages scored at a time: queries enough in a block for the product to run at full speed
UNRANKED = 1 << 40
"""The rank of a passage that a run of limited depth does not hold: beyond any cutoff."""
_TIE_MARGIN = 8  # extra candidates taken by `_top`, so that ties at its edge are rarely cut
_CHUNK = 64  # columns whose maximum stands for them while the best are looked for
_WORD = 8  # flags of a byte each that are added at once, as one 64-bit word; no byte overflows in 255 words
_COMPARED = 64  # judgements of a query that are compared at once
_NOWHERE = np.iinfo(np.int64).max  # sorts behind every passage


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

    Returns:
        Ranks in the order of the judgements. Scores of a query are computed once, in float32.

    Example:
        Two languages; the query's match is second in the pool but first in its language.

        >>> q = np.array([[1.0, 0.0]], np.float32)
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]], np.float32)
        >>> one = np.array([0])
        >>> ranks = rank_relevant(q, p, passage_language=np.array([0, 1, 1]), judgement_query=one,
        ...                       judgement_passage=np.array([1]), top_k=2)
        >>> ranks.pooled.tolist(), ranks.in_language.tolist(), ranks.top.tolist()
        ([2], [1], [[0, 1]])
    """
    starts = range(0, len(passages), part_passages)
    return rank_in_parts(
        queries,
        ((passages[n : n + part_passages], passage_language[n : n + part_passages]) for n in starts),
        similarity=similarity,
        judgement_query=judgement_query,
        judgement_passage=judgement_passage,
        judgement_language=passage_language[judgement_passage],
        thresholds=scores_of_pairs(queries, passages, judgement_query, judgement_passage, similarity)
        if len(starts) > 1
        else None,
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

    Args:
        queries: `(queries, dimensions)`, float32.
        parts: the corpus in order, each part once.
        similarity: how a query and a passage are scored.
        judgement_query: `(judgements,)`; the query of each judged pair.
        judgement_passage: `(judgements,)`; the passage of each judged pair, by its place in the whole corpus.
        judgement_language: `(judgements,)`; the language of that passage.
        thresholds: `(judgements,)`; the scores of the judged pairs, which must be known before the first part is
            counted. None will do where there is one part only.
        top_k: how many of the pool's first passages to return; at most as many as there are passages.
        block_bytes: memory for scores.
        on_progress: called with the number of scores just computed.
    """
    order = np.argsort(judgement_query, kind="stable")
    bounds = np.searchsorted(judgement_query[order], np.arange(len(queries) + 1))
    pooled, in_language = (np.ones(len(judgement_query), np.int64) for _ in range(2))
    top = _Top(len(queries), top_k)
    asked = torch.from_numpy(np.ascontiguousarray(prepare(queries, similarity, "query")))
    first = 0
    for vectors, language in parts:
        part = _LaidOut(prepare(vectors, similarity, "passage"), language, first)
        block = max(1, min(len(queries), block_bytes // (4 * max(1, len(part.key)))))

        def score_blocks(starts: list[int], part: _LaidOut = part, block: int = block) -> None:
            scores, flags = torch.empty((block, len(part.key))), np.empty((_COMPARED, len(part.key)), bool)
            for start in starts:
                some = asked[start : start + block]
                block_scores = score_block(some, part.vectors, similarity, out=scores[: len(some)])
                block_scores[:, part.gaps] = -torch.inf
                judged = order[bounds[start] : bounds[start + len(some)]]
                own, others = part.count_before(
                    block_scores.numpy(),
                    judgement_query[judged] - start,
                    (judgement_language[judged] << 40) + judgement_passage[judged],
                    np.zeros(len(judged), np.float32) if thresholds is None else thresholds[judged],
                    flags,
                )
                in_language[judged] += own
                pooled[judged] += own + others
                top.merge(start, *part.top(block_scores, top_k))
                if on_progress:
                    on_progress(len(some) * len(part.known))

        _in_threads(score_blocks, list(range(0, len(queries), block)))
        first += len(vectors)
    return Ranks(pooled, in_language, top.place, as_declared(top.scores, asked, similarity).numpy())


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


def without_ignored(
    ranks: Ranks,
    judgement_query: IntArray,
    judgement_language: IntArray,
    ignored_query: IntArray,
    ignored_passage: IntArray,
    ignored_language: IntArray,
) -> Ranks:
    """Take passages out of the rankings of single queries, such as a query's own text from the pool.

    Args:
        ranks: of the judged pairs and, behind them, of the ignored ones; `top` deeper than wanted by as many as one
            query ignores at most.
        judgement_query: `(judgements,)`.
        judgement_language: `(judgements,)`; of the passages.
        ignored_query: `(ignored,)`; the query that a passage is taken from.
        ignored_passage: `(ignored,)`; the passage.
        ignored_language: `(ignored,)`; its language.
    """
    count = len(judgement_query)
    pooled, in_language = ranks.pooled[:count].copy(), ranks.in_language[:count].copy()
    if not len(ignored_query):
        return Ranks(pooled, in_language, ranks.top, ranks.top_scores)
    order = np.argsort(judgement_query, kind="stable")
    low, high = (np.searchsorted(judgement_query[order], ignored_query, side) for side in ("left", "right"))
    for n in range(len(ignored_query)):
        mine = order[low[n] : high[n]]
        pooled[mine] -= ranks.pooled[mine] > ranks.pooled[count + n]
        same = judgement_language[mine] == ignored_language[n]
        in_language[mine] -= same & (ranks.in_language[mine] > ranks.in_language[count + n])
    dropped = np.zeros(ranks.top.shape, bool)
    for query, passage in zip(ignored_query.tolist(), ignored_passage.tolist(), strict=True):
        dropped[query] |= ranks.top[query] == passage
    kept = np.argsort(dropped, axis=1, kind="stable")[:, : ranks.top.shape[1] - int(np.bincount(ignored_query).max())]
    return Ranks(
        pooled, in_language, np.take_along_axis(ranks.top, kept, 1), np.take_along_axis(ranks.top_scores, kept, 1)
    )


def _in_threads(work: Callable[[list[int]], None], starts: list[int]) -> None:
    """Let each thread score blocks of its own.

    One thread per block beats many threads within each operation: blocks stay in their core's cache, and nobody waits
    at a barrier, which on a busy machine costs more than the work.
    """
    threads = torch.get_num_threads()
    shares = [starts[n::threads] for n in range(threads) if starts[n::threads]]
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(work, shares))
    torch.set_num_threads(threads)


class _LaidOut:
    """A part of the corpus, language by language and in the original order within each.

    Columns of a language are filled up to a multiple of a word's, and all to one of a chunk's, with gaps.

    Attributes:
        vectors: `(columns, dimensions)`; zeros in gaps.
        key: `(columns,)`; where each passage stands in the whole corpus, with its language before it: sorts as ties are
            broken.
        known: `(passages,)`; the keys without the gaps.
        gaps: `(gaps,)`; columns.
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
        self.vectors = torch.from_numpy(table)
        self.known = (language[layout].astype(np.int64) << 40) + layout + first
        self.key = np.full(columns, _NOWHERE)
        self.key[self._column] = self.known
        self.gaps = torch.from_numpy(np.flatnonzero(self.key == _NOWHERE))
        pieces = [np.arange(start, start + size, 255) for start, size in zip(self._starts, words, strict=True)]
        self._pieces = np.concatenate([np.zeros(0, np.int64), *pieces])
        self._first_piece = np.searchsorted(self._pieces, self._starts)

    def count_before(
        self, scores: FloatArray, row: IntArray, key: IntArray, limit: FloatArray, flags: npt.NDArray[np.bool_]
    ) -> tuple[IntArray, IntArray]:
        """Count this part's passages before each judged one: of the judged one's language, and of the others.

        Args:
            scores: `(rows, columns)`; of a block of queries.
            row: `(judged,)`; the query of each, rising.
            key: `(judged,)`; the passage of each.
            limit: `(judged,)`; its score. For a passage of this part the score as computed here is what counts.
            flags: `(_COMPARED, columns)`; room to work in.
        """
        at = np.searchsorted(self.known, key)
        column = np.append(self._column, scores.shape[1])[at]
        inside = np.append(self.known, _NOWHERE)[at] == key
        limit[inside] = scores[row[inside], column[inside]]
        words = np.empty((len(row), len(self._pieces)), np.int64)
        turn = np.arange(len(row)) - np.searchsorted(row, row)
        edges = [*np.flatnonzero(turn % _COMPARED == 0).tolist(), len(row)]
        reached = []
        # One query at a time: its scores stay in the nearest cache while they are compared with all its limits.
        for start, stop in pairwise(edges):
            mine, limits, passed = scores[row[start]], limit[start:stop, None], flags[: stop - start]
            np.greater(mine, limits, out=passed)
            np.add.reduceat(passed.view(np.int64), self._pieces, axis=1, out=words[start:stop])
            reached.append(np.count_nonzero(np.greater_equal(mine, limits, out=passed)))
        above = self._counts(words)
        place = np.minimum(np.searchsorted(self._languages, key >> 40), len(self._languages) - 1)
        held = self._languages[place] == key >> 40
        own, total = np.where(held, above[np.arange(len(row)), place], 0), above.sum(1)
        expected = np.add.reduceat(total + inside, edges[:-1]) if edges[:-1] else []
        tied = np.repeat(np.array(reached, np.int64) > expected, np.diff(edges))
        for n in np.flatnonzero(tied).tolist():
            ties = np.flatnonzero(scores[row[n], : column[n]] == limit[n])  # those that stand before it
            own[n] += np.count_nonzero(self.key[ties] >> 40 == key[n] >> 40)
            total[n] += len(ties)
        return own, total - own

    def _counts(self, words: IntArray) -> IntArray:
        """The flags in sums of words, `(judged, pieces)`, counted by language, `(judged, languages)`."""
        pieces = words.view(np.uint8).reshape(*words.shape, _WORD).sum(2, dtype=np.int64)
        counts: IntArray = np.add.reduceat(pieces, self._first_piece, axis=1)
        return counts

    def top(self, scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and keys of the k best passages of this part for each row; fewer if it has fewer."""
        values, columns = _top(scores, min(k, len(self.known)))
        return values, torch.from_numpy(self.key)[columns]


class _Top:
    """The best passages so far of every query.

    Attributes:
        scores: `(queries, k)`; falling.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.scores = torch.full((queries, k), -torch.inf)
        self._key = torch.full((queries, k), torch.iinfo(torch.int64).max)

    def merge(self, start: int, scores: torch.Tensor, key: torch.Tensor) -> None:
        """Take better passages in, for as many queries from `start` on as there are rows."""
        rows = slice(start, start + len(scores))
        values, keys = torch.cat([self.scores[rows], scores], 1), torch.cat([self._key[rows], key], 1)
        order = _by_score(values, keys)[:, : self.scores.shape[1]]
        self.scores[rows], self._key[rows] = values.gather(1, order), keys.gather(1, order)

    @property
    def place(self) -> IntArray:
        """`(queries, k)`; places in the corpus."""
        place: IntArray = self._key.numpy() & ((1 << 40) - 1)
        return place


def _top(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and columns of the k best of each row, equal scores in order of column.

    The best columns lie in the chunks with the largest maxima, and reading maxima is a tenth of the work of
    selecting, so only those chunks are searched.
    """
    wide = min(k + _TIE_MARGIN, scores.shape[1])
    chunks = scores.shape[1] // _CHUNK
    if chunks > 2 * wide:
        even = scores.view(len(scores), chunks, _CHUNK)
        best = even.amax(2).topk(wide, dim=1).indices.sort(1).values
        values, chosen = even[torch.arange(len(scores))[:, None], best].flatten(1).topk(wide, dim=1)
        columns = best.gather(1, chosen // _CHUNK) * _CHUNK + chosen % _CHUNK
    else:
        values, columns = scores.topk(wide, dim=1)
    if wide > k:
        for row in torch.nonzero(values[:, k - 1] == values[:, -1]).flatten().tolist():  # more ties than the margin
            ties = torch.nonzero(scores[row] >= values[row, -1]).flatten()
            order = _by_score(scores[row, ties][None], ties[None])[0, :wide]
            values[row], columns[row] = scores[row, ties[order]], ties[order]
    order = _by_score(values, columns)[:, :k]
    return values.gather(1, order), columns.gather(1, order)


def _by_score(values: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Row-wise order by falling score, then by rising column."""
    by_column = columns.argsort(dim=1)
    by_value = values.gather(1, by_column).argsort(dim=1, descending=True, stable=True)
    return by_column.gather(1, by_value)
