from __future__ import annotations

from pathlib import Path

import pytest

from isoglot.common.errors import InputError
from isoglot.training import TrainConfig, load_config

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))
MINIMAL = "output: out\ndata: [{source: debian}]\nsteps: 10\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "data")
    assert isinstance(load_config(recipe), TrainConfig)


def test_there_are_recipes() -> None:
    assert RECIPES


def test_overrides_reach_nested_keys(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL), ["batches.alpha=0.3", "loss.temperature=0.01", "seed=7"])
    assert (config.batches.alpha, config.loss.temperature, config.seed) == (0.3, 0.01, 7)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (MINIMAL + "stepps: 3\n", [], "unknown key stepps"),
        (MINIMAL, ["batches.alpha=2"], "batches.alpha: .*less than or equal to 1"),
        (MINIMAL, ["batches.alpha=[0.1, 2]"], "batches.alpha.*less than or equal to 1"),
        (MINIMAL, ["max_tokens=2"], "max_tokens: .*greater than or equal to 3"),
        (MINIMAL, ["batches.strategy=bilingual"], "batches.strategy: .*'monolingual'"),
        (MINIMAL, ["epochs=1"], "give either steps or epochs"),
        (MINIMAL, ["steps"], "write key=value"),
        (MINIMAL, ["steps=[1"], "the value is not YAML"),
        (MINIMAL, ["data=null"], "data: Field required"),
        (MINIMAL, ["loss={weight: 0}"], "nothing to minimise"),
        (MINIMAL, ["loss={weight: 0, jensen_shannon: 1}"], "nothing to minimise in some batches"),
        (MINIMAL, ["loss.jensen_shannon=1", "batches.strategy=monolingual"], "need cross-lingual batches"),
        (MINIMAL, ["loss.language_contrastive=1", "batches.alpha=1"], "need cross-lingual batches"),
        (MINIMAL, ["loss={weight: 0, jensen_shannon: 1}", "batches.alpha=[0, 0.5]"], "nothing to minimise"),
        (MINIMAL, ["loss.semantic_contrastive=-1"], "loss.semantic_contrastive: .*greater than or equal to 0"),
        (MINIMAL, ["loss.matryoshka=[16, 0]"], "loss.matryoshka.1: .*greater than 0"),
        (MINIMAL, ["loss.infonce=1"], "unknown key loss.infonce"),
        (MINIMAL, ["loss={distillation: {weight: 1, target: german}}"], "loss.distillation.target: .*'english'"),
        ("data: [", [], "not YAML"),
        ("- 1", [], "a mapping of keys"),
        ("steps: 1\noutput: o\n", [], "data: Field required"),
        (MINIMAL.replace("debian", "$NO_SUCH_VARIABLE/x"), [], "data.0.source: .*NO_SUCH_VARIABLE is not set"),
        (MINIMAL, ["output=$NO_SUCH_VARIABLE/x"], "output: .*NO_SUCH_VARIABLE is not set"),
        (MINIMAL, ["data=[{source: debian, languages: [no, sv]}]"], 'data.0.languages: .*in quotes: "no"'),
        (MINIMAL, ["data=[{source: debian, languages: no}]"], 'data.0.languages: .*in quotes: "no"'),
        (MINIMAL, ["evaluation_sets=[{benchmark: mkqa, languages: [no]}]"], 'sets.0.languages: .*in quotes: "no"'),
        (
            MINIMAL + "batches: {size: 8}\nseed: 1\nbatches: {alpha: 0.3}\n",
            [],
            "c.yaml line 6: the key batches .* line 4",
        ),
        (MINIMAL + "batches:\n  size: 8\n  size: 9\n", [], "c.yaml line 6: the key size stands twice, first in line 5"),
        (MINIMAL, ["batches={size: 8, size: 9}"], "--set batches=.*the key size stands twice"),
        ("steps: 10\n  output: o\n", [], "c.yaml line 2: not YAML"),
        (MINIMAL, ["seed=202611281530"], "seed: Input should be less than 4294967296"),
        (MINIMAL, ["optimizer.learning_rate=.inf"], "optimizer.learning_rate: Input should be a finite number"),
        (MINIMAL, ["data=[{source: debian, languages: []}]"], "data.0.languages: .* at least 1 item"),
        (MINIMAL, ["batches.language_sampling=foo"], "batches.language_sampling: .*'uniform' or 'size', or: .*number"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(tmp_path: Path, text: str, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_config(write(tmp_path, text), overrides)
    assert "\n" not in str(caught.value)


def test_a_term_over_translations_may_stand_alone_where_every_batch_crosses(tmp_path: Path) -> None:
    overrides = ["loss={weight: 0, jensen_shannon: 1}", "batches.strategy=cross-lingual"]
    assert load_config(write(tmp_path, MINIMAL), overrides).loss.over_translations


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such configuration"):
        load_config(tmp_path / "none.yaml")


def test_paths_may_begin_at_home_or_hold_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("RUNS", "/scratch")
    sets = "evaluation_sets: [{benchmark: beir, data: ~/beir}]\ndebias: {source: $RUNS/flores}\n"
    data = "data: [{source: '${RUNS}/pairs.jsonl'}, {source: 'hub:tatoeba'}]\n"
    config = load_config(write(tmp_path, "model: ~/models/e5\noutput: $RUNS/one\nsteps: 1\n" + data + sets))
    assert config.model == "/home/someone/models/e5"
    assert config.output == Path("/scratch/one")
    assert [part.source for part in config.data] == ["/scratch/pairs.jsonl", "hub:tatoeba"]
    assert config.evaluation_sets[0].data == "/home/someone/beir"
    assert config.debias is not None
    assert config.debias.source == "/scratch/flores"


def test_a_section_without_keys_takes_one(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL + "debias:\nlora: {targets: query}\n"), ["debias.directions=4"])
    assert config.debias is not None
    assert config.debias.directions == 4
    assert config.lora is not None
    assert config.lora.targets == ("query",)


def test_a_language_may_stand_alone_and_norwegian_in_quotes(tmp_path: Path) -> None:
    overrides = ["data=[{source: debian, languages: de}, {source: debian, languages: ['no', sv]}]"]
    assert [part.languages for part in load_config(write(tmp_path, MINIMAL), overrides).data] == [("de",), ("no", "sv")]
