"""Runs a study: arm by arm, then figures, answer and report. What is finished is not done again."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

import pyarrow as pa

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.progress import progress, tell
from isoglot.evaluation.results import Results
from isoglot.report.page import plot_library
from isoglot.report.systems import Column
from isoglot.studies.answers import ANSWERS, answer_of
from isoglot.studies.arms import (
    RECORD_FILE,
    Arm,
    TrainingRun,
    arms_of,
    check_record,
    check_shared,
    clean_text,
    config_of,
    missing_results,
    run_arm,
    training_run,
)
from isoglot.studies.curve import Optimum, find_optimum
from isoglot.studies.figures import (
    AGREEMENT,
    EVERYTHING,
    Figures,
    compare_best,
    compare_parts,
    main_columns,
    mean_figures,
)
from isoglot.studies.material import load_set
from isoglot.studies.pages import write_study
from isoglot.studies.reading import with_data_at_hand
from isoglot.studies.recipe import Study
from isoglot.studies.views import views_of

Outcome = dict[Arm, dict[str, Results]]


def run_study(study: Study, folder: Path) -> dict[str, Any]:
    """Run what is missing of a study and write its answer.

    Everything that can be wrong with the recipe, the data and the folder is looked for before anything is trained.

    Args:
        study: as `load_study` gives it.
        folder: where arms and the answer go; may hold an earlier, unfinished run of the same study.

    Returns:
        What `study.json` holds.

    Raises:
        InputError: in one line, if the recipe, the data or the folder cannot be used.
        MissingExtraError: if the library that draws the plots is not installed.
    """
    if study.answer not in ANSWERS:
        raise InputError(f"study {study.name}: answer {study.answer!r} is unknown; use one of {', '.join(ANSWERS)}")
    folder = expanded_path(folder)
    plot_library()
    study, notes = with_data_at_hand(study)
    for arm in arms_of(study):
        if arm.training:
            config_of(arm, arm.training, folder)
    sets = {name: load_set(name, spec) for name, spec in study.benchmarks.items()}
    for name, data in sets.items():
        if len(set(data.query_example)) < 2:
            raise InputError(f"study {study.name}: benchmark {name} has one example, and a test needs two; lower every")
    with progress("Looking for text of the benchmarks in the training text"):
        arms = arms_of(study, clean_text(study, sets, folder / "data"))
    places = {arm.name: folder / "arms" / arm.name for arm in arms}
    for arm in arms:
        check_record(arm, places[arm.name])
    notes += _left_out(arms)
    for line in notes:
        tell(line)
    outcome: Outcome = {}
    runs: dict[Arm, TrainingRun] = {}
    finished = {arm for arm in arms if not missing_results(sets, places[arm.name])}
    with progress(study.name, len(arms)) as advance:
        advance(len(finished))
        for number, arm in enumerate(arms, 1):
            tell(f"{study.name}: {arm.name}, {number} of {len(arms)}")
            outcome[arm] = run_arm(arm, sets, places[arm.name], folder / "data")
            _check_measures(study, outcome[arm])
            if run := training_run(places[arm.name]):
                runs[arm] = run
                check_shared(runs)
            gc.collect()  # a trainer refers to itself; its model would stay beside the next
            advance(arm not in finished)
    figures = figures_of(study, outcome, runs)
    answer = answer_of(figures)
    made = [
        {
            "name": arm.name,
            "text": runs[arm].text if arm in runs else None,
            **json.loads((places[arm.name] / RECORD_FILE).read_text(encoding="utf-8")),
            "results": {name: one.summary for name, one in results.items()},
        }
        for arm, results in outcome.items()
    ]
    return write_study(figures, answer, notes, made, folder)


def _check_measures(study: Study, results: Mapping[str, Results]) -> None:
    """Refuse measures that no benchmark has, as soon as the first arm, which is not trained, has been scored."""
    known = {
        name: [field.name for field in one.per_query.schema if pa.types.is_floating(field.type)]
        for name, one in results.items()
    }
    for name, spec in study.benchmarks.items():
        for measure in spec.measures:
            if measure not in (known[name] if measure == spec.measures[0] else chain(*known.values())):
                has = f"no measure {measure!r}; it has {', '.join(known[name])}"
                raise InputError(f"study {study.name}: benchmark {name} has {has}")


def figures_of(study: Study, outcome: Outcome, runs: Mapping[Arm, TrainingRun]) -> Figures:
    """Comparisons, means and optima of all arms' results."""
    parts, optima, against_best = [], [], []
    means: dict[str, dict[str, Any]] = {benchmark: {} for benchmark in study.benchmarks}
    for benchmark, model in product(study.benchmarks, study.models):
        scored: dict[str, list[Results]] = {system: [] for system in study.systems}
        for arm, results in outcome.items():
            if arm.model == model:
                scored[arm.system].append(results[benchmark])
        means[benchmark] |= {study.label(system, model): mean_figures(some) for system, some in scored.items()}
        found = compare_parts(study, benchmark, scored, model)
        parts += found
        against_best += compare_best(study, benchmark, scored, model, found)
        optima += _optima(study, benchmark, benchmark if len(study.models) == 1 else f"{benchmark}, {model}", scored)
    by_label: dict[str, list[TrainingRun]] = {}
    for arm, run in runs.items():
        by_label.setdefault(arm.label, []).append(run)
    return Figures(study, tuple(parts), means, by_label, tuple(optima), tuple(against_best))


def _optima(study: Study, benchmark: str, called: str, runs: Mapping[str, list[Results]]) -> list[Optimum]:
    """Optima over all languages, for every view by query language, and language by language."""
    placed = {arm.x: runs[name] for name, arm in study.arms.items() if arm.x is not None}
    if len(placed) < 2:
        return []
    languages = next(iter(placed.values()))[0].summary["languages"]
    groups: dict[str, tuple[str, ...] | None] = {EVERYTHING: None}
    groups |= {name: view.queries for name, view in views_of(study, languages).items() if not view.corpora}
    groups |= {tag: (tag,) for tag in languages}
    found = []
    for column in (*main_columns(study.benchmarks[benchmark].measures[0]), Column("multilingual", AGREEMENT)):
        where = (called, column.setting, column.measure)
        found += [find_optimum(placed, where, name=name, languages=tags) for name, tags in groups.items()]
    return [one for one in found if one is not None]


def _left_out(arms: Sequence[Arm]) -> list[str]:
    """A line about each source that lost examples to a benchmark."""
    lost = dict.fromkeys((source, *each) for arm in arms for source, by in arm.left_out.items() for each in by.items())
    return [
        f"{count:,} examples of {source} hold text of {name} and are not trained on." for source, name, count in lost
    ]
