"""Recipes from YAML, with the paths of the data put in, and whether that data is there.

A recipe may extend another and then says only what differs. `quick` holds what differs in a short run. `$DATA` stands
for the folder of data, `$NAME` for the path of an entry under `data`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from pydantic import ValidationError

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.settings import apply_override, first_problem, read_settings
from isoglot.sources import SOURCES, load_pairs
from isoglot.studies.recipe import ComparisonSpec, Content, Study, merge

_RECIPES = files("isoglot.studies") / "recipes"


def study_names() -> list[str]:
    """The studies that come with isoglot."""
    names = (file.name for file in _RECIPES.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml") and not name.startswith("_"))


def load_study(name: str | Path, overrides: Sequence[str] = (), *, quick: bool = False) -> Study:
    """Read a recipe.

    Args:
        name: of a study that comes with isoglot, or the path of a recipe.
        overrides: `key=value`, keys dotted, values YAML, null takes a key away. `data_dir=FOLDER` says where the data
            is, else the environment's `ISOGLOT_DATA` or `DATA` does.
        quick: the short form.

    Raises:
        InputError: in one line, naming the recipe, the key and what would be right.
    """
    content, short = _whole([name])
    for layer in short if quick else ():
        content = merge(content, {**layer, "quick": True})
    for override in overrides:
        apply_override(content, override)
    folder = content.pop("data_dir", None) or os.environ.get("ISOGLOT_DATA") or os.environ.get("DATA")
    content.setdefault("name", Path(name).stem)
    content["command"] = (str(name), *(["--quick"] if quick else []), *(f"--set={one}" for one in overrides))
    try:
        return Study.model_validate(_with_paths(content, folder))
    except ValidationError as error:
        raise InputError(f"study {content['name']}: {first_problem(error, 'the recipe', 'docs/studies')}") from error


def with_data_at_hand(study: Study) -> tuple[Study, list[str]]:
    """The study without those optional benchmarks, models and arms whose data is not there, and a line about each.

    Data that has to be fetched, such as `debian`, is fetched here, so that it is not missed after hours.

    Raises:
        InputError: if other data is missing; the line says how to come by it.
    """
    notes: list[str] = []

    def at_hand(name: str, sources: Sequence[str], optional: bool = False) -> bool:
        lacking = _lacking(study, sources)
        if lacking and not optional:
            raise InputError(": ".join(lacking))
        if lacking:
            notes.append(f"{name} is left out: {lacking[1]}")
        return not lacking

    benchmarks = {
        name: spec
        for name, spec in study.benchmarks.items()
        if at_hand(name, [spec.data] if spec.data else [], spec.optional)
    }
    made = {entry.path for entry in study.data.values()}
    models = {
        name: spec
        for name, spec in study.models.items()
        if spec.model not in made or at_hand(name, [spec.model], spec.optional)
    }
    training = {
        name: [source for model in models for source in sources_of(study.training_of(name, model))]
        for name in study.arms
    }
    arms = {name: arm for name, arm in study.arms.items() if at_hand(name, training[name], arm.optional)}
    for name, remedy in study.remedies.items():
        at_hand(name, [remedy.source])
    for what, left_over in (("benchmarks", benchmarks), ("models", models)):
        if not left_over:
            raise InputError(f"study {study.name}: none of its {what} is there; {notes[0]}")
    gone = study.arms.keys() - arms.keys()
    left = {
        "benchmarks": benchmarks,
        "models": models,
        "arms": arms,
        "gain_by_amount": tuple(name for name in study.gain_by_amount if name not in gone),
        "comparisons": tuple(one for spec in study.comparisons if (one := _without(spec, gone)) is not None),
    }
    return study.model_copy(update=left), notes


def _without(spec: ComparisonSpec, gone: Set[str]) -> ComparisonSpec | None:
    """What is left of a comparison without some arms; None where that is nothing."""
    systems = None if spec.systems is None else tuple(name for name in spec.systems if name not in gone)
    return None if spec.baseline in gone or systems == () else spec.model_copy(update={"systems": systems})


def sources_of(training: Content) -> list[str]:
    """What a training configuration reads text from: its pairs, and what its remedy is fitted on."""
    remedy = (training.get("debias") or {}).get("source")
    return [str(entry["source"]) for entry in training.get("data", ())] + ([str(remedy)] if remedy else [])


def _lacking(study: Study, sources: Sequence[str]) -> tuple[str, str] | None:
    """The first source that is not there, and how to come by it."""
    for source in sources:
        if source in SOURCES or source.startswith("hub:"):
            try:
                load_pairs(source)
            except InputError as error:
                return source, str(error)
        elif not Path(source).exists():
            known = (entry for entry in study.data.values() if Path(source).is_relative_to(entry.path))
            get = next((" ".join(entry.get.split()) for entry in known), "it")
            return source, f"not there; study {study.name} needs {get}"
    return None


def _whole(names: Sequence[str | Path]) -> tuple[Content, list[Content]]:
    """The last recipe laid over what it extends; and what each says of the short form, the lowest first.

    The names before it are of the recipes that extend it.
    """
    *above, name = names
    content = _read(name)
    extends, short = content.pop("extends", None), content.pop("quick", None) or {}
    if not isinstance(extends or "", str) or not isinstance(short, dict):
        raise InputError(f"study {name}: extends names a recipe, and quick is a mapping of keys")
    if name in above:
        raise InputError(f"study {name}: extends itself; its recipes are laid over each other in a ring")
    below, shorter = _whole([*names, extends]) if extends else ({}, [])
    return merge(below, content), [*shorter, short]


def _read(name: str | Path) -> Content:
    own = Path(name)
    source: Any = own if own.suffix in (".yaml", ".yml") else _RECIPES / f"{name}.yaml"
    if not source.is_file():
        raise InputError(f"study {str(name)!r} is unknown; use one of {', '.join(study_names())} or a recipe's .yaml")
    return read_settings(source, "a recipe is a mapping of keys such as benchmarks, training and arms")


def _with_paths(content: Content, folder: Any) -> Content:
    known = {} if folder is None else {"DATA": str(expanded_path(str(folder)))}  # YAML reads 2024 as a number
    entries = _filled(content.pop("data", {}), known)
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and entry.get("path"):
            if isinstance(places := entry["path"], list):
                entry["path"] = next((place for place in places if Path(place).exists()), places[0])
            known[name] = entry["path"]
    return {**_filled(content, known), "data": entries}


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, known) for one in value]
    if not isinstance(value, str) or "$" not in value:
        return value
    try:
        return Template(value).substitute(known)
    except KeyError as error:
        if error.args[0] == "DATA":
            raise InputError("no data folder: give --set data_dir=FOLDER or set ISOGLOT_DATA to it") from None
        raise InputError(f"{value!r}: no entry {error.args[0]!r} under data; there are {', '.join(known)}") from None
    except ValueError as error:
        raise InputError(f"{value!r}: {error}") from None
