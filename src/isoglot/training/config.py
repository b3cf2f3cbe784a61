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

from isoglot.batching.plan import Alpha, Strategy
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.settings import apply_override, first_problem, read_settings
from isoglot.models.debiasing import DEFAULT_EXAMPLES
from isoglot.models.limits import FEWEST_TOKENS
from isoglot.vectors.remedies import DEFAULT_DIRECTIONS


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _quoted(names: Any) -> Any:
    """A list of names; `no` without quotes is false to YAML, and Norwegian to people."""
    names = [names] if isinstance(names, (str, bool)) else names
    for name in names if isinstance(names, (list, tuple)) else ():
        if isinstance(name, bool):
            word = "yes" if name else "no"
            raise ValueError(f'YAML reads {word} without quotes as {str(name).lower()}; write it in quotes: "{word}"')
    return names


def _probabilities(alpha: Alpha) -> Alpha:
    if not all(0 <= value <= 1 for value in (alpha if isinstance(alpha, tuple) else (alpha,))):
        raise ValueError("a probability should be greater than or equal to 0 and less than or equal to 1")
    return alpha


Place = Annotated[str, AfterValidator(lambda name: str(expanded_path(name)) if {"~", "$"} & set(name) else name)]
"""A path, or the name of something that is none; `~` and environment variables are filled in."""

Tokens = Annotated[int, Field(ge=FEWEST_TOKENS)]

Probabilities = Annotated[Alpha, AfterValidator(_probabilities)]

Names = Annotated[tuple[str, ...], BeforeValidator(_quoted)]


class DataSource(_Section):
    """One source of training pairs."""

    source: Place  # what `isoglot.load_pairs` takes: a file, a folder of aligned sentences, `debian`, `hub:NAME`
    languages: Names | None = None  # keep only these; all where not given
    examples: PositiveInt | None = None  # keep at most so many, drawn with the run's seed; all where not given
    # Whether rows with one id are translations of each other. Some sets number each language apart, so that equal ids
    # mean nothing: say false, or cross-lingual batches pair questions with strangers' answers.
    parallel: bool = True


class EvaluationSet(_Section):
    """A benchmark that the model will be measured on, whose texts must therefore not be trained on."""

    benchmark: str  # its name; see `isoglot.benchmarks`
    data: Place | None = None  # its files; taken from the hub, where it is there, if not given
    languages: Names | None = None  # look for the texts in these only; all where not given
    # If training texts hold some of its queries or passages: refuse to train, drop these examples in all languages, or
    # keep them.
    on_overlap: Literal["refuse", "drop", "keep"] = "refuse"


class Batches(_Section):
    """How batches are composed; see `isoglot.plan_batches`, whose arguments these are."""

    strategy: Strategy = "hybrid"
    alpha: Probabilities = 0.5  # of two, the first holds at the first step, the second at the last
    size: int = Field(default=32, ge=2)
    language_sampling: Literal["uniform", "size"] | float = "uniform"
    dataset_weights: dict[str, float] | Literal["uniform", "size"] | float = "size"
    neighbours: PositiveInt = 1


class Distillation(_Section):
    """Keep the student near vectors of a teacher, the initial model or another, while it learns.

    The target `own` is the teacher's vector of the same text; `english` its vector of the English translation, so that
    English stays and the others come to it; `translations` its mean over the text's translations, so that these are
    drawn together and the mean holds them in place.
    """

    weight: PositiveFloat  # of the term `1 - cos(student, target)`, averaged over queries and passages
    target: Literal["own", "english", "translations"] = "own"
    teacher: Place | None = None  # as of `model`; the initial model with its remedy, if not given


class Debias(_Section):
    """A free remedy put behind the model before training, which then trains through it; see `isoglot debias`."""

    source: Place | None = None  # text that it is fitted on, as of `DataSource`; the training pairs if not given
    remedy: Literal["lir", "linear-lir", "leace"] = "linear-lir"
    directions: PositiveInt = DEFAULT_DIRECTIONS  # how many `lir` and `linear-lir` remove
    examples: PositiveInt = DEFAULT_EXAMPLES  # per language, that it is fitted on


class Loss(_Section):
    """What is minimised: a weighted sum of terms; see `isoglot.training.losses`, which has their formulas.

    InfoNCE has `weight`; the other terms' weights have their names, and 0 leaves a term out. arXiv
    2408.10536 states no temperature; 0.01 to 0.05 is common for cosines.
    """

    temperature: PositiveFloat = 0.02  # of every term that has one
    symmetric: bool = False  # in InfoNCE, also let each passage find its query
    weight: float = Field(default=1.0, ge=0)  # of InfoNCE
    negatives: int | None = Field(default=None, ge=0)  # at most so many of each pair's; all where not given
    semantic_contrastive: float = Field(default=0.0, ge=0)  # weight of InfoNCE between passages and translations
    language_contrastive: float = Field(default=0.0, ge=0)  # a wrong query's scores of a passage and its translation
    jensen_shannon: float = Field(default=0.0, ge=0)  # between a query's scores over passages and over translations
    distillation: Distillation | None = None  # a term that needs targets
    matryoshka: tuple[PositiveInt, ...] | None = None  # sizes of shorter vectors, trained along with whole ones
    mini_batch: PositiveInt | None = None  # texts encoded at a time, so that memory does not grow with the batch

    @property
    def over_translations(self) -> bool:
        """Whether a term compares passages with their translations."""
        return bool(self.semantic_contrastive or self.language_contrastive or self.jensen_shannon)


class Lora(_Section):
    """Train low-rank adapters in place of the transformer's weights (arXiv 2106.09685); needs the extra `lora`.

    With `merge` they are added to the weights in the finished model, which is then an ordinary one. Otherwise `model/`
    holds the adapters alone, and loading it takes peft and the initial model, in its place.
    """

    rank: PositiveInt = 16  # of the two factors of an adapter
    alpha: PositiveInt = 32  # what an adapter adds is scaled by alpha / rank
    dropout: float = Field(default=0.0, ge=0, lt=1)  # the key `dropout` of the run does not touch it
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"  # names of the linear layers that get one
    merge: bool = True


class Optimizer(_Section):
    """AdamW with a linear warm-up, then a linear fall to zero."""

    learning_rate: PositiveFloat = 3e-5
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, le=1)  # share of the steps
    max_gradient_norm: PositiveFloat = 1.0


class Freeze(_Section):
    """What is not updated: the word embeddings (most weights), the first layers, the modules behind the pooling."""

    word_embeddings: bool = True
    layers: int = Field(default=0, ge=0)
    head: bool = True


class Validation(_Section):
    """Held-out pairs on which the loss is watched."""

    examples: int = Field(default=256, ge=0)  # held out of training; 0 for none
    every: PositiveInt = 50  # steps between two looks
    patience: PositiveInt = 3  # looks without improvement before training stops


class TrainConfig(_Section):
    """A training run; docs/training.md explains every key.

    In every path `~` and environment variables are filled in: `$DATA/ntrex`.
    """

    model: Place = "builtin:multilingual-e5-small"  # hub id, folder or `builtin:multilingual-e5-small`
    output: Annotated[Path, AfterValidator(expanded_path)]  # the run's folder
    data: tuple[DataSource, ...] = Field(min_length=1)
    evaluation_sets: tuple[EvaluationSet, ...] = ()
    batches: Batches = Batches()
    debias: Debias | None = None
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    freeze: Freeze = Freeze()
    lora: Lora | None = None
    validation: Validation = Validation()
    steps: PositiveInt | None = None  # number of batches; or give `epochs`
    epochs: PositiveFloat | None = None  # times the number of examples, in place of `steps`
    query_tokens: Tokens | None = None  # limit of a query in training; the model's own where not given
    passage_tokens: Tokens | None = None
    max_tokens: Tokens | None = None  # limit of both, and of whatever else is encoded during the run
    model_max_tokens: Tokens | None = None  # limit that the finished model declares; the initial one's if not given
    # Probability in training; the model's own where not given. 0 suits distillation, whose targets were made without.
    dropout: float | None = Field(default=None, ge=0, lt=1)
    # Share of the trained weights in the finished model, the rest from the initial one (WiSE-FT, arXiv 2109.01903).
    average: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=0, ge=0)  # of everything that is drawn
    bf16: bool | None = None  # train in bfloat16; where the processor has it if not given
    checkpoint_every: PositiveInt = 100  # steps between two checkpoints, what an interrupt can lose
    report_to: Names = ()  # services that are told the loss at every step, by transformers' names: `tensorboard`, ...

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.lora is not None and self.freeze.layers:
            raise ValueError("lora freezes the transformer itself; leave freeze.layers out")
        hybrid = self.batches.alpha if isinstance(self.batches.alpha, tuple) else (self.batches.alpha,)
        monolingual = {"cross-lingual": (0.0,), "hybrid": hybrid}.get(self.batches.strategy, (1.0,))
        if self.loss.over_translations and min(monolingual) == 1:
            raise ValueError(
                "loss.semantic_contrastive, loss.language_contrastive and loss.jensen_shannon need cross-lingual "
                "batches; use the strategy cross-lingual, or hybrid with an alpha below 1"
            )
        alone = self.loss.over_translations and max(monolingual) == 0
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
