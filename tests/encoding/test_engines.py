"""Shards are the same wherever they are encoded, and whatever dies meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from counting import CountingEncoder, some_rows

from isoglot import LocalEngine, RayEngine, encode_corpus
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.models.text_encoder import ModelEncoder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class OnTwoDevices(CountingEncoder):
    """Two encoders that wait for each other, so that both must work."""

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2, timeout=60)
        self.others: list[OnTwoDevices] = []

    def replicas(self) -> list[OnTwoDevices]:
        other = OnTwoDevices()
        other.both, self.others = self.both, [other]
        return [self, other]

    def encode(self, texts, role):
        self.both.wait()
        return super().encode(texts, role)


def test_encoders_on_several_devices_share_the_work(write, encoder, tmp_path):
    corpus, two = write(some_rows(28)), OnTwoDevices()
    encode_corpus(corpus, two, tmp_path / "two", shard_rows=7, engine=LocalEngine())
    encode_corpus(corpus, encoder, tmp_path / "one", shard_rows=7)
    assert content(tmp_path / "two") == content(tmp_path / "one")
    assert len(two.seen) == len(two.others[0].seen) == 14


def test_a_model_has_a_replica_for_each_gpu_and_none_without(tiny_encoder):
    encoder = ModelEncoder(tiny_encoder)
    assert encoder.replicas() == [encoder]


class Mortal(CountingEncoder):
    """The first one to encode dies in the middle; every call is noted."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def encode(self, texts, role):
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").write_text(os.environ["OMP_NUM_THREADS"])
        time.sleep(0.3)
        try:
            os.open(self.folder / "killed", os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return super().encode(texts, role)
        os.kill(os.getpid(), signal.SIGKILL)


class Broken(CountingEncoder):
    def encode(self, texts, role):
        return np.full((len(texts), 8), np.nan, np.float32)


@pytest.fixture
def workers_find_this(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", here)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or they starve beside other work
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # what the driver has is not what a worker may have


@pytest.mark.slow
@pytest.mark.usefixtures("workers_find_this")
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(write, encoder, tmp_path):
    corpus, notes = write(some_rows(60)), tmp_path / "notes"
    notes.mkdir()
    engine = RayEngine(partial(Mortal, notes), workers=2, cpus=1)
    done = encode_corpus(corpus, encoder, tmp_path / "ray", shard_rows=7, engine=engine)
    encode_corpus(corpus, encoder, tmp_path / "local", shard_rows=7)
    assert content(tmp_path / "ray") == content(tmp_path / "local")
    calls = [path for path in notes.iterdir() if path.name != "killed"]
    assert (done.encoded, len(calls)) == (60, 9 + 1)
    assert len({path.name.partition("-")[0] for path in calls}) > 1
    assert {path.read_text() for path in calls} == {"1"}


@pytest.mark.slow
@pytest.mark.usefixtures("workers_find_this")
@pytest.mark.parametrize(
    ("load", "message"),
    [
        (Broken, "the encoder gives a vector of NaN"),
        (partial(CountingEncoder, "x"), "the model counting is another one than where the work was begun"),
    ],
)
def test_what_is_wrong_in_a_worker_is_said_by_the_driver(write, encoder, tmp_path, load, message):
    with pytest.raises(InputError, match=message):
        encode_corpus(write(some_rows()), encoder, tmp_path / "v", engine=RayEngine(load, workers=1, cpus=1))
    assert not (tmp_path / "v" / "manifest.json").exists()


class Nodes:
    """What `ray.nodes()` says."""

    def __init__(self, *cpus: int, gpus: int = 0) -> None:
        self._nodes = [{"Alive": True, "Resources": {"CPU": float(n), "GPU": float(gpus)}} for n in cpus]

    def nodes(self):
        return [*self._nodes, {"Alive": False, "Resources": {"CPU": 99.0}}]


@pytest.mark.parametrize(
    ("there", "asked", "workers", "cpus"),
    [
        (Nodes(2), {}, 1, 1),
        (Nodes(8), {}, 3, 2),
        (Nodes(8), {"cpus": 1}, 7, 1),
        (Nodes(8, 8), {"cpus": 4}, 3, 4),
        (Nodes(3), {"workers": 2, "cpus": 1}, 2, 1),
        (Nodes(16, gpus=2), {}, 2, 2),
    ],
)
def test_one_cpu_is_always_left_free(there, asked, workers, cpus):
    found, needs = RayEngine(CountingEncoder, **asked)._pool(there)
    assert (found, needs["num_cpus"], needs["num_gpus"]) == (workers, cpus, 1 if asked == {} and workers == 2 else 0)
    with pytest.raises(InputError, match="beside one CPU that must be left free"):
        RayEngine(CountingEncoder, workers=99)._pool(there)


def test_without_ray_it_is_said_what_to_install(write, encoder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install .isoglot\[cluster\]"):
        encode_corpus(write(some_rows()), encoder, tmp_path / "v", engine=RayEngine(CountingEncoder))
