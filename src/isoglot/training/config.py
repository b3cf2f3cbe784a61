"""The configuration of a training run: YAML in, checked objects out; an unknown key is an error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from isoglot.batching.plan import Strategy
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.settings import apply_override, first_problem, read_settings
from isoglot.models.debiasing import DEFAULT_DIRECTIONS, DEFAULT_EXAMPLES


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_list(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


def _quoted(tags: Any) -> Any:
    """Language tags; `no` without quotes is false to YAML, and Norwegian to people."""
    tags = [tags] if isinstance(tags, (str, bool)) else tags
    for tag in tags if isinstance(tags, (list, tuple)) else ():
        if isinstance(tag, bool):
            word = "yes" if tag else "no"
            raise ValueError(f'YAML reads {word} without quotes as {str(tag).lower()}; write it in quotes: "{word}"')
    return tags


Place = Annotated[str, AfterValidator(lambda name: str(expanded_path(name)) if {"~", "$"} & set(name) else name)]
"""A path, or the name of something that is none; `~` and environment variables are filled in."""

Languages = Annotated[tuple[str, ...], BeforeValidator(_quoted)]


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

    source: Place
    languages: Languages | None = None
    examples: PositiveInt | None = None
    parallel: bool = True


class EvaluationSet(_Section):
    """A benchmark that the model will be measured on, whose texts must therefore not be trained on.

    Attributes:
        benchmark: its name; see `isoglot.benchmarks`.
        data: its files; None takes it from the hub, where it is there.
        languages: look for the texts in these only; all where not given.
        on_overlap: what to do if training texts hold some of its queries or passages: `refuse` to train, `drop` the
            examples concerned in all languages, or `keep` them.
    """

    benchmark: str
    data: Place | None = None
    languages: Languages | None = None
    on_overlap: Literal["refuse", "drop", "keep"] = "refuse"


class Batches(_Section):
    """How batches are composed; see `isoglot.plan_batches`, whose arguments these are."""

    strategy: Strategy = "hybrid"
    alpha: float = Field(default=0.5, ge=0, le=1)
    size: int = Field(default=32, ge=2)
    language_sampling: Literal["uniform", "size"] | float = "uniform"
    dataset_weights: dict[str, float] | Literal["uniform", "size"] | float = "size"
    neighbours: PositiveInt = 1

    @property
    def cross_lingual_share(self) -> float:
        """Expected share of cross-lingual batches."""
        return {"cross-lingual": 1.0, "hybrid": 1 - self.alpha}.get(self.strategy, 0.0)


class Distillation(_Section):
    """Keep the student near vectors of the initial model while it learns.

    Attributes:
        weight: of the term `1 - cos(student, target)`, averaged over queries and passages.
        target: `own`: the initial model's vector of the same text. `english`: its vector of the English translation, so
            that English stays and the others come to it. `translations`: its mean over the text's translations, so
            that translations are drawn together and the mean holds them in place.
    """

    weight: PositiveFloat
    target: Literal["own", "english", "translations"] = "own"


class Debias(_Section):
    """A free remedy put behind the model before training, which then trains through it; see `isoglot debias`.

    Attributes:
        source: text that it is fitted on, as `isoglot.load_pairs` takes it; the training pairs if not given.
        remedy: which.
        directions: for `lir`, how many to remove.
        examples: examples per language that it is fitted on.
    """

    source: Place | None = None
    remedy: Literal["lir", "leace"] = "lir"
    directions: PositiveInt = DEFAULT_DIRECTIONS
    examples: PositiveInt = DEFAULT_EXAMPLES


class Loss(_Section):
    """What is minimised: a weighted sum of terms; see `isoglot.training.losses`, which has their formulas.

    Attributes:
        temperature: of every term that has one; arXiv 2408.10536 does not state one, 0.01 to 0.05 is common for
            cosines.
        symmetric: in InfoNCE, also let each passage find its query.
        weight: of InfoNCE; 0 leaves it out.
        negatives: at most so many of each pair's negatives; all where not given.
        semantic_contrastive: weight of InfoNCE between passages and their translations; 0 leaves it out.
        language_contrastive: weight of the term that lets wrong queries score a passage and its translation alike.
        jensen_shannon: weight of the divergence between a query's scores over passages and over their translations.
        distillation: an optional term that needs targets.
        matryoshka: sizes of shorter vectors, the first so many dimensions, that are trained along with whole ones.
        mini_batch: encode so many texts at a time and repeat the pass when its gradient is due, so that memory does not
            grow with the batch; whole columns at once where not given.
    """

    temperature: PositiveFloat = 0.02
    symmetric: bool = False
    weight: float = Field(default=1.0, ge=0)
    negatives: int | None = Field(default=None, ge=0)
    semantic_contrastive: float = Field(default=0.0, ge=0)
    language_contrastive: float = Field(default=0.0, ge=0)
    jensen_shannon: float = Field(default=0.0, ge=0)
    distillation: Distillation | None = None
    matryoshka: tuple[PositiveInt, ...] | None = None
    mini_batch: PositiveInt | None = None

    @property
    def over_translations(self) -> bool:
        """Whether a term compares passages with their translations."""
        return bool(self.semantic_contrastive or self.language_contrastive or self.jensen_shannon)


class Lora(_Section):
    """Train low-rank adapters in place of the transformer's weights (arXiv 2106.09685); needs the extra `lora`.

    Attributes:
        rank: of the two factors of an adapter.
        alpha: what an adapter adds is scaled by alpha / rank.
        dropout: probability before an adapter; the key `dropout` of the run does not touch it.
        targets: names of the linear layers that get one.
        merge: add the adapters to the weights in the finished model, which is then an ordinary one. Otherwise `model/`
            holds the adapters alone, and loading it takes peft and the initial model, in its place.
    """

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    merge: bool = True


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
    """A training run. In every path `~` and environment variables are filled in: `$DATA/ntrex`.

    Attributes:
        model: hub id, folder or `builtin:multilingual-e5-small`.
        output: the run's folder.
        data: where pairs come from.
        evaluation_sets: benchmarks whose texts are looked for among the pairs before training.
        batches: how they are combined.
        debias: a remedy that training goes through; none if not given.
        loss: what is minimised.
        optimizer: how.
        freeze: what stays as it is.
        lora: adapters that are trained in place of the transformer; none if not given.
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
        report_to: services that are told the loss at every step, by the names that transformers has for them
            (`tensorboard`, `wandb`, `trackio`, `mlflow`, ...).
    """

    model: Place = "builtin:multilingual-e5-small"
    output: Annotated[Path, AfterValidator(expanded_path)]
    data: tuple[DataSource, ...] = Field(min_length=1)
    evaluation_sets: tuple[EvaluationSet, ...] = ()
    batches: Batches = Batches()
    debias: Debias | None = None
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    freeze: Freeze = Freeze()
    lora: Lora | None = None
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
    report_to: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    @model_validator(mode="after")
    def _adapters_on_all_layers(self) -> TrainConfig:
        if self.lora is not None and self.freeze.layers:
            raise ValueError("lora freezes the transformer itself; leave freeze.layers out")
        return self

    @model_validator(mode="after")
    def _every_batch_has_a_term(self) -> TrainConfig:
        share = self.batches.cross_lingual_share
        if self.loss.over_translations and not share:
            raise ValueError(
                "loss.semantic_contrastive, loss.language_contrastive and loss.jensen_shannon need cross-lingual "
                "batches; use the strategy cross-lingual, or hybrid with an alpha below 1"
            )
        alone = self.loss.over_translations and share == 1
        if self.loss.weight == 0 and self.loss.distillation is None and not alone:
            raise ValueError(
                "a loss.weight of 0 leaves nothing to minimise in some batches; give a positive weight or a "
                "distillation"
            )
        return self


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration and apply `key=value` overrides, keys dotted (`batches.alpha=0.3`), values YAML.

    Raises:
        InputError: in one line, naming the file, the key and what would be right.
    """
    path = expanded_path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such configuration; recipes/ holds examples")
    content = read_settings(path, "a configuration is a mapping of keys such as model, output and data")
    for override in overrides:
        apply_override(content, override)
    try:
        return TrainConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, 'the configuration', 'docs/training.md')}") from error
