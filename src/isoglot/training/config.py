"""The configuration of a training run: YAML in, checked objects out; an unknown key is an error."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from isoglot.batches import Strategy
from isoglot.debiasing import DEFAULT_DIRECTIONS, DEFAULT_EXAMPLES
from isoglot.errors import InputError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _put_in_variables(source: str) -> str:
    filled = os.path.expandvars(source)
    if "$" in filled:
        raise ValueError(f"the environment variable in {source!r} is not set; export it or write the path out")
    return filled


Source = Annotated[str, AfterValidator(_put_in_variables)]


class DataSource(_Section):
    """One source of training pairs.

    Attributes:
        source: what `isoglot.load_pairs` takes: a file, a folder of aligned sentences, `debian`, `hub:NAME`.
            Environment variables are put in: `$DATA/ntrex`.
        languages: keep only these; all where not given.
        examples: keep at most so many examples, drawn with the run's seed; all where not given.
        parallel: whether rows with one id are translations of each other. Some sets number each language apart, so
            that equal ids mean nothing: say false, or cross-lingual batches pair questions with strangers' answers.
    """

    source: Source
    languages: tuple[str, ...] | None = None
    examples: PositiveInt | None = None
    parallel: bool = True


class Batches(_Section):
    """How batches are composed; see `isoglot.plan_batches`, whose arguments these are."""

    strategy: Strategy = "hybrid"
    alpha: float = Field(default=0.5, ge=0, le=1)
    size: int = Field(default=32, ge=2)
    language_sampling: Literal["uniform", "size"] | float = "uniform"
    dataset_weights: dict[str, float] | None = None
    neighbours: PositiveInt = 1


class Distillation(_Section):
    """Keep the student near vectors of the initial model while it learns.

    Attributes:
        weight: of the term `1 - cos(student, target)`, averaged over queries and passages; the contrastive term has
            weight 1.
        target: `own`: the initial model's vector of the same text. `translations`: its mean over the text's
            translations, so that translations are drawn together and the mean holds them in place.
    """

    weight: PositiveFloat
    target: Literal["own", "translations"] = "own"


class Debias(_Section):
    """A free remedy put behind the model before training, which then trains through it; see `isoglot debias`.

    Attributes:
        source: text that it is fitted on, as `isoglot.load_pairs` takes it; the training pairs if not given.
        remedy: which.
        directions: for `lir`, how many to remove.
        examples: examples per language that it is fitted on.
    """

    source: Source | None = None
    remedy: Literal["lir", "leace"] = "lir"
    directions: PositiveInt = DEFAULT_DIRECTIONS
    examples: PositiveInt = DEFAULT_EXAMPLES


class Loss(_Section):
    """What is minimised.

    Attributes:
        temperature: of InfoNCE; arXiv 2408.10536 does not state one, 0.01 to 0.05 is common for cosines.
        symmetric: also let each passage find its query.
        weight: of the contrastive term; 0 leaves distillation alone.
        mini_batch: encode so many pairs at a time and cache gradients, so that memory does not grow with the batch;
            the whole batch at once where not given.
        distillation: an optional second term.
    """

    temperature: PositiveFloat = 0.02
    symmetric: bool = False
    weight: float = Field(default=1.0, ge=0)
    mini_batch: PositiveInt | None = None
    distillation: Distillation | None = None

    @model_validator(mode="after")
    def _compatible(self) -> Loss:
        if self.mini_batch is not None and self.distillation is not None:
            raise ValueError("mini_batch and distillation cannot be combined; leave one out")
        if self.weight == 0 and self.distillation is None:
            raise ValueError("a weight of 0 leaves nothing to minimise; give a distillation or a positive weight")
        return self


class Optimizer(_Section):
    """AdamW with a linear warm-up, then a linear fall to zero."""

    learning_rate: PositiveFloat = 3e-5
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps")
    max_gradient_norm: PositiveFloat = 1.0


class Freeze(_Section):
    """What is not updated: the word embeddings (most weights), the first layers, the modules behind the pooling."""

    word_embeddings: bool = True
    layers: int = Field(default=0, ge=0)
    head: bool = True


class Validation(_Section):
    """Held-out pairs on which the loss is watched.

    Attributes:
        examples: how many examples are held out of training; 0 for none.
        every: steps between two looks.
        patience: looks without improvement before training stops.
    """

    examples: int = Field(default=256, ge=0)
    every: PositiveInt = 50
    patience: PositiveInt = 3


class TrainConfig(_Section):
    """A training run.

    Attributes:
        model: hub id, folder or `builtin:multilingual-e5-small`.
        output: the run's folder.
        data: where pairs come from.
        batches: how they are combined.
        debias: a remedy that training goes through; none if not given.
        loss: what is minimised.
        optimizer: how.
        freeze: what stays as it is.
        validation: when to stop early.
        steps: number of batches; or give `epochs`.
        epochs: times the number of examples, in place of `steps`.
        query_tokens: limit of a query in training; the model's own where not given.
        passage_tokens: limit of a passage in training.
        max_tokens: limit that the finished model carries.
        dropout: probability in training; the model's own where not given. 0 suits distillation, whose targets were
            made without.
        average: share of the trained weights in the finished model, the rest from the initial one (WiSE-FT,
            arXiv 2109.01903); 1 is the trained model.
        seed: of everything that is drawn.
        bf16: train in bfloat16; where the processor has it if not given.
        checkpoint_every: steps between two checkpoints, what an interrupt can lose.
    """

    model: str = "builtin:multilingual-e5-small"
    output: Path
    data: tuple[DataSource, ...] = Field(min_length=1)
    batches: Batches = Batches()
    debias: Debias | None = None
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    freeze: Freeze = Freeze()
    validation: Validation = Validation()
    steps: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    query_tokens: PositiveInt | None = None
    passage_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    dropout: float | None = Field(default=None, ge=0, lt=1)
    average: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)
    bf16: bool | None = None
    checkpoint_every: PositiveInt = 100

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration and apply `key=value` overrides, keys dotted (`batches.alpha=0.3`), values YAML.

    Raises:
        InputError: in one line, naming the file, the key and what would be right.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such configuration; recipes/ holds examples") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a configuration is a mapping of keys such as model, output and data")
    for override in overrides:
        _set(content, override)
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_problem(error)}") from error


def _set(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise InputError(f"--set {override}: write key=value, for example --set batches.alpha=0.3")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise InputError(f"--set {override}: {parent} holds a value, not keys")
    content[last] = yaml.safe_load(value)


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the configuration"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where}; docs/training.md lists the keys"
    given = problem["input"]
    shown = "" if isinstance(given, (dict, list)) or problem["type"] == "missing" else f" (given {given!r})"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}{shown}"
