"""Encoders that are no modules of torch, such as models behind an API, as ordinary models here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule

from isoglot.common.arrays import FloatArray
from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.common.roles import Role
from isoglot.runtime.api import ApiEncoder
from isoglot.runtime.api_settings import ApiOptions
from isoglot.runtime.encoder import TextEncoder
from isoglot.runtime.exported import ExportedEncoder
from isoglot.runtime.loading import open_encoder
from isoglot.runtime.store import EmbeddingStore, space_of
from isoglot.vectors.probes import same_weights

FOREIGN_FILE = "isoglot_encoder.json"
"""In a saved model whose first module is a `ForeignReader`: which encoder it hands texts to."""


class ForeignReader(InputModule):
    """A module that hands texts to a `TextEncoder` and takes its vectors; see `wrap_text_encoder`.

    Args:
        encoder: puts its prompts before the texts itself.
    """

    forward_kwargs = {"task"}  # noqa: RUF012  # as the library declares it
    config_keys = ["fingerprint"]  # noqa: RUF012
    config_file_name = FOREIGN_FILE

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.fingerprint = encoder.provenance("query").fingerprint
        self._place = torch.nn.Parameter(torch.empty(0), requires_grad=False)  # says which device the model is on

    def __deepcopy__(self, memo: dict[int, Any]) -> ForeignReader:
        """A module of its own over the same encoder, which may hold a connection."""
        twin = type(self)(self.encoder)
        twin.fingerprint = self.fingerprint
        return twin

    def preprocess(self, inputs: list[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Keep the texts; prompts are the encoder's business."""
        return {"texts": list(inputs)}

    def forward(self, features: dict[str, Any], task: str | None = None, **_: Any) -> dict[str, Any]:
        """Encode the texts in the role that the task names."""
        vectors = self.encoder.encode(features["texts"], "passage" if task == "document" else "query")
        features["sentence_embedding"] = torch.from_numpy(vectors).to(self._place.device)
        return features

    def read(self, texts: Sequence[str], *, role: Role, batch_size: int) -> Iterator[tuple[Sequence[int], FloatArray]]:
        """Encode texts, some at a time, each time with their places; a server is given all of them to ask for."""
        if isinstance(self.encoder, ApiEncoder):
            yield from self.encoder.read(texts, role)
            return
        for start in range(0, len(texts), batch_size):
            rows = range(start, min(start + batch_size, len(texts)))
            yield rows, self.encoder.encode([texts[row] for row in rows], role)

    def space(self, role: Role) -> str:
        """All that vectors in a role depend on but the text, as a store names it."""
        encoder = self.encoder
        return encoder.space(role) if isinstance(encoder, ApiEncoder) else space_of(encoder.provenance(role))

    @property
    def store(self) -> EmbeddingStore | None:
        """Where vectors are kept if nobody says: those that were paid for are kept always."""
        return self.encoder.store if isinstance(self.encoder, ApiEncoder) else None

    @property
    def max_seq_length(self) -> int | None:
        """The token limit, where the encoder has one and tells."""
        return self.encoder.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        """Set it where an exported model runs here; what reads the texts of others is elsewhere.

        The encoder may be another module's, too, which keeps its limit.
        """
        if not isinstance(self.encoder, ExportedEncoder):
            raise InputError(f"max_tokens: the token limit of {self.encoder.name} cannot be set from here")
        encoder = copy(self.encoder)
        encoder.cut_at(value)
        self.encoder = encoder

    def get_embedding_dimension(self) -> int:
        """Dimensions of a vector."""
        return self.encoder.dimensions

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write which encoder it is, and how it is asked; no key."""
        encoder = self.encoder
        prompts = {f"{role}_prompt": encoder.provenance(role).prompt for role in ("query", "passage")}
        # A budget is one run's, and could not be raised in the folder.
        api = (
            encoder.options.model_dump(exclude_defaults=True, exclude={"budget"})
            if isinstance(encoder, ApiEncoder)
            else None
        )
        what: dict[str, Any] = {"name": encoder.name, "fingerprint": self.fingerprint, **prompts, "api": api}
        if isinstance(encoder, ExportedEncoder):
            what |= {"name": str(encoder.folder.resolve()), "max_tokens": encoder.max_tokens}
        write_json(Path(output_path) / FOREIGN_FILE, what)

    @classmethod
    def load(cls, model_name_or_path: str, **_: Any) -> ForeignReader:
        """Open the encoder that a saved model names.

        Raises:
            InputError: if there is none of that name, or it gives other vectors than when the model was saved.
        """
        file = Path(model_name_or_path) / FOREIGN_FILE
        what = json.loads(file.read_text("utf-8"))
        api = None if what["api"] is None else ApiOptions.model_validate(what["api"])
        encoder = open_encoder(
            what["name"], query_prompt=what["query_prompt"], passage_prompt=what["passage_prompt"], api=api
        )
        if encoder is None:
            raise InputError(f"{file}: there is no encoder {what['name']!r}")
        reader = cls(encoder)
        if not same_weights(what["fingerprint"], reader.fingerprint or ""):
            raise InputError(f"{file}: {encoder.name} gives other vectors than when this was made; make it anew")
        reader.fingerprint = what["fingerprint"]
        if what.get("max_tokens") is not None:
            reader.max_seq_length = what["max_tokens"]
        return reader


def needs_weights(model: SentenceTransformer, done: str) -> None:
    """Refuse a model whose weights are not here.

    Args:
        model: any.
        done: what was to be done with it, as `trained`.

    Raises:
        InputError: if it begins with a `ForeignReader`.
    """
    if isinstance(model[0], ForeignReader):
        raise InputError(f"{model[0].encoder.name} cannot be {done}: its weights are not here")


def wrap_text_encoder(encoder: TextEncoder) -> SentenceTransformer:
    """A `TextEncoder` as a model that can be evaluated, audited and debiased.

    A model made of it by `debias` is saved with the encoder's name, not with its weights; it loads with
    `trust_remote_code=True` where isoglot is installed.

    Args:
        encoder: any.
    """
    known = encoder.provenance("query"), encoder.provenance("passage")
    model = SentenceTransformer(
        modules=[ForeignReader(encoder)],
        prompts={"query": known[0].prompt or "", "document": known[1].prompt or ""},
        similarity_fn_name=known[0].similarity or "cosine",
        device="cpu",
    )
    return model.eval()
