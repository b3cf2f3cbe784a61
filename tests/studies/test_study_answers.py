"""Answers never claim more than the corrected p-values allow."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.report.runs import LossLog
from isoglot.report.sentences import gain, said
from isoglot.report.systems import Column
from isoglot.statistics.comparison import LEVEL, NOT_SHOWN, Comparison, Contrast, Estimate
from isoglot.studies.answers import ANSWERS, MOST, answer_of
from isoglot.studies.arms import TrainingRun
from isoglot.studies.curve import Optimum
from isoglot.studies.figures import AGREEMENT, EVERYTHING, Figures, Part
from isoglot.studies.phrases import leader, limits, verdict
from isoglot.studies.recipe import Study

CLAIMS = ("better than", "worse than")
"""Every way in which an answer says that there is a difference."""
SYSTEMS = ("base", "lir", "one", "two")
TAGS = ("de", "en")
PLACES = (
    ("monolingual", "map"),
    ("multilingual", "map"),
    ("multilingual", "rank_distance"),
    ("multilingual", AGREEMENT),
)
STUDY = Study.model_validate(
    {
        "name": "toy",
        "title": "Toy",
        "question": "What?",
        "answer": "ratio",
        "benchmarks": {"bench": {"benchmark": "parallel", "data": "x"}},
        "models": {"m": "x"},
        "remedies": {"lir": {"source": "x"}},
        "arms": {"one": {"x": 0}, "two": {"x": 1}},
        "comparisons": [{"baseline": "one", "systems": ["two", "lir"]}],
        "views": {"rare": {"queries": ["de"]}},
        "gain_by_amount": ["one"],
    }
)
finite = st.floats(-1, 1)
seeds = st.integers(0, 2**32 - 1)


def figures(seed: int, least: float = 0.0) -> Figures:
    """Made-up figures with p-values of at least so much, many of them near the level."""
    random = np.random.default_rng(seed)
    parts = []
    for baseline in ("base", "one"):
        for view in (EVERYTHING, "rare"):
            estimates, contrasts = [], []
            for system in SYSTEMS:
                for setting, measure in PLACES:
                    for language in (None, *(TAGS if view == EVERYTHING else ())):
                        value, half = random.uniform(-1, 1), random.uniform(0, 1)
                        place = (setting, measure, language)
                        estimates.append(Estimate(system, *place, value, value - half, value + half, 9))
                        if system != baseline:
                            chance = max(least, random.choice([0.0, 0.049, LEVEL, 0.051, 1.0]))
                            ends = (value, value - half, value + half, 0.0, chance, 0.1, 0.5, 0.4)
                            contrasts.append(Contrast(system, baseline, *place, *ends))
            comparison = Comparison("bench", baseline, SYSTEMS, tuple(estimates), tuple(contrasts), 0, 10, ())
            parts.append(Part("bench", "m", view, baseline, comparison))
    mean = {"by_query_language": {tag: {AGREEMENT: 0.5} for tag in TAGS}, "alignment": {"linear_cka": 0.5}}
    optima = [
        Optimum("bench", setting, measure, name, 0.0, 0.0, 1.0, random.uniform(), (0.0, 1.0), 0.1)
        for setting, measure in PLACES
        for name in (EVERYTHING, "rare", *TAGS)
    ]
    log = LossLog("one-0", ({"step": 1, "kind": "monolingual", "loss": 1.0},))
    runs = {"one": (TrainingRun("f" * 64, {"de": 5}, log),)}
    return Figures(STUDY, tuple(parts), {"bench": dict.fromkeys(SYSTEMS, mean)}, runs, tuple(optima))


def answer(name: str, found: Figures) -> list[str]:
    """What a kind of study would answer."""
    return answer_of(replace(found, study=found.study.model_copy(update={"answer": name})))


@pytest.mark.parametrize("name", sorted(ANSWERS))
@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_without_a_difference_no_answer_claims_one(name: str, seed: int) -> None:
    told = "\n".join(answer(name, figures(seed, LEVEL)))
    assert NOT_SHOWN in told
    assert not [claim for claim in CLAIMS if claim in told]


@pytest.mark.parametrize("name", sorted(ANSWERS))
@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_every_claimed_difference_is_in_the_figures(name: str, seed: int) -> None:
    found = figures(seed)
    told = answer(name, found)
    assert len(told) <= MOST
    real = {
        (one.system, one.verdict, one.baseline, gain(one))
        for part in found.parts
        for one in part.comparison.contrasts
        if one.p_corrected < LEVEL
    }
    claimed = set()
    for sentence in told:
        claims = re.findall(r"(better|worse) than (\w+) in (.*?)(?= and worse than|; no difference|\.$)", sentence)
        if claims:
            (system,) = re.findall(r"(\w+) is (?:better|worse) than", sentence)
            gains = [(word, one, each) for word, one, tail in claims for each in re.findall(r"\(([-+][^()]*)\)", tail)]
            claimed |= {(system.lower(), word, one, each) for word, one, each in gains}
    assert claimed <= real


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_each_contrast_is_claimed_as_its_verdict_says(seed: int) -> None:
    for part in figures(seed).parts:
        for one in part.comparison.contrasts:
            for text in (said(one), verdict(one.system, one.baseline, [("this", one)])):
                claims = [claim for claim in CLAIMS if claim in text]
                assert claims == ([] if one.verdict == NOT_SHOWN else [f"{one.verdict} than"])


def contrast(difference: float, p: float, system: str = "one") -> Contrast:
    ends = (difference, difference - 0.1, difference + 0.1)
    return Contrast(system, "base", "multilingual", "map", None, *ends, p, p, 1.0, 0.8, 0.1)


@pytest.mark.parametrize(
    ("p_values", "told"),
    [
        (
            (0.01, 0.01, 0.01, 0.01, 0.01),
            "one is better than base in all 5 languages, from a (+0.100 [+0.000, +0.200]) to e (+0.500 [+0.400, "
            "+0.600]).",
        ),
        (
            (0.01, 0.4, 0.4, 0.4),
            "one is better than base in a (+0.100 [+0.000, +0.200]); no difference shown in b, c and d.",
        ),
        ((0.4, 0.4, 0.4, 0.4), "between one and base there is no difference shown in a, b, c and d."),
    ],
)
def test_many_gains_are_told_by_their_range(p_values: tuple[float, ...], told: str) -> None:
    tests = [(tag, contrast(d / 10, p)) for tag, d, p in zip("abcde", range(1, 6), p_values, strict=False)]
    assert verdict("one", "base", tests, "languages") == told


def test_a_gain_and_a_loss_are_one_sentence() -> None:
    found = [("a", contrast(0.1, 0.01)), ("b", contrast(-0.2, 0.01)), *((f"c{n}", contrast(0, 1)) for n in range(7))]
    assert verdict("one", "base", found, "figures") == (
        "one is better than base in a (+0.100 [+0.000, +0.200]) and worse than base in b (-0.200 [-0.300, -0.100]); "
        "no difference shown in the other 7 figures."
    )


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(finite, st.floats(0, 1)), min_size=2, max_size=4), st.booleans())
def test_the_best_is_named_alone_only_where_no_interval_overlaps(
    ends: list[tuple[float, float]], lower_is_better: bool
) -> None:
    measure = "rank_distance" if lower_is_better else "map"
    own = [
        Estimate(system, "multilingual", measure, None, value, value - half, value + half, 9)
        for system, (value, half) in zip(SYSTEMS, ends, strict=False)
    ]
    part = Part("bench", "m", EVERYTHING, "base", Comparison("bench", "base", SYSTEMS, tuple(own), (), 0, 1, ()))
    text = leader([part], Column("multilingual", measure))
    best = (min if lower_is_better else max)(own, key=lambda one: one.value)
    assert f"is that of {best.system}," in text
    overlapping = [one.system for one in own if one is not best and one.high >= best.low and one.low <= best.high]
    assert ("ahead of every other system" in text) == (not overlapping)
    for system in overlapping:
        assert re.search(rf"not told apart from.*\b{system}\b", text)


def test_a_paired_test_tells_apart_what_overlaps() -> None:
    own = [Estimate(name, "multilingual", "map", None, value, 0.1, 0.9, 9) for name, value in (("a", 0.5), ("b", 0.6))]
    for p, said_of in (
        (0.01, "ahead of every other system"),
        (0.4, "not told apart from a"),
    ):
        test = Contrast("a", "b", "multilingual", "map", None, -0.1, -0.2, -0.05, p, p, -1.0, 0.1, 0.8)
        part = Part("bench", "m", EVERYTHING, "b", Comparison("bench", "b", ("b", "a"), tuple(own), (test,), 0, 1, ()))
        assert said_of in leader([part], Column("multilingual", "map"))


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_answer_says_which_way_systems_lean(name: str) -> None:
    def means(share: float) -> dict[str, Any]:
        row = {"same_language_share@1": share, "fair_share@1": 0.5, "queries": 100}
        return {"by_query_language": dict.fromkeys(TAGS, row)}

    shares = {"base": 1.0, "lir": 0.0, "one": 0.5, "two": 1.0}
    found = replace(figures(0), means={"bench": {system: means(share) for system, share in shares.items()}})
    assert [line for line in answer(name, found) if "stands first" in line] == [
        "By the language of what stands first, base, two: severely biased towards the query's language; "
        "lir: severely biased away from the query's language; one: fair, leaning neither way."
    ]
    alike = replace(found, means={"bench": dict.fromkeys(shares, means(1.0))})
    assert [line for line in answer(name, alike) if "stands first" in line] == [
        "By the language of what stands first, all systems are severely biased towards the query's language."
    ]


def test_limits_say_seeds_steps_subsets_and_the_quick_form() -> None:
    spec = STUDY.benchmarks["bench"].model_copy(update={"every": 4})
    training = {"steps": 7, "data": []}
    study = STUDY.model_copy(
        update={"quick": True, "seeds": (0,), "benchmarks": {"bench": spec}, "training": training, "limits": ("Mine.",)}
    )
    note = Comparison(
        "bench", "base", SYSTEMS, (), (), 0, 1, ("9 examples: too few", "map is left out in de", "one run: x")
    )
    lines = "\n".join(limits(Figures(study, (Part("bench", "m", EVERYTHING, "base", note),), {}, {})))
    for said_so in (
        "quick form",
        "1 seed each",
        "steps: 7",
        "bench: 1 of 4 examples",
        "With one seed",
        "9 examples",
        "bench: map is left out in de.",
        "Mine.",
    ):
        assert said_so in lines
    assert "one run" not in lines
    assert "quick" not in "\n".join(limits(Figures(STUDY, (), {}, {})))
