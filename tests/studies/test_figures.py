"""Comparisons over parts of the queries, optima along an axis, and the plots of both."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.common.languages import normalize_language
from isoglot.evaluation.results import Results
from isoglot.report.page import plot_svg
from isoglot.report.runs import LossLog
from isoglot.statistics.comparison import compare
from isoglot.statistics.significance import holm
from isoglot.studies import Study
from isoglot.studies.answers import ANSWERS, answer_of
from isoglot.studies.arms import Arm, TrainingRun, arms_of
from isoglot.studies.curve import find_optimum, pareto_front
from isoglot.studies.drawing import grids_of, page_plots, plots_of
from isoglot.studies.figures import EVERYTHING, Figures, compare_parts, contrasts, estimates, mean_figures
from isoglot.studies.pages import write_study
from isoglot.studies.phrases import change
from isoglot.studies.runner import figures_of
from isoglot.studies.sheets import sheets_of
from isoglot.studies.tables import page_table, tables_of
from isoglot.studies.views import _MEMBERS, family_of

TAGS = ("ar", "de", "en")


def results(level: float, seed: int = 0, examples: int = 30) -> Results:
    """Made-up results in three languages around a level."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    hard = np.random.default_rng(7).normal(0, 0.05, examples)
    for n in range(examples):
        for tag in TAGS:
            for corpus in (*TAGS, None):
                setting = "multilingual" if corpus is None else "monolingual" if corpus == tag else "cross_lingual"
                value = float(np.clip(level + hard[n] + random.normal(0, 0.03), 0, 1))
                keys = {"query": f"{n}@{tag}", "example": str(n), "query_language": tag, "setting": setting}
                bias = {"rank_distance": 100 * (1 - value), "same_language_share@1": 1 - value, "fair_share@1": 0.3}
                only = bias if corpus is None else dict.fromkeys(bias)
                rows.append({**keys, "corpus_language": corpus, "map": value, **only})
    figures = {"monolingual_map": level, "cross_lingual_map": level, "multilingual_map": level, "rank_distance": 1.0}
    summary = {
        "benchmark": "toy",
        "benchmark_fingerprint": "x",
        "languages": list(TAGS),
        "model": {"name": "m"},
        "settings": {"multilingual": {"map": level}},
        "language_bias": {"rank_distance": 1.0},
        "by_query_language": dict.fromkeys(TAGS, figures),
        "alignment": {"linear_cka": level},
        "preference": {"preference_rate": 0.75},
        "grid": {"measure": "map", "values": [[level] * 3 for _ in TAGS]},
    }
    return Results(summary, pa.Table.from_pylist(rows))


def trained(arms: Iterable[Arm]) -> dict[Arm, TrainingRun]:
    """Made-up training of every arm that is trained: the same text for all, and a loss that falls."""
    steps = tuple({"step": n, "kind": "monolingual", "loss": 1 / n} for n in range(1, 21))
    run = {arm: TrainingRun("f" * 64, {"de": 100, "en": 5}, LossLog(arm.name, steps)) for arm in arms}
    return {arm: made for arm, made in run.items() if arm.training}


@pytest.fixture
def study(load: Callable[..., Study]) -> Study:
    return load(
        views={"rare": {"queries": ["ar"]}, "into rare": {"corpora": ["ar"]}, "absent": {"queries": ["zh"]}},
        view_by=["script"],
        gain_by_amount=["hybrid"],
        x_title="alpha",
    )


def runs(**levels: float) -> dict[str, list[Results]]:
    return {name: [results(level, seed) for seed in range(2)] for name, level in levels.items()}


def test_a_view_is_the_comparison_of_those_queries_alone(study: Study) -> None:
    made = runs(base=0.5, lir=0.55, monolingual=0.5, hybrid=0.7)
    parts = compare_parts(study, "toy", made, "tiny")
    assert {part.view for part in parts} == {EVERYTHING, "rare", "into rare", "script Arab", "script Latn"}
    rare = next(part for part in parts if part.view == "rare" and part.baseline == "base")
    whole = compare(list(made.values()), names=list(made))
    for setting in ("monolingual", "cross_lingual", "multilingual"):
        for own in estimates(rare, setting, "map"):
            same = [e for e in whole.estimates if (e.system, e.setting, e.language) == (own.system, setting, "ar")]
            assert own.value == pytest.approx(next(e.value for e in same if e.measure == "map"))
    into = next(part for part in parts if part.view == "into rare")
    assert {one.setting for one in into.comparison.estimates} == {"cross_lingual"}  # else those of "rare" again


def test_p_values_of_views_are_corrected_over_all_views(study: Study) -> None:
    parts = compare_parts(study, "toy", runs(base=0.5, lir=0.505, monolingual=0.5, hybrid=0.51), "tiny")
    mine = [
        one for part in parts if part.view != EVERYTHING and part.baseline == "base" for one in contrasts(part, "map")
    ]
    assert [one.p_corrected for one in mine] == pytest.approx(holm([one.p_value for one in mine]).tolist())


def test_many_views_are_tested_with_permutations_enough_for_all(study: Study) -> None:
    views = {f"view {n}": {"queries": ["ar"]} for n in range(200)}
    many = Study.model_validate({**study.model_dump(), "views": views, "view_by": [], "comparisons": []})
    parts = compare_parts(many, "toy", {"base": [results(0.1)], "lir": [results(0.9)]}, "tiny")
    rare = next(part for part in parts if part.view == "view 0")
    assert {one.verdict for one in contrasts(rare, "map")} == {"better"}


def test_the_pool_of_one_language_is_not_looked_at_twice(study: Study) -> None:
    made = {name: [english(run) for run in some] for name, some in runs(base=0.5, lir=0.6).items()}
    only = study.model_copy(update={"comparisons": (), "arms": {}})
    part = compare_parts(only, "toy", made, "tiny")[0]
    assert {(one.setting, one.measure) for one in part.comparison.estimates} == {("monolingual", "map")}


def english(run: Results) -> Results:
    rows = [row for row in run.per_query.to_pylist() if row["query_language"] == "en"]
    rows = [row for row in rows if row["corpus_language"] in ("en", None)]
    return Results({**run.summary, "languages": ["en"]}, pa.Table.from_pylist(rows, schema=run.per_query.schema))


@pytest.mark.parametrize(("measure", "setting"), [("map", "monolingual"), ("rank_distance", "multilingual")])
def test_a_clear_optimum_is_found_with_a_narrow_interval(measure: str, setting: str) -> None:
    levels = {0.0: 0.4, 0.25: 0.5, 0.5: 0.7, 0.75: 0.5, 1.0: 0.4}
    made = {x: [results(level, seed) for seed in range(3)] for x, level in levels.items()}
    found = find_optimum(made, ("toy", setting, measure))
    assert found is not None
    assert (found.x, found.low, found.high, found.flat) == (0.5, 0.5, 0.5, (0.5,))
    alone = find_optimum(made, ("toy", setting, measure), name="ar", languages=("ar",))
    assert alone is not None
    assert alone.x == 0.5


def test_a_flat_curve_has_a_wide_interval() -> None:
    made = {x: [results(0.5, seed) for seed in range(int(10 * x), int(10 * x) + 3)] for x in (0.0, 0.3, 0.6, 0.9)}
    found = find_optimum(made, ("toy", "monolingual", "map"))
    assert found is not None
    assert found.low < found.high
    assert len(found.flat) > 1


def test_nothing_measured_has_no_optimum() -> None:
    assert find_optimum({0.0: [results(0.5)], 1.0: [results(0.5)]}, ("toy", "monolingual", "none")) is None
    assert find_optimum({0.0: [results(0.5)], 1.0: [results(0.5)]}, ("toy", "monolingual", "rank_distance")) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_beats_everything_else_and_nothing_on_it_is_beaten(points: list[tuple[int, int]]) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] >= b[0] and a[1] <= b[1] and a != b

    front = pareto_front(points)
    for n, point in enumerate(points):
        assert (n in front) != any(beats(other, point) for other in points)


def test_every_plot_compiles_and_stands_beside_its_table(study: Study) -> None:
    pytest.importorskip("vl_convert", reason="needs the extra report")
    levels = {"base": 0.5, "lir": 0.55, "monolingual": 0.6, "hybrid": 0.7}
    outcome = {arm: {"toy": results(levels[arm.system], arm.seed or 0)} for arm in arms_of(study)}
    figures = figures_of(study, outcome, trained(outcome))
    plots = [*plots_of(figures), *grids_of(figures)]
    assert len(page_plots(figures)) == 3
    captions = " ".join(plot.caption for plot in plots)
    kinds = ("95 % intervals", "along alpha", "against rank distance", "pairs of training text", "minus base", "loss")
    for what in kinds:
        assert what in captions
    for plot in plots:
        assert plot.table.rows, plot.caption
        assert plot.spec["description"]
        drawing = plot_svg(json.loads(json.dumps(plot.spec, allow_nan=False)))
        assert drawing.startswith("<svg")
        assert "currentColor" not in drawing
    tables = {table.title: table for table in tables_of(figures)}
    for title, table in tables.items():
        assert {len(row) for row in table.rows} == {len(table.header)}, title
    preference = tables["toy, tiny: errors, preference and agreement over the pool"]
    assert [row[1:] for row in preference.rows] == [("75.0%",) * 4]


def test_everything_is_tested_against_the_best(study: Study) -> None:
    levels = {"base": 0.5, "lir": 0.55, "monolingual": 0.6, "hybrid": 0.4}
    outcome = {arm: {"toy": results(levels[arm.system], arm.seed or 0)} for arm in arms_of(study)}
    found = figures_of(study, outcome, {})
    (part,) = found.against_best
    assert part.baseline == "monolingual"
    assert {one.system for one in part.comparison.contrasts} == {"lir"}  # the recipe tests the others against it
    assert part not in found.parts
    assert "toy,tiny,all,lir,monolingual," in sheets_of(found, [])["differences.csv"][1]


def test_a_pair_of_systems_has_one_verdict(load: Callable[..., Study]) -> None:
    """Corrected in two families of tests, a difference could be shown in one and not in the other."""
    levels = {"base": 0.5, "lir": 0.55, "monolingual": 0.6, "hybrid": 0.4}
    study = load(comparisons=[{"baseline": "monolingual", "systems": ["hybrid"]}, {"baseline": "hybrid"}])
    outcome = {arm: {"toy": results(levels[arm.system], arm.seed or 0)} for arm in arms_of(study)}
    found = figures_of(study, outcome, {})
    whole = [part for part in (*found.parts, *found.against_best) if part.view == EVERYTHING]
    pairs = [frozenset((part.baseline, name)) for part in whole for name in part.comparison.systems[1:]]
    assert len(pairs) == len(set(pairs)) == 6


def test_published_figures_are_marked_as_such(study: Study) -> None:
    published = {"system": "X", "benchmark": "toy", "figures": {"multilingual_map": 0.25}, "source": "arXiv 1"}
    study = Study.model_validate({**study.model_dump(), "published": [published]})
    outcome = {arm: {"toy": results(0.5, arm.seed or 0)} for arm in arms_of(study)}
    rows = page_table(figures_of(study, outcome, {})).rows
    assert rows[-1][0] == "published, not ours: X (arXiv 1)"
    assert "0.250" in rows[-1]


def test_means_over_runs_are_means() -> None:
    mean = mean_figures([results(0.4), results(0.6)])
    assert mean["settings"]["multilingual"]["map"] == pytest.approx(0.5)
    assert mean["grid"]["values"][0] == pytest.approx([0.5] * 3)
    assert mean["alignment"]["linear_cka"] == pytest.approx(0.5)


def test_families_are_of_real_languages_and_no_language_has_two() -> None:
    tags = [tag for members in _MEMBERS.values() for tag in members.split()]
    assert len(tags) == len(set(tags))
    assert all(normalize_language(tag).split("-")[0] in (tag, "no", "nb", "ar", "sh", "fa", "fil") for tag in tags)
    assert family_of("tlh") == "other"


def test_figures_know_their_parts(study: Study) -> None:
    outcome = {arm: {"toy": results(0.5, arm.seed or 0)} for arm in arms_of(study)}
    figures: Figures = figures_of(study, outcome, {})
    (part,) = figures.select(benchmark="toy", view=EVERYTHING, baseline="base")
    assert (part.model, part.title) == ("tiny", "toy, tiny")
    assert figures.select(baseline="lir") == []


def test_the_page_is_short_whatever_was_measured(study: Study, tmp_path: Path) -> None:
    """At most 150 lines: question, ten sentences, one table, three plots, limits; the rest as CSV beside it."""
    pytest.importorskip("vl_convert", reason="needs the extra report")
    many = {f"benchmark-{n}": study.benchmarks["toy"] for n in range(3)}
    levels = {"base": 0.5, "lir": 0.55, "monolingual": 0.6, "hybrid": 0.7}
    for name in ANSWERS:
        wide = study.model_copy(update={"answer": name, "benchmarks": many, "view_by": ("family", "script")})
        outcome = {
            arm: {benchmark: results(levels[arm.system], arm.seed or 0) for benchmark in many} for arm in arms_of(wide)
        }
        found = figures_of(wide, outcome, trained(outcome))
        write_study(found, answer_of(found), ["a note"], [], tmp_path)
        page = (tmp_path / "page.md").read_text()
        lines = page.splitlines()
        assert len(lines) <= 150
        headings = [line for line in lines if line.startswith("#")]
        assert headings == ["# A toy study", "## Answer", "## Figures", "## Limits", "## Everything else"]
        answer = page[page.index("## Answer") : page.index("## Figures")].strip().splitlines()[2:]
        assert 3 <= len(answer) <= 10
        assert all(re.fullmatch(r"- [A-Z].*\.", sentence) for sentence in answer)
        assert " against " not in "".join(answer)
        assert sum(line.startswith("|---") for line in lines) == 1
        assert page.count("![") == 3
        assert "fingerprint ffffffffffff" in page
        for link in re.findall(r"\]\(([\w/]+\.\w+)\)", page):
            assert (tmp_path / link).stat().st_size


def test_the_pages_table_has_every_system_and_its_distance_from_the_fair_share(study: Study) -> None:
    outcome = {arm: {"toy": results(0.5, arm.seed or 0)} for arm in arms_of(study)}
    for one in outcome.values():
        one["toy"].summary["language_bias"]["fair_share_distance@1"] = 0.25
    table = page_table(figures_of(study, outcome, {}))
    measures = ("monolingual mAP", "cross-lingual mAP", "multilingual mAP", "rank distance", "fair-share distance")
    assert table.header == ("system", *measures)
    assert [row[0] for row in table.rows] == study.systems
    assert {row[-1] for row in table.rows} == {"25.0%"}


def test_sheets_hold_the_figures(study: Study) -> None:
    outcome = {arm: {"toy": results(0.5, arm.seed or 0)} for arm in arms_of(study)}
    found = figures_of(study, outcome, trained(outcome))
    sheets = {name: list(csv.DictReader(text.splitlines())) for name, (_, text) in sheets_of(found, []).items()}
    assert list(sheets) == ["figures.csv", "differences.csv", "means.csv", "optima.csv", "losses.csv"]
    (part,) = found.select(view=EVERYTHING, baseline="base")
    whole = [row for row in sheets["figures.csv"] if row["queries"] == EVERYTHING]
    assert [row["value"] for row in whole] == [f"{one.value:.6g}" for one in part.comparison.estimates]
    verdicts = [one.verdict for one in (c for p in found.parts for c in p.comparison.contrasts)]
    assert [row["verdict"] for row in sheets["differences.csv"]] == verdicts
    assert {row["arm"] for row in sheets["losses.csv"]} == {arm.name for arm in outcome if arm.training}


def test_a_loss_that_still_falls_is_told(study: Study) -> None:
    outcome = {arm: {"toy": results(0.5, arm.seed or 0)} for arm in arms_of(study)}
    name, most, mean = change(figures_of(study, outcome, trained(outcome))) or ("", 0.0, 0.0)
    before, last = (sum(1 / n for n in steps) for steps in (range(13, 17), range(17, 21)))
    assert (most, mean) == (pytest.approx(last / before - 1), pytest.approx(last / before - 1))
    assert name == next(arm.name for arm in outcome if arm.training)
    assert change(figures_of(study, outcome, {})) is None
