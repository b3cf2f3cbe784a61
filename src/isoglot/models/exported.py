"""An exported folder as an ordinary model here, so that whatever measures or debiases models takes it, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule

from isoglot.common.errors import InputError
from isoglot.runtime.exported import ExportedEncoder


class ExportedReader(InputModule):
    """A module that hands texts to an exported model and takes its vectors."""

    # The format stands for the arithmetic: vectors of other forms of one model are not taken for these.
    config_keys = ["format", "fingerprint"]  # noqa: RUF012  # as the library declares it

    def __init__(self, encoder: ExportedEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.name, manifest = encoder.name, encoder.manifest
        self.format, self.fingerprint = manifest.format, manifest.fingerprint
        self.arithmetic = f"{'int8' if manifest.format == 'ctranslate2' else 'float32'} ({manifest.format})"
        self._place = torch.nn.Parameter(torch.empty(0), requires_grad=False)  # says which device the model is on

    def preprocess(self, inputs: list[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Put the prompt before the texts."""
        return {"texts": [(prompt or "") + text for text in inputs]}

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Compute the vectors."""
        features["sentence_embedding"] = torch.from_numpy(self.encoder.vectors(features["texts"]))
        return features

    @property
    def max_seq_length(self) -> int | None:
        """The token limit."""
        return self.encoder.max_tokens

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        """Set it, at most to what the folder says."""
        self.encoder.cut_at(value)

    def get_embedding_dimension(self) -> int:
        """Dimensions of a vector."""
        return self.encoder.dimensions

    def save(self, *_: Any, **__: Any) -> None:
        """Refuse, for there are no weights here that could be changed."""
        raise InputError(
            f"{self.name}: an exported model, which cannot be saved anew; change the model, then export it"
        )


def load_exported(folder: str | Path) -> SentenceTransformer:
    """The model of an exported folder, on the processor.

    Raises:
        InputError: if the folder is damaged.
        MissingExtraError: if what runs it is not installed.
    """
    encoder = ExportedEncoder(folder)
    prompts = {"query": encoder.prompts["query"], "document": encoder.prompts["passage"]}
    similarity: Any = encoder.manifest.similarity
    return SentenceTransformer(
        modules=[ExportedReader(encoder)], prompts=prompts, similarity_fn_name=similarity, device="cpu"
    ).eval()
