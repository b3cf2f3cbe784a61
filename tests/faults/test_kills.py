"""`kill -9` at any moment, several times in a row: the same command goes on to what an undisturbed one leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from killing import ENVIRONMENT, Job, killed_at_random, state, timed
from libre import Server, libre

SLOW_TRAINING = {"isoglot.training.trainer.PlannedTrainer.training_step": 0.05}


@dataclass(frozen=True)
class Case:
    """A command, and the way on after a kill."""

    job: Job
    goes_on: Callable[[Job], Job] = lambda job: job
    is_done: Callable[[Path], bool] = lambda folder: False


@pytest.fixture(scope="module")
def slow_server() -> Iterator[Server]:
    with libre(0.03) as server:
        yield server


@pytest.fixture
def cases(
    tmp_path: Path,
    tiny_encoder_folder: Path,
    pairs_file: Path,
    english_file: Path,
    slow_server: Server,
    training: dict[str, Any],
) -> dict[str, Case]:
    sentences = tmp_path / "sentences"
    sentences.mkdir()
    for language in ("de", "en", "es"):
        (sentences / f"{language}.txt").write_text("".join(f"line {n} {language}\n" for n in range(4000)))
    config, resumed = tmp_path / "config.yaml", lambda job: with_resume(job) if begun(job.folder) else job
    config.write_text(yaml.safe_dump(training))
    encoder, whole = str(tiny_encoder_folder), tmp_path / "whole"
    shards = {"isoglot.runtime.store.SHARD_TEXTS": 32}
    slow_encoding = {"isoglot.models.embed._encode": 0.05}
    fetch = Job(whole, ["data", "fetch", str(sentences), "--out", "pairs.jsonl"])
    return {
        "fetch": Case(fetch),
        "fetch-parquet": Case(replace(fetch, words=[*fetch.words[:-1], "pairs.parquet"])),
        "translate": Case(
            Job(
                whole,
                f"data translate {english_file} --to de,es --out all.jsonl --engine http "
                f"--url {slow_server.address}".split(),
                {"isoglot.enrich.translation.translating._ROWS_AT_A_TIME": 6},
            ),
            is_done=lambda folder: (folder / "all.translations.jsonl").exists(),
        ),
        "negatives": Case(
            Job(
                whole,
                [
                    "data",
                    "negatives",
                    str(pairs_file),
                    "--model",
                    encoder,
                    "--out",
                    "mined.jsonl",
                    "--work-dir",
                    "work",
                ],
                {**shards, "isoglot.enrich.negatives._CHUNK_ROWS": 16},
                {**slow_encoding, "isoglot.enrich.negatives._candidates": 0.05},
            ),
            is_done=lambda folder: (folder / "mined.jsonl").exists(),
        ),
        "evaluate": Case(
            Job(
                whole,
                ["evaluate", encoder, "--benchmark", "parallel", "--data", str(pairs_file), "--out", "results"],
                shards,
                slow_encoding,
            )
        ),
        "encode": Case(
            Job(
                whole,
                ["encode", str(pairs_file), "--model", encoder, "--out", "vectors", "--shard-rows", "40"],
                slowed=slow_encoding,
            )
        ),
        "train": Case(
            Job(whole, ["train", str(config)], shards, SLOW_TRAINING),
            goes_on=resumed,
        ),
        "train-briefly": Case(
            Job(whole, ["train", str(config), "--set", "steps=4", "--set", "validation.every=2"], shards),
            goes_on=resumed,
        ),
    }


def with_resume(job: Job) -> Job:
    return replace(job, words=[*job.words, "--resume"])


def begun(folder: Path) -> bool:
    return (folder / "run" / "run.json").exists()


@pytest.mark.parametrize("name", ["fetch", "translate", "evaluate", "encode"])
def test_a_command_killed_twice_ends_as_if_nothing_had_been(name: str, cases: dict[str, Case], tmp_path: Path) -> None:
    check_random_kills(cases[name], tmp_path, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["fetch", "fetch-parquet", "translate", "negatives", "evaluate", "encode", "train"])
def test_a_command_killed_again_and_again_ends_as_if_nothing_had_been(
    name: str, cases: dict[str, Case], tmp_path: Path, seed: int
) -> None:
    check_random_kills(cases[name], tmp_path, kills=6, seed=seed)


def check_random_kills(case: Case, tmp_path: Path, kills: int, seed: int) -> None:
    seconds = timed(case.job)
    job = replace(case.job, folder=tmp_path / "killed")
    killed = killed_at_random(lambda: case.goes_on(job), kills, 0.7 * seconds, seed)
    assert killed > 0
    assert state(job.folder) == state(case.job.folder)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        pytest.param("fetch", 1, id="fetch"),
        *(
            pytest.param(name, 1, id=name, marks=pytest.mark.slow)
            for name in ("translate", "negatives", "evaluate", "encode")
        ),
        pytest.param("train-briefly", 4, id="train", marks=pytest.mark.slow),
    ],
)
def test_no_change_to_the_disk_is_a_bad_moment_for_a_kill(
    name: str, step: int, cases: dict[str, Case], tmp_path: Path
) -> None:
    """The command kills itself before its first change and is run again; then, elsewhere, before a later one, and on.

    Training makes some two hundred changes, of which every fourth is tried.
    """
    case = cases[name]
    job = replace(case.job, slowed={})
    assert job.run() == 0, job.said
    wanted = state(job.folder)
    number, ended = 1, False
    while not ended:
        folder = tmp_path / f"killed-{number}"
        killed = replace(job, folder=folder)
        code = killed.run(kill_at=number)
        ended = code == 0
        assert ended or code == -signal.SIGKILL, killed.said
        if not ended and not case.is_done(folder):
            again = case.goes_on(killed)
            assert again.run() == 0, (number, again.said)
        assert state(folder) == wanted, f"killed before change {number}"
        shutil.rmtree(folder)
        number += step
    assert number > 1 + 2 * step


def torchrun(job: Job) -> subprocess.Popen[bytes]:
    """The job in two processes."""
    job.folder.mkdir(exist_ok=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*launcher, "-m", "isoglot", *job.words],
        cwd=job.folder,
        env={**os.environ, **ENVIRONMENT, "ISOGLOT_CACHE": str(job.folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=(job.folder.parent / f"{job.folder.name}.said").open("wb"),
    )


def members(launcher: int) -> list[psutil.Process]:
    """The processes that train, the first one first."""
    return [each for each in psutil.Process(launcher).children(recursive=True) if "isoglot" in each.cmdline()]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["all", "first", "second"])
def test_two_processes_killed_together_or_one_alone_end_as_if_nothing_had_been(
    victim: str, training: dict[str, Any], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**training, "steps": 400, "validation": {"examples": 20, "every": 10}}))
    whole = Job(tmp_path / "whole", ["train", str(config)])
    assert torchrun(whole).wait(300) == 0, whole.said
    job, delays = replace(whole, folder=tmp_path / "killed"), random.Random(victim)
    checkpoints = job.folder / "run" / "checkpoints"
    for part in (1, 2, 3):
        launched = torchrun(with_resume(job) if begun(job.folder) else job)
        deadline = time.monotonic() + 120
        while steps_done(checkpoints) < 60 * part and launched.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(delays.uniform(0, 0.3))
        training_now = members(launched.pid)
        chosen = {
            "all": [*training_now, launched],
            "first": training_now[:1],
            "second": training_now[1:],
        }
        for process in chosen[victim]:
            os.kill(process.pid, signal.SIGKILL)
        assert launched.wait(120) != 0
        psutil.wait_procs(training_now, 120)
        assert not (job.folder / "run" / "model").exists(), "the run ended before it could be killed"
    assert torchrun(with_resume(job)).wait(300) == 0, job.said
    assert state(job.folder) == state(whole.folder)


@pytest.mark.slow
def test_processes_whose_launcher_was_killed_train_on_alone(training: dict[str, Any], tmp_path: Path) -> None:
    """torchrun leaves them behind; whoever resumes meanwhile is told so, and nothing is doubled."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**training, "steps": 100}))
    whole = Job(tmp_path / "whole", ["train", str(config)])
    assert torchrun(whole).wait(300) == 0, whole.said
    job = replace(whole, folder=tmp_path / "left")
    launched = torchrun(job)
    while steps_done(job.folder / "run" / "checkpoints") == 0:
        assert launched.poll() is None, job.said
        time.sleep(0.01)
    left = members(launched.pid)
    for process in left:
        process.suspend()
    launched.kill()
    launched.wait()
    assert torchrun(with_resume(job)).wait(300) != 0
    told = [line for line in job.said if line.startswith("isoglot: ")]
    assert told == ["isoglot: run: another process is training here; wait for its end, or end it"]
    for process in left:
        process.resume()
    psutil.wait_procs(left, 120)
    assert torchrun(with_resume(job)).wait(300) == 0, job.said
    assert state(job.folder) == state(whole.folder)


def steps_done(checkpoints: Path) -> int:
    return max((int(path.parent.name.rpartition("-")[2]) for path in checkpoints.glob("*/complete")), default=0)
