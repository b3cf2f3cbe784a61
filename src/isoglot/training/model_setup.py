"""The model that learns: loaded, given a remedy, frozen in part, given adapters; averaged and merged at the end."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import nn

from isoglot.common.errors import InputError
from isoglot.common.extras import library
from isoglot.models.arithmetic import in_bf16
from isoglot.models.debiasing import debias
from isoglot.models.encoders import blocks_of, load_encoder, split_head
from isoglot.models.foreign import needs_weights
from isoglot.models.limits import token_limit
from isoglot.models.merging import between
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import embedding_store
from isoglot.sources import load_pairs
from isoglot.training.config import Freeze, Lora, TrainConfig
from isoglot.training.losses import Objective


def loaded(config: TrainConfig) -> SentenceTransformer:
    """The model that a run starts from, with the token limit that the finished one is to have.

    Raises:
        InputError: if it cannot be loaded, or its weights are not here.
    """
    model = load_encoder(config.model, max_tokens=config.model_max_tokens)
    needs_weights(model, "trained")
    return model


def initial_model(config: TrainConfig) -> SentenceTransformer:
    """The model that training starts from, in float32, yet without a remedy of the run's own.

    Where half-precision weights were trained as they are, most steps would be too small to change them.

    Raises:
        InputError: if the model comes with adapters that the configuration cannot be followed with.
    """
    model = loaded(config).float()
    if config.lora is not None and adapted(model):
        raise InputError(
            f"lora: {config.model} comes with adapters; leave lora out to train those on, or merge them into its "
            "weights first, with isoglot.merge_adapters"
        )
    if adapted(model) and config.average < 1:
        raise InputError(f"average {config.average}: the adapters of {config.model} cannot be averaged; leave it out")
    return model


def limit_lines(config: TrainConfig, model: SentenceTransformer) -> list[str]:
    """What is to be said of token limits beyond the model's own, which training keeps to."""
    own = token_limit(model)
    asked = {key: getattr(config, key) for key in ("query_tokens", "passage_tokens", "max_tokens")}
    return [
        f"{key} {tokens}: the model reads {own} tokens, and is trained on no more; for more set model_max_tokens."
        for key, tokens in asked.items()
        if own is not None and tokens is not None and tokens > own
    ]


def remedy_pairs(config: TrainConfig, pairs: ParallelPairs) -> ParallelPairs | None:
    """What the run's remedy is fitted on: the pairs if the configuration names nothing else; None without a remedy."""
    if config.debias is None:
        return None
    return load_pairs(config.debias.source) if config.debias.source else pairs


def with_remedy(model: SentenceTransformer, config: TrainConfig, pairs: ParallelPairs) -> SentenceTransformer:
    """The model with the remedy that the run wants, fitted on the pairs."""
    assert config.debias is not None
    settings, bf16 = config.debias.model_dump(exclude={"source"}), in_bf16(config.bf16, model.device)
    limit = config.max_tokens
    return debias(model, pairs, max_tokens=limit, seed=config.seed, store=embedding_store(), bf16=bf16, **settings)


def teacher(config: TrainConfig, student: SentenceTransformer) -> SentenceTransformer | None:
    """The model whose vectors are targets, if that is another than the initial one.

    Raises:
        InputError: if its vectors are not of the student's dimensions.
    """
    name = config.loss.distillation and config.loss.distillation.teacher
    if not name:
        return None
    model = load_encoder(name)
    own, wanted = model.get_embedding_dimension(), student.get_embedding_dimension()
    if own != wanted:
        raise InputError(
            f"loss.distillation.teacher: {name} has {own} dimensions, and the model that learns {wanted}; name one "
            "with as many"
        )
    return model


def make_trainable(model: SentenceTransformer, config: TrainConfig) -> Objective:
    """Freeze what is not trained, set the dropout, add adapters; in place. Gives what is to be minimised.

    Raises:
        InputError: if the model is not made as the configuration wants it.
        MissingExtraError: if adapters are wanted and peft is not installed.
    """
    if config.dropout is not None:
        set_dropout(model, config.dropout)
    if config.lora is not None:
        add_adapters(model, config.lora, config.seed)
    else:
        train_adapters(model)
    freeze(model, config.freeze)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise InputError(f"freeze: nothing of {config.model} is left to train; freeze less")
    loss = config.loss
    return Objective(
        model,
        temperature=loss.temperature,
        symmetric=loss.symmetric,
        contrastive_weight=loss.weight,
        distillation_weight=loss.distillation.weight if loss.distillation else 0.0,
        semantic_weight=loss.semantic_contrastive,
        language_weight=loss.language_contrastive,
        jensen_shannon_weight=loss.jensen_shannon,
        matryoshka=loss.matryoshka or (),
        mini_batch=loss.mini_batch,
    )


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout in a model but that of adapters; some transformers keep theirs as plain numbers."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and "lora_dropout" not in name:
            module.p = probability
        for attribute, value in vars(module).items():
            if "dropout" in attribute and type(value) in (int, float) and 0 <= value <= 1:
                setattr(module, attribute, probability)


def transformers_of(model: SentenceTransformer) -> list[Any]:
    """The transformers in a model; one that encodes queries and documents apart has several, others none."""
    return [module.auto_model for module in model.modules() if isinstance(module, Transformer)]


def freeze(model: SentenceTransformer, settings: Freeze) -> None:
    """Take what the settings name out of training; naming layers that the model has not is an error."""
    if settings.head:
        for module in split_head(model)[1]:
            module.requires_grad_(False)
    transformers = transformers_of(model)
    if settings.layers and not transformers:
        raise InputError(f"freeze.layers {settings.layers}: the model has no transformer, so no layers")
    for transformer in transformers:
        if settings.word_embeddings:
            transformer.get_input_embeddings().requires_grad_(False)
        if settings.layers:
            _freeze_first(transformer, settings.layers)


def _freeze_first(transformer: nn.Module, count: int) -> None:
    """Freeze the first blocks, and all weights that a text meets before them."""
    blocks = blocks_of(transformer)
    if count >= len(blocks):
        raise InputError(f"freeze.layers {count}: the model has {len(blocks)} layers; freeze fewer")
    first = next(blocks[0].parameters())
    for parameter in transformer.parameters():  # in the order in which a text meets them
        if parameter is first:
            break
        parameter.requires_grad_(False)
    for block in blocks[:count]:
        block.requires_grad_(False)


def add_adapters(model: SentenceTransformer, settings: Lora, seed: int) -> None:
    """Put low-rank adapters (LoRA, arXiv 2106.09685) beside linear layers; the transformer itself is frozen.

    Raises:
        InputError: if the model has no transformer or no layers of these names.
        MissingExtraError: if peft is not installed.
    """
    peft = library("peft", "lora", "lora")
    transformers = transformers_of(model)
    if not transformers:
        raise InputError("lora: the model has no transformer to adapt; leave lora out")
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    adapters = peft.LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
    )
    torch.manual_seed(seed)
    try:
        for transformer in transformers:
            transformer.add_adapter(deepcopy(adapters))
    except ValueError as error:
        raise InputError(
            f"lora.targets {targets}: the model has no layers to adapt by that name; give names of its linear layers, "
            "such as query and value, or all-linear"
        ) from error


def adapted(model: SentenceTransformer) -> list[Any]:
    """The transformers that have adapters."""
    return [found for found in transformers_of(model) if getattr(found, "_hf_peft_config_loaded", False)]


def train_adapters(model: SentenceTransformer) -> None:
    """Train the adapters that a model comes with, in place of the weights they stand beside."""
    for transformer in adapted(model):
        transformer.requires_grad_(False)
        for _, layer in _adapted_layers(transformer):
            layer.set_adapter(layer.active_adapters)


def trained_weights(model: SentenceTransformer, share: float) -> dict[str, torch.Tensor]:
    """Copies of the weights that `average` moves back to, by name; none where it has nothing to do.

    Of the two factors of an adapter only the second is among them. It is zero at first, so that scaling it alone scales
    what the adapter adds.
    """
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if share < 1 and parameter.requires_grad and ".lora_A." not in name
    }


@torch.no_grad()
def average(model: SentenceTransformer, initial: dict[str, torch.Tensor], share: float) -> None:
    """Move the trained weights towards the initial ones, in place, so that `share` of the way is left."""
    for name, parameter in model.named_parameters():
        if name in initial:
            parameter.copy_(between([parameter, initial[name].to(parameter.device)], [share, 1 - share]))


def merge_adapters(model: SentenceTransformer) -> None:
    """Add LoRA adapters to the weights they stand beside, in place; what is left is an ordinary model."""
    for transformer in adapted(model):
        for name, layer in _adapted_layers(transformer):
            layer.merge()
            parent, _, leaf = name.rpartition(".")
            setattr(transformer.get_submodule(parent), leaf, layer.get_base_layer())
        transformer._hf_peft_config_loaded = False  # or saving would look for adapters
        transformer._weight_conversions = None  # or names would be saved as they were in the adapters' file
        del transformer.peft_config
        transformer.requires_grad_(True)


def _adapted_layers(transformer: nn.Module) -> list[tuple[str, Any]]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [(name, module) for name, module in transformer.named_modules() if isinstance(module, BaseTunerLayer)]
