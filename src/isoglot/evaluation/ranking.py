"""Exact ranks from embeddings: every setting of an evaluation from one pass over the scores.

A rank is one plus the number of passages that come before; counting them is a comparison and a sum, so no pool is
ever sorted, and a corpus of any size can be counted part by part. Within a part passages are laid out language by
language, so the same comparisons give a passage's rank in the pool of all languages and its rank in the corpus of its
own.

Ties are broken by place: of passages with equal scores those of the language with the smaller number come first, and
within a language those that stand first in the pool. Scores are float32 products; between parts a score may differ
in its last bit from the same score computed elsewhere, so passages of one text in different parts may swap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
Part = tuple[FloatArray, IntArray]
"""Vectors `(passages, dimensions)` and language numbers `(passages,)` of a run of the corpus."""

DEFAULT_BLOCK_BYTES = 16 << 20  # scores each thread holds; larger blocks leave the cache, smaller ones cost calls
PART_PASSAGES = 1 << 14  # passages scored at a time: queries enough in a block for the product to run at full speed
UNRANKED = 1 << 40
"""The rank of a passage that a run of limited depth does not hold: beyond any cutoff."""
_TIE_MARGIN = 8  # extra candidates taken by `_top`, so that ties at its edge are rarely cut
_CHUNK = 64  # columns whose maximum stands for them while the best are looked for
_COUNT_WIDTH = 8 * 255  # eight bytes counted side by side, each at most 255 times


@dataclass(frozen=True)
class Ranks:
    """Where the relevant passages stand, and what stands first.

    Attributes:
        pooled: `(judgements,)`; rank among all passages, from 1.
        in_language: `(judgements,)`; rank among the passages of the same language, from 1.
        top: `(queries, k)`; the first k passages of the pool, best first; -1 where a run of limited depth ends.
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
    part_passages: int = PART_PASSAGES,
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
        judgement_query=judgement_query,
        judgement_passage=judgement_passage,
        judgement_language=passage_language[judgement_passage],
        thresholds=scores_of_pairs(queries, passages, judgement_query, judgement_passage) if len(starts) > 1 else None,
        top_k=min(top_k, len(passages)),
        block_bytes=block_bytes,
        on_progress=on_progress,
    )


def rank_in_parts(
    queries: FloatArray,
    parts: Iterable[Part],
    *,
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
        judgement_query: `(judgements,)`; the query of each judged pair.
        judgement_passage: `(judgements,)`; the passage of each judged pair, by its place in the whole corpus.
        judgement_language: `(judgements,)`; the language of that passage.
        thresholds: `(judgements,)`; the scores of the judged pairs, which must be known before the first part is
            counted. None will do where there is one part only.
        top_k: how many of the pool's first passages to return; at most as many as there are passages.
        block_bytes: memory for scores.
        on_progress: called with the number of scores just computed.
    """
    judged = _Judgements(judgement_query, judgement_passage, judgement_language)
    pooled, in_language = (np.ones(len(judgement_query), np.int64) for _ in range(2))
    top = _Top(len(queries), top_k)
    first = 0
    for vectors, language in parts:
        part = _LaidOut(vectors, language, first)
        block = max(1, min(len(queries), block_bytes // (4 * max(1, len(vectors)))))

        def score_blocks(starts: list[int], part: _LaidOut = part, block: int = block) -> None:
            size = len(part.place)
            scores = torch.empty((block, size))
            flags = torch.empty(scores.numel() + _COUNT_WIDTH * block, dtype=torch.bool)
            for start in starts:
                some = torch.from_numpy(np.ascontiguousarray(queries[start : start + block]))
                block_scores = torch.mm(some, part.vectors.T, out=scores[: len(some)])
                for group in judged.groups(start, start + len(some)):
                    own, others = part.count_before(block_scores, group, thresholds, flags)
                    in_language[group.entries] += own
                    pooled[group.entries] += own + others
                top.merge(start, *part.top(block_scores, top_k))
                if on_progress:
                    on_progress(len(some) * size)

        _in_threads(score_blocks, list(range(0, len(queries), block)))
        first += len(vectors)
    return Ranks(pooled, in_language, top.place, top.scores)


def scores_of_pairs(queries: FloatArray, passages: FloatArray, query: IntArray, passage: IntArray) -> FloatArray:
    """Scores of single pairs of a query and a passage, `(pairs,)`, some thousands at a time."""
    scores = np.empty(len(query), np.float32)
    for start in range(0, len(query), PART_PASSAGES):
        some = slice(start, start + PART_PASSAGES)
        scores[some] = np.einsum("nd,nd->n", queries[query[some]], passages[passage[some]])
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


@dataclass(frozen=True)
class _Group:
    """Judgements that are compared at once: at most one per query, all in one language.

    Attributes:
        entries: their numbers.
        row: `(entries,)`; the query of each, counted from the block's first.
        passage: `(entries,)`; the passage of each.
        language: of all the passages.
    """

    entries: IntArray
    row: torch.Tensor
    passage: IntArray
    language: int


class _Judgements:
    """Judged pairs grouped so that a block of queries is compared with one threshold per query at a time."""

    def __init__(self, query: IntArray, passage: IntArray, language: IntArray) -> None:
        self.order = np.lexsort((passage, language, query))
        self.query, self.passage, self.language = query[self.order], passage[self.order], language[self.order]
        same = (np.diff(self.query, prepend=-1) == 0) & (np.diff(self.language, prepend=-1) == 0)
        run_start = np.maximum.accumulate(np.where(same, 0, np.arange(len(query))))
        self.turn = np.arange(len(query)) - run_start  # k-th judged passage of its query and language

    def groups(self, start: int, stop: int) -> list[_Group]:
        """Groups of the queries `start` to `stop`."""
        low, high = np.searchsorted(self.query, [start, stop])
        groups = []
        keys = self.language[low:high] * (self.turn[low:high].max(initial=0) + 1) + self.turn[low:high]
        for key in np.unique(keys):
            at = low + np.flatnonzero(keys == key)
            row = torch.from_numpy(self.query[at] - start)
            groups.append(_Group(self.order[at], row, self.passage[at], int(self.language[at[0]])))
        return groups


class _LaidOut:
    """A part of the corpus, language by language and in the original order within each.

    Attributes:
        vectors: `(passages, dimensions)`.
        place: `(passages,)`; where each stands in the whole corpus.
        key: `(passages,)`; the same with the language before it: sorts as ties are broken.
    """

    def __init__(self, vectors: FloatArray, language: IntArray, first: int) -> None:
        layout = np.argsort(language, kind="stable")
        in_order = bool((np.diff(layout) > 0).all())
        self.vectors = torch.from_numpy(np.ascontiguousarray(vectors if in_order else vectors[layout]))
        self.place = layout + first
        self.key = torch.from_numpy((language[layout].astype(np.int64) << 40) + self.place)
        self._language = language[layout]

    def count_before(
        self, scores: torch.Tensor, group: _Group, thresholds: FloatArray | None, flags: torch.Tensor
    ) -> tuple[IntArray, IntArray]:
        """Count this part's passages before each judged one: of the judged one's language, and of the others."""
        start, stop = np.searchsorted(self._language, [group.language, group.language + 1]).tolist()
        column = start + np.searchsorted(self.place[start:stop], group.passage)  # ties before it come first
        here = np.zeros(len(column), bool)
        here[column < stop] = self.place[column[column < stop]] == group.passage[column < stop]
        limit = torch.from_numpy(np.zeros(len(column), np.float32) if thresholds is None else thresholds[group.entries])
        inside = torch.from_numpy(here)  # the judged passage itself: its score as computed here is what counts here
        limit[inside] = scores[group.row[inside], torch.from_numpy(column)[inside]]
        if len(group.row) < len(scores):  # some queries of the block have no such judgement
            scores = scores[group.row]
        own = scores[:, start:stop]
        above = _count(own, limit, flags, torch.gt)
        tied = torch.nonzero(_count(own, limit, flags, torch.ge) > above + inside).flatten()
        if len(tied):
            earlier = torch.arange(start, stop) < torch.from_numpy(column)[tied, None]
            above[tied] += ((own[tied] == limit[tied, None]) & earlier).sum(1)
        before = _count(scores[:, :start], limit, flags, torch.ge)  # ties in languages before it come first
        after = _count(scores[:, stop:], limit, flags, torch.gt)
        return above.numpy(), (before + after).numpy()

    def top(self, scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and keys of the k best passages of this part for each row; fewer if it has fewer."""
        values, columns = _top(scores, min(k, scores.shape[1]))
        return values, self.key[columns]


class _Top:
    """The best passages so far of every query."""

    def __init__(self, queries: int, k: int) -> None:
        self._scores = torch.full((queries, k), -torch.inf)
        self._key = torch.full((queries, k), torch.iinfo(torch.int64).max)

    def merge(self, start: int, scores: torch.Tensor, key: torch.Tensor) -> None:
        """Take better passages in, for as many queries from `start` on as there are rows."""
        rows = slice(start, start + len(scores))
        values, keys = torch.cat([self._scores[rows], scores], 1), torch.cat([self._key[rows], key], 1)
        order = _by_score(values, keys)[:, : self._scores.shape[1]]
        self._scores[rows], self._key[rows] = values.gather(1, order), keys.gather(1, order)

    @property
    def place(self) -> IntArray:
        """`(queries, k)`; places in the corpus."""
        place: IntArray = self._key.numpy() & ((1 << 40) - 1)
        return place

    @property
    def scores(self) -> FloatArray:
        """`(queries, k)`; falling."""
        scores: FloatArray = self._scores.numpy()
        return scores


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
    compare(scores, limit[:, None], out=table[:, :columns])
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
