"""Hard negatives: passages that score near the right one and are wrong, found by any encoder.

The search is exact: every allowed passage is scored, block by block. What keeps right answers out of the negatives is
the positive-aware margin of NV-Retriever (arXiv 2407.15831) and the groups of `ParallelPairs.deduplicate`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.common.progress import progress, tell
from isoglot.common.roles import Role
from isoglot.models.embed import embed
from isoglot.models.similarity import Similarity, as_declared, prepare, score_block, score_pairs
from isoglot.pairs import ParallelPairs
from isoglot.pairs.duplicates import connected, key_numbers, near_key, passage_key, query_key, shared
from isoglot.pairs.numbers import Column
from isoglot.runtime.store import EmbeddingStore

if TYPE_CHECKING:
    from datasets import Dataset

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
NegativeLanguage = Literal["query", "passage", "any"]
Data = TypeVar("Data", bound="ParallelPairs | Dataset")

_CHUNK_ROWS = 1024  # rows mined between two writes to disk; what an interrupt can lose
_TEXTS_AT_A_TIME = 1 << 14
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
    similarity: Similarity

    def __post_init__(self) -> None:
        if self.number < 1 or self.skip < 0:
            raise InputError(f"number {self.number} and skip {self.skip}: they must be at least 1 and 0")
        if self.draw_from < self.number:
            raise InputError(f"draw_from {self.draw_from}: must be at least number, {self.number}")
        if not 0 <= self.margin <= 1:
            raise InputError(f"margin {self.margin}: must be between 0 and 1; .95 is usual")
        if self.language not in get_args(NegativeLanguage):
            raise InputError(f'language "{self.language}": must be one of {", ".join(get_args(NegativeLanguage))}')


@dataclass(frozen=True)
class _Pool:
    """The candidates, and what must be known of each table row."""

    example: IntArray  # `(rows,)`; example number of each row
    language: IntArray  # `(rows,)`; language number of each row
    group: IntArray  # `(rows,)`; rows of one group say the same, or answer the same query
    order: IntArray  # `(rows,)`; the rows example by example
    starts: IntArray  # `(examples,)`; where in that order an example begins
    sizes: IntArray  # `(examples,)`; how many rows it has
    members: list[IntArray]  # per language the rows whose passages are candidates: the first of each passage
    read: IntArray  # `(vectors,)`; the first row of each passage in each language, which is encoded
    vector: IntArray  # `(rows,)`; which of the vectors is that of the row's passage

    def positives(self, rows: IntArray) -> IntArray:
        """`(rows, languages)`; the row of each row's example in each language, -1 where there is none."""
        example = self.example[rows]
        sizes = self.sizes[example]
        nth = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        found = self.order[np.repeat(self.starts[example], sizes) + nth]
        right = np.full((len(rows), len(self.members)), -1, np.int64)
        right[np.repeat(np.arange(len(rows)), sizes), self.language[found]] = found
        return right


def mine_negatives(
    data: Data,
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
) -> Data:
    """Find hard negatives for every row that has a query; what stood in their place is replaced.

    Candidates are the distinct passages of all rows, those without a query too. A row never gets a passage of its own
    example in any language, nor of an example that `ParallelPairs.deduplicate` would merge with it: one that shares,
    directly or through others, a passage, the long beginning of one or a query in any language. Scores are by the
    similarity that the model declares; those by a distance are negative.

    Args:
        data: what to mine for and in. Or a plain `datasets.Dataset` with the columns `query` and `passage`, for a
            script of sentence-transformers; translations share a value of a column `id`, if there is one, and a column
            `language` says what a row is in, or all are taken to be English.
        model: any encoder; a debiased one finds other negatives than a biased one.
        number: negatives per row, at most; fewer where there are not so many candidates.
        language: of the negatives. `query`: the row's own, in which the query is asked: a wrong passage there that
            outranks a right one in another is what language bias looks like. `passage`: those in which the example's
            passage can be had in another language than the query's; the row's own where there is no translation.
            `any`: all.
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
        The same rows with `negatives` from the best to the worst; null where there are none. Of a data set the rows
        that have `number` of them, in columns `negative_1`, `negative_2` and so on, one alone in `negative`, as the
        losses of sentence-transformers and `isoglot.training.losses.Objective` take them.

    Raises:
        InputError: if a setting is out of range, or there is no query.
    """
    pairs = data if isinstance(data, ParallelPairs) else _pairs_of(data)
    settings = _Settings(number, language, margin, skip, draw_from or number, seed, model.similarity_fn_name)
    asked = np.flatnonzero(pairs.has_query)
    if not len(asked):
        raise InputError("no row has a query, so there is nothing to mine for; give pairs with queries")
    if store is None and work_dir is not None:
        store = EmbeddingStore(Path(work_dir) / "embeddings")
    pool = _pool(pairs)
    with progress("Encoding for negatives", len(pool.read) + len(asked)) as advance:
        encode = partial(embed, model, store=store, batch_size=batch_size, bf16=bf16, on_progress=advance)
        passages = _vectors(pairs, "passage", pool.read, encode, settings.similarity)
        queries = _vectors(pairs, "query", asked, encode, settings.similarity)
    folder = None if work_dir is None else Path(work_dir) / _key(pairs, queries, passages, settings)
    found = []
    with progress("Mining negatives", len(asked)) as advance:
        for start in range(0, len(asked), _CHUNK_ROWS):
            rows = asked[start : start + _CHUNK_ROWS]

            def mine(rows: IntArray = rows, start: int = start) -> IntArray:
                some = queries[start : start + len(rows)]
                rng = np.random.default_rng([settings.seed, start])
                return _draw(*_candidates(some, passages, rows, pool, settings), settings, rng)

            found.append(_kept(None if folder is None else folder / f"rows-{start:010d}.npy", mine))
            advance(len(rows))
    mined = _with_negatives(pairs, asked, np.concatenate(found))
    return cast(Data, mined if pairs is data else _with_columns(data, mined, number))


def _pairs_of(dataset: Dataset) -> ParallelPairs:
    """A row of pairs for each row of a data set."""
    names = dataset.column_names
    for name in ("query", "passage"):
        if name not in names:
            mending = f'rename the one that is meant, with dataset.rename_column("{names[0]}", "{name}")'
            raise InputError(f'the data set has no column "{name}", but {", ".join(names)}; {mending}')
    rows = dataset.select_columns([name for name in ("id", "language", "query", "passage") if name in names])
    return ParallelPairs.from_rows(
        {"language": "en", **row, "id": str(row.get("id", number))} for number, row in enumerate(rows)
    )


def _with_columns(dataset: Dataset, mined: ParallelPairs, number: int) -> Dataset:
    """The rows of a data set that have so many negatives, each in a column of its own."""
    negatives = mined.negatives()
    full = [row for row, found in enumerate(negatives) if len(found) == number]
    if len(full) < len(negatives):
        tell(f"{len(negatives) - len(full):,} of {len(negatives):,} rows have fewer than {number} negatives")
    result = dataset.select(full)
    for place in range(number):
        name = "negative" if number == 1 else f"negative_{place + 1}"
        result = result.remove_columns(name) if name in result.column_names else result
        result = result.add_column(name, [negatives[row][place] for row in full])
    return result


def _vectors(
    pairs: ParallelPairs, role: Role, rows: IntArray, encode: Callable[..., FloatArray], similarity: Similarity
) -> FloatArray:
    """`(rows, dimensions)`, made ready to be scored, on disk where they are many; texts are encoded part by part."""
    found = Column(np.float32)
    for start in range(0, len(rows), _TEXTS_AT_A_TIME):
        some = rows[start : start + _TEXTS_AT_A_TIME]
        tags = [pairs.languages[number] for number in pairs.language[some].tolist()]
        vectors = encode([str(text) for text in pairs.texts(role, some)], role, tasks=tags)
        found.append(prepare(vectors, similarity, role).ravel())
    return found.finish().reshape(len(rows), -1)


def _pool(pairs: ParallelPairs) -> _Pool:
    rows, tags = pairs.numbers, len(pairs.languages)
    same = key_numbers(pairs.store, rows.passage, passage_key)
    links = [
        shared(rows, "passage", same),
        shared(rows, "passage", key_numbers(pairs.store, rows.passage, near_key)),
        shared(rows, "query", key_numbers(pairs.store, rows.query, query_key)),
    ]
    group = connected(links, pairs.example_count)[rows.example]
    language = rows.language.astype(np.int64)
    spoken = rows.passage.astype(np.int64) * tags + language  # one text in two languages may have two vectors
    _, read, vector = np.unique(spoken, return_index=True, return_inverse=True)
    distinct = np.unique(same[rows.passage].astype(np.int64) * tags + language, return_index=True)[1]
    members = [np.sort(distinct[language[distinct] == number]) for number in range(tags)]
    order, sizes = np.argsort(rows.example, kind="stable"), np.bincount(rows.example)
    return _Pool(rows.example, language, group, order, np.cumsum(sizes) - sizes, sizes, members, read, vector)


def _key(pairs: ParallelPairs, queries: FloatArray, passages: FloatArray, settings: _Settings) -> str:
    """Everything the result depends on, as the name of a folder."""
    digest = hashlib.sha256(f"{pairs.fingerprint}{astuple(settings)}".encode())
    for vectors in (queries, passages):
        digest.update(np.ascontiguousarray(vectors).data)
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
    own: BoolArray = np.arange(len(pool.members)) == pool.language[rows, None]
    if policy == "query":
        return own
    if policy == "any":
        return np.ones_like(own)
    others: BoolArray = (pool.positives(rows) >= 0) & ~own
    return others | (own & ~others.any(axis=1, keepdims=True))


def _limits(queries: FloatArray, passages: FloatArray, rows: IntArray, pool: _Pool, settings: _Settings) -> FloatArray:
    """`(rows, languages)`; the score up to which a candidate of a language counts as wrong."""
    right = pool.positives(rows)
    scores = np.full(right.shape, np.inf, np.float32)
    for number in range(right.shape[1]):
        has = right[:, number] >= 0
        found = score_pairs(queries[has], passages[pool.vector[right[has, number]]], settings.similarity)
        scores[has, number] = as_declared(found, queries[has], settings.similarity)
    scores = np.where(np.isinf(scores), scores.min(axis=1, keepdims=True), scores)
    return np.asarray(scores - (1 - settings.margin) * np.abs(scores), np.float32)


def _blocks(rows: IntArray, pool: _Pool, policy: NegativeLanguage) -> Iterator[tuple[int, IntArray, IntArray]]:
    """Language, places among the rows that may have it, and a part of its candidates."""
    for number, allowed in enumerate(_languages_allowed(rows, pool, policy).T):
        asking, members = np.flatnonzero(allowed), pool.members[number]
        for start in range(0, len(members) if len(asking) else 0, _PART_PASSAGES):
            yield number, asking, members[start : start + _PART_PASSAGES]


def _candidates(
    queries: FloatArray, passages: FloatArray, rows: IntArray, pool: _Pool, settings: _Settings
) -> tuple[IntArray, IntArray]:
    """The best candidates below the margin, and how many there are above it.

    Gives `(rows, skip + draw_from)`, table rows of passages, best first, -1 where there are no more; and `(rows,)`.
    """
    depth = settings.skip + settings.draw_from
    limits = torch.from_numpy(_limits(queries, passages, rows, pool, settings))
    best = torch.full((len(rows), depth), -torch.inf)
    place = torch.full((len(rows), depth), -1)
    above = torch.zeros(len(rows), dtype=torch.int64)
    for language, asking, members in _blocks(rows, pool, settings.language):
        some = queries[asking]
        found = score_block(some, passages[pool.vector[members]], settings.similarity)
        scores = torch.from_numpy(as_declared(found, some, settings.similarity))
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
    counts, several = np.full(len(pairs), -1, np.int64), (found >= 0).sum(axis=1)
    counts[asked] = np.where(several, several, -1)
    return pairs.with_negatives(counts, found[found >= 0])
