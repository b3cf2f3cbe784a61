"""A collection on a Qdrant server or cluster: rows with all that is shown of them, so that a URL is enough."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.errors import InputError, UnavailableError
from isoglot.common.extras import library
from isoglot.common.progress import progress
from isoglot.search.index import LEAST_LOOKED_AT, Nearest, Wanted, with_equals
from isoglot.search.store import NO_ROWS, State, Store, group_of, new_name

_DISTANCES = {"cosine": "COSINE", "dot": "DOT", "euclidean": "EUCLID", "manhattan": "MANHATTAN"}
_POINTS = 1 << 8  # rows per request: a few megabytes
_UNFINISHED = -1  # a generation that no index has
_SHOWN = ("id", "group", "language", "text", "fields")


class QdrantIndex:
    """A collection as an index, and as the rows behind it.

    The key of a server that wants one is taken from the environment, `QDRANT_API_KEY`.

    Args:
        url: `http://host:6333/COLLECTION`.
        named: whether the caller gave that URL. One that stands in an index folder may be anybody's, so that while
            there is a key in the environment `QDRANT_URL` must name its server, too.
        client: a `qdrant_client.QdrantClient`, in place of one for that URL.

    Raises:
        InputError: if nobody named the server and there is a key.
        UnavailableError: if the server cannot be reached.

    Attributes:
        state: what is known of the rows, as `State` has it; None while there is no collection.
    """

    def __init__(self, url: str, *, named: bool = True, client: Any = None) -> None:
        self.url, (server, self._name) = url, _parts(url)
        key = _key_for(server, named)
        self._library, self._client = _library(server, key, client)
        with self._told():
            self.state = self._state() if self._client.collection_exists(self._name) else None

    def nearest(self, queries: FloatArray, depth: int, wanted: Sequence[Wanted]) -> list[list[Nearest]]:
        """As `Index.nearest`, but for rows that an approximate search misses."""
        asked = depth + 1
        requests = [self._request(query, each, asked) for query in queries for each in wanted]
        answers = iter(self._asked(requests))

        def one(query: FloatArray, each: Wanted) -> Nearest:
            def more(size: int) -> Nearest:
                return self._found(self._asked([self._request(query, each, size)])[0], size)

            return with_equals(self._found(next(answers), asked), more, depth)

        return [[one(query, each) for each in wanted] for query in queries]

    def rows(self, numbers: Sequence[int] | IntArray, names: Sequence[str]) -> list[dict[str, Any]]:
        """As `Store.rows`."""
        with self._told():
            found = self._client.retrieve(self._name, [int(n) for n in numbers], with_payload=list(names))
        by_number = {point.id: point.payload for point in found}
        return [{name: self._of(by_number, number).get(name) for name in names} for number in numbers]

    def vectors(self, numbers: Sequence[int] | IntArray) -> FloatArray:
        """As `Store.vectors`."""
        with self._told():
            found = self._client.retrieve(self._name, [int(n) for n in numbers], with_payload=False, with_vectors=True)
        by_number = {point.id: point.vector for point in found}
        dimensions = self.state.dimensions if self.state else 0
        return np.array([self._of(by_number, n) for n in numbers], np.float32).reshape(len(numbers), dimensions)

    def translations(self, groups: Sequence[str]) -> IntArray:
        """As `Store.translations`."""
        models = self._library.models
        condition = models.FieldCondition(key="document", match=models.MatchAny(any=list(groups)))
        return self._numbers(models.Filter(must=[condition]))

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def refuse_other(self, state: State) -> None:
        """Refuse to be the engine of an index while it is that of another.

        Raises:
            InputError: if it is.
        """
        if self.state is not None and self.state.identity != state.identity:
            raise InputError(f"{self.url}: holds the rows of another index; choose another name")

    def hold(self, store: Store) -> None:
        """Make the collection hold exactly the rows of a store; after a kill in the middle the same call finishes.

        A server shows rows as they come and go. What it says of them all changes last.

        Raises:
            InputError: if the collection holds something else, or the server refuses.
        """
        models, state = self._library.models, store.state
        with self._told(), progress(f"Sending rows to {self.url}", len(store.numbers)) as advance:
            if self.state is None:
                self._create(state)
            there = self._numbers(None)
            kept = there if self._is_earlier(state) else NO_ROWS
            advance(len(np.intersect1d(store.numbers, kept)))
            for block in store.blocks:
                new = np.flatnonzero(block.live & ~np.isin(block.numbers, kept))
                for start in range(0, len(new), _POINTS):
                    some = new[start : start + _POINTS]
                    batch = block.batch.take(some)
                    document = group_of(batch["group"], batch["id"]).to_pylist()
                    shown = batch.select(list(_SHOWN)).to_pylist()
                    payloads = [
                        {**row, "language": row["language"] or "", "document": group}
                        for row, group in zip(shown, document, strict=True)
                    ]
                    ids, vectors = block.numbers[some].tolist(), block.vectors[some].tolist()
                    self._client.upsert(self._name, models.Batch(ids=ids, vectors=vectors, payloads=payloads))
                    advance(len(ids))
            gone = np.setdiff1d(there, store.numbers).tolist()
            for start in range(0, len(gone), _POINTS):
                self._client.delete(self._name, models.PointIdsList(points=gone[start : start + _POINTS]))
            self._client.update_collection(self._name, metadata={"isoglot": asdict(state)})
            self.state = self._state()

    def _is_earlier(self, state: State) -> bool:
        """Whether the rows are known to be those before the last change; else, as of a copy, all are sent anew.

        What is half sent anew is no state of any index, and is called so before it begins.
        """
        assert self.state is not None
        if self.state.token and self.state.token in (state.token, state.parent):
            return True
        mixed = replace(self.state, generation=_UNFINISHED, token=new_name())
        self._client.update_collection(self._name, metadata={"isoglot": asdict(mixed)})
        return False

    def _create(self, state: State) -> None:
        models = self._library.models
        distance = getattr(models.Distance, _DISTANCES[state.provenance.similarity or "cosine"])
        vectors = models.VectorParams(size=state.dimensions, distance=distance)
        empty = replace(state, rows=0, languages={}, generation=_UNFINISHED)
        self._client.create_collection(self._name, vectors, metadata={"isoglot": asdict(empty)})
        self.state = self._state()
        for field in ("language", "document"):
            self._client.create_payload_index(self._name, field, models.PayloadSchemaType.KEYWORD)

    def _state(self) -> State:
        said = (self._client.get_collection(self._name).config.metadata or {}).get("isoglot")
        if said is None:
            raise InputError(f"{self.url}: a collection that isoglot did not write; choose another name")
        return State.of(said)

    def _request(self, query: FloatArray, wanted: Wanted, limit: int) -> Any:
        models, among = self._library.models, None
        if wanted is not None:
            tags = models.MatchAny(any=sorted(tag or "" for tag in wanted))
            among = models.Filter(must=[models.FieldCondition(key="language", match=tags)])
        depth = models.SearchParams(hnsw_ef=max(limit, LEAST_LOOKED_AT))
        return models.QueryRequest(query=query.tolist(), filter=among, params=depth, limit=limit, with_payload=False)

    def _asked(self, requests: Sequence[Any]) -> list[Any]:
        with self._told():
            return [each.points for each in self._client.query_batch_points(self._name, requests)]

    def _found(self, points: Sequence[Any], asked: int) -> Nearest:
        similarity = (self.state.provenance.similarity if self.state else None) or "cosine"
        sign = -1.0 if similarity in ("euclidean", "manhattan") else 1.0
        numbers = np.array([point.id for point in points], np.int64)
        return Nearest(numbers, np.array([sign * point.score for point in points], np.float32), len(points) < asked)

    def _numbers(self, among: Any) -> IntArray:
        """Numbers of the rows that are there, rising."""
        found, following = [NO_ROWS], None
        with self._told():
            while True:
                points, following = self._client.scroll(
                    self._name, scroll_filter=among, limit=10_000, offset=following, with_payload=False
                )
                found.append(np.array([point.id for point in points], np.int64))
                if following is None:
                    return np.concatenate(found)

    def _of(self, found: Mapping[Any, Any], number: int | np.int64) -> Any:
        if int(number) not in found:
            raise UnavailableError(
                f"{self.url}: a row that was found is gone, for the collection is being changed; ask again"
            )
        return found[int(number)]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one line what the server, or the way to it, has against a call."""
        from qdrant_client.http.exceptions import ApiException

        try:
            yield
        except (ApiException, OSError) as error:
            said = " ".join(str(error).split())[:300]
            raise UnavailableError(f"{self.url}: {said or 'cannot be reached'}") from None


def is_url(target: object) -> bool:
    """Whether an index is named by a server's address.

    >>> is_url("http://localhost:6333/passages"), is_url("indexes/http")
    (True, False)
    """
    return str(target).startswith(("http://", "https://"))


def _parts(url: str) -> tuple[str, str]:
    """Server and collection."""
    try:
        parts = urlsplit(url)
        path, _, name = parts.path.rstrip("/").rpartition("/")
        usable = is_url(url) and parts.hostname and name and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # of a port that is none, or a bracket left open
        usable = False
    if not usable:
        raise InputError(f"{url}: an index on a server is named like http://localhost:6333/COLLECTION")
    return f"{parts.scheme}://{parts.netloc}{path}", name


def _key_for(server: str, named: bool) -> str | None:
    """The key that the environment has for a server.

    Raises:
        InputError: if there is one, and nobody said that it is for this server.
    """
    key = os.environ.get("QDRANT_API_KEY")
    if key and not named and os.environ.get("QDRANT_URL", "").rstrip("/") != server:
        raise InputError(
            f"{server}: only the index folder names this server, which would be sent your QDRANT_API_KEY; if you trust "
            f"it, set QDRANT_URL={server}"
        )
    return key


def _library(server: str, key: str | None, client: Any) -> tuple[Any, Any]:
    qdrant_client = library("qdrant_client", "qdrant", "a Qdrant server")
    if client is None:
        port = urlsplit(server).port or (443 if server.startswith("https") else 80)
        client = qdrant_client.QdrantClient(url=server, port=port, api_key=key, check_compatibility=False)
    return qdrant_client, client
