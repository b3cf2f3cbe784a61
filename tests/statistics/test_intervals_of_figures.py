"""Single figures: their names, values and intervals, and bounds on them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError
from isoglot.evaluation.audit import audit
from isoglot.evaluation.averages import SECTIONS
from isoglot.evaluation.results import Results
from isoglot.pairs import ParallelPairs
from isoglot.report import write_junit
from isoglot.statistics.figures import FIGURES, MAIN, Figure, figures, precision
from isoglot.statistics.requirements import Checked, Requirement, check_requirements
from isoglot.statistics.significance import Interval, mean_interval, score_variance


@pytest.fixture
def results(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> Results:
    return audit(tiny_encoder, pairs.sample(30, seed=0), name="tiny")


def test_figures_are_those_of_results_under_their_names(results: Results) -> None:
    settings_ = {**results.summary["settings"], **results.summary["mixed"]}
    known = {f"{setting}_{name}": value for setting, row in settings_.items() for name, value in row.items()}
    known |= {name: value for section in SECTIONS for name, value in results.summary[section].items()}
    assert set(known) == set(FIGURES)
    by_language = results.summary["by_query_language"]["de"]
    assert {name for name in by_language if name not in FIGURES} == {"queries"}
    for figure in figures(results, list(FIGURES)):
        assert figure.interval.value == pytest.approx(known[figure.name], abs=1e-6), figure.name
        assert figure.interval.low <= figure.interval.value <= figure.interval.high
        assert figure.examples <= 30
    json.dumps([figure.as_dict() for figure in figures(results)], allow_nan=False)


def test_what_was_not_measured_is_nan_and_meets_no_bound(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs
) -> None:
    alone = audit(tiny_encoder, pairs.filter_languages(["de"]).sample(20, seed=0))
    bounds = [Requirement.parse(each) for each in ("rank_distance<=1000", "same_language_share@1<=1")]
    for checked in check_requirements(alone, bounds):
        assert math.isnan(checked.figure.interval.value)
        assert not checked.met
        assert "could not be measured" in str(checked)
        assert checked.as_dict()["value"] is None


def test_one_example_has_no_interval(tiny_encoder: SentenceTransformer, pairs: ParallelPairs) -> None:
    (told,) = precision(figures(audit(tiny_encoder, pairs.sample(1, seed=0))))
    assert told.startswith("One example has no interval: same_language_share@1 ")
    assert "nan" not in told


@pytest.mark.parametrize("right", [0, 1, 17, 20])
def test_a_share_of_independent_questions_has_the_interval_of_clopper_and_pearson(right: int) -> None:
    """But for the degrees of freedom, which make it wider where examples vary at all."""
    values = (np.arange(20) < right).astype(float)[:, None]
    theirs = stats.binomtest(right, 20).proportion_ci(method="exact")
    ours = mean_interval(values, (0, 1))
    if right in (0, 20):
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    else:
        width = theirs.high - theirs.low
        assert width < ours.high - ours.low < 1.2 * width


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_an_interval_keeps_to_the_bounds_and_holds_the_value(rows: list[tuple[float, float]]) -> None:
    values = np.array(rows)
    found, turned = mean_interval(values, (0, 1)), mean_interval(1 - 2 * values, (-1, 1))
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((1 - 2 * found.high, 1 - 2 * found.low), abs=1e-6)


def test_without_bounds_it_is_that_of_student() -> None:
    values = np.random.default_rng(0).lognormal(size=(25, 1))
    theirs = stats.ttest_1samp(values[:, 0], 0).confidence_interval()
    ours = mean_interval(values)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("truth", [0.95, 0.7])
@pytest.mark.parametrize("examples", [20, 50])
def test_few_questions_are_no_certainty(examples: int, truth: float) -> None:
    """The interval holds the truth, of shares whose translations succeed together half of the time."""
    random, held, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        together = np.where(
            random.random((examples, 3)) < 0.5, random.random((examples, 1)), random.random((examples, 3))
        )
        found = mean_interval((together < truth).astype(float), (0, 1))
        held += found.low <= truth <= found.high
    print(f"\n{examples} examples, {truth}: {held / trials:.3f}")
    assert held / trials >= 0.925


@pytest.mark.parametrize("queries", [1, 2, 5, 20])
@pytest.mark.parametrize("truth", [0.95, 0.7, 0.4])
def test_a_language_with_few_queries_is_no_certainty(queries: int, truth: float) -> None:
    """Two languages with 200 queries, of which .7 succeed, and a third with few, which counts as much."""
    random, held, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        values = np.full((400 + queries, 3), np.nan)
        values[:200, 0], values[200:400, 1] = random.random((2, 200)) < 0.7
        values[400:, 2] = random.random(queries) < truth
        found = mean_interval(values, (0, 1))
        held += found.low <= (0.7 + 0.7 + truth) / 3 <= found.high
    print(f"\n{queries} queries, {truth}: {held / trials:.3f}")
    assert held / trials >= 0.915


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_where_all_answer_everything_the_variance_is_that_of_means_over_examples(
    rows: list[tuple[float, float]],
) -> None:
    values = np.array(rows)
    assert score_variance(values) == pytest.approx(values.mean(1).var(ddof=1) / len(rows), abs=1e-12)


def test_it_is_said_how_many_more_are_needed() -> None:
    narrow, wide = (Figure(MAIN[1], Interval(0.5, 0.5 - half, 0.5 + half), 40) for half in (0.04, 0.15))
    assert len(precision([narrow])) == 1
    assert precision([narrow, wide])[1] == "About 320 more examples like these would narrow that to ± 0.05."
    assert precision([wide], half_width=0.1)[1].startswith("About 50 more")
    assert precision([]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("map>=0.6", r"requirement 'map>=0.6': no figure 'map'; there are monolingual_map, .*rank_distance"),
        ("same_language_share<.5", r"no figure 'same_language_share'; is same_language_share@10? .* meant\? There are"),
        ("multilingual_map=0.6", "write a figure, <=, >=, < or >, and a number, such as multilingual_map>=0.6"),
        ("multilingual_map>=nan", "and a number"),
        ("multilingual_map>=60%", "and a number"),
        ("", "and a number"),
    ],
)
def test_a_bad_bound_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Requirement.parse(text)


@pytest.mark.parametrize(("relation", "met"), [("<=", True), (">=", True), ("<", False), (">", False)])
def test_bounds_are_held_by_the_value(relation: str, met: bool) -> None:
    figure = Figure("multilingual_map", Interval(0.6, 0.5, 0.7), 30)
    checked = Checked(Requirement.parse(f"multilingual_map {relation} 0.6"), figure)
    assert checked.met == met
    assert "lies within the interval" in str(checked)
    rounded = Figure("multilingual_map", Interval(0.6 - 1e-16, 0.5, 0.7), 30)  # the mean of values that are all .6
    assert Checked(checked.requirement, rounded).met == met


def test_junit_has_a_test_for_each_bound(results: Results, tmp_path: Path) -> None:
    bounds = [Requirement.parse(each) for each in ("same_language_share@1<=1", "multilingual_map>1")]
    write_junit(tmp_path / "a.xml", check_requirements(results, bounds), "a & <b>")
    (suite,) = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    assert [(case.attrib["name"], len(case)) for case in suite] == [(str(bounds[0]), 0), (str(bounds[1]), 1)]
    assert suite[1][0].attrib["message"].startswith("multilingual_map>1: not met, multilingual_map 0.")
