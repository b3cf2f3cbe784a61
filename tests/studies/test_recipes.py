"""Recipes: those that come with isoglot, how they are put together, and what a wrong one is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.evaluation.measures import MEASURES
from isoglot.pairs import ParallelPairs
from isoglot.studies import Study, load_study, run_study, study_names
from isoglot.studies.answers import ANSWERS
from isoglot.studies.arms import arms_of, config_of
from isoglot.studies.material import every_nth_example, load_set, thin
from isoglot.studies.reading import with_data_at_hand
from isoglot.studies.recipe import merge
from shared_data import SHARED_DATA

ALL = ("domains", "losses", "low-resource", "mkqa", "ratio", "strategies")
Load = Callable[..., Study]


def test_the_six_studies_are_there() -> None:
    assert tuple(study_names()) == ALL


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("name", ALL)
def test_every_arm_of_every_study_is_a_training_run(name: str, quick: bool, tmp_path: Path) -> None:
    study = load_study(name, [f"data_dir={tmp_path}"], quick=quick)
    assert study.quick == quick
    assert study.answer in ANSWERS
    assert study.remedies, "free remedies stand in every table"
    for model in study.models:
        trained = [arm for arm in arms_of(study) if arm.training and arm.model == model]
        steps = [config_of(arm, arm.training, tmp_path).steps or 0 for arm in trained]
        assert len(steps) == len(study.arms) * len(study.seeds)
        assert sum(steps) * 0.9 / 60 < (5 if quick else 3 * 60 + 1), "minutes of training on two cores"
    assert quick == (len(study.seeds) == 1)
    known = {*MEASURES, "ranking_agreement@10", "answer_recall@20", "answer_recall@100"}
    assert {measure for spec in study.benchmarks.values() for measure in spec.measures} <= known


@pytest.mark.parametrize("name", [name for name in ALL if name != "losses"])
def test_arms_of_one_model_differ_by_their_batches_alone(name: str, tmp_path: Path) -> None:
    study = load_study(name, [f"data_dir={tmp_path}"])
    assert study.shared_text
    for model in study.models:
        arms = [study.training_of(arm, model) for arm in study.arms if arm != "hybrid-lir"]
        same = [{**arm, "batches": arm["batches"] | {"strategy": "", "alpha": 0}} for arm in arms]
        assert all(one == same[0] for one in same)


def test_steps_and_rates_are_a_models_own_where_it_says_so(tmp_path: Path) -> None:
    study = load_study("strategies", [f"data_dir={tmp_path}"])
    assert study.training_of("hybrid", "static")["steps"] > study.training_of("hybrid", "e5-small")["steps"]
    assert study.training_of("english", "static")["batches"] == {"strategy": "english", "alpha": 0.5, "size": 64}


def test_ratio_asks_six_shares_with_three_seeds(tmp_path: Path) -> None:
    study = load_study("ratio", [f"data_dir={tmp_path}"])
    alphas = [study.training_of(name, "e5-small")["batches"]["alpha"] for name in study.arms]
    assert alphas == pytest.approx(np.arange(6) / 5)
    assert [arm.x for arm in study.arms.values()] == pytest.approx(alphas)
    assert len(study.seeds) >= 3


@pytest.mark.data
@pytest.mark.skipif(not SHARED_DATA.exists(), reason="the benchmarks' data is not beside this checkout")
@pytest.mark.parametrize("name", ALL)
def test_the_benchmarks_of_the_quick_form_can_be_read(name: str) -> None:
    study = load_study(name, [f"data_dir={SHARED_DATA}"], quick=True)
    published = {
        n: s for n, s in study.benchmarks.items() if SHARED_DATA / "prepared" not in Path(s.data or "").parents
    }
    assert published, "the others are made by recipes/prepare.py"
    for called, spec in published.items():
        data = load_set(called, spec)
        assert data.name == called
        assert len(data.judgement_query)


def test_overrides_have_the_last_word(load: Load, tmp_path: Path) -> None:
    load(quick={"training": {"steps": 2}, "arms": {"hybrid": None}, "comparisons": []})
    file = tmp_path / "toy.yaml"
    quick = load_study(file, quick=True)
    assert (quick.training["steps"], list(quick.arms)) == (2, ["monolingual"])
    chosen = load_study(file, ["training.steps=9", "seeds=[5]", "remedies.lir=null", "comparisons=[]"], quick=True)
    assert (chosen.training["steps"], chosen.seeds, chosen.remedies) == (9, (5,), {})


def test_a_recipe_that_extends_says_only_what_differs(load: Load, tmp_path: Path) -> None:
    load(quick={"seeds": [1], "training": {"steps": 1}})
    child = tmp_path / "child.yaml"
    above = {
        "arms": {"monolingual": None},
        "comparisons": [],
        "quick": {"training": {"steps": 3}, "remedies": {"lir": None}},
    }
    child.write_text(yaml.safe_dump({"extends": str(tmp_path / "toy.yaml"), **above}))
    assert list(load_study(child).arms) == ["hybrid"]
    quick = load_study(child, quick=True)
    assert (quick.seeds, quick.training["steps"], quick.remedies) == ((1,), 3, {})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 1}, "unknown key seed"),
        ({"answer": "none"}, "answer 'none' is unknown; use one of strategies"),
        ({"comparisons": [{"baseline": "best"}]}, "not 'best'"),
        ({"comparisons": [{"baseline": "lir", "systems": ["lir"]}]}, "lir twice or against itself; name a pair once"),
        (
            {"comparisons": [{"baseline": a, "systems": [b]} for a, b in (("lir", "hybrid"), ("hybrid", "lir"))]},
            "comparisons test hybrid against lir twice",
        ),
        ({"comparisons": [{"baseline": "lir", "systems": ["base"]}]}, "comparisons test base against lir twice"),
        ({"extends": 7}, "extends names a recipe, and quick is a mapping"),
        ({"quick": 5}, "extends names a recipe, and quick is a mapping"),
        ({"seeds": [1, 1]}, "give each once"),
        (
            {"shared_text": True, "arms": {"a": {}, "b": {"training": {"data": []}}}, "comparisons": []},
            "arm b reads other data than arm a",
        ),
        ({"arms": {"lir": {}}}, "two systems are called 'lir'"),
        ({"benchmarks": {"b": {"benchmark": "x", "measures": ["preference_rate"]}}}, "neither high nor low is good"),
        ({"keep": {"de": 2}}, r"keep.de: Input should be less than or equal to 1 \(given 2\)"),
        ({"arms": {"hybrid": {"training": {"batches": {"alpha": 2}}}}, "comparisons": []}, "training.batches.alpha"),
        ({"arms": {"hybrid": {"training": {"step": 2}}}, "comparisons": []}, "training.step"),
        ({"benchmarks": {"b": {"benchmark": "parallel", "data": "$NOTHING/x"}}}, "no entry 'NOTHING' under data"),
    ],
)
def test_a_wrong_recipe_is_one_line_and_nothing_is_written(
    change: dict[str, Any], line: str, load: Load, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=line) as caught:
        run_study(load(**change), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_recipes_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {tmp_path / other}.yaml\n")
    with pytest.raises(InputError, match="laid over each other in a ring"):
        load_study(tmp_path / "a.yaml")


def test_a_data_folder_may_be_called_by_a_number(recipe: dict[str, Any], tmp_path: Path) -> None:
    data = {"toy": {"path": "$DATA/toy.jsonl", "get": "x"}}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe | {"data": data}))
    study = load_study(tmp_path / "toy.yaml", ["data_dir=2024"])
    assert study.data["toy"].path == "2024/toy.jsonl"


def test_missing_data_is_named_with_the_way_to_get_it(load: Load, recipe: dict[str, Any], tmp_path: Path) -> None:
    data = {"toy": {"path": str(tmp_path / "gone"), "get": "the toy pairs, from the toy shop"}}
    training = recipe["training"] | {"data": [{"source": "$toy"}]}
    with pytest.raises(InputError, match=r"gone: not there; study toy needs the toy pairs, from the toy shop"):
        run_study(load(data=data, training=training), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_data_folder_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA", raising=False)
    monkeypatch.delenv("ISOGLOT_DATA", raising=False)
    with pytest.raises(InputError, match="--set data_dir=FOLDER or set ISOGLOT_DATA"):
        load_study("strategies")
    monkeypatch.setenv("ISOGLOT_DATA", "there")
    assert load_study("strategies").data["flores"].path == str(Path("there") / "flores200")


def test_the_first_place_that_is_there_is_taken(load: Load, recipe: dict[str, Any], tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in ("first", "second", "third")]
    recipe["data"]["toy"]["path"] = places
    assert load().data["toy"].path == places[0]
    Path(places[1]).mkdir()
    assert load().data["toy"].path == places[1]


def test_what_is_optional_is_left_out_with_a_line(load: Load, recipe: dict[str, Any], tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    benchmarks = {**recipe["benchmarks"], "other": {"benchmark": "parallel", "data": gone, "optional": True}}
    arms = {**recipe["arms"], "far": {"training": {"data": [{"source": gone}]}, "optional": True}}
    comparisons = [
        *recipe["comparisons"],
        {"baseline": "far"},
        {"baseline": "hybrid", "systems": ["far"]},
        {"baseline": "monolingual", "systems": ["far", "lir"]},
    ]
    models = {**recipe["models"], "weak": {"model": "$weak", "optional": True}}
    data = {**recipe["data"], "weak": {"path": gone, "get": "a weak model"}}
    study, notes = with_data_at_hand(
        load(
            benchmarks=benchmarks,
            arms=arms,
            comparisons=comparisons,
            gain_by_amount=["far"],
            models=models,
            data=data,
        )
    )
    assert (list(study.benchmarks), sorted(study.arms)) == (["toy"], sorted(recipe["arms"]))
    assert (list(study.models), study.gain_by_amount) == (["tiny"], ())
    assert [one.systems for one in study.comparisons] == [("monolingual", "lir"), ("lir",)]
    assert [note.split(":")[0] for note in notes] == [f"{name} is left out" for name in ("other", "weak", "far")]


def test_an_unknown_study_is_told_the_names() -> None:
    with pytest.raises(InputError, match=", ".join(ALL)):
        load_study("fairness")


plain = st.recursive(
    st.none() | st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
mappings = st.dictionaries(st.sampled_from("abc"), plain, max_size=3)


@settings(deadline=None, max_examples=40)
@given(mappings, mappings)
def test_merging_keeps_what_is_not_said_and_takes_what_is(below: dict[str, Any], above: dict[str, Any]) -> None:
    merged = merge(below, above)
    for key in "abc":
        if key not in above:
            assert merged.get(key, "absent") == below.get(key, "absent")
        elif above[key] is None:
            assert key not in merged
        elif not isinstance(above[key], dict):
            assert merged[key] == above[key]


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
def test_a_thinned_language_keeps_its_share_and_no_other_loses(
    pairs: ParallelPairs, share: float, more: float, seed: int
) -> None:
    low, high = sorted((share, more))
    few, many = (thin(pairs, {"de": part}, seed) for part in (low, high))
    ids = [{row["id"] for row in one.rows() if row["language"] == "de"} for one in (few, many)]
    assert ids[0] <= ids[1]
    assert len(ids[0]) == round(low * 60)
    assert len(few) == 120 + len(ids[0])


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7))
def test_a_part_of_a_benchmark_keeps_whole_examples_and_all_that_is_relevant_to_them(
    pairs: ParallelPairs, step: int
) -> None:
    whole = retrieval_set_of(pairs, "toy")
    part = every_nth_example(whole, step)
    kept = set(part.query_example)
    assert len(kept) == -(-60 // step)
    relevant = {
        (whole.query_ids[q], whole.passage_ids[p])
        for q, p in zip(whole.judgement_query, whole.judgement_passage, strict=True)
        if whole.query_example[q] in kept
    }
    assert relevant == {
        (part.query_ids[q], part.passage_ids[p])
        for q, p in zip(part.judgement_query, part.judgement_passage, strict=True)
    }
