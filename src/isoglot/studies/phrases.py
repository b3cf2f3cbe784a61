"""Figures in words. A difference is claimed here and nowhere else, and only where its corrected p-value allows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isoglot.report.page import render
from isoglot.report.sentences import change, gain
from isoglot.report.systems import Column, column_of
from isoglot.statistics.comparison import NOT_SHOWN, Contrast
from isoglot.studies.curve import Optimum
from isoglot.studies.figures import EVERYTHING, Figures, Part, best_of, contrasts, estimates, main_columns
from isoglot.studies.material import PARAGRAPHS
from isoglot.studies.recipe import BASE

_FEW = 4  # systems that are named with their figures


def sentences(found: Iterable[Contrast], whose: str = "") -> list[str]:
    """Contrasts, a paragraph for each figure: by baseline, who is better, who is worse, who shows no difference.

    Of several baselines each has a line of its own below the first. `whose` queries or corpora they are is said where
    they are not everybody's.
    """
    figures: dict[Column, dict[str, list[Contrast]]] = {}
    for one in found:
        figures.setdefault(column_of(one), {}).setdefault(one.baseline, []).append(one)
    lines = []
    for column, by_baseline in figures.items():
        heading = f"{column.compared}{f' of {whose}' if whose else ''}"
        said_of = [f"Against {baseline}: {_sorted_out(mine)}." for baseline, mine in by_baseline.items()]
        between = "\n" if len(said_of) > 1 else " "
        lines.append(between.join([f"{heading[0].upper()}{heading[1:]}.", *said_of]))
    return lines


def leader(parts: Sequence[Part], setting: str, measure: str) -> str:
    """Which system has the best figure, and which are not told apart from it; empty where nothing was measured.

    Two systems are told apart by their paired test; where there is none, by intervals that do not overlap, which
    asks for more. The parts are comparisons of the same systems over the same queries, one for each baseline.
    """
    column = Column(setting, measure)
    found, best = estimates(parts[0], setting, measure), best_of(parts[0], setting, measure)
    if best is None:
        return ""
    tests = [one for part in parts for one in contrasts(part, measure) if one.setting == setting]
    tested = {frozenset((one.system, one.baseline)): one.verdict != NOT_SHOWN for one in tests}
    rivals = []
    for one in found:
        overlap = one.low <= best.high and best.low <= one.high
        if one is not best and not tested.get(frozenset((one.system, best.system)), not overlap):
            rivals.append(one.system)
    figure = f"{column.write(best.value)} {column.write_interval((best.low, best.high))}"
    text = f"The best figure in {column.heading} is that of {best.system}, {figure}"
    if not rivals:
        return f"{text}; no other system is level with it."
    whose = f"every other system ({len(rivals)})" if len(rivals) == len(found) - 1 else _listed(rivals)
    return f"{text}; not told apart from it: {whose}."


def leaders(figures: Figures, benchmark: str, model: str, measure: str) -> str:
    """`leader` in all settings that were measured, and in rank distance."""
    best = [part for part in figures.against_best if (part.benchmark, part.model) == (benchmark, model)]
    whole = [*figures.select(benchmark=benchmark, model=model, view=EVERYTHING), *best]
    found = [leader(whole, column.setting, column.measure) for column in main_columns(measure)]
    return " ".join(sentence for sentence in found if sentence)


def by_language(part: Part, system: str, column: Column) -> str:
    """For which query languages a system improves on or hinders what the baseline does."""
    found = [(str(one.language), one) for one in contrasts(part, column.measure, languages=True)]
    return _of(system, column, found, part.baseline, "query languages")


def by_view(figures: Figures, part: Part, system: str, column: Column) -> str:
    """For which other views of the part's queries a system improves on or hinders what the baseline does."""
    alike = figures.select(benchmark=part.benchmark, model=part.model, baseline=part.baseline)
    found = [(view.view, one) for view in alike if view.view != EVERYTHING for one in contrasts(view, column.measure)]
    return _of(system, column, found, part.baseline, "groups of queries")


def _of(system: str, column: Column, found: Sequence[tuple[str, Contrast]], baseline: str, what: str) -> str:
    mine = [(name, one) for name, one in found if (one.system, one.setting) == (system, column.setting)]
    return changes(mine, f"{system} against {baseline}", what)


def changes(found: Sequence[tuple[str, Contrast]], who: str, what: str) -> str:
    """Names in which a system improves, in which it hinders, and of how many nothing is shown."""
    if not found:
        return ""
    said_of = []
    for verdict, word in (("better", "improves"), ("worse", "hinders")):
        if mine := [(name, one) for name, one in found if one.verdict == verdict]:
            whole = len(mine) == len(found) > 3
            said_of.append(f"{word} {_all(mine) if whole else _listed([f'{n} ({gain(one)})' for n, one in mine])}")
    if rest := [name for name, one in found if one.verdict == NOT_SHOWN]:
        said_of.append(f"{NOT_SHOWN} in {_listed(rest)}")
    return f"{who}, {column_of(found[0][1]).compared}, by {what}: {'; '.join(said_of)}."


def optimum(found: Optimum) -> str:
    """Where an optimum lies, and how flat it is."""
    column = Column(found.setting, found.measure)
    flat = ", ".join(f"{x:g}" for x in found.flat)
    return (
        f"{column.heading} has its best mean, {column.write(found.value)}, at {found.x:g} (95 % interval of the place "
        f"{found.low:g} to {found.high:g}); not told apart from it: {flat}; over the whole axis it moves by "
        f"{column.write(found.spread, '+').lstrip('+')}."
    )


def limits(figures: Figures) -> list[str]:
    """What to know before trusting an answer."""
    study = figures.study
    parts = figures.select(view=EVERYTHING, baseline=BASE)
    known = ("one run", "p-values")  # of these the template speaks for the whole study
    noted = [(part.benchmark, note) for part in parts for note in part.comparison.notes if not note.startswith(known)]
    notes = [f"{benchmark}: {note}." for benchmark, note in noted]
    steps = sorted({str(study.training_of(arm).get("steps", "by epochs")) for arm in study.arms})
    text = render("limits.md", "isoglot.studies", study=study, steps=steps, paragraphs=PARAGRAPHS, notes=notes)
    return list(dict.fromkeys(text.splitlines()))


def _sorted_out(found: Sequence[Contrast]) -> str:
    """Systems by verdict; many with the least and the most that they differ by, where nothing is shown without."""
    parts = []
    for verdict in ("better", "worse", NOT_SHOWN):
        mine = [(one.system, one) for one in found if one.verdict == verdict]
        if not mine:
            continue
        names = _listed([system for system, _ in mine])
        if len(mine) <= _FEW:
            names = ", ".join(f"{system} ({change(one)})" for system, one in mine)
        elif verdict != NOT_SHOWN:
            names = _all(mine) if len(mine) == len(found) else f"{names}, {_ends(mine)}"
        parts.append(f"{verdict}: {names}")
    return "; ".join(parts)


def _all(found: Sequence[tuple[str, Contrast]]) -> str:
    return f"all {len(found)}, {_ends(found)}"


def _ends(found: Sequence[tuple[str, Contrast]]) -> str:
    """The least and the most of what all gain or lose."""
    ordered = sorted(found, key=lambda row: abs(row[1].difference))
    least, most = (f"{name} ({gain(one)})" for name, one in (ordered[0], ordered[-1]))
    return f"from {least} to {most}"


def _listed(names: Sequence[str]) -> str:
    """Names in a row, the last behind an "and"."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
