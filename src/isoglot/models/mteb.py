"""Any model that MTEB can load, as an ordinary model here: hosted ones, late additions, those with their own code.

MTEB knows how each wants its texts (prompts, instructions): they go to it with their role, and vectors come back.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import InputModule
from torch.utils.data import DataLoader

from isoglot.common.errors import InputError
from isoglot.common.extras import library

MTEB_PREFIX = "mteb:"
_TRUSTED = re.compile(r"trust_remote_code\W*(bool)?\W*True")  # an argument, a default or a key
_TASK = "XQuADRetrieval"  # models with instructions by task get those for finding answers in several languages


class MtebReader(InputModule):
    """A module that hands texts to an MTEB model and takes its vectors; see `wrap_mteb_encoder`."""

    forward_kwargs = {"task"}  # noqa: RUF012  # as the library declares it
    config_keys = ["name", "revision"]  # noqa: RUF012

    def __init__(self, encoder: Any, name: str, revision: str | None) -> None:
        super().__init__()
        self.encoder, self.name, self.revision = encoder, name, revision
        self._place = torch.nn.Parameter(torch.empty(0), requires_grad=False)  # says which device the model is on

    def __deepcopy__(self, memo: dict[int, Any]) -> MtebReader:
        """A module over an encoder of its own, whose weights are shared: they are never changed here."""
        model = getattr(self.encoder, "model", None)
        if isinstance(model, torch.nn.Module):
            memo |= {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        return type(self)(deepcopy(self.encoder, memo), self.name, self.revision)

    def preprocess(self, inputs: list[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Keep the texts; prompts are MTEB's business."""
        return {"texts": list(inputs)}

    def forward(self, features: dict[str, Any], task: str | None = None, **_: Any) -> dict[str, Any]:
        """Encode the texts in the role that the task names."""
        vectors = _call(self.encoder, features["texts"], "document" if task == "document" else "query")
        features["sentence_embedding"] = torch.from_numpy(vectors).to(self._place.device)
        return features

    @property
    def max_seq_length(self) -> int | None:
        """The token limit, where the model is a sentence-transformers one underneath."""
        limit = getattr(getattr(self.encoder, "model", None), "max_seq_length", None)
        return None if limit is None else int(limit)

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        """Set it, where the model shows one."""
        if self.max_seq_length is None:
            raise InputError(f"max_tokens: the token limit of {MTEB_PREFIX}{self.name} cannot be set from here")
        self.encoder.model.max_seq_length = value

    def get_embedding_dimension(self) -> int:
        """Dimensions of a vector, found by encoding a word."""
        return int(_call(self.encoder, ["word"], "query").shape[1])

    def save(self, *_: Any, **__: Any) -> None:
        """Refuse, for the model is MTEB's."""
        raise InputError(f"{MTEB_PREFIX}{self.name} can be evaluated but not saved; name its hub id or folder instead")


def load_mteb_encoder(name: str, *, device: str | None = None, trust_remote_code: bool = False) -> SentenceTransformer:
    """Load a model by the name that MTEB has for it.

    Args:
        name: such as `intfloat/multilingual-e5-small`; `mteb.get_model_metas()` lists them.
        device: as torch names it; MTEB's choice where None.
        trust_remote_code: needed for models that MTEB loads with their own code; MTEB decides how weights are read.

    Raises:
        InputError: if MTEB cannot load it, or it needs code that was not allowed.
        MissingExtraError: if MTEB is not installed.
    """
    mteb = library("mteb", "mteb", f"{MTEB_PREFIX}{name}")
    try:
        meta = mteb.get_model_meta(name)
        if not trust_remote_code and _trusts(meta.loader, meta.loader_kwargs):
            raise InputError(f"{MTEB_PREFIX}{name} may run code of its own; allow it with --trust-remote-code")
        if meta.model_type != ["dense"]:
            raise InputError(
                f"{MTEB_PREFIX}{name}: a {', '.join(meta.model_type)} model, which does not give one vector per text; "
                "what it ranks can be evaluated as a TREC run: isoglot evaluate run:FILE"
            )
        encoder = mteb.get_model(name, device=device)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{MTEB_PREFIX}{name}: MTEB cannot load it: {reason}") from error
    return wrap_mteb_encoder(encoder, name, meta.revision)


def _trusts(loader: Any, settings: Mapping[str, Any]) -> bool:
    """Whether a loader is told to run code that comes with a model, or does so by itself, or cannot be read."""
    if settings.get("trust_remote_code") or loader is None:
        return bool(settings.get("trust_remote_code"))
    try:
        return any(map(_TRUSTED.search, _sources(getattr(loader, "func", loader))))
    except (OSError, TypeError):
        return True


def _sources(loader: Any) -> Iterator[str]:
    """The source of a loader, and of all in MTEB's models that it names: its base, helpers and their own."""
    waiting, seen = [loader], set()
    while waiting:
        each = waiting.pop()
        seen.add(each)
        source = inspect.getsource(each)
        yield source
        there, words = vars(sys.modules[each.__module__]), set(re.findall(r"\w+", source))
        named = {there[name] for name in words & there.keys() if callable(there[name])} - seen
        waiting += [other for other in named if str(getattr(other, "__module__", "")).startswith("mteb.models")]


def wrap_mteb_encoder(encoder: Any, name: str, revision: str | None = None) -> SentenceTransformer:
    """An object with MTEB's `encode`, as a model that isoglot can evaluate.

    Args:
        encoder: follows MTEB's encoder protocol.
        name: what to call it; with the revision it stands for its weights wherever vectors are kept.
        revision: of its weights.
    """
    declared = getattr(encoder, "model", None), getattr(encoder, "mteb_model_meta", None)
    similarity = next((found for each in declared if (found := getattr(each, "similarity_fn_name", None))), "cosine")
    similarity = getattr(similarity, "value", similarity)
    if similarity not in SentenceTransformer.SUPPORTED_SIMILARITY_FN_NAMES:
        raise InputError(f"{MTEB_PREFIX}{name}: scored by {similarity}, which takes more than one vector per text")
    return SentenceTransformer(modules=[MtebReader(encoder, name, revision)], similarity_fn_name=similarity).eval()


def _call(encoder: Any, texts: list[str], role: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    import mteb
    from mteb.types import PromptType

    vectors = encoder.encode(
        DataLoader(Dataset.from_dict({"text": texts}), batch_size=len(texts)),
        task_metadata=mteb.get_task(_TASK).metadata,
        hf_split="test",
        hf_subset="default",
        prompt_type=PromptType(role),
        batch_size=len(texts),
        show_progress_bar=False,
    )
    array = vectors.float().cpu().numpy() if isinstance(vectors, torch.Tensor) else vectors
    return np.asarray(array, np.float32)
