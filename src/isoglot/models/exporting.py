"""Models for other runtimes: the whole stack of modules in one graph, or a folder that others read without loss.

What an export leaves out comes back as language bias, and silently: a runtime that pools for itself knows nothing of a
debias layer. So a graph has one output, the finished vector, and every export is loaded again and held against the
model, on short and on long texts, before it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Router, Transformer
from transformers import PreTrainedTokenizerFast

from isoglot.common.atomic import write_json, write_text, write_whole_folder
from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.common.roles import Role
from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder, own_name, role_prompt
from isoglot.models.fingerprint import fingerprint
from isoglot.models.graphs import write_ctranslate2, write_onnx, write_openvino
from isoglot.models.limits import token_limit
from isoglot.models.portable import write_for_inference_server
from isoglot.runtime.exported import EXPORT_MANIFEST, ExportedEncoder, ExportFormat, ExportManifest

EQUAL = 1 - 1e-5
"""The cosine from which vectors count as the model's own."""
NEAR = 0.99
"""The cosine below which 8-bit vectors are not handed out; docs/export.md has what they reach on a benchmark."""
_ROLES: tuple[Role, ...] = ("query", "passage")
_SENTENCE = "All human beings are born free and equal in dignity and rights"
PROBES = (
    "a",
    _SENTENCE,
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren",
    "Todos los seres humanos nacen libres e iguales en dignidad y derechos",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα",
    "Все люди рождаются свободными и равными в своём достоинстве и правах",
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है",
    "人人生而自由，在尊严和权利上一律平等",
    "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である",
    f"{_SENTENCE}. " * 8,
    f"{_SENTENCE}. " * 200,  # more than most models read
)
"""Texts that an export is held against the model on: article 1 of the Universal Declaration of Human Rights."""
_WRITERS: dict[str, Callable[[SentenceTransformer, Path], None]] = {
    "onnx": write_onnx,
    "openvino": write_openvino,
    "ctranslate2": write_ctranslate2,
    "tei": write_for_inference_server,
}


def export(
    model: SentenceTransformer, folder: str | Path, format: ExportFormat = "onnx", *, name: str | None = None
) -> ExportManifest:
    """Write a model for another runtime, whole or not at all.

    Args:
        model: any that reads texts with a transformer and sends all of them one way, in float32 and on the processor.
            Its token limit and its prompts go along as they are now.
        folder: where to; one that is there is replaced.
        format: `onnx` and `openvino`, one graph from tokens to the finished vector; `ctranslate2`, the transformer in
            8-bit integers and a small graph for what follows; `tei`, a sentence-transformers folder from which
            text-embeddings-inference 1.9.3 leaves nothing out.
        name: what to call the model; its own name where None.

    Returns:
        What the folder says of itself.

    Raises:
        InputError: if the model is none of these, or the export's vectors are not near enough to the model's.
        MissingExtraError: if what the format needs is not installed.
    """
    if format not in _WRITERS:
        raise InputError(f"format {format!r} is unknown; use one of {', '.join(_WRITERS)}")
    _check(model)
    own, last = fingerprint(model), [*model.children()][-1]
    manifest = ExportManifest(
        format=format,
        model=own_name(model) if name is None else name,
        source=own,
        fingerprint=own,
        dimensions=int(model.get_embedding_dimension() or 0),
        max_tokens=token_limit(model),
        similarity=str(model.similarity_fn_name),
        normalised=isinstance(last, Normalize) and model.truncate_dim is None,
        prompts={role: role_prompt(model, role) for role in _ROLES},
        agreement={},
    )
    expected = np.concatenate([embed(model, PROBES, role) for role in _ROLES])
    with write_whole_folder(folder) as target:
        with progress(f"Writing {manifest.model} as {format}"):
            _WRITERS[format](model, target)
        write_json(target / EXPORT_MANIFEST, manifest.as_dict())
        with progress("Holding its vectors against the model's"):
            cosines = _cosines(expected, _read_again(target, manifest))
        if not cosines.min() >= (NEAR if format == "ctranslate2" else EQUAL):
            raise InputError(
                f"{manifest.model} as {format} gives other vectors than the model does (cosine {cosines.min():.4f} at "
                "the lowest), so nothing was written; choose another format"
            )
        if cosines.min() < EQUAL:
            manifest = replace(manifest, fingerprint=hashlib.sha256(f"{own} {format}".encode()).hexdigest())
        agreement = {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
        manifest = replace(manifest, agreement={key: round(value, 7) for key, value in agreement.items()})
        write_json(target / EXPORT_MANIFEST, manifest.as_dict())
        write_text(target / "README.md", _card(manifest))
    return manifest


def _check(model: SentenceTransformer) -> None:
    """Refuse models whose vectors depend on more than the tokens of a text."""
    if not isinstance(model[0], Transformer):
        raise InputError(f"export takes models that begin with a transformer; this one has {type(model[0]).__name__}")
    if not isinstance(model.tokenizer, PreTrainedTokenizerFast):
        raise InputError("export takes models with a fast tokenizer, which is what tokenizer.json can hold")
    if any(isinstance(each, Router) for each in model.modules()):
        raise InputError("export takes models that send all texts one way; this one has routes by language or role")
    if any(isinstance(each, Pooling) and not each.include_prompt for each in model.modules()):
        raise InputError("export takes models that pool all tokens; this one leaves those of the prompt out")
    for each in model.parameters():
        if each.dtype != torch.float32 or each.device.type != "cpu":
            raise InputError(f"export takes models in float32 on the cpu; this one is in {each.dtype} on {each.device}")


def _read_again(folder: Path, manifest: ExportManifest) -> npt.NDArray[np.float32]:
    """Vectors of the probes by what was written."""
    if manifest.format != "tei":
        encoder = ExportedEncoder(folder)
        return np.concatenate([encoder.encode(PROBES, role) for role in _ROLES])
    again = load_encoder(folder, device="cpu")
    return np.concatenate([embed(again, PROBES, role) for role in _ROLES])


def _cosines(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    x, y = a.astype(np.float64), b.astype(np.float64)
    cosines: npt.NDArray[np.float64] = (x * y).sum(1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return cosines


_USES = {
    "onnx": "`onnx/model.onnx` takes `input_ids` and `attention_mask`. Its output `sentence_embedding` is the\n"
    "finished vector: nothing is left to be pooled, debiased or normalised.",
    "openvino": "`openvino/openvino_model.xml` takes `input_ids` and `attention_mask`. Its output is the\n"
    "finished vector: nothing is left to be pooled, debiased or normalised.",
    "ctranslate2": "`ctranslate2` holds the transformer in 8-bit integers; `onnx/head.onnx` makes the finished\n"
    "vector of what it gives.",
    "tei": "`text-embeddings-router --model-id FOLDER` serves it, and `SentenceTransformer(FOLDER)` loads it.",
}


def _card(manifest: ExportManifest) -> str:
    """A README that says how the folder is used by hand."""
    limit = "no limit" if manifest.max_tokens is None else f"{manifest.max_tokens} tokens, where `tokenizer.json` cuts"
    mean, least = manifest.agreement["cosine_mean"], manifest.agreement["cosine_min"]
    return f"""# {manifest.model}, exported as {manifest.format}

{_USES[manifest.format]}

| | |
|---|---|
| put before a query | `{manifest.prompts["query"]!r}` |
| put before a passage | `{manifest.prompts["passage"]!r}` |
| reads | {limit} |
| scored by | {manifest.similarity} |
| dimensions | {manifest.dimensions} |
| cosine with the model's own vectors | {mean:.6f} on average, {least:.6f} at the lowest |
| weights | `{manifest.source}` |

Written by isoglot, which loads this folder wherever it takes a model.
"""
