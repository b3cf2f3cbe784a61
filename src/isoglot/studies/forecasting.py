"""What a study would do and how long it would take, by a few steps of training and a few texts of every model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isoglot.benchmarks import RetrievalSet
from isoglot.common.paths import expanded_path
from isoglot.models.embed import embed
from isoglot.studies.arms import Arm, arms_of, config_of, loaded, missing_results, with_own_text
from isoglot.studies.material import digest, load_set
from isoglot.studies.reading import with_data_at_hand
from isoglot.studies.recipe import Study
from isoglot.training.estimate import estimate

_ENCODED = 64  # texts by which the rate of encoding is measured
_ONLY_BATCHES = ("strategy", "alpha", "dataset_weights", "language_sampling")  # by which a step takes no longer


@dataclass(frozen=True)
class Forecast:
    """What a study would do and how long it would take on this machine as it is now.

    Attributes:
        systems: everything that is scored, by name: the base, remedies and training runs.
        finished: how many of them the folder has all results of.
        runs: training runs that are left.
        steps: their training steps.
        texts: how many texts are encoded to score what is left; those in the store come on top for nothing.
        seconds_per_step: by model, the mean over the arms that are left.
        texts_per_second: by model.
        seconds: of training and of scoring.
        notes: what is left out, a line each.
    """

    systems: tuple[str, ...]
    finished: int
    runs: int
    steps: int
    texts: int
    seconds_per_step: Mapping[str, float]
    texts_per_second: Mapping[str, float]
    seconds: Mapping[str, float]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)

    def text(self) -> str:
        """For people, a few lines."""
        rates = [f"{model} {seconds:.2f} s" for model, seconds in self.seconds_per_step.items()]
        encoding = [f"{model} {rate:,.0f}" for model, rate in self.texts_per_second.items()]
        hours = ", ".join(f"{what} {value / 3600:.1f}" for what, value in self.seconds.items())
        return "\n".join(
            [
                f"Systems: {len(self.systems)}, of which {self.finished} are finished: {', '.join(self.systems)}",
                f"Left: {self.runs} training runs, {self.steps:,} steps; {self.texts:,} texts to encode for scores",
                f"A step takes: {', '.join(rates) or '-'}; texts a second: {', '.join(encoding) or '-'}",
                f"Hours: about {sum(self.seconds.values()) / 3600:.1f} ({hours})",
                *self.notes,
            ]
        )


def forecast(study: Study, folder: Path) -> Forecast:
    """Say what is left of a study in a folder, and how long it would take; nothing is written there.

    Text of the benchmarks is not looked for in the training text, and the time to look for it is not counted.

    Raises:
        InputError: if the recipe or the data cannot be used.
    """
    folder = expanded_path(folder)
    study, notes = with_data_at_hand(study)
    sets = {name: load_set(name, spec) for name, spec in study.benchmarks.items()}
    arms = arms_of(study)
    missing = {arm: missing_results(sets, folder / "arms" / arm.name) for arm in arms}
    left = [arm for arm in arms if missing[arm]]
    trained = [arm for arm in left if arm.training and not (folder / "arms" / arm.name / "run" / "model").exists()]
    with tempfile.TemporaryDirectory() as temporary:
        costs = _training_costs(trained, Path(temporary))
    rates = {model: _rate(next(arm for arm in left if arm.model == model), sets) for model in {a.model for a in left}}
    steps, per_step = ({arm: cost[which] for arm, cost in costs.items()} for which in (0, 1))
    texts = {arm: sum(_texts(sets[name]) for name in names) for arm, names in missing.items()}
    models = list(dict.fromkeys(arm.model for arm in trained))
    by_model = {model: [per_step[arm] for arm in trained if arm.model == model] for model in models}
    return Forecast(
        systems=tuple(arm.name for arm in arms),
        finished=len(arms) - len(left),
        runs=len(trained),
        steps=round(sum(steps.values())),
        texts=sum(texts.values()),
        seconds_per_step={model: sum(each) / len(each) for model, each in by_model.items()},
        texts_per_second=rates,
        seconds={
            "training": sum(steps[arm] * per_step[arm] for arm in trained),
            "scoring": sum(texts[arm] / rates[arm.model] for arm in left),
        },
        notes=tuple(notes),
    )


def _training_costs(arms: Sequence[Arm], folder: Path) -> dict[Arm, tuple[int, float]]:
    """Steps of each arm, and seconds of one, measured for one of all arms that differ by how they draw alone."""
    measured: dict[str, tuple[int, float]] = {}
    costs = {}
    for arm in arms:
        batches = {name: value for name, value in arm.training.get("batches", {}).items() if name not in _ONLY_BATCHES}
        alike = digest([arm.model, {**arm.training, "batches": batches}])
        if alike not in measured:
            found = estimate(config_of(arm, with_own_text(arm, folder), folder))
            measured[alike] = (found.plan["steps"], sum(found.seconds.values()) / found.plan["steps"])
        costs[arm] = measured[alike]
    return costs


def _rate(arm: Arm, sets: Mapping[str, RetrievalSet]) -> float:
    """Texts that an arm's initial model encodes in a second, of those of the largest benchmark."""
    model = loaded(arm.initial, arm.study.max_tokens)
    passages = max((data.passage_texts for data in sets.values()), key=len)
    sample = list(passages[:: max(1, len(passages) // _ENCODED)])[:_ENCODED]
    start = time.perf_counter()
    embed(model, sample, "passage", bf16=arm.bf16(model))
    return len(sample) / (time.perf_counter() - start)


def _texts(data: RetrievalSet) -> int:
    """Distinct texts of a benchmark in each role."""
    return len(set(data.query_texts)) + len(set(data.passage_texts))
