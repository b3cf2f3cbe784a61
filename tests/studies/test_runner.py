"""A study from recipe to report, and what it does when it is killed, moved or asked again."""

from __future__ import annotations

import contextlib
import json
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer

from isoglot.cli import main
from isoglot.common.errors import InputError
from isoglot.report.runs import LossLog
from isoglot.studies import Study, forecast, run_study
from isoglot.studies import arms as arms_module
from isoglot.studies.arms import TrainingRun, arms_of
from isoglot.training import trainer_setup

pytest.importorskip("vl_convert", reason="needs the extra report")
Load = Callable[..., Study]
PREPARE = runpy.run_path(str(Path(__file__).parents[2] / "recipes" / "prepare.py"))
FILES = ("study.json", "answer.md", "page.md", "report.html")


def weights(out: Path) -> dict[str, dict[str, np.ndarray]]:
    """Weights of every trained arm."""
    return {file.parts[-4]: load_file(file) for file in sorted(out.glob("arms/*/run/model/*.safetensors"))}


def figures(out: Path) -> dict[str, Any]:
    return json.loads((out / "study.json").read_text())["means"]


def test_a_study_leaves_tables_plots_tests_and_an_answer(load: Load, tmp_path: Path) -> None:
    record = run_study(load(), tmp_path / "out")
    assert all((tmp_path / "out" / name).stat().st_size for name in FILES)
    kept = json.loads((tmp_path / "out" / "study.json").read_text())
    assert kept["answer"] == record["answer"]
    assert {arm["name"] for arm in kept["arms"]} == {
        *("base", "lir", "monolingual-0", "monolingual-1", "hybrid-0", "hybrid-1")
    }
    everything = (tmp_path / "out" / "page.md").read_text()
    for system in ("base", "lir", "monolingual", "hybrid"):
        assert f"| {system} |" in everything
    drawings = sorted((tmp_path / "out" / "plots").iterdir())
    assert re.findall(r"!\[.*\]\((plots/.*)\)", everything) == [f"plots/{file.name}" for file in drawings]
    assert all(ElementTree.parse(file).getroot().tag.endswith("svg") for file in drawings)
    for name in ("figures.csv", "differences.csv", "means.csv", "optima.csv", "losses.csv", "arms.csv"):
        assert f"[{name}]({name})" in everything
        assert (tmp_path / "out" / name).read_text().count("\n") > 1
    assert "/" not in (tmp_path / "out" / "arms.csv").read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count('class="plot"') == page.count('class="spec"') > 2
    assert sorted(weights(tmp_path / "out")) == ["hybrid-0", "hybrid-1", "monolingual-0", "monolingual-1"]


def test_a_finished_study_trains_and_encodes_nothing_again(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(load(), tmp_path / "out")
    answer = (tmp_path / "out" / "answer.md").read_text()

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(arms_module, "train", never)
    monkeypatch.setattr(arms_module, "evaluate", never)
    run_study(load(), tmp_path / "out")
    assert (tmp_path / "out" / "answer.md").read_text() == answer


@pytest.mark.parametrize("killed_at", [1, 3, 10])
def test_a_study_that_is_killed_goes_on_to_the_same_weights(
    killed_at: int, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at a step of the first or the second arm; before and after the checkpoint at every second step."""
    study = load(seeds=[0])
    run_study(study, tmp_path / "whole")
    original, seen = trainer_setup.TrainingLog.step, []

    def step(log: Any, number: int, kind: str, loss: float) -> None:
        seen.append(number)
        if len(seen) == killed_at:
            raise KeyboardInterrupt
        original(log, number, kind, loss)

    with monkeypatch.context() as patched:
        patched.setattr(trainer_setup.TrainingLog, "step", step)
        with pytest.raises(KeyboardInterrupt):
            run_study(study, tmp_path / "killed")
        run_study(study, tmp_path / "killed")
    assert len(seen) <= 12 + 2  # two arms of six steps, and those since the last checkpoint once more
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    for name, tensors in whole.items():
        assert all(np.array_equal(tensors[key], killed[name][key]) for key in tensors)
    assert figures(tmp_path / "whole") == figures(tmp_path / "killed")


def test_a_study_that_is_killed_while_scoring_does_not_train_again(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, trained = arms_module.train, []
    monkeypatch.setattr(arms_module, "train", lambda *a, **k: (trained.append(a), original(*a, **k))[1])
    with monkeypatch.context() as patched:
        score = arms_module.evaluate

        def evaluate(*given: Any, **named: Any) -> Any:
            if named["name"] == "hybrid":
                raise KeyboardInterrupt
            return score(*given, **named)

        patched.setattr(arms_module, "evaluate", evaluate)
        with pytest.raises(KeyboardInterrupt):
            run_study(load(seeds=[0]), tmp_path / "out")
    run_study(load(seeds=[0]), tmp_path / "out")
    assert len(trained) == 2


def test_a_folder_whose_first_files_were_half_written_is_begun_again(load: Load, tmp_path: Path) -> None:
    half = tmp_path / "out" / "arms" / "hybrid-0" / "run"
    half.mkdir(parents=True)
    (half / "plan.parquet").write_bytes(b"PAR1")  # written first
    (half / "config.yaml").write_text("model: x\n")
    run_study(load(seeds=[0]), tmp_path / "out")
    assert (half / "model").exists()


def test_another_study_in_the_same_folder_is_refused_before_anything_is_made(load: Load, tmp_path: Path) -> None:
    run_study(load(seeds=[0]), tmp_path / "out")
    before = sorted(tmp_path.glob("out/**/*"))
    changed = load().training | {"steps": 7}
    with pytest.raises(InputError, match=r"hybrid-0|monolingual-0.*other settings.*another --out"):
        run_study(load(training=changed), tmp_path / "out")
    assert sorted(tmp_path.glob("out/**/*")) == before


def test_more_seeds_and_another_benchmark_add_to_what_is_there(
    load: Load, recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(load(seeds=[0]), tmp_path / "out")
    original, trained = arms_module.train, []
    monkeypatch.setattr(
        arms_module, "train", lambda config, **k: (trained.append(config.seed), original(config, **k))[1]
    )
    more = {**recipe["benchmarks"], "half": {**recipe["benchmarks"]["toy"], "every": 2}}
    run_study(load(benchmarks=more), tmp_path / "out")
    assert trained == [1, 1]
    assert set(figures(tmp_path / "out")) == {"toy", "half"}


def test_data_that_moved_is_the_same_data(load: Load, recipe: dict[str, Any], tmp_path: Path) -> None:
    run_study(load(seeds=[0], remedies={}, comparisons=[]), tmp_path / "out")
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_bytes(Path(recipe["data"]["toy"]["path"]).read_bytes())
    training = recipe["training"] | {"data": [{"source": str(moved)}]}
    run_study(load(seeds=[0], remedies={}, comparisons=[], training=training), tmp_path / "out")
    moved.write_text(moved.read_text().replace("rojo", "rosso"))
    arms_module.fingerprint_of.cache_clear()
    with pytest.raises(InputError, match="other settings, data"):
        run_study(load(seeds=[0], remedies={}, comparisons=[], training=training), tmp_path / "out")


def test_models_may_be_given_up_but_results_stay(load: Load, tmp_path: Path) -> None:
    run_study(load(seeds=[0], keep_models=False), tmp_path / "out")
    assert weights(tmp_path / "out") == {}
    assert len(list(tmp_path.glob("out/arms/*/results/*/results.json"))) == 4


def test_scarce_languages_lose_their_text_in_training_and_in_the_remedy(
    load: Load, recipe: dict[str, Any], tmp_path: Path
) -> None:
    pairs = recipe["training"]["data"][0]["source"]
    arm = {"keep": {"es": 0.5, "de": 0}, "training": {"debias": {"source": pairs, "directions": 1}}}
    changes = {"arms": {"scarce": arm}, "comparisons": [], "remedies": {}, "gain_by_amount": ["scarce"]}
    record = run_study(load(**changes, seeds=[0], answer="low-resource"), tmp_path / "out")
    assert record["amounts"]["scarce"] == {"en": 30, "es": 15}
    made = json.loads((tmp_path / "out" / "arms" / "scarce-0" / "run" / "run.json").read_text())
    assert made["data"]["languages"] == ["en", "es"]
    assert "30 examples of toy.jsonl hold text of toy and are not trained on." in record["limits"]
    assert any("in en (30 pairs)" in sentence and "in de (0 pairs)" in sentence for sentence in record["answer"])
    (found,) = made["data"]["evaluation_sets"]
    assert (found["benchmark"], found["examples_with_overlap"], found["on_overlap"]) == ("toy", 30, "drop")
    card = (tmp_path / "out" / "arms" / "scarce-0" / "run" / "model" / "README.md").read_text()
    assert "Training examples that hold texts of evaluation sets: toy: 30 (left out of training)." in card


def test_each_model_is_an_initial_model_of_every_arm(load: Load, tiny_encoder_folder: Path, tmp_path: Path) -> None:
    models = {"one": str(tiny_encoder_folder), "two": str(tiny_encoder_folder)}
    study = load(models=models, seeds=[0])
    assert {arm.name for arm in arms_of(study)} == {
        f"{model}-{rest}" for model in models for rest in ("base", "lir", "monolingual-0", "hybrid-0")
    }
    record = run_study(study, tmp_path / "out")
    assert record["means"]["toy"]["one hybrid"] == record["means"]["toy"]["two hybrid"]


def test_the_command_runs_a_recipe_and_says_its_answer(
    recipe: dict[str, Any],
    load: Load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(quick={"seeds": [3]})
    words = ["study", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "out"), "--quick", "--json"]
    monkeypatch.setattr("sys.argv", ["isoglot", *words, "--set", "training.steps=2"])
    with contextlib.suppress(SystemExit):
        main()
    told = json.loads(capsys.readouterr().out)
    assert told["quick"]
    assert any("quick form" in line for line in told["limits"])
    for name in FILES[1:]:
        assert "quick form" in (tmp_path / "out" / name).read_text()
    assert "isoglot study" in (page := (tmp_path / "out" / "page.md").read_text())
    assert "--quick --set=training.steps=2" in page
    assert (tmp_path / "out" / "arms" / "hybrid-3" / "run" / "model").exists()


def test_arms_that_share_their_text_are_trained_on_the_same_pairs(
    load: Load, recipe: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever their batches: what only some kinds of batch could read is left out for all."""
    rows = [json.loads(line) for line in Path(recipe["training"]["data"][0]["source"]).read_text().splitlines()]
    text = tmp_path / "text.jsonl"
    alone = [row | {"id": f"{row['id']}-alone"} for row in rows if row["language"] == "en"]
    aligned = [row | {"id": f"{row['id']}-aligned", "query": row["passage"]} for row in rows]
    text.write_text("".join(json.dumps(row) + "\n" for row in (*rows, *alone, *aligned)))
    training = recipe["training"] | {"data": [{"source": str(text)}]}
    arms = {**recipe["arms"], "crossing": {"training": {"batches": {"strategy": "cross-lingual"}}, "keep": {"es": 0}}}
    arms["crossing-all"] = {"training": {"batches": {"strategy": "cross-lingual"}}}
    study = load(shared_text=True, training=training, arms=arms, comparisons=[], seeds=[0], remedies={})
    record = run_study(study, tmp_path / "out")
    texts = {arm["system"]: arm["text"] for arm in record["arms"]}
    assert texts["monolingual"] == texts["hybrid"] == texts["crossing-all"] != texts["crossing"]
    assert texts["base"] is None
    assert record["amounts"]["hybrid"] == {"de": 30, "en": 30, "es": 30}  # half of them are in the benchmark
    told = [line for line in record["limits"] if line.startswith("Text ")]
    assert sorted(line.split(": ")[1] for line in told) == ["crossing-all, hybrid, monolingual.", "crossing."]


def test_text_that_differs_in_spite_of_the_recipe_is_refused(load: Load) -> None:
    log = LossLog("x", ())
    arms = [arm for arm in arms_of(load(shared_text=True, seeds=[0])) if arm.training]
    runs = {arm: TrainingRun(text * 64, {}, log) for arm, text in zip(arms, "ab", strict=True)}
    with pytest.raises(InputError, match="were trained on different text, bbbbbbbbbbbb and aaaaaaaaaaaa"):
        arms_module.check_shared(runs)
    arms_module.check_shared(dict.fromkeys(arms, runs[arms[0]]))
    arms = [arm for arm in arms_of(load(seeds=[0])) if arm.training]
    arms_module.check_shared(dict(zip(arms, runs.values(), strict=True)))


def test_extra_questions_are_kept_though_monolingual_batches_alone_read_them(
    load: Load, recipe: dict[str, Any], tmp_path: Path
) -> None:
    source = recipe["training"]["data"][0]["source"]
    training = recipe["training"] | {"data": [{"source": source}, {"source": source, "parallel": False}]}
    record = run_study(
        load(shared_text=True, training=training, seeds=[0], remedies={}, comparisons=[]), tmp_path / "out"
    )
    assert record["amounts"]["hybrid"] == {"de": 60, "en": 60, "es": 60}


def test_a_dry_run_says_what_is_left_and_writes_nothing(load: Load, tmp_path: Path) -> None:
    study = load()
    found = forecast(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (len(found.systems), found.finished, found.runs, found.steps) == (6, 0, 4, 24)
    assert found.texts == 6 * (90 + 90)  # the base, a remedy and four runs; thirty questions in three languages
    assert min(*found.seconds.values(), *found.seconds_per_step.values(), *found.texts_per_second.values()) > 0
    assert "Left: 4 training runs, 24 steps" in found.text()
    run_study(study, tmp_path / "out")
    done = forecast(study, tmp_path / "out")
    assert (done.finished, done.runs, done.texts, sum(done.seconds.values())) == (6, 0, 0, 0)


def test_a_model_without_a_token_limit_is_an_initial_model(
    load: Load, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    PREPARE["static"](tiny_encoder).save_pretrained(str(tmp_path / "static"))
    models = {"static": {"model": str(tmp_path / "static"), "training": {"steps": 3}}}
    record = run_study(load(models=models, max_tokens=32, seeds=[0]), tmp_path / "out")
    assert {arm["system"] for arm in record["arms"]} == {"base", "lir", "monolingual", "hybrid"}
    assert any("steps: 3." in line for line in record["limits"])


def test_arms_that_would_share_a_folder_are_refused(load: Load) -> None:
    """The second would be given what the first has made."""
    with pytest.raises(InputError, match="two arms would be kept as a-b-0; give their systems other names"):
        arms_of(load(arms={"a b": {}, "a-b": {}}, comparisons=[]))


def test_a_measure_that_is_not_there_is_found_before_training(
    load: Load, recipe: dict[str, Any], tmp_path: Path
) -> None:
    (name,) = recipe["benchmarks"]
    for measures in (["mapp"], ["map", "recall@l"]):
        study = load(benchmarks={name: {**recipe["benchmarks"][name], "measures": measures}})
        with pytest.raises(InputError, match=f"benchmark toy has no measure '{measures[-1]}'; it has map, "):
            run_study(study, tmp_path / "out")
        assert [arm.name for arm in (tmp_path / "out" / "arms").iterdir()] == ["base"]


def test_a_benchmark_of_one_example_is_refused(load: Load, recipe: dict[str, Any], tmp_path: Path) -> None:
    (name,) = recipe["benchmarks"]
    study = load(benchmarks={name: {**recipe["benchmarks"][name], "every": 100}})
    with pytest.raises(InputError, match="benchmark toy has one example, and a test needs two"):
        run_study(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_training_files_of_one_name_are_refused(load: Load, tmp_path: Path) -> None:
    """Texts and examples are told apart by the file's name."""
    (tmp_path / "more").mkdir()
    study = load()
    (entry,) = study.training_of("hybrid", "tiny")["data"]
    other = shutil.copy(entry["source"], tmp_path / "more")
    with pytest.raises(InputError, match=r"study toy, arm .*: two training files are called toy\.jsonl; rename one"):
        arms_of(load(training={"data": [entry, {**entry, "source": str(other)}]}))
