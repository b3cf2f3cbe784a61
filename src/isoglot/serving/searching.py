"""`/search` over an index, and `/languages`, what of its languages the last questions were shown."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from isoglot.common.errors import InputError, UnavailableError
from isoglot.search.mixing import load_mix
from isoglot.serving.embeddings import as_json
from isoglot.serving.encoding_queue import EncodingQueue
from isoglot.serving.language_mix import LanguageMix
from isoglot.serving.measuring import Metrics
from isoglot.serving.refusals import RefusalError, unavailable
from isoglot.serving.requests import Bodies, SearchRequest, check_length, while_connected

if TYPE_CHECKING:
    from isoglot.search.hits import Hits
    from isoglot.search.searcher import Searcher


class Searching:
    """The endpoints of an index.

    Args:
        searcher: the index, opened; asked by one thread alone.
        queue: through which questions are encoded, together with what else is.
        bodies: reads requests.
        metrics: where the state of searches is shown.
    """

    def __init__(self, searcher: Searcher, queue: EncodingQueue, bodies: Bodies, metrics: Metrics) -> None:
        self._searcher, self._queue, self._bodies = searcher, queue, bodies
        self._mix = LanguageMix(searcher.languages, len(searcher))
        self._thread = ThreadPoolExecutor(1, "searcher")
        self._searches = 0
        metrics.gauge("isoglot_searches_in_progress", "Searches not answered yet", lambda: self._searches)
        metrics.gauge("isoglot_index_rows", "Rows of the index", lambda: len(searcher))

    async def languages(self, _request: Request) -> Response:
        """GET /languages."""
        return as_json({"rows": len(self._searcher), **self._mix.figures()})

    async def search(self, request: Request) -> Response:
        """POST /search."""
        asked = await self._bodies.read(request, SearchRequest)
        limits = self._bodies.limits
        check_length(asked.query, "query", limits)
        if asked.limit > limits.hits:
            raise RefusalError(400, f"limit: {asked.limit} hits; at most {limits.hits} are given", code="invalid_value")
        if self._searches >= limits.searches:
            raise RefusalError(429, f"{self._searches} searches wait; come again in 1 s", code="busy", retry_after=1)
        self._searches += 1
        try:
            hits, truncated = await while_connected(request, self._find(asked))
        except UnavailableError as error:
            raise unavailable("the index", error) from None
        except InputError as error:
            raise RefusalError(400, str(error), code="invalid_value") from None
        finally:
            self._searches -= 1
        if not asked.languages and not asked.collapse and asked.prefer_own_language is None:  # else the reader chose
            self._mix.add(load_mix(asked.mix).name, [hit.language for hit in hits.hits])
        note = " ".join(filter(None, (self._searcher.note, hits.note))) or None
        return as_json({**hits.as_dict(), "note": note, "query_truncated": truncated})

    async def _find(self, asked: SearchRequest) -> tuple[Hits, bool]:
        encoded = await self._queue.encode([asked.query], "query")
        options = asked.model_dump(exclude={"query"})
        vectors = self._searcher.mapped(encoded.vectors, asked.language)
        search = partial(self._searcher.search_vectors, vectors, **options)
        (hits,) = await asyncio.get_running_loop().run_in_executor(self._thread, search)
        return hits, bool(encoded.truncated)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
