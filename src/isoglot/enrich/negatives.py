"""Hard negatives: passages that score near the right one and are wrong, found by any encoder.

A wrong passage in the query's own language that outranks a right one in another is what language bias looks like, so
by default negatives are looked for there. The search is exact: every allowed passage is scored, block by block. What
keeps right answers out of the negatives is the positive-aware margin of NV-Retriever (arXiv 2407.15831) and the groups
of `ParallelPairs.deduplicate`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Literal, get_args
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from sentence_transformers import SentenceTransformer

from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.models.embed import EmbeddingStore, embed
from isoglot.models.similarity import Similarity, as_declared, prepare, score_block, score_pairs
from isoglot.pairs import ParallelPairs
from isoglot.pairs.duplicates import connected, key_numbers, near_key, passage_key, query_key
from isoglot.pairs.schema import SCHEMA, codes

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
NegativeLanguage = Literal["query", "passage", "any"]

_CHUNK_ROWS = 1024  # rows mined between two writes to disk; what an interrupt can lose
_PART_PASSAGES = 1 << 14  # passages scored at a time: 64 MB of scores with a chunk of rows


@dataclass(frozen=True)
class _Settings:
    """What decides, beside texts and vectors, which negatives a row gets."""

    number: int
    language: NegativeLanguage
    margin: float
    skip: int
    draw_from: int
    seed: int
    similarity: Similarity = "cosine"


@dataclass(frozen=True)
class _Pool:
    """The candidates, and what must be known of each table row.

    Attributes:
        example: `(rows,)`; example number of each row.
        language: `(rows,)`; language number of each row.
        group: `(rows,)`; rows of one group say the same, or answer the same query.
        positives: `(examples, languages)`; the row of each example in each language, -1 where there is none.
        members: per language the rows whose passages are candidates: the first of those with the same passage.
    """

    example: IntArray
    language: IntArray
    group: IntArray
    positives: IntArray
    members: list[IntArray]


def mine_negatives(
    pairs: ParallelPairs,
    model: SentenceTransformer,
    *,
    number: int = 4,
    language: NegativeLanguage = "query",
    margin: float = 0.95,
    skip: int = 0,
    draw_from: int | None = None,
    seed: int = 0,
    work_dir: str | Path | None = None,
    store: EmbeddingStore | None = None,
    batch_size: int = 32,
    bf16: bool = False,
) -> ParallelPairs:
    """Fill the `negatives` of every row that has a query; what stood there is replaced.

    Candidates are the distinct passages of all rows, those without a query too. A row never gets a passage of its own
    example in any language, nor of an example that `ParallelPairs.deduplicate` would merge with it: one that shares,
    directly or through others, a passage, the long beginning of one or a query in any language. Scores are by the
    similarity that the model declares; those by a distance are negative.

    Args:
        pairs: what to mine for and in.
        model: any encoder; a debiased one finds other negatives than a biased one.
        number: negatives per row, at most; fewer where there are not so many candidates.
        language: of the negatives. `query`: the row's own, in which the query is asked. `passage`: those in which
            the example's passage can be had in another language than the query's; the row's own where there is no
            translation. `any`: all.
        margin: a candidate that scores above `margin` times the right passage's score is left out, as it may be right
            too; 0 to 1. The right passage is the one in the candidate's language, because scores are comparable within
            a language only; where there is none, the one of the example with the lowest score. For a negative score s
            the limit is s - (1 - margin) |s|.
        skip: leave out so many candidates from the top; those that the margin leaves out count.
        draw_from: draw the negatives from the best so many candidates that are left; if None, the best are taken.
        seed: of that draw.
        work_dir: where vectors and finished parts are kept, so that a second call goes on where the first was
            interrupted, to the same result; nowhere if None. Safe to delete.
        store: where vectors are kept, if not in `work_dir`.
        batch_size: texts encoded at a time.
        bf16: encode in bfloat16.

    Returns:
        The same rows with `negatives` from the best to the worst; null where there are none.

    Raises:
        InputError: if a setting is out of range, or there is no query.
    """
    settings = _checked(_Settings(number, language, margin, skip, draw_from or number, seed))
    asked = np.flatnonzero(pairs.table["query"].is_valid().to_numpy())
    if not len(asked):
        raise InputError("no row has a query, so there is nothing to mine for; give pairs with queries")
    if store is None and work_dir is not None:
        store = EmbeddingStore(Path(work_dir) / "embeddings")
    tags: list[str] = pairs.table["language"].to_pylist()
    with progress("Encoding for negatives", len(pairs) + len(asked)) as advance:
        passages = embed(
            model,
            [str(text) for text in pairs.texts("passage")],
            "passage",
            tasks=tags,
            store=store,
            batch_size=batch_size,
            bf16=bf16,
            on_progress=advance,
        )
        queries = embed(
            model,
            [str(text) for text in pairs.texts("query", asked)],
            "query",
            tasks=[tags[row] for row in asked.tolist()],
            store=store,
            batch_size=batch_size,
            bf16=bf16,
            on_progress=advance,
        )
    similarity = model.similarity_fn_name
    queries, passages = prepare(queries, similarity, "query"), prepare(passages, similarity, "passage")
    settings, pool = replace(settings, similarity=similarity), _pool(pairs)
    chunks = range(0, len(asked), _CHUNK_ROWS)
    folder = None if work_dir is None else Path(work_dir) / _key(pairs, queries, passages, settings)
    found = []
    with progress("Mining negatives", len(asked)) as advance:
        for start in chunks:
            rows = asked[start : start + _CHUNK_ROWS]

            def mine(rows: IntArray = rows, start: int = start) -> IntArray:
                some = queries[start : start + len(rows)]
                rng = np.random.default_rng([settings.seed, start])
                return _draw(*_candidates(some, passages, rows, pool, settings), settings, rng)

            found.append(_kept(None if folder is None else folder / f"rows-{start:010d}.npy", mine))
            advance(len(rows))
    return _with_negatives(pairs, asked, np.concatenate(found))


def _checked(settings: _Settings) -> _Settings:
    if settings.number < 1 or settings.skip < 0:
        raise InputError(f"number {settings.number} and skip {settings.skip}: they must be at least 1 and 0")
    if settings.draw_from < settings.number:
        raise InputError(f"draw_from {settings.draw_from}: must be at least number, {settings.number}")
    if not 0 <= settings.margin <= 1:
        raise InputError(f"margin {settings.margin}: must be between 0 and 1; .95 is usual")
    if settings.language not in get_args(NegativeLanguage):
        raise InputError(f'language "{settings.language}": must be one of {", ".join(get_args(NegativeLanguage))}')
    return settings


def _pool(pairs: ParallelPairs) -> _Pool:
    example, ids = codes(pairs.table["id"])
    language, tags = codes(pairs.table["language"])
    passage = key_numbers(passage_key(pairs.table["passage"]))
    near = key_numbers(near_key(pairs.table["passage"]))
    query = key_numbers(query_key(pairs.table["query"]))
    group = connected(example, [passage, near, query], len(ids))[example]
    positives = np.full((len(ids), len(tags)), -1, np.int64)
    positives[example, language] = np.arange(len(example))
    distinct = np.unique(language * (passage.max(initial=0) + 1) + passage, return_index=True)[1]
    members = [np.sort(distinct[language[distinct] == number]) for number in range(len(tags))]
    return _Pool(example, language, group, positives, members)


def _key(pairs: ParallelPairs, queries: FloatArray, passages: FloatArray, settings: _Settings) -> str:
    """Everything the result depends on, as the name of a folder."""
    digest = hashlib.sha256(f"{pairs.fingerprint}{astuple(settings)}".encode())
    digest.update(queries.tobytes())
    digest.update(passages.tobytes())
    return digest.hexdigest()[:32]


def _kept(path: Path | None, mine: Callable[[], IntArray]) -> IntArray:
    """The negatives in a file, as `mine` gives them; mined and written whole where it is not there or damaged.

    The file is the array's and, at its end, its CRC-32: a number that changed would name another passage.
    """
    if path is not None and path.exists():
        content = path.read_bytes()
        if content[-8:] == f"{crc32(content[:-8]):08x}".encode():
            kept: IntArray = np.load(BytesIO(content), allow_pickle=False)
            return kept
    found = mine()
    if path is not None:
        with write_whole(path) as temporary, temporary.open("wb") as file:
            array = BytesIO()
            np.save(array, found)
            file.write(array.getvalue() + f"{crc32(array.getvalue()):08x}".encode())
    return found


def _languages_allowed(rows: IntArray, pool: _Pool, policy: NegativeLanguage) -> BoolArray:
    """`(rows, languages)`; in which languages a row may have negatives."""
    own: BoolArray = np.arange(pool.positives.shape[1]) == pool.language[rows, None]
    if policy == "query":
        return own
    if policy == "any":
        return np.ones_like(own)
    others: BoolArray = (pool.positives[pool.example[rows]] >= 0) & ~own
    return others | (own & ~others.any(axis=1, keepdims=True))


def _limits(queries: FloatArray, passages: FloatArray, rows: IntArray, pool: _Pool, settings: _Settings) -> FloatArray:
    """`(rows, languages)`; the score up to which a candidate of a language counts as wrong."""
    right = pool.positives[pool.example[rows]]
    scores = np.full(right.shape, np.inf, np.float32)
    for number in range(right.shape[1]):
        has = right[:, number] >= 0
        found = score_pairs(queries[has], passages[right[has, number]], settings.similarity)
        asked = torch.from_numpy(queries[has])
        scores[has, number] = as_declared(torch.from_numpy(found), asked, settings.similarity)
    scores = np.where(np.isinf(scores), scores.min(axis=1, keepdims=True), scores)
    return np.asarray(scores - (1 - settings.margin) * np.abs(scores), np.float32)


def _blocks(rows: IntArray, pool: _Pool, policy: NegativeLanguage) -> Iterator[tuple[int, IntArray, IntArray]]:
    """Language, places among the rows that may have it, and a part of its candidates."""
    allowed = _languages_allowed(rows, pool, policy)
    for number, members in enumerate(pool.members):
        asking = np.flatnonzero(allowed[:, number])
        for start in range(0, len(members) if len(asking) else 0, _PART_PASSAGES):
            yield number, asking, members[start : start + _PART_PASSAGES]


def _candidates(
    queries: FloatArray, passages: FloatArray, rows: IntArray, pool: _Pool, settings: _Settings
) -> tuple[IntArray, IntArray]:
    """The best candidates below the margin, and how many there are above it.

    Args:
        queries: `(rows, dimensions)`.
        passages: `(table rows, dimensions)`.
        rows: `(rows,)`; the table row of each query.
        pool: the candidates.
        settings: how to choose.

    Returns:
        `(rows, skip + draw_from)`, table rows of passages, best first, -1 where there are no more; `(rows,)`.
    """
    depth = settings.skip + settings.draw_from
    limits = torch.from_numpy(_limits(queries, passages, rows, pool, settings))
    best = torch.full((len(rows), depth), -torch.inf)
    place = torch.full((len(rows), depth), -1)
    above = torch.zeros(len(rows), dtype=torch.int64)
    for language, asking, members in _blocks(rows, pool, settings.language):
        some = torch.from_numpy(queries[asking])
        scores = score_block(some, torch.from_numpy(passages[members]), settings.similarity)
        scores = as_declared(scores, some, settings.similarity)
        same = torch.from_numpy(pool.group[rows[asking], None] == pool.group[members])
        scores.masked_fill_(same, -torch.inf)
        maybe_right = scores > limits[asking, language, None]
        above[asking] += maybe_right.sum(1)
        scores.masked_fill_(maybe_right, -torch.inf)
        values, columns = scores.topk(min(depth, len(members)), dim=1)
        values = torch.cat([best[asking], values], 1)
        places = torch.cat([place[asking], torch.from_numpy(members)[columns]], 1)
        order = values.argsort(dim=1, descending=True, stable=True)[:, :depth]
        best[asking], place[asking] = values.gather(1, order), places.gather(1, order)
    place[torch.isinf(best)] = -1
    return place.numpy(), above.numpy()


def _draw(place: IntArray, above: IntArray, settings: _Settings, rng: np.random.Generator) -> IntArray:
    """Of each row's candidates, after those to skip, the best or a draw; `(rows, number)`, best first, -1 for none."""
    first = np.maximum(settings.skip - above, 0)  # candidates above the margin stand before all others
    left = np.take_along_axis(place, first[:, None] + np.arange(settings.draw_from), axis=1)
    chance = np.where(left < 0, 2.0, rng.random(left.shape))
    chosen = np.sort(np.argsort(chance, axis=1, kind="stable")[:, : settings.number], axis=1)
    return np.take_along_axis(left, chosen, axis=1)


def _with_negatives(pairs: ParallelPairs, asked: IntArray, found: IntArray) -> ParallelPairs:
    """The pairs with the passages of the rows found as negatives of the rows asked for."""
    counts = np.zeros(len(pairs), np.int64)
    counts[asked] = (found >= 0).sum(axis=1)
    texts = pairs.texts("passage", found[found >= 0])
    offsets = pa.array(np.append(0, np.cumsum(counts)), pa.int32())
    negatives = pa.ListArray.from_arrays(offsets, pa.array(texts, pa.string()), mask=pa.array(counts == 0))
    place = SCHEMA.get_field_index("negatives")
    return ParallelPairs(pairs.table.set_column(place, SCHEMA.field(place), negatives))
