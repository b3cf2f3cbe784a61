"""Exact ranks from embeddings: every setting of an evaluation from one pass over the scores.

A rank is one plus the number of passages that come before; counting them is a comparison and a sum, so no pool is
ever sorted. Passages are laid out language by language, so the same comparisons give a passage's rank in the pool
of all languages and its rank in the corpus of its own.

Ties are broken by place: of passages with equal scores those of the language with the smaller number come first, and
within a language those that stand first in the pool.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

DEFAULT_BLOCK_BYTES = 8 << 20  # scores held at a time; a block that stays in cache is counted several times faster
_TIE_MARGIN = 8  # extra candidates taken by `_top`, so that ties at its edge are rarely cut
_CHUNK = 64  # columns whose maximum stands for them while the best are looked for
_COUNT_WIDTH = 8 * 255  # eight bytes counted side by side, each at most 255 times


@dataclass(frozen=True)
class Ranks:
    """Where the relevant passages stand, and what stands first.

    Attributes:
        pooled: `(judgements,)`; rank among all passages, from 1.
        in_language: `(judgements,)`; rank among the passages of the same language, from 1.
        top: `(queries, k)`; the first k passages of the pool, best first.
        top_scores: `(queries, k)`; their scores.
    """

    pooled: IntArray
    in_language: IntArray
    top: IntArray
    top_scores: FloatArray


def rank_relevant(
    queries: FloatArray,
    passages: FloatArray,
    *,
    passage_language: IntArray,
    judgement_query: IntArray,
    judgement_passage: IntArray,
    top_k: int = 10,
    block_bytes: int = DEFAULT_BLOCK_BYTES,
    on_progress: Callable[[int], None] | None = None,
) -> Ranks:
    """Rank every relevant passage for its query, in the pool and in the corpus of its language.

    Args:
        queries: `(queries, dimensions)`, float32.
        passages: `(passages, dimensions)`, float32; the score is the inner product, a cosine for unit vectors.
        passage_language: `(passages,)`; language number of each passage.
        judgement_query: `(judgements,)`; the query of each judged pair.
        judgement_passage: `(judgements,)`; the passage of each judged pair.
        top_k: how many of the pool's first passages to return.
        block_bytes: memory for scores; more queries at a time than fit are scored in turn.
        on_progress: called with the number of queries just scored.

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
    layout = np.argsort(passage_language, kind="stable")  # language by language, original order within
    place = np.empty_like(layout)
    place[layout] = np.arange(len(layout))
    edges = np.searchsorted(passage_language[layout], np.arange(passage_language.max(initial=0) + 2))
    thresholds = _Judgements(judgement_query, place[judgement_passage], passage_language[judgement_passage])
    corpus = torch.from_numpy(np.ascontiguousarray(passages if _in_order(layout) else passages[layout])).T
    pooled, in_language = (np.zeros(len(judgement_query), np.int64) for _ in range(2))
    top_k = min(top_k, len(passages))
    top = np.zeros((len(queries), top_k), np.int64)
    top_scores = np.zeros((len(queries), top_k), np.float32)
    block = max(1, min(len(queries), block_bytes // (4 * max(1, len(passages)))))

    def score_blocks(starts: list[int]) -> None:
        scores = torch.empty((block, len(passages)))
        flags = torch.empty(scores.numel() + _COUNT_WIDTH * block, dtype=torch.bool)
        for start in starts:
            part = torch.from_numpy(np.ascontiguousarray(queries[start : start + block]))
            block_scores = torch.mm(part, corpus, out=scores[: len(part)])
            for entries, row, column, language in thresholds.of(start, start + len(part)):
                span = (int(edges[language]), int(edges[language + 1]))
                own, others = _count_before(block_scores, row, column, span, flags)
                in_language[entries] = 1 + own.numpy()
                pooled[entries] = 1 + (own + others).numpy()
            rows = slice(start, start + len(part))
            best_scores, best = _top(block_scores, top_k)
            top_scores[rows], top[rows] = best_scores.numpy(), layout[best.numpy()]
            if on_progress:
                on_progress(len(part))

    _in_threads(score_blocks, list(range(0, len(queries), block)))
    return Ranks(pooled, in_language, top, top_scores)


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


class _Judgements:
    """Judged pairs grouped so that a block of queries is compared with one threshold per query at a time."""

    def __init__(self, query: IntArray, column: IntArray, language: IntArray) -> None:
        self.order = np.lexsort((column, language, query))
        self.query, self.column, self.language = query[self.order], column[self.order], language[self.order]
        same = (np.diff(self.query, prepend=-1) == 0) & (np.diff(self.language, prepend=-1) == 0)
        run_start = np.maximum.accumulate(np.where(same, 0, np.arange(len(query))))
        self.turn = np.arange(len(query)) - run_start  # k-th judged passage of its query and language

    def of(self, start: int, stop: int) -> list[tuple[IntArray, torch.Tensor, torch.Tensor, int]]:
        """Groups of the queries `start` to `stop`: at most one judgement per query, all in one language."""
        low, high = np.searchsorted(self.query, [start, stop])
        groups = []
        keys = self.language[low:high] * (self.turn[low:high].max(initial=0) + 1) + self.turn[low:high]
        for key in np.unique(keys):
            at = low + np.flatnonzero(keys == key)
            row, column = torch.from_numpy(self.query[at] - start), torch.from_numpy(self.column[at])
            groups.append((self.order[at], row, column, int(self.language[at[0]])))
        return groups


def _count_before(
    scores: torch.Tensor, row: torch.Tensor, column: torch.Tensor, span: tuple[int, int], flags: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the passages before each judged one: within its language's span of columns, and outside it."""
    start, stop = span
    threshold = scores[row, column]
    if len(row) < len(scores):  # some queries of the block have no such judgement
        scores = scores[row]
    limit = threshold[:, None]
    own = scores[:, start:stop]
    above = _count(own, limit, flags, torch.gt)
    tied = torch.nonzero(_count(own, limit, flags, torch.ge) > above + 1).flatten()
    if len(tied):
        earlier_column = torch.arange(start, stop) < column[tied, None]
        above[tied] += ((own[tied] == limit[tied]) & earlier_column).sum(1)
    earlier = _count(scores[:, :start], limit, flags, torch.ge)  # ties that stand before the span come first
    later = _count(scores[:, stop:], limit, flags, torch.gt)
    return above, earlier + later


def _count(
    scores: torch.Tensor, limit: torch.Tensor, flags: torch.Tensor, compare: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """Row-wise count of scores that pass a limit, `(rows,)` int64.

    Eight flags of a byte each are added at once as one 64-bit word, up to 255 words, so no byte overflows.
    """
    rows, columns = scores.shape
    if columns == 0:
        return torch.zeros(rows, dtype=torch.int64)
    width = -(-columns // _COUNT_WIDTH) * _COUNT_WIDTH if columns > _COUNT_WIDTH else -(-columns // 8) * 8
    table = flags[: rows * width].view(rows, width)
    table[:, columns:] = False
    compare(scores, limit, out=table[:, :columns])
    words = table.view(torch.int64).view(rows, -1, min(width, _COUNT_WIDTH) // 8).sum(2)
    return words.contiguous().view(torch.uint8).view(rows, -1).sum(1)


def _top(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and columns of the k best of each row, equal scores in order of column.

    The best columns lie in the chunks with the largest maxima, and reading maxima is a tenth of the work of
    selecting, so only those chunks are searched.
    """
    wide = min(k + _TIE_MARGIN, scores.shape[1])
    chunks = scores.shape[1] // _CHUNK
    if chunks > 2 * wide:
        even, rest = scores[:, : chunks * _CHUNK].reshape(-1, chunks, _CHUNK), scores[:, chunks * _CHUNK :]
        best = even.amax(2).topk(wide, dim=1).indices.sort(1).values
        values = torch.cat([even.gather(1, best[:, :, None].expand(-1, -1, _CHUNK)).flatten(1), rest], 1)
        inside = (best[:, :, None] * _CHUNK + torch.arange(_CHUNK)).flatten(1)
        columns = torch.cat([inside, torch.arange(chunks * _CHUNK, scores.shape[1]).expand(len(scores), -1)], 1)
        values, chosen = values.topk(wide, dim=1)
        columns = columns.gather(1, chosen)
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


def _in_order(layout: IntArray) -> bool:
    return bool((np.diff(layout) > 0).all())
