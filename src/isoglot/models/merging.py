"""Several models' weights in one: averages and interpolations of runs that began with the same weights.

Runs of one initial model lie near enough to each other for what lies between them to work, too, at the price of one
(model soups, arXiv 2203.05482; back towards the initial model, WiSE-FT, arXiv 2109.01903; LM-Cocktail, arXiv
2311.13534). A remedy is no average of two: models that share one keep it, others get a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
import yaml
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor

from isoglot.common.errors import InputError
from isoglot.models.debiasing import debias, split_remedy, with_debias_of
from isoglot.models.encoders import blocks_of, own_name, rebuilt
from isoglot.models.fingerprint import fingerprint, settings_of
from isoglot.models.foreign import needs_weights
from isoglot.pairs import ParallelPairs
from isoglot.vectors.remedies import DEFAULT_DIRECTIONS

Method = Literal["linear", "slerp"]
Weights = Sequence[float]

_NEARLY_ONE = 0.9995  # cosine beyond which a great circle is taken for a line


@dataclass(frozen=True)
class MergeReport:
    """What was merged, and how.

    Attributes:
        names: of the models.
        fingerprints: of the models.
        weights: their shares, which add up to 1; by layer, those of the first.
        last_weights: those of the last layer; equal to `weights` where layers do not differ.
        method: `linear` or `slerp`.
        remedy: whether the models' remedy was kept, another model's was taken, one was fitted anew, or there is none.
    """

    names: tuple[str, ...]
    fingerprints: tuple[str, ...]
    weights: tuple[float, ...]
    last_weights: tuple[float, ...]
    method: Method
    remedy: Literal["kept", "taken", "fitted", "none"]

    def sentences(self) -> list[str]:
        """What was done, one sentence each."""
        shares = [
            f"{first:.3g} {name}" if first == last else f"{first:.3g} to {last:.3g} {name}"
            for name, first, last in zip(self.names, self.weights, self.last_weights, strict=True)
        ]
        remedy = {
            "kept": "The models that have a remedy share it, and it is kept.",
            "taken": "The remedy is that of the model named for it.",
            "fitted": "The models' remedies differ, so one was fitted anew, on the merged model.",
            "none": "The models have no remedy.",
        }
        by_layer = "" if self.weights == self.last_weights else ", from the first layer to the last"
        return [f"Merged ({self.method}): {', '.join(shares)}{by_layer}.", remedy[self.remedy]]

    def card(self, more: str = "") -> str:
        """A model card in Markdown with the hub's metadata at its head; `more` is put at its end."""
        metadata = {
            "library_name": "sentence-transformers",
            "pipeline_tag": "sentence-similarity",
            "tags": ["sentence-transformers", "isoglot", "merge"],
            "base_model": list(self.names),
            "base_model_relation": "merge",
        }
        rows = zip(self.names, self.weights, self.last_weights, self.fingerprints, strict=True)
        return "\n".join(
            [
                f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n",
                "# A merged retriever\n",
                *self.sentences(),
                "\n| model | weight, first layer | last layer | fingerprint |\n|---|---:|---:|---|",
                *(f"| `{name}` | {first:.4g} | {last:.4g} | `{mark[:16]}` |" for name, first, last, mark in rows),
                more and f"\n{more}\n",
            ]
        )


def merge(
    models: Sequence[SentenceTransformer],
    weights: Weights | None = None,
    *,
    last_weights: Weights | None = None,
    method: Method = "linear",
    names: Sequence[str] | None = None,
    remedy_of: SentenceTransformer | None = None,
    fit_on: ParallelPairs | None = None,
    directions: int = DEFAULT_DIRECTIONS,
    max_tokens: int | None = None,
    bf16: bool = False,
) -> tuple[SentenceTransformer, MergeReport]:
    """Return one model whose weights lie between those of several.

    Prompts, similarity, token limit and tokenizer are those of the first model. A remedy that all models with one share
    is kept, for a model without one is most likely what the others were trained from. Where remedies differ, all are
    left off, and another model's is taken or LIR fitted anew.

    Args:
        models: of one architecture and vocabulary, best trained from the same weights. They are left as they are.
        weights: a share of each, not negative; they are divided by their sum. Equal shares where None.
        last_weights: shares in the last block of the transformer and behind it; `weights` are those of the first and of
            what comes before, and in between they change evenly from block to block. As `weights` where None.
        method: `linear`, the weighted mean; or `slerp`, which keeps to the great circle between two.
        names: what to call the models in the report; their own where None.
        remedy_of: a model whose remedy is taken in place of those of the models: that which all of them were trained
            through but for rounding, or a softer one.
        fit_on: text for a new remedy, as of `debias`; used where remedies differ.
        directions: how many that removes.
        max_tokens: of that text; the model keeps its own limit.
        bf16: encode that text in bfloat16.

    Returns:
        A new model, which shares with the first what is equal in all, and the report.

    Raises:
        InputError: if the models do not fit together, the weights do not fit the models, there is no text to fit on, or
            `remedy_of` has no remedy.
    """
    called = tuple(names or (own_name(model) for model in models))
    first_shares = _shares(weights, len(models))
    last_shares = first_shares if last_weights is None else _shares(last_weights, len(models))
    for model in models:
        needs_weights(model, "merged")
    _check(models, called, method)
    parts = [split_remedy(model) for model in models]
    remedies = {fingerprint(remedy.values()): remedy for _, remedy in parts if remedy}
    if len(remedies) > 1 and fit_on is None and remedy_of is None:
        raise InputError(
            f"the remedies of {', '.join(called)} differ, so the merged model needs one of its own; name a model that "
            "has it (--remedy-of MODEL), or text to fit it on (--fit-on FILE)"
        )
    merged = rebuilt(models[0], _between([own for own, _ in parts], first_shares, last_shares, method))
    remedy: Literal["kept", "taken", "fitted", "none"] = "none"
    if remedy_of is not None:
        merged, remedy = with_debias_of(merged, remedy_of), "taken"
    elif len(remedies) > 1 and fit_on is not None:
        merged = debias(merged, fit_on, directions=directions, max_tokens=max_tokens, bf16=bf16)
        remedy = "fitted"
    elif remedies:
        (shared,) = remedies.values()
        merged, remedy = rebuilt(merged, {**dict(merged.named_children()), **shared}), "kept"
    report = MergeReport(
        names=called,
        fingerprints=tuple(fingerprint(model) for model in models),
        weights=first_shares,
        last_weights=last_shares,
        method=method,
        remedy=remedy,
    )
    return merged, report


def between(tensors: Sequence[Tensor], weights: Weights, method: Method = "linear") -> Tensor:
    """What lies between tensors of one shape, by weights that add up to 1.

    `linear` is the weighted mean. `slerp` (Shoemake 1985) takes two, flattened, of weights 1 - t and t: with the angle
    w between them, `sin((1 - t) w) / sin(w)` times the first and `sin(t w) / sin(w)` times the second, and their mean
    where they nearly align. Sums are taken in float32.

    >>> x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> between([x, y], [0.25, 0.75]).tolist()
    [0.25, 0.75]
    >>> between([x, y], [0.5, 0.5], "slerp").mul(10).round().tolist()
    [7.0, 7.0]
    """
    wide = [tensor.float() for tensor in tensors]
    if method == "slerp":
        cosine = torch.nn.functional.cosine_similarity(wide[0].flatten(), wide[1].flatten(), dim=0)
        if abs(cosine) <= _NEARLY_ONE:
            angle = torch.acos(cosine)
            weights = [float(torch.sin(share * angle) / torch.sin(angle)) for share in weights]
    total = torch.zeros_like(wide[0])
    for tensor, share in zip(wide, weights, strict=True):
        total.add_(tensor, alpha=share)
    return total.to(tensors[0].dtype)


def _between(
    models: Sequence[dict[str, torch.nn.Module]], first: Weights, last: Weights, method: Method
) -> dict[str, torch.nn.Module]:
    """Copies of the first model's modules with the weights between; what is equal in all is not copied."""
    containers = [torch.nn.ModuleList(modules.values()) for modules in models]
    states = [container.state_dict(keep_vars=True) for container in containers]
    depths = _depths(containers[0])
    memo: dict[int, Any] = {}
    with torch.no_grad():
        for name, tensor in states[0].items():
            others = [state[name].to(tensor.device) for state in states[1:]]
            if not tensor.is_floating_point() or all(torch.equal(tensor, other) for other in others):
                memo[id(tensor)] = tensor
                continue
            depth = depths.get(id(tensor), 1.0)
            weights = [(1 - depth) * a + depth * b for a, b in zip(first, last, strict=True)]
            found = between([tensor, *others], weights, method)
            is_weight = isinstance(tensor, torch.nn.Parameter)
            memo[id(tensor)] = torch.nn.Parameter(found, tensor.requires_grad) if is_weight else found
    return {name: deepcopy(module, memo) for name, module in models[0].items()}


def _depths(modules: torch.nn.Module) -> dict[int, float]:
    """How deep in its transformer each weight is, by its `id`: 0 to the first block, 1 from the last."""
    depths: dict[int, float] = {}
    for module in modules.modules():
        if isinstance(module, Transformer):
            blocks = blocks_of(module.auto_model)
            of_block = {
                id(weight): place / max(1, len(blocks) - 1)
                for place, block in enumerate(blocks)
                for weight in block.state_dict(keep_vars=True).values()
            }
            depth = 0.0
            for weight in module.state_dict(keep_vars=True).values():  # in the order in which a text meets them
                depth = depths[id(weight)] = of_block.get(id(weight), 1.0 if depth else 0.0)
    return depths


def _shares(weights: Weights | None, models: int) -> tuple[float, ...]:
    """Weights divided by their sum."""
    given = np.ones(models) if weights is None else np.asarray(weights, np.float64)
    if len(given) != models:
        raise InputError(f"{len(given)} weights for {models} models; give one for each")
    if not (np.isfinite(given).all() and (given >= 0).all() and given.any()):
        raise InputError(f"weights {', '.join(f'{w:g}' for w in given)}: use numbers from 0, not all of them 0")
    return tuple((given / given.sum()).tolist())


def _check(models: Sequence[SentenceTransformer], names: Sequence[str], method: str) -> None:
    """Raises InputError if models cannot be merged by this method."""
    if method not in get_args(Method):
        raise InputError(f"method {method!r} is unknown; use one of {', '.join(get_args(Method))}")
    if len(models) < 2 or (method == "slerp" and len(models) > 2):
        raise InputError(
            f"{method} takes {'two models' if method == 'slerp' else 'two models or more'}, not {len(models)}"
        )
    for model, name in zip(models, names, strict=True):
        if any(getattr(module, "_hf_peft_config_loaded", False) for module in model.modules()):
            raise InputError(f"{name} carries adapters; merge them into its weights first, with isoglot.merge_adapters")
    for model, name in zip(models[1:], names[1:], strict=True):
        if difference := _difference(models[0], model):
            raise InputError(f"{names[0]} and {name} cannot be merged: they differ in {difference}")


def _difference(model: SentenceTransformer, other: SentenceTransformer) -> str | None:
    """The first thing in which two models differ that must be alike, None if there is none."""
    sides = [split_remedy(each)[0] for each in (model, other)]
    sizes = [each.get_embedding_dimension() for each in (model, other)]
    if sizes[0] != sizes[1]:
        return f"dimensions ({sizes[0]} and {sizes[1]})"
    kinds = [[type(module).__name__ for module in side.values()] for side in sides]
    if kinds[0] != kinds[1]:
        return f"modules ({' '.join(kinds[0])} and {' '.join(kinds[1])})"
    for mine, its in zip(*(side.values() for side in sides), strict=True):
        if _vocabularies(mine) != _vocabularies(its):
            return "vocabulary"
        if _architecture(mine) != _architecture(its) or _shapes(mine) != _shapes(its):
            return f"the architecture of the {type(mine).__name__}"
    return None


def _vocabularies(module: torch.nn.Module) -> list[dict[str, int]]:
    tokenizers = [getattr(each, "tokenizer", None) for each in module.modules()]
    return [tokenizer.get_vocab() for tokenizer in tokenizers if tokenizer is not None]


def _architecture(module: torch.nn.Module) -> list[Any]:
    """A module's settings, but for the special tokens that a trainer writes into a configuration that has none."""
    return [
        {name: value for name, value in part.items() if name not in ("bos_token_id", "eos_token_id")}
        if isinstance(part, dict)
        else part
        for each in settings_of(module)
        for part in each
    ]


def _shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}
