"""What a study is, as its recipe says it: checked objects.

A recipe says which arms are trained on which data, on which benchmarks they are scored, and what is held against
what. `isoglot.studies.reading` reads it from YAML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, model_validator

from isoglot.benchmarks.xquad_r import Candidate
from isoglot.evaluation.averages import BY_DISTANCE, MATTERS_OF_TASTE
from isoglot.models.debiasing import DEFAULT_EXAMPLES
from isoglot.vectors.remedies import DEFAULT_DIRECTIONS, DEFAULT_REMEDY, Remedy

BASE = "base"
"""The system that is the initial model as it is; every study has it."""
Content = dict[str, Any]
Shares = dict[str, Annotated[float, Field(ge=0, le=1)]]
"""Shares of text that is kept, by language; 0 for none."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _with_a_direction(measures: tuple[str, ...]) -> tuple[str, ...]:
    if measures[0] in (*BY_DISTANCE, *MATTERS_OF_TASTE):
        raise ValueError(f"{measures[0]}: neither high nor low is good, so it cannot be the main measure")
    return measures


def _named(model: Any) -> Any:
    return {"model": model} if isinstance(model, str) else model


class DataEntry(_Section):
    """Data that a study may need."""

    path: str
    """File or folder. A recipe may list several places; this is the first that is there, else the first."""
    get: str  # what it is and how to come by it, for whoever lacks it


class BenchmarkSpec(_Section):
    """A benchmark that every system is scored on."""

    benchmark: str  # its name in `isoglot data list`
    data: str | None = None  # its files; the hub where not given
    languages: tuple[str, ...] | None = None  # only these
    every: PositiveInt = 1
    """Every n-th paragraph of XQuAD-R and MLQA-R, n-th example of others; figures on a part compare with no others."""
    candidate: Candidate = "sentence"
    optional: bool = False  # leave it out where its data is not there
    measures: Annotated[tuple[str, ...], AfterValidator(_with_a_direction)] = Field(default=("map",), min_length=1)
    """What is compared, the main one first."""


class RemedySpec(_Section):
    """A free remedy; see `isoglot debias`."""

    source: str  # text that it is fitted on
    remedy: Remedy = DEFAULT_REMEDY
    directions: PositiveInt = DEFAULT_DIRECTIONS  # for `lir` and `linear-lir`, how many to remove
    examples: PositiveInt = DEFAULT_EXAMPLES  # per language
    keep: Shares = {}  # laid over the study's


class ModelSpec(_Section):
    """An initial model; a name alone stands for one without settings of its own."""

    model: str  # a hub id, a folder or `builtin:multilingual-e5-small`
    training: Content = {}  # laid over the study's and under an arm's, such as more steps for a model that knows less
    optional: bool = False  # leave it out where its folder is not there


class ArmSpec(_Section):
    """A model that is trained."""

    training: Content = {}  # what its configuration has that the study's has not; see `isoglot.training.TrainConfig`
    keep: Shares = {}  # laid over the study's; thins training text, and text that the remedy is fitted on
    optional: bool = False  # leave it out where its data is not there
    x: float | None = None  # its place on the axis of the study's plot
    series: str = "trained"  # the line of the plot that it belongs to


class ComparisonSpec(_Section):
    """What is tested beside everything against `base`: names of arms and remedies."""

    baseline: str
    systems: tuple[str, ...] | None = None  # where not given, everything else that it is not tested against already


class ViewSpec(_Section):
    """A part of the queries that is looked at apart."""

    queries: tuple[str, ...] | None = None  # only in these languages
    corpora: tuple[str, ...] | None = None  # only in these; the pooled setting, which has no one language, is left out


class Published(_Section):
    """Figures that others published, to stand beside, marked as theirs."""

    system: str
    benchmark: str
    figures: dict[str, float]
    source: str


class Study(_Section):
    """A recipe. What has a name is in a mapping by it."""

    name: str
    title: str  # of its report
    question: str
    answer: str  # the function of `isoglot.studies.answers` that answers
    data: dict[str, DataEntry] = {}
    benchmarks: dict[str, BenchmarkSpec] = Field(min_length=1)
    models: dict[str, Annotated[ModelSpec, BeforeValidator(_named)]] = Field(min_length=1)  # initial ones
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)  # of every arm
    max_tokens: PositiveInt | None = None  # of every model
    bf16: bool | None = None  # encode in bfloat16 when scoring; where the processor has it if not given
    keep_models: bool = True  # when their results are there; a benchmark added later then costs no training
    keep: Shares = {}
    training: Content = {}  # what arms share, without model, output and seed
    shared_text: bool = False
    """Whether all arms read the same text, but for what `keep` takes, so that batches alone can make a difference.

    Examples are then left out that some kind of batch could not read: those in one language, and aligned sentences. A
    source that says `parallel: false` is kept whole: for monolingual batches, the same ones in all arms.
    """
    remedies: dict[str, RemedySpec] = {}
    arms: dict[str, ArmSpec] = {}
    comparisons: tuple[ComparisonSpec, ...] = ()
    views: dict[str, ViewSpec] = {}
    view_by: tuple[Literal["family", "script"], ...] = ()
    gain_by_amount: tuple[str, ...] = ()  # arms whose gain in a language is held against the amount of its text
    x_title: str = ""  # what `x` of the arms is
    published: tuple[Published, ...] = ()
    limits: tuple[str, ...] = ()  # what to know before trusting the answer, beside what every study says
    quick: bool = False  # whether this is the short form
    command: tuple[str, ...] = ()  # words behind `isoglot study` that ask for it

    @model_validator(mode="after")
    def _text_is_shared(self) -> Study:
        for model in self.models if self.shared_text else ():
            read = {name: self.training_of(name, model).get("data") for name in self.arms}
            for name, data in read.items():
                if data != next(iter(read.values())):
                    raise ValueError(
                        f"shared_text: arm {name} reads other data than arm {next(iter(read))}; say data for all arms, "
                        "under training, or shared_text: false"
                    )
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Study:
        names = self.systems
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two systems are called {twice[0]!r}")
        if len(names) < 2:
            raise ValueError("there is nothing to hold against base; name arms or remedies")
        mentioned = [n for one in self.comparisons for n in (one.baseline, *(one.systems or ()))]
        for name in (*mentioned, *self.gain_by_amount):
            if name not in names:
                raise ValueError(f"comparisons and gain_by_amount know {', '.join(names)}, not {name!r}")
        pairs = [frozenset((one.baseline, name)) for one in self.comparisons for name in one.systems or ()]
        pairs += [frozenset((BASE, name)) for name in names[1:]]  # everything is tested against base
        for pair in pairs:
            if pairs.count(pair) > 1 or len(pair) == 1:
                told = " against ".join(sorted(pair))
                raise ValueError(f"comparisons test {told} twice or against itself; name a pair once")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)}: give each once")
        return self

    @property
    def systems(self) -> list[str]:
        """Names of everything that is scored: the base, the free remedies, the trained arms."""
        return [BASE, *self.remedies, *self.arms]

    def label(self, system: str, model: str) -> str:
        """What tables call a system made from an initial model: the model is said where there are several."""
        return system if len(self.models) == 1 else f"{model} {system}"

    def training_of(self, arm: str, model: str) -> Content:
        """The training configuration of an arm that starts from a model, without model, output and seed."""
        return merge(merge(self.training, self.models[model].training), self.arms[arm].training)

    def keep_of(self, system: str) -> dict[str, float]:
        """The shares of text that a system is left with, by language; nothing for languages that keep all."""
        spec = self.arms.get(system) or self.remedies.get(system)
        shares = {**self.keep, **(spec.keep if spec else {})}
        return {tag: share for tag, share in shares.items() if share < 1}


def merge(below: Content, above: Content) -> Content:
    """One mapping laid over another, key by key; None takes a key away, a list takes the place of a list.

    >>> merge({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3, "c": None}, "d": [2]})
    {'a': {'b': 3}, 'd': [2]}
    """
    merged = dict(below)
    for key, value in above.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            earlier = merged.get(key)
            merged[key] = merge(earlier if isinstance(earlier, dict) else {}, value)
        else:
            merged[key] = value
    return merged
