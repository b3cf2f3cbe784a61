"""One arm of a study: trained if it is to be, scored on every benchmark, each step written whole and done once.

An arm's folder holds `arm.json`, what its outcome depends on and the hash of that; `run/`, the training run; and
`results/`, a folder per benchmark, named by the benchmark and its content. Whatever is there already is not made
again, and a training run that was interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sentence_transformers import SentenceTransformer

from isoglot._version import __version__
from isoglot.benchmarks import RetrievalSet
from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.common.settings import first_problem
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.results import RESULTS_FILE, Results, load_results
from isoglot.models.arithmetic import in_bf16
from isoglot.models.debiasing import debias
from isoglot.models.encoders import load_encoder
from isoglot.models.fingerprint import fingerprint
from isoglot.models.limits import set_token_limit, token_limits
from isoglot.report.runs import LOG_FILE, LossLog, read_log
from isoglot.runtime.store import embedding_store
from isoglot.sources import load_pairs
from isoglot.studies.material import Cleaned, cleaned, digest, fingerprint_of, searched, thinned
from isoglot.studies.reading import sources_of
from isoglot.studies.recipe import BASE, Content, Study
from isoglot.training import TrainConfig, train
from isoglot.training.preparation import OverlapFound

RECORD_FILE = "arm.json"


@dataclass(frozen=True)
class TrainingRun:
    """What a study tells of a training run."""

    text: str  # fingerprint of all pairs that it could draw from
    amounts: Mapping[str, int]  # pairs by language
    log: LossLog


@dataclass(frozen=True, eq=False)
class Arm:
    """A system of a study made from one initial model with one seed."""

    study: Study
    system: str  # name of the base, a remedy or an arm
    model: str  # short name of the initial model
    seed: int | None = None  # of training; None for the base and for remedies, which are made once
    cleaned: Mapping[str, Cleaned] = field(default_factory=dict)  # as `clean_text` gives it

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.study.label(self.system, self.model)

    @property
    def name(self) -> str:
        """The label with the seed; the name of its folder."""
        return self.label.replace(" ", "-") + ("" if self.seed is None else f"-{self.seed}")

    def text(self, entry: Content) -> Cleaned:
        """What is read in place of a source, and what it lacks."""
        return self.cleaned.get(digest(entry), (entry, {}))

    def description(self) -> dict[str, Any]:
        """Everything that determines the outcome."""
        study, training, remedy = self.study, self.training, self.study.remedies.get(self.system)
        sources = [remedy.source] if remedy else sources_of(training)
        read = {entry["source"]: self.text(entry)[0]["source"] for entry in training.get("data", ())}
        return {
            "system": self.system,
            "seed": self.seed,
            "model": {"name": self.initial, "fingerprint": _model_fingerprint(self.initial)},
            "max_tokens": study.max_tokens,
            "bf16": study.bf16,
            "training": training,
            "remedy": remedy.model_dump(exclude={"source", "keep"}) if remedy else None,
            "keep": study.keep_of(self.system),
            "shared_text": study.shared_text,
            "data": {Path(source).name: fingerprint_of(read.get(source, source)) for source in sources},
            "left_out": self.left_out,
            "isoglot": __version__,
        }

    @property
    def initial(self) -> str:
        """Where its initial model comes from."""
        return self.study.models[self.model].model

    @property
    def training(self) -> Content:
        """The training configuration that the recipe gives it; empty for a system that is not trained."""
        return self.study.training_of(self.system, self.model) if self.system in self.study.arms else {}

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """Examples that training goes without, by source and the benchmark whose text they hold."""
        known = {Path(entry["source"]).name: self.text(entry)[1] for entry in self.training.get("data", ())}
        return {name: dropped for name, dropped in known.items() if dropped}

    def bf16(self, model: SentenceTransformer) -> bool:
        """Whether the model encodes in bfloat16."""
        return in_bf16(self.study.bf16, model.device)


def arms_of(study: Study, cleaned: Mapping[str, Cleaned] | None = None) -> list[Arm]:
    """The arms of a study in the order they run: for each model what is free first, then seed by seed.

    A study that is stopped early so has every arm with its first seed before any with its second.

    Raises:
        InputError: if an arm reads two files of one name, by which text and examples are told apart, or two arms would
            have one folder.
    """
    for name, model in ((name, model) for model in study.models for name in study.arms):
        sources = {Path(entry["source"]) for entry in study.training_of(name, model).get("data", ())}
        called = [source.name for source in sources]
        if twice := next((each for each in called if called.count(each) > 1), None):
            raise InputError(f"study {study.name}, arm {name}: two training files are called {twice}; rename one")
    free = [name for name in study.systems if name not in study.arms]
    arms = [Arm(study, system, model) for model in study.models for system in free]
    arms += [
        Arm(study, name, model, seed, cleaned or {})
        for seed in study.seeds
        for model in study.models
        for name in study.arms
    ]
    folders = [arm.name for arm in arms]
    if twice := next((each for each in folders if folders.count(each) > 1), None):
        raise InputError(f"study {study.name}: two arms would be kept as {twice}; give their systems other names")
    return arms


def clean_text(study: Study, sets: Mapping[str, RetrievalSet], folder: Path) -> dict[str, Cleaned]:
    """What the arms of a study read in place of their sources, by the source's digest; see `cleaned`."""
    training = [study.training_of(name, model) for model in study.models for name in study.arms]
    entries = {digest(entry): entry for one in training for entry in one.get("data", ())}
    return {key: cleaned(entry, sets, folder) for key, entry in entries.items()}


def config_of(arm: Arm, training: Content, folder: Path) -> TrainConfig:
    """The configuration of an arm that is trained; what is wrong with it is told with the arm and the key."""
    study = arm.study
    own = {"model": arm.initial, "output": str(folder / "run"), "seed": arm.seed}
    try:
        return TrainConfig.model_validate({"max_tokens": study.max_tokens, **training, **own})
    except ValidationError as error:
        problem = first_problem(error, "training", "docs/training.md", under="training.")
        raise InputError(f"study {study.name}, arm {arm.system}: {problem}") from error


def check_record(arm: Arm, folder: Path) -> None:
    """Raise where the folder holds an arm that was made otherwise."""
    if (folder / RECORD_FILE).exists():
        known = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        if known["key"] != digest(_portable(arm.description())):
            raise InputError(
                f"{folder}: holds this arm made with other settings, data or another version; choose another --out"
            )


def run_arm(arm: Arm, sets: Mapping[str, RetrievalSet], folder: Path, data_folder: Path) -> dict[str, Results]:
    """Make the arm's model where it is still needed, score it on what it has no results of; results by benchmark.

    The first folder is the arm's own, in the other is thinned text for all arms.
    """
    if not (folder / RECORD_FILE).exists():
        described = arm.description()
        write_json(folder / RECORD_FILE, {"key": digest(_portable(described)), **described})
    places = {name: results_folder(folder, name, data) for name, data in sets.items()}
    if missing := missing_results(sets, folder):
        model = _make(arm, sets, folder, data_folder)
        for name in missing:
            results = evaluate(model, sets[name], name=arm.label, store=embedding_store(), bf16=arm.bf16(model))
            results.save(places[name])
    if not arm.study.keep_models:
        shutil.rmtree(folder / "run" / "model", ignore_errors=True)
    return {name: load_results(place) for name, place in places.items()}


def results_folder(folder: Path, name: str, data: RetrievalSet) -> Path:
    """Where an arm's folder has the results of a benchmark."""
    return folder / "results" / f"{name}-{data.fingerprint[:8]}"


def missing_results(sets: Mapping[str, RetrievalSet], folder: Path) -> list[str]:
    """Benchmarks that an arm's folder has no results of."""
    return [name for name, data in sets.items() if not (results_folder(folder, name, data) / RESULTS_FILE).exists()]


def training_run(folder: Path) -> TrainingRun | None:
    """What is to be told of an arm's training; None for an arm that was not trained."""
    file = folder / "run" / "run.json"
    if not file.exists():
        return None
    data = json.loads(file.read_text(encoding="utf-8"))["data"]
    log = LossLog(folder.name, read_log(file.with_name(LOG_FILE)))
    return TrainingRun(data["fingerprint"], data["pairs_by_language"], log)


def check_shared(runs: Mapping[Arm, TrainingRun]) -> None:
    """Raise where arms of a seed, a model and a thinning that were to read the same text did not."""
    first: dict[str, tuple[Arm, TrainingRun]] = {}
    for arm, run in runs.items():
        alike = digest([arm.seed, arm.model, arm.study.keep_of(arm.system)])
        other, known = first.setdefault(alike, (arm, run))
        if arm.study.shared_text and run.text != known.text:
            raise InputError(
                f"study {arm.study.name}: {arm.name} and {other.name} were trained on different text, "
                f"{run.text[:12]} and {known.text[:12]}; choose another --out, or say shared_text: false"
            )


def _make(arm: Arm, sets: Mapping[str, RetrievalSet], folder: Path, data_folder: Path) -> SentenceTransformer:
    study = arm.study
    if arm.training:
        return loaded(_train(arm, sets, folder, data_folder), study.max_tokens)
    model = loaded(arm.initial, study.max_tokens)
    if arm.system == BASE:
        return model
    remedy = study.remedies[arm.system]
    fitted_on = thinned({"source": remedy.source}, study.keep_of(arm.system), 0, data_folder)["source"]
    how = remedy.model_dump(exclude={"source", "keep"})
    return debias(model, load_pairs(fitted_on), **how, store=embedding_store(), bf16=arm.bf16(model))


def loaded(name: str | Path, max_tokens: int | None) -> SentenceTransformer:
    """A model that reads so many tokens, if it is one that has a limit."""
    model = load_encoder(name)
    if max_tokens is not None and token_limits(model):
        set_token_limit(model, max_tokens)
    return model


def _train(arm: Arm, sets: Mapping[str, RetrievalSet], folder: Path, data_folder: Path) -> Path:
    """The folder of the trained model; a run that got as far as its record goes on."""
    run = folder / "run"
    if (run / "model").exists():
        return run / "model"
    training = with_own_text(arm, data_folder)
    resume = (run / "run.json").exists()
    return train(config_of(arm, training, folder), resume=resume, checked=_overlap_found(arm, sets))


def _overlap_found(arm: Arm, sets: Mapping[str, RetrievalSet]) -> list[OverlapFound]:
    """What `clean_text` left out for each benchmark, as a training run records it."""
    lost = {name: sum(dropped.get(name, 0) for dropped in arm.left_out.values()) for name in sets}
    return [
        OverlapFound(benchmark=name, fingerprint=data.fingerprint, examples_with_overlap=lost[name], on_overlap="drop")
        for name, data in searched(sets).items()
    ]


def with_own_text(arm: Arm, data_folder: Path) -> Content:
    """The arm's training configuration with its text cleaned, and thinned and shared as the recipe wants it."""
    training, keep, shared = arm.training, arm.study.keep_of(arm.system), arm.study.shared_text
    data = [
        thinned(arm.text(entry)[0], keep, arm.seed or 0, data_folder, every_kind=shared and entry.get("parallel", True))
        for entry in training["data"]
    ]
    remedy = training.get("debias") or {}
    if "source" in remedy:
        remedy = thinned(remedy, keep, 0, data_folder)
    return {**training, "data": data, **({"debias": remedy} if remedy else {})}


def _portable(description: dict[str, Any]) -> dict[str, Any]:
    """The description with data known by what it holds alone, so that a folder of data may move.

    Of training text that is what is left for training: a benchmark added later changes it only if it holds text of it.
    """
    training = dict(description["training"])
    if "data" in training:
        training["data"] = [{**entry, "source": None} for entry in training["data"]]
    if (remedy := training.get("debias") or {}).get("source"):
        training["debias"] = {**remedy, "source": fingerprint_of(remedy["source"])}
    known = {"model": description["model"]["fingerprint"], "data": list(description["data"].values())}
    return {**description, **known, "training": training, "left_out": None}


@cache
def _model_fingerprint(name: str) -> str:
    return fingerprint(load_encoder(name))
