"""What a run needs before it starts: pairs, what is held out of them, and the plan of batches.

Nothing here writes, so bad input leaves nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import numpy as np

from isoglot.batching.plan import BatchPlan, plan_batches
from isoglot.benchmarks import load_benchmark
from isoglot.benchmarks.contamination import find_overlap, refuse_overlap, without_overlap
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs
from isoglot.training import processes
from isoglot.training.config import EvaluationSet, TrainConfig
from isoglot.training.data import check_targets, read_sources

_HELD_OUT_BATCHES = 16
_SHOWN_LANGUAGE_PAIRS = 8


class OverlapFound(TypedDict):
    """What an evaluation set has in common with training text, and what was done about it."""

    benchmark: str
    fingerprint: str
    examples_with_overlap: int
    on_overlap: Literal["refuse", "drop", "keep"]


@dataclass(frozen=True)
class Prepared:
    """The data of a run."""

    pairs: ParallelPairs  # what is trained on
    held_out: ParallelPairs | None  # what is not; None for nothing
    plan: BatchPlan  # the order of training, of whole batches
    held_out_plan: BatchPlan | None
    checked: tuple[OverlapFound, ...] = ()  # what each evaluation set has in common with the pairs as they were read


def prepare(config: TrainConfig, checked: Sequence[OverlapFound] = ()) -> Prepared:
    """Read the data and plan the batches; `checked` are evaluation sets that the caller has looked for already.

    Raises:
        InputError: if the data cannot be used as the configuration wants it.
    """
    size, workers = config.batches.size, processes.count()
    if size % workers:
        raise InputError(
            f"batches.size {size}: cannot be divided evenly over {workers} processes; use a multiple of {workers}, "
            f"for example {math.ceil(size / workers) * workers}"
        )
    pairs, found = _checked(read_sources(config.data, config.seed), config.evaluation_sets)
    held_out = None
    if config.validation.examples:
        if config.validation.examples >= pairs.example_count:
            raise InputError(
                f"validation.examples {config.validation.examples}: there are {pairs.example_count} examples in all; "
                "hold out fewer, or none with 0"
            )
        pairs, held_out = pairs.split(config.validation.examples, config.seed)
    check_targets(pairs, config.loss.distillation)
    steps = config.steps or math.ceil((config.epochs or 0) * pairs.example_count / size)
    plan = _plan(config, pairs, size, steps)
    held_out_plan = None
    if held_out is not None:
        try:  # held-out pairs are few, so their batches are small
            held_out_plan = _plan(config, held_out, min(size, 16), _HELD_OUT_BATCHES, all_there=False)
        except InputError as error:
            mending = "raise validation.examples or set it to 0"
            raise InputError(f"held-out pairs are too few: {error}; {mending}") from error
    return Prepared(pairs, held_out, plan, held_out_plan, (*checked, *found))


def _checked(pairs: ParallelPairs, sets: Sequence[EvaluationSet]) -> tuple[ParallelPairs, tuple[OverlapFound, ...]]:
    """The pairs without what evaluation sets hold, and what was found of each set."""
    found: list[OverlapFound] = []
    for settings in sets:
        evaluation = load_benchmark(settings.benchmark, settings.data, languages=settings.languages)
        overlap = find_overlap(pairs, evaluation)
        if settings.on_overlap == "refuse":
            refuse_overlap(overlap)
        found.append(
            OverlapFound(
                benchmark=settings.benchmark,
                fingerprint=evaluation.fingerprint,
                examples_with_overlap=len(overlap.example_ids),
                on_overlap=settings.on_overlap,
            )
        )
        if settings.on_overlap == "drop":
            pairs = without_overlap(pairs, overlap)
    if not len(pairs):
        raise InputError("every training example holds text of an evaluation set; train on something else")
    return pairs, tuple(found)


def _plan(config: TrainConfig, pairs: ParallelPairs, size: int, steps: int, *, all_there: bool = True) -> BatchPlan:
    settings = config.batches.model_dump(exclude={"size", "neighbours"})
    weights = settings["dataset_weights"]
    if not all_there and isinstance(weights, dict):  # of a small data set nothing may be held out
        there = {name: weights[name] for name in pairs.translations().datasets if weights.get(name)}
        settings["dataset_weights"] = there or "size"
    neighbours = math.gcd(config.batches.neighbours, size)  # held-out batches are smaller
    return plan_batches(
        pairs.translations(), batch_size=size, steps=steps, neighbours=neighbours, seed=config.seed, **settings
    )


def describe_data(prepared: Prepared) -> dict[str, Any]:
    """The data in numbers, with a fingerprint."""
    return {
        "fingerprint": prepared.pairs.fingerprint,
        "examples": prepared.pairs.example_count,
        "rows": len(prepared.pairs),
        "languages": list(prepared.pairs.languages),
        "pairs_by_language": prepared.pairs.describe().languages,
        "datasets": list(prepared.pairs.translations().datasets),
        "held_out_examples": prepared.held_out.example_count if prepared.held_out else 0,
        "held_out_fingerprint": prepared.held_out.fingerprint if prepared.held_out else None,
        "evaluation_sets": list(prepared.checked),
    }


def describe_plan(plan: BatchPlan) -> dict[str, Any]:
    """The plan in numbers, with the pairs of every query language and passage language, the most frequent first."""
    languages = len(plan.languages)
    counts = np.bincount(
        plan.query_language.astype(np.int64) * languages + plan.passage_language, minlength=languages**2
    )
    order = [number for number in np.argsort(-counts, kind="stable") if counts[number]]
    names = {n: f"{plan.languages[n // languages]}>{plan.languages[n % languages]}" for n in order}
    return {**plan.describe(), "language_pairs": {names[number]: int(counts[number]) for number in order}}


def plan_lines(prepared: Prepared) -> list[str]:
    """What training will see, for people: kinds of batches, languages, language pairs, and what is repeated often."""
    plan, pairs = describe_plan(prepared.plan), prepared.pairs
    batches = ", ".join(f"{n:,} {kind} ({n / plan['steps']:.0%})" for kind, n in plan["batches"].items())
    lines = [
        f"Training pairs: {pairs.example_count:,} examples, {len(pairs):,} translations, {' '.join(pairs.languages)}",
        f"Batches of {plan['batch_size']}: {batches}",
        f"Query languages: {_shares(plan['query_languages'])}",
        f"Passage languages: {_shares(plan['passage_languages'])}",
        f"Query-passage languages: {_shares(plan['language_pairs'], _SHOWN_LANGUAGE_PAIRS)}",
    ]
    for found in prepared.checked:
        number, action = found["examples_with_overlap"], found["on_overlap"]
        said = f"{number:,} examples with its texts, {'left out' if action == 'drop' else 'kept'}" if number else "none"
        lines.append(f"Overlap with {found['benchmark']}: {said}")
    if not prepared.checked:
        lines.append("Overlap with evaluation sets: not checked; name those you will measure on in evaluation_sets")
    often = {tag: use for tag, use in plan["repeats"].items() if use["mean_uses"] >= 3}
    if often:
        shown = ", ".join(f"{tag} {use['examples']:,} x {use['mean_uses']}" for tag, use in often.items())
        lines.append(f"Languages short of examples, and how often each is repeated: {shown}")
    return lines


def _shares(counts: dict[str, int], most: int | None = None) -> str:
    """The largest shares, and how many more there are.

    >>> _shares({"de": 30, "en": 60, "fr": 10}, most=2)
    'en 60%, de 30%, and 1 more'
    """
    whole = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {n / whole:.0%}" for name, n in ranked[:most])
    left = len(ranked) - len(ranked[:most])
    return f"{shown}, and {left} more" if left else shown
