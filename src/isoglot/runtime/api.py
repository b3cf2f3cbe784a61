"""Models behind an API: `TextEncoder` over any server of `/v1/embeddings`.

Hosted services, text-embeddings-inference, vLLM, Ollama, infinity and `isoglot serve` have it. Nobody sees the weights,
and a server may swap them, so a few known texts are asked at each start: their vectors are the model's fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from isoglot.common.arrays import FloatArray
from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.common.progress import tell
from isoglot.common.roles import Role
from isoglot.runtime.api_requests import ApiClient
from isoglot.runtime.api_settings import ApiOptions, parse_name
from isoglot.runtime.store import EmbeddingStore, embedding_store, encode_once, space_of
from isoglot.vectors.probes import PROBES, probe_fingerprint, same_weights
from isoglot.vectors.provenance import Provenance

_ROLES: tuple[Role, Role] = ("query", "passage")


class ApiEncoder:
    """A model behind an API as a `TextEncoder`; making one asks for the vectors of a few known texts.

    Texts are kept in a store, so that none is asked for twice. How the server cuts long texts nobody knows.

    Args:
        name: `api:URL#MODEL`; the URL with or without `/v1`. The key is in the environment, in `ISOGLOT_API_KEY`.
        query_prompt: put before queries.
        passage_prompt: put before passages.
        options: how the server is asked.
        store: where vectors are kept and looked up, in the user's cache where None.

    Attributes:
        fingerprint: of the model's name and the vectors of the known texts.

    Raises:
        InputError: if the name is none, or the server cannot be reached or gives no vectors; in one line.

    An example: `ApiEncoder("api:http://localhost:8080#bge-m3").encode(["a bridge"], "query")`.
    """

    max_tokens: int | None = None

    def __init__(
        self,
        name: str,
        *,
        query_prompt: str | None = None,
        passage_prompt: str | None = None,
        options: ApiOptions | None = None,
        store: EmbeddingStore | None = None,
    ) -> None:
        self.name, self.options = name, options or ApiOptions()
        self.prompts: Mapping[Role, str] = {"query": query_prompt or "", "passage": passage_prompt or ""}
        self.store = store or embedding_store()
        self.client = ApiClient(*parse_name(name), self.options)
        vectors = np.empty((0, 0), np.float32)
        for rows, some in self.client.ask(PROBES, fields=self._fields("query"), most_bad=1):
            vectors = np.resize(vectors, (len(PROBES), some.shape[1]))
            vectors[rows] = some
        self.dimensions = vectors.shape[1]
        self.normalised = bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3))
        self.fingerprint = _known_as(
            probe_fingerprint(self.client.model, vectors), self.client.model, self.store.folder
        )

    def provenance(self, role: Role) -> Provenance:
        """All that is known of what its vectors depend on in a role; they are taken to be compared by cosine."""
        return Provenance(
            model=self.name,
            fingerprint=self.fingerprint,
            prompt=self.prompts[role],
            role=role,
            similarity="cosine",
            normalised=self.normalised,
        )

    def encode(self, texts: Sequence[str], role: Role) -> FloatArray:
        """`(texts, dimensions)`, float32; texts in the store are not asked for.

        Raises:
            InputError: if the server fails; what it answered before is kept. `TextsError` where it gives no vector for
                some texts; all others are kept.
        """
        if not texts:
            return np.zeros((0, self.dimensions), np.float32)
        return encode_once(texts, partial(self.read, role=role), store=self.store, space=self.space(role))

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:
        """An estimate, by what the server has counted so far."""
        return self.client.tokens_in([self.prompts[role] + text for text in texts])

    def read(self, texts: Sequence[str], role: Role) -> Iterator[tuple[list[int], FloatArray]]:
        """Ask for the vectors of all these texts, and give those of each answer with their places.

        Says before what it will cost, if it takes several requests, and after what it did.

        Raises:
            InputError: as `encode` does, and if it would cost more tokens than may be asked for.
        """
        estimate, spent, done = sum(self.count_tokens(texts, role)), self.client.tokens, 0
        self._refuse_beyond(len(texts), estimate)
        several = len(texts) > self.client.size
        if several:
            self._say(f"asking for {len(texts):,} {role} texts, about {self._cost(estimate)}")
        for places, vectors in self.client.ask(texts, self.prompts[role], self._fields(role)):
            yield places, vectors
            done += len(places)
            if done < len(texts):  # the estimate may have been too low
                self._refuse_beyond(len(texts) - done, round((self.client.tokens - spent) / done * (len(texts) - done)))
        if several:
            self._say(f"answered, {self._cost(self.client.tokens - spent)}")

    def _refuse_beyond(self, texts: int, estimate: int) -> None:
        budget, spent = self.options.budget, self.client.tokens
        if budget is not None and spent + estimate > budget:
            raise InputError(
                f"{self.name}: {texts:,} texts of about {estimate:,} tokens are still to be asked for, and "
                f"{spent:,} of {budget:,} are spent; raise --api budget={budget}"
            )

    def space(self, role: Role) -> str:
        """All that vectors in a role depend on but the text, as the store names it."""
        return space_of(replace(self.provenance(role), role=None), *self._fields(role).values())

    def _fields(self, role: Role) -> dict[str, str]:
        names = self.options.input_type
        return {} if names is None else {"input_type": names.split(",")[_ROLES.index(role)].strip()}

    def _cost(self, tokens: int) -> str:
        price = self.options.price
        return f"{tokens:,} tokens" + ("" if price is None else f", at {price:g} a million {tokens * price / 1e6:.4f}")

    def _say(self, what: str) -> None:
        tell(f"{self.name}: {what}")


def _known_as(fingerprint: str, model: str, folder: Path) -> str:
    """The fingerprint under which a model's vectors are kept: one from before if they are as good as the same."""
    file = folder / "probes" / f"{hashlib.sha256(model.encode()).hexdigest()[:16]}.json"
    try:
        known = [str(each) for each in json.loads(file.read_text("utf-8"))["fingerprints"]]
    except (OSError, ValueError, KeyError, TypeError):
        known = []
    found = next((each for each in known if same_weights(each, fingerprint)), None)
    if found is None:
        if known:
            tell(f"{model} gives other vectors than at an earlier start; vectors from then are not used")
        write_json(file, {"model": model, "fingerprints": [*known, fingerprint]})
    return found or fingerprint
