"""What a folder holds that a report can show: results, and the losses of a training run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.evaluation.results import RESULTS_FILE, Results, load_results

LOG_FILE = "log.jsonl"
HELD_OUT = "held-out pairs"
_OWN_NAMES = ("initial", "trained")  # what training calls its two systems, in every run


@dataclass(frozen=True)
class LossLog:
    """The losses of one training run.

    Attributes:
        name: of the run: its folder's.
        entries: in the order of training; `{"step", "kind", "loss"}` of a training batch, or
            `{"step", "held_out_loss"}` of a look at held-out pairs.
    """

    name: str
    entries: tuple[dict[str, Any], ...]

    @property
    def kinds(self) -> list[str]:
        """The kinds of batches the run had, and the held-out pairs if it looked at any."""
        return sorted({_kind(entry) for entry in self.entries})

    def losses(self, kind: str) -> list[tuple[int, float]]:
        """Steps and losses of one kind of batch."""
        mine = (entry for entry in self.entries if _kind(entry) == kind)
        return [(entry["step"], float(entry["loss" if "loss" in entry else "held_out_loss"])) for entry in mine]


def load_run(path: str | Path) -> list[tuple[Results, LossLog | None]]:
    """Read a folder of results, or a training run with all the results below its `results` folder.

    Each trained system comes with the losses of its run. The two systems that training itself evaluates, `initial` and
    `trained`, get the run's name in front, so that several runs can stand in one report.

    Raises:
        InputError: if there are no results, or a file cannot be read.
    """
    folder = expanded_path(path)
    if not (folder / LOG_FILE).is_file():
        return [(load_results(folder), None)]
    found = sorted((folder / "results").rglob(RESULTS_FILE))
    if not found:
        raise InputError(
            f"{folder}: a training run without results; evaluate its model with --out {folder / 'results' / 'NAME'}"
        )
    log = LossLog(folder.resolve().name, read_log(folder / LOG_FILE))
    return [_of_run(load_results(file), log) for file in found]


def _kind(entry: dict[str, Any]) -> str:
    return str(entry.get("kind", "batches")) if "loss" in entry else HELD_OUT


def _of_run(results: Results, log: LossLog) -> tuple[Results, LossLog | None]:
    model = results.summary["model"]
    if model["name"] in _OWN_NAMES:
        named = {**model, "name": f"{log.name}: {model['name']}"}
        results = replace(results, summary={**results.summary, "model": named})
    return results, None if model["name"] == _OWN_NAMES[0] else log


def read_log(path: Path) -> tuple[dict[str, Any], ...]:
    """The lines of a log that tell a loss; the last may be cut short by a kill."""
    lines = path.read_text(encoding="utf-8").splitlines()
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            if number == len(lines):
                break
            raise InputError(f"{path}, line {number}: not JSON; a log holds one object per line") from None
        if not isinstance(entry, dict) or "step" not in entry or not {"loss", "held_out_loss"} & entry.keys():
            raise InputError(f'{path}, line {number}: a line needs "step" and "loss" or "held_out_loss"')
        entries.append(entry)
    return tuple(entries)
