"""Files of a model as other programs read them: a tokenizer that needs no library but its own, old names of settings.

What text-embeddings-inference 1.9.3 asks for is read from its source: the types of modules by their old names, the
token limit in `sentence_bert_config.json` and the pooling as true and false, without which it does not start. Of the
modules it runs the transformer, the pooling and every Dense layer; it leaves out each Normalize and gives the last
vector unit length.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from tokenizers import Tokenizer

from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.models.limits import token_limit
from isoglot.models.saving import write_model

_POOLINGS = ("cls", "mean", "lasttoken")
_POOLING_NAMES = {
    "cls": "cls_token",
    "max": "max_tokens",
    "mean": "mean_tokens",
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens",
    "lasttoken": "lasttoken",
}
_ACTIVATIONS = (torch.nn.Identity, torch.nn.Tanh)


def write_for_inference_server(model: SentenceTransformer, folder: Path) -> None:
    """Write a sentence-transformers folder from which text-embeddings-inference computes the very same vectors.

    Raises:
        InputError: if the model has modules that it would leave out, or do in another order.
    """
    _check_stack(model)
    write_model(model, folder)
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    for module in modules:
        module["type"] = f"sentence_transformers.models.{module['type'].rsplit('.', 1)[-1]}"
    write_json(folder / "modules.json", modules)
    write_settings(model, folder)


def write_settings(model: SentenceTransformer, folder: Path) -> None:
    """Write a tokenizer that cuts and pads by itself, and the settings under their old names."""
    limit, tokenizer = token_limit(model), model.tokenizer
    tokenizer.save_pretrained(folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_truncation()
    if limit is not None:
        backend.enable_truncation(limit, direction=tokenizer.truncation_side)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    if tokenizer.pad_token is not None:
        padding = {"pad_id": tokenizer.pad_token_id, "pad_token": tokenizer.pad_token}
        backend.enable_padding(direction=tokenizer.padding_side, **padding)
    backend.save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    # The class has this name in all versions of transformers.
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast"} | ({} if limit is None else {"model_max_length": limit})
    write_json(path, settings)
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    write_json(folder / "special_tokens_map.json", special)
    pooling = [each for each in model.children() if isinstance(each, Pooling)]
    if pooling and pooling[0].pooling_mode in _POOLINGS:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        write_json(folder / "1_Pooling" / "config.json", _old_settings(pooling[0]))


def _old_settings(pooling: Pooling) -> dict[str, Any]:
    modes = {f"pooling_mode_{old}": pooling.pooling_mode == name for name, old in _POOLING_NAMES.items()}
    return {"word_embedding_dimension": pooling.embedding_dimension, **modes, "include_prompt": pooling.include_prompt}


def _check_stack(model: SentenceTransformer) -> None:
    """Refuse what text-embeddings-inference would leave out, reorder or change.

    Normalize counts at the end alone. One before may only be left out if what follows is linear: then the vector is
    another multiple of the same.
    """
    _, *modules = model.children()
    if not modules or not isinstance(modules[0], Pooling) or modules[0].pooling_mode not in _POOLINGS:
        raise InputError(f"text-embeddings-inference pools by one of {', '.join(_POOLINGS)}; export as onnx")
    normalised = False
    for module in modules[1:]:
        if isinstance(module, Normalize):
            normalised = True
        elif (
            not isinstance(module, Dense)
            or module.use_residual
            or not isinstance(module.activation_function, _ACTIVATIONS)
        ):
            raise InputError(
                f"text-embeddings-inference leaves out {type(module).__name__} as it is here; export as onnx"
            )
        elif normalised and not _is_linear(module):
            raise InputError(
                "text-embeddings-inference leaves out the Normalize before a debias layer, which this one's offset "
                "does not bear; fit one without, as isoglot debias --remedy linear-lir does, or export as onnx"
            )
    if not isinstance(modules[-1], Normalize) and model.similarity_fn_name != "cosine":
        raise InputError(
            f"text-embeddings-inference gives vectors unit length, and this model is scored by "
            f"{model.similarity_fn_name} of vectors whose length counts; export as onnx"
        )
    if model.truncate_dim is not None:
        raise InputError("text-embeddings-inference does not cut vectors to fewer dimensions; export as onnx")


def _is_linear(module: Dense) -> bool:
    bias = module.linear.bias
    return isinstance(module.activation_function, torch.nn.Identity) and (bias is None or not bool(bias.any()))
