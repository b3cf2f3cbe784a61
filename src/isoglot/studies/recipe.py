"""What a study is, as its recipe says it: checked objects.

A recipe says which arms are trained on which data, on which benchmarks they are scored, and what is held against
what. `isoglot.studies.reading` reads it from YAML.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from isoglot.benchmarks.xquad_r import Candidate
from isoglot.evaluation.averages import BY_DISTANCE, MATTERS_OF_TASTE
from isoglot.models.debiasing import DEFAULT_DIRECTIONS, DEFAULT_EXAMPLES, Remedy

BASE = "base"
"""The system that is the initial model as it is; every study has it."""
Content = dict[str, Any]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataEntry(_Section):
    """Data that a study may need.

    Attributes:
        path: file or folder. A recipe may list several places; this is the first that is there, else the first.
        get: what it is and how to come by it, for whoever lacks it.
    """

    path: str
    get: str


class BenchmarkSpec(_Section):
    """A benchmark that every system is scored on.

    Attributes:
        benchmark: its name in `isoglot data list`.
        data: its files; the hub where not given.
        languages: only these.
        every: keep every n-th paragraph of XQuAD-R and MLQA-R, every n-th example of others; figures on a part do not
            compare with figures on the whole.
        candidate: `sentence` or `sentence+context`.
        optional: leave it out where its data is not there.
        measures: what is compared, the main one first.
    """

    benchmark: str
    data: str | None = None
    languages: tuple[str, ...] | None = None
    every: PositiveInt = 1
    candidate: Candidate = "sentence"
    optional: bool = False
    measures: tuple[str, ...] = Field(default=("map",), min_length=1)

    @field_validator("measures")
    @classmethod
    def _more_or_less_is_better(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        if measures[0] in (*BY_DISTANCE, *MATTERS_OF_TASTE):
            raise ValueError(f"{measures[0]}: neither high nor low is good, so it cannot be the main measure")
        return measures


class RemedySpec(_Section):
    """A free remedy; see `isoglot debias`.

    Attributes:
        source: text that it is fitted on.
        remedy: which.
        directions: for `lir`, how many to remove.
        examples: examples per language that it is fitted on.
        keep: languages whose text is thinned to a share of it; laid over the study's.
    """

    source: str
    remedy: Remedy = "lir"
    directions: PositiveInt = DEFAULT_DIRECTIONS
    examples: PositiveInt = DEFAULT_EXAMPLES
    keep: dict[str, float] = {}


class ArmSpec(_Section):
    """A model that is trained.

    Attributes:
        training: what its configuration has that the study's has not; see `isoglot.training.TrainConfig`.
        keep: languages whose training text, and text for the remedy, is thinned to a share of it, 0 for none; laid
            over the study's.
        optional: leave it out where its data is not there.
        x: its place on the axis of the study's plot.
        series: the line of the plot that it belongs to.
    """

    training: Content = {}
    keep: dict[str, float] = {}
    optional: bool = False
    x: float | None = None
    series: str = "trained"


class ComparisonSpec(_Section):
    """What is tested beside everything against `base`.

    Attributes:
        baseline: name of an arm, a remedy or `base`.
        systems: names of what is tested against it; everything else where not given.
    """

    baseline: str
    systems: tuple[str, ...] | None = None


class ViewSpec(_Section):
    """A part of the queries that is looked at apart.

    Attributes:
        queries: only queries in these languages.
        corpora: only corpora in these languages; the pooled setting, which has no one language, is left out.
    """

    queries: tuple[str, ...] | None = None
    corpora: tuple[str, ...] | None = None


class Published(_Section):
    """Figures that others published, to stand beside, marked as theirs."""

    system: str
    benchmark: str
    figures: dict[str, float]
    source: str


class Study(_Section):
    """A recipe; see the module.

    Attributes:
        name: of the study.
        title: of its report.
        question: what it asks.
        answer: the function of `isoglot.studies.answers` that answers.
        data: what it may need, by name.
        benchmarks: what systems are scored on, by name.
        models: initial models, by short name: hub ids, folders or `builtin:multilingual-e5-small`.
        seeds: of every arm that is trained.
        max_tokens: limit of every model.
        bf16: encode in bfloat16 when scoring; where the processor has it if not given.
        keep_models: keep the trained models when their results are there. A benchmark added later then costs no
            training.
        keep: languages whose text is thinned in every arm and remedy.
        training: the configuration that arms share, without model, output and seed.
        remedies: systems that cost nothing, by name.
        arms: what is trained, by name.
        comparisons: what is tested beside everything against `base`.
        views: parts of the queries that are compared apart, by name.
        view_by: such parts by what languages have in common.
        gain_by_amount: arms whose gain in each language is held against the amount of training text in it.
        x_title: what `x` of the arms is.
        published: figures of others.
        limits: what to know before trusting the answer, beside what every study says.
        quick: whether this is the short form.
        command: words behind `isoglot study` that ask for it.
    """

    name: str
    title: str
    question: str
    answer: str
    data: dict[str, DataEntry] = {}
    benchmarks: dict[str, BenchmarkSpec] = Field(min_length=1)
    models: dict[str, str] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    max_tokens: PositiveInt | None = None
    bf16: bool | None = None
    keep_models: bool = True
    keep: dict[str, float] = {}
    training: Content = {}
    remedies: dict[str, RemedySpec] = {}
    arms: dict[str, ArmSpec] = {}
    comparisons: tuple[ComparisonSpec, ...] = ()
    views: dict[str, ViewSpec] = {}
    view_by: tuple[Literal["family", "script"], ...] = ()
    gain_by_amount: tuple[str, ...] = ()
    x_title: str = ""
    published: tuple[Published, ...] = ()
    limits: tuple[str, ...] = ()
    quick: bool = False
    command: tuple[str, ...] = ()

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
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {list(self.seeds)}: give each once")
        thinned = [*(arm.keep for arm in self.arms.values()), *(remedy.keep for remedy in self.remedies.values())]
        for shares in (self.keep, *thinned):
            if wrong := [f"{tag} {share}" for tag, share in shares.items() if not 0 <= share <= 1]:
                raise ValueError(f"keep {wrong[0]}: a share is from 0 to 1")
        return self

    @property
    def systems(self) -> list[str]:
        """Names of everything that is scored: the base, the free remedies, the trained arms."""
        return [BASE, *self.remedies, *self.arms]

    def label(self, system: str, model: str) -> str:
        """What tables call a system made from an initial model: the model is said where there are several."""
        return system if len(self.models) == 1 else f"{model} {system}"

    def training_of(self, arm: str) -> Content:
        """The training configuration of an arm, without model, output and seed."""
        return merge(self.training, self.arms[arm].training)

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
