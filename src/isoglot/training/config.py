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
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


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

Languages = Annotated[Names, Field(min_length=1)]


class DataSource(_Section):
    """One source of training pairs."""

    source: Place
    """a file, a folder of aligned sentences, `debian` or `hub:NAME`; see [Data](data.md#sources)"""
    languages: Languages | None = None
    """keep only these languages; all if not given"""
    examples: PositiveInt | None = None
    """keep at most so many examples, drawn with the seed; all if not given"""
    parallel: bool = True
    """whether rows with one id are translations of each other. Say `false` for a set that numbers each language apart,
    or cross-lingual batches pair queries with passages that do not answer them"""


class EvaluationSet(_Section):
    """A benchmark that the model will be measured on, whose texts must therefore not be trained on."""

    benchmark: str
    """the name of a [benchmark](benchmarks.md)"""
    data: Place | None = None
    """its files; taken from the hub if not given"""
    languages: Languages | None = None
    """look for texts in these languages only; all if not given"""
    on_overlap: Literal["refuse", "drop", "keep"] = "refuse"
    """`refuse`: one line that says what was found, and no training. `drop`: leave out the examples concerned, in all
    languages. `keep`: train on them all the same"""


class Batches(_Section):
    """How batches are composed; see `isoglot.plan_batches`, whose arguments these are."""

    strategy: Strategy = "hybrid"
    """`monolingual`, `cross-lingual`, `hybrid`, `mixed` or `english`; see
    [Concepts](concepts.md#a-training-run-is-a-plan)"""
    alpha: Probabilities = 0.5
    """probability of a monolingual batch under `hybrid`, 0 to 1; or two, `[0.1, 0.5]`, between which it goes evenly
    from the first step to the last"""
    size: int = Field(default=32, ge=2)
    """pairs in a batch, at least 2"""
    language_sampling: Literal["uniform", "size"] | float = "uniform"
    """`uniform` over languages, by `size`, or a temperature T of at least 1: a language of n examples in proportion to
    n^(1/T)"""
    dataset_weights: dict[str, float] | Literal["uniform", "size"] | float = "size"
    """relative weight by data set, `{tatoeba: 1, squad: 3}`, 0 for one that is not named; or `size`, `uniform` or a
    temperature of at least 1, as for languages"""
    neighbours: PositiveInt = 1
    """consecutive examples that a monolingual batch keeps together; where examples follow the order of a text, they are
    hard negatives in the query's language; divides `batches.size`"""


class Distillation(_Section):
    """Keep the student near vectors of a teacher, the initial model or another, while it learns.

    The target `own` is the teacher's vector of the same text; `english` its vector of the English translation, so that
    English stays and the others come to it; `translations` its mean over the text's translations, so that these are
    drawn together and the mean holds them in place.
    """

    weight: PositiveFloat
    """weight of the term `1 - cos(student, target)`, averaged over queries and passages"""
    target: Literal["own", "english", "translations"] = "own"
    """`own`: the teacher's vector of the same text. `english`: its vector of the English translation. `translations`:
    the mean over the translations of an aligned sentence"""
    teacher: Place | None = None
    """a model whose vectors are the targets, named as `model` is; the initial model, with its remedy, if not given"""


class Debias(_Section):
    """A free remedy put behind the model before training, which then trains through it; see `isoglot debias`."""

    source: Place | None = None
    """text that it is fitted on, as `data[].source`; the training pairs if not given"""
    remedy: Literal["lir", "linear-lir", "leace"] = "linear-lir"
    """`lir`, `linear-lir` or `leace`"""
    directions: PositiveInt = DEFAULT_DIRECTIONS
    """for `lir` and `linear-lir`, how many directions to remove"""
    strength: float = Field(default=1.0, gt=0, le=1)
    """how much of what the remedy takes out is taken out"""
    examples: PositiveInt = DEFAULT_EXAMPLES
    """examples per language that it is fitted on"""


class Loss(_Section):
    """What is minimised: a weighted sum of terms; see `isoglot.training.losses`, which has their formulas.

    InfoNCE has `weight`; the other terms' weights have their names, and 0 leaves a term out. arXiv
    2408.10536 states no temperature; 0.01 to 0.05 is common for cosines.
    """

    temperature: PositiveFloat = 0.02
    """of every term that has one. arXiv 2408.10536 does not state one"""
    symmetric: bool = False
    """in InfoNCE, also let each passage find its query"""
    weight: float = Field(default=1.0, ge=0)
    """weight of InfoNCE; 0 leaves it out"""
    negatives: int | None = Field(default=None, ge=0)
    """at most so many of each pair's negatives; all if not given"""
    semantic_contrastive: float = Field(default=0.0, ge=0)
    """weight of InfoNCE between passages and their translations; 0 leaves it out"""
    language_contrastive: float = Field(default=0.0, ge=0)
    """weight of the term that lets wrong queries score a passage and its translation alike"""
    jensen_shannon: float = Field(default=0.0, ge=0)
    """weight of the divergence between a query's scores over passages and over their translations"""
    distillation: Distillation | None = None
    """a term that needs targets; see [below](#distillation)"""
    matryoshka: tuple[PositiveInt, ...] | None = None
    """sizes of shorter vectors, the first so many dimensions, that are trained along with whole ones"""
    mini_batch: PositiveInt | None = None
    """encode so many texts at a time and repeat the pass when its gradient is due, so that memory does not grow with
    the batch; whole columns at once if not given"""

    @property
    def over_translations(self) -> bool:
        """Whether a term compares passages with their translations."""
        return bool(self.semantic_contrastive or self.language_contrastive or self.jensen_shannon)


class Lora(_Section):
    """Train low-rank adapters in place of the transformer's weights (arXiv 2106.09685); needs the extra `lora`.

    With `merge` they are added to the weights in the finished model, which is then an ordinary one. Otherwise `model/`
    holds the adapters alone, and loading it takes peft and the initial model, in its place.
    """

    rank: PositiveInt = 16
    """rank of an adapter's two factors"""
    alpha: PositiveInt = 32
    """what an adapter adds is scaled by `alpha` / `rank`"""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """dropout probability before an adapter; `dropout` does not touch it"""
    targets: Literal["all-linear"] | Names = "all-linear"
    """names of the linear layers that get one, such as `[query, value]`"""
    merge: bool = True
    """add the adapters to the weights in the finished model; `false` keeps them apart"""


class Optimizer(_Section):
    """AdamW with a linear warm-up, then a linear fall to zero."""

    learning_rate: PositiveFloat = 3e-5
    """the highest learning rate"""
    weight_decay: float = Field(default=0.01, ge=0)
    """weight decay"""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """share of the steps in which the learning rate rises"""
    max_gradient_norm: PositiveFloat = 1.0
    """gradients are clipped to this norm"""


class Freeze(_Section):
    """What is not updated: the word embeddings (most weights), the first layers, the modules behind the pooling."""

    word_embeddings: bool = True
    """the word embeddings, most of the weights of a multilingual model"""
    layers: int = Field(default=0, ge=0)
    """the first so many blocks of the transformer, and all that a text meets before them, such as embeddings"""
    head: bool = True
    """the modules behind the pooling, a remedy among them"""


class Validation(_Section):
    """Held-out pairs on which the loss is watched."""

    examples: int = Field(default=256, ge=0)
    """examples held out of training; 0 for none. There must be more examples than that"""
    every: PositiveInt = 50
    """steps between two looks at their loss, and between two checkpoints"""
    patience: PositiveInt = 3
    """looks without improvement before training stops"""


class TrainConfig(_Section):
    """A training run; the tables of docs/training.md are written from here (docs/examples/_training_keys.py).

    In every path `~` and environment variables are filled in: `$DATA/ntrex`.
    """

    model: Place = "builtin:multilingual-e5-small"
    """hub id, folder or `builtin:multilingual-e5-small`"""
    output: Annotated[Path, AfterValidator(expanded_path)]
    """the run's folder; must not hold another run"""
    data: tuple[DataSource, ...] = Field(min_length=1)
    """at least one source"""
    evaluation_sets: tuple[EvaluationSet, ...] = ()
    """a list"""
    batches: Batches = Batches()
    debias: Debias | None = None
    """a remedy that training goes through; `{}` takes the defaults; see [below](#debias-first)"""
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    freeze: Freeze = Freeze()
    lora: Lora | None = None
    """low-rank adapters that are trained in place of the transformer's weights; `{}` takes the defaults; see
    [below](#adapters)"""
    validation: Validation = Validation()
    steps: PositiveInt | None = None
    """number of batches; give this or `epochs`"""
    epochs: PositiveFloat | None = None
    """times the number of training examples (ids, not rows): epochs × examples / `batches.size` steps, rounded up"""
    query_tokens: Tokens | None = None
    """token limit of queries in training; the model's own if not given"""
    passage_tokens: Tokens | None = None
    """token limit of passages in training; the model's own if not given"""
    max_tokens: Tokens | None = None
    """token limit of both, and of the text that a remedy is fitted on and of held-out pairs when they are scored; the
    model's own if not given"""
    model_max_tokens: Tokens | None = None
    """token limit that the finished model declares, as far as its positions go; the initial model's if not given"""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """dropout probability in training; the model's own if not given"""
    average: float = Field(default=1.0, gt=0, le=1)
    """share of the trained weights in the finished model, the rest from the initial one (WiSE-FT, arXiv 2109.01903)"""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """of everything that is drawn"""
    bf16: bool | None = None
    """train in bfloat16, on a processor that has the arithmetic; if not given, where that is measured to be faster"""
    checkpoint_every: PositiveInt = 100
    """steps between two checkpoints; with held-out pairs `validation.every` takes its place"""
    report_to: Names = ()
    """services that are told the loss at every step, by the names that transformers has for them: `tensorboard`,
    `wandb`, `trackio`, `mlflow` and others; see [below](#reporting)"""

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
