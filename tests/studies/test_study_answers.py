"""Answers never claim more than the corrected p-values allow."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.report.sentences import said
from isoglot.statistics.comparison import LEVEL, NOT_SHOWN, Comparison, Contrast, Estimate
from isoglot.studies.answers import ANSWERS
from isoglot.studies.curve import Optimum
from isoglot.studies.figures import AGREEMENT, EVERYTHING, Figures, Part
from isoglot.studies.phrases import changes, leader, limits, sentences
from isoglot.studies.recipe import Study

CLAIMS = ("is better than", "is worse than", "better:", "worse:", "improves", "hinders")
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
        "comparisons": [{"baseline": "one"}],
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
    return Figures(STUDY, tuple(parts), {"bench": dict.fromkeys(SYSTEMS, mean)}, {"one": {"de": 5}}, tuple(optima))


@pytest.mark.parametrize("name", sorted(ANSWERS))
@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_without_a_difference_no_answer_claims_one(name: str, seed: int) -> None:
    answer = "\n".join(ANSWERS[name](figures(seed, LEVEL)))
    assert NOT_SHOWN in answer.lower()
    assert not [claim for claim in CLAIMS if claim in answer]


@pytest.mark.parametrize("name", sorted(ANSWERS))
@settings(deadline=None, max_examples=40)
@given(seed=seeds)
def test_every_claimed_difference_is_in_the_figures(name: str, seed: int) -> None:
    found = figures(seed)
    answer = "\n".join(ANSWERS[name](found))
    real = {
        (one.system, one.verdict, one.baseline)
        for part in found.parts
        for one in part.comparison.contrasts
        if one.p_corrected < LEVEL
    }
    claimed = set(re.findall(r"(\w+) is (better|worse) than (\w+)", answer))
    for baseline, sorted_out in re.findall(r"Against (\w+): (.*?)\.$", answer, re.MULTILINE):
        for verdict, systems in re.findall(r"(better|worse): ([^;]*)", sorted_out):
            claimed |= {(system, verdict, baseline) for system in re.findall(r"(\w+) \(", systems)}
    assert claimed <= real
    for word, verdict in (("improves", "better"), ("hinders", "worse")):
        for system, baseline in re.findall(rf"(\w+) against (\w+)[^\n]*?\b{word}\b", answer):
            assert (system, verdict, baseline) in real


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_each_contrast_is_claimed_as_its_verdict_says(seed: int) -> None:
    for part in figures(seed).parts:
        for one in part.comparison.contrasts:
            claims = [claim for claim in CLAIMS if claim in said(one)]
            assert claims == ([] if one.verdict == NOT_SHOWN else [f"is {one.verdict} than"])
            assert f"{one.verdict}: {one.system} (" in sentences([one])[0]


def test_many_systems_are_said_by_name_and_range() -> None:
    def test(n: int, p: float) -> Contrast:
        d = 0.1 * n
        return Contrast(f"s{n}", "base", "multilingual", "map", None, d, d - 0.1, d + 0.1, p, p, 1.0, 0.8, 0.1)

    better, unclear = [test(n, 0.01) for n in range(1, 6)], [test(n, 0.4) for n in range(6, 11)]
    ends = "from s1 (+0.100 [+0.000, +0.200]) to s5 (+0.500 [+0.400, +0.600])"
    assert sentences(better) == [f"Multilingual mAP. Against base: better: all 5, {ends}."]
    assert sentences([*better, *unclear]) == [
        f"Multilingual mAP. Against base: better: s1, s2, s3, s4 and s5, {ends}; "
        "no difference shown: s6, s7, s8, s9 and s10."
    ]


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
    text = leader([part], "multilingual", measure)
    best = (min if lower_is_better else max)(own, key=lambda one: one.value)
    assert f"is that of {best.system}," in text
    overlapping = [one.system for one in own if one is not best and one.high >= best.low and one.low <= best.high]
    everybody = len(overlapping) == len(own) - 1
    assert (f"from it: every other system ({len(overlapping)})." in text) == (everybody and bool(overlapping))
    for system in [] if everybody else overlapping:
        assert re.search(rf"\b{system}\b", text.split(";")[1])
    assert ("no other" in text) == (not overlapping)


def test_a_paired_test_tells_apart_what_overlaps() -> None:
    own = [Estimate(name, "multilingual", "map", None, value, 0.1, 0.9, 9) for name, value in (("a", 0.5), ("b", 0.6))]
    for p, said_of in (
        (0.01, "no other system is level with it"),
        (0.4, "not told apart from it: every other system (1)"),
    ):
        test = Contrast("a", "b", "multilingual", "map", None, -0.1, -0.2, -0.05, p, p, -1.0, 0.1, 0.8)
        part = Part("bench", "m", EVERYTHING, "b", Comparison("bench", "b", ("b", "a"), tuple(own), (test,), 0, 1, ()))
        assert said_of in leader([part], "multilingual", "map")


@pytest.mark.parametrize(
    ("p_values", "said_of"),
    [
        ((0.01, 0.01, 0.01, 0.01), "improves all 4, from a (+0.100 [+0.000, +0.200]) to d (+0.400 [+0.300, +0.500])."),
        ((0.01, 0.4, 0.4, 0.4), "improves a (+0.100 [+0.000, +0.200]); no difference shown in b, c and d."),
    ],
)
def test_what_all_gain_is_said_by_its_range(p_values: tuple[float, ...], said_of: str) -> None:
    tests = [
        (tag, Contrast("one", "base", "multilingual", "map", tag, d, d - 0.1, d + 0.1, p, p, 1.0, 0.8, 0.1))
        for tag, d, p in zip("abcd", (0.1, 0.2, 0.3, 0.4), p_values, strict=True)
    ]
    text = changes(tests, "one against base", "query languages")
    assert text == f"one against base, multilingual mAP, by query languages: {said_of}"


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_answer_says_which_way_systems_lean(name: str) -> None:
    def means(share: float) -> dict[str, Any]:
        row = {"same_language_share@1": share, "fair_share@1": 0.5, "queries": 100}
        return {"by_query_language": dict.fromkeys(TAGS, row)}

    shares = {"base": 1.0, "lir": 0.0, "one": 0.5, "two": 1.0}
    found = replace(figures(0), means={"bench": {system: means(share) for system, share in shares.items()}})
    assert [line for line in ANSWERS[name](found) if "stands first" in line] == [
        "bench, m, by the language of what stands first: base, two: severely biased towards the query's language; "
        "lir: severely biased away from the query's language; one: fair, leaning neither way."
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
