"""The model that learns: loaded, given a remedy, frozen in part, given adapters; averaged and merged at the end."""

from __future__ import annotations

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.models.debiasing import debias
from isoglot.models.embed import EmbeddingStore
from isoglot.models.encoders import load_encoder, split_head
from isoglot.pairs import ParallelPairs
from isoglot.sources import load_pairs
from isoglot.training.config import Freeze, Lora, TrainConfig
from isoglot.training.losses import Objective
from isoglot.training.trainer import has_bf16


def embedding_store() -> EmbeddingStore:
    """Where vectors are kept between runs."""
    return EmbeddingStore(cache_folder() / "embeddings")


def in_bf16(config: TrainConfig, model: SentenceTransformer) -> bool:
    """Whether the run computes in bfloat16."""
    return has_bf16(str(model.device)) if config.bf16 is None else config.bf16


def initial_model(config: TrainConfig, pairs: ParallelPairs) -> SentenceTransformer:
    """The model that training starts from, with its remedy if the run wants one.

    Args:
        config: of the run.
        pairs: what a remedy is fitted on if the configuration names nothing else.
    """
    model = load_encoder(config.model, max_tokens=config.max_tokens)
    if config.debias is None:
        return model
    settings = config.debias
    return debias(
        model,
        load_pairs(settings.source) if settings.source else pairs,
        remedy=settings.remedy,
        directions=settings.directions,
        examples=settings.examples,
        seed=config.seed,
        store=embedding_store(),
        bf16=in_bf16(config, model),
    )


def make_trainable(model: SentenceTransformer, config: TrainConfig) -> Objective:
    """Freeze what is not trained, set the dropout, add adapters; in place. Gives what is to be minimised.

    Raises:
        InputError: if the model is not made as the configuration wants it.
        MissingExtraError: if adapters are wanted and peft is not installed.
    """
    freeze(model, config.freeze)
    if config.dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
    if config.lora is not None:
        add_adapters(model, config.lora, config.seed)
    return objective(model, config)


def freeze(model: SentenceTransformer, settings: Freeze) -> None:
    """Take what the settings name out of training.

    Raises:
        InputError: if the model has too few layers.
    """
    if settings.head:
        for module in split_head(model)[1]:
            module.requires_grad_(False)
    transformer = model[0].auto_model if hasattr(model[0], "auto_model") else None
    if transformer is None:
        return
    if settings.word_embeddings or settings.layers:
        transformer.get_input_embeddings().requires_grad_(False)
    if settings.layers:
        stack = getattr(getattr(transformer, "encoder", transformer), "layer", None)
        if stack is None or settings.layers >= len(stack):
            raise InputError(f"freeze.layers {settings.layers}: the model has {len(stack or [])} layers that can be")
        transformer.embeddings.requires_grad_(False)
        for layer in stack[: settings.layers]:
            layer.requires_grad_(False)


def add_adapters(model: SentenceTransformer, settings: Lora, seed: int) -> None:
    """Put low-rank adapters (LoRA, arXiv 2106.09685) beside linear layers; the transformer itself is frozen.

    Raises:
        InputError: if the model has no transformer or no layers of these names.
        MissingExtraError: if peft is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise MissingExtraError("lora needs peft; install it with: pip install 'isoglot[lora]'") from error
    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    adapters = LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
    )
    torch.manual_seed(seed)
    try:
        model.add_adapter(adapters)
    except ValueError as error:
        raise InputError(
            f"lora.targets {targets}: the model has no layers to adapt by that name; give names of its linear layers, "
            "such as query and value, or all-linear"
        ) from error


def objective(model: SentenceTransformer, config: TrainConfig) -> Objective:
    """What the configuration wants minimised.

    Raises:
        InputError: if the model has too few dimensions.
    """
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


def trained_weights(model: SentenceTransformer) -> dict[str, torch.Tensor]:
    """Copies of the weights that `average` moves back to, by name.

    Of the two factors of an adapter only the second is among them. It is zero at first, so that scaling it alone scales
    what the adapter adds.
    """
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and ".lora_A." not in name
    }


@torch.no_grad()
def average(model: SentenceTransformer, initial: dict[str, torch.Tensor], share: float) -> None:
    """Move the trained weights towards the initial ones, in place, so that `share` of the way is left."""
    if share < 1:
        for name, parameter in model.named_parameters():
            if name in initial:
                parameter.lerp_(initial[name].to(parameter.device), 1 - share)


def merge_adapters(model: SentenceTransformer) -> None:
    """Add the adapters to the weights they stand beside, in place; what is left is an ordinary model."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    transformer = model[0].auto_model
    adapted = [(name, module) for name, module in transformer.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in adapted:
        module.merge()
        parent, _, leaf = name.rpartition(".")
        setattr(transformer.get_submodule(parent), leaf, module.get_base_layer())
    transformer._hf_peft_config_loaded = False  # or saving would look for adapters
    del transformer.peft_config
