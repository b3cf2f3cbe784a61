"""Figures in words. A difference is claimed here and nowhere else, and only where its corrected p-value allows it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from isoglot.report.page import render
from isoglot.report.runs import LossLog
from isoglot.report.sentences import gain
from isoglot.report.systems import Column
from isoglot.statistics.comparison import NOT_SHOWN, Contrast
from isoglot.studies.curve import Optimum
from isoglot.studies.figures import EVERYTHING, Figures, Part, best_of, contrasts, estimates
from isoglot.studies.material import PARAGRAPHS
from isoglot.studies.recipe import BASE

_FEW = 4  # gains that are all told
_SEVERAL = 6  # names that are all told


def verdict(system: str, baseline: str, found: Sequence[tuple[str, Contrast]], what: str = "figures") -> str:
    """A sentence on two systems: in what one is better, in what worse, where no difference is shown; empty for nothing.

    Each contrast has a name, such as a figure's or a language's; `what` all of them are is said where they are many.
    The sentence begins with a small letter, for words that say where this is so.
    """
    if not found:
        return ""
    claims = []
    for word in ("better", "worse"):
        if mine := [(name, one) for name, one in found if one.verdict == word]:
            claims.append(f"{word} than {baseline} in {_gains(mine, len(found), what)}")
    rest = [name for name, one in found if one.verdict == NOT_SHOWN]
    left = listed(rest) if len(rest) <= _SEVERAL else f"{'the other ' if claims else ''}{len(rest)} {what}"
    if not claims:
        return f"between {system} and {baseline} there is {NOT_SHOWN} in {left}."
    return f"{system} is {' and '.join(claims)}{f'; {NOT_SHOWN} in {left}' if rest else ''}."


def leader(parts: Sequence[Part], column: Column) -> str:
    """A clause on which system has the best figure, and which are not told apart from it; empty for nothing measured.

    Two systems are told apart by their paired test; where there is none, by intervals that do not overlap, which
    asks for more. The parts are comparisons of the same systems over the same queries, one for each baseline.
    """
    place = (column.setting, column.measure)
    found, best = estimates(parts[0], *place), best_of(parts[0], *place)
    if best is None:
        return ""
    tests = [one for part in parts for one in contrasts(part, column.measure) if one.setting == column.setting]
    tested = {frozenset((one.system, one.baseline)): one.verdict != NOT_SHOWN for one in tests}
    rivals = []
    for one in found:
        overlap = one.low <= best.high and best.low <= one.high
        if one is not best and not tested.get(frozenset((one.system, best.system)), not overlap):
            rivals.append(one.system)
    whose = f"any of {len(rivals)} others" if len(rivals) > _SEVERAL else listed(rivals, "or")
    level = f"not told apart from {whose}" if rivals else "ahead of every other system"
    figure = f"{column.write(best.value)} {column.write_interval((best.low, best.high))}"
    return f"the best {column.heading} is that of {best.system}, {figure}, {level}"


def optimum(found: Optimum) -> str:
    """A sentence on where an optimum lies, and how flat it is."""
    column = Column(found.setting, found.measure)
    flat = listed([f"{x:g}" for x in found.flat if x != found.x])
    level = f", where {flat} {'is' if len(found.flat) == 2 else 'are'} not told apart from it" if flat else ""
    return (
        f"{column.heading} is best at {found.x:g} ({column.write(found.value)}; interval of the place {found.low:g} to "
        f"{found.high:g}){level}; over the whole axis it moves by {column.write(found.spread, '+').lstrip('+')}."
    )


def limits(figures: Figures) -> list[str]:
    """What to know before trusting an answer."""
    study = figures.study
    parts = figures.select(view=EVERYTHING, baseline=BASE)
    known = ("one run", "p-values")  # of these the template speaks for the whole study
    noted = [(part.benchmark, note) for part in parts for note in part.comparison.notes if not note.startswith(known)]
    notes = [f"{benchmark}: {note}." for benchmark, note in noted]
    training = [study.training_of(arm, model) for model in study.models for arm in study.arms]
    steps = list(dict.fromkeys(str(one.get("steps", "by epochs")) for one in training))
    told = {
        "steps": steps,
        "paragraphs": PARAGRAPHS,
        "notes": notes,
        "texts": texts(figures),
        "change": change(figures),
    }
    return list(dict.fromkeys(render("limits.md", "isoglot.studies", study=study, **told).splitlines()))


def texts(figures: Figures) -> list[tuple[str, list[str]]]:
    """Which systems were trained on the same text with each seed: the text's fingerprint with the first, and names."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for label, runs in figures.runs.items():
        groups.setdefault(tuple(run.text for run in runs), []).append(label)
    return [(text[0][:12], names) for text, names in groups.items()]


def change(figures: Figures) -> tuple[str, float, float] | None:
    """Whose training loss still changes most, by how much, and the mean over runs; see `late_change`."""
    found = {run.log.name: late_change(run.log) for runs in figures.runs.values() for run in runs}
    most = max(found, key=lambda name: abs(found[name]), default=None)
    return None if most is None else (most, found[most], fmean(found.values()))


def late_change(log: LossLog) -> float:
    """How far the mean loss of the last fifth of the batches lies from that of the fifth before, as a share of it.

    Batches of one kind are compared with their like, and kinds count by their number of batches. 0 for a few batches.

    >>> late_change(LossLog("run", tuple({"step": n, "kind": "a", "loss": 1.0 if n < 8 else 0.5} for n in range(10))))
    -0.5
    """
    changes, counts = [0.0], [0]
    for kind in log.kinds:
        losses = [loss for _, loss in log.losses(kind)]
        fifth = len(losses) // 5
        if fifth:
            before, last = fmean(losses[-2 * fifth : -fifth]), fmean(losses[-fifth:])
            changes.append(last / before - 1)
            counts.append(len(losses))
    return float(np.average(changes, weights=counts)) if sum(counts) else 0.0


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names in a row, the last behind a word.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return f" {word} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _gains(mine: Sequence[tuple[str, Contrast]], of: int, what: str) -> str:
    """What differs and by how much; of many the least and the most."""
    if len(mine) <= _FEW:
        return listed([f"{name} ({gain(one)})" for name, one in mine])
    ordered = sorted(mine, key=lambda row: abs(row[1].difference))
    least, most = (f"{name} ({gain(one)})" for name, one in (ordered[0], ordered[-1]))
    return f"{f'all {of}' if len(mine) == of else f'{len(mine)} of {of}'} {what}, from {least} to {most}"
