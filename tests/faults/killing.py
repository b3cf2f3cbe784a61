"""Commands in processes of their own that are killed, at a moment or before a change to the disk, and run again.

A server that has imported everything makes the processes, so that a start costs nothing and kills hit the work.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *(
            "isoglot.cli",
            "isoglot.training.run",
            "isoglot.evaluation.evaluate",
            "isoglot.enrich.negatives",
            "isoglot.models.debiasing",
            "isoglot.models.text_encoder",
            "isoglot.encoding.encode",
        ),
        *("isoglot.enrich.translation.http_engine", "isoglot.report", "isoglot.evaluation.trec", "pytest"),
    ]
)
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
_LONGEST = 300.0  # seconds; a command that takes longer hangs


@dataclass(frozen=True)
class Job:
    """A command line of isoglot and where it runs.

    Attributes:
        folder: the working folder; cache and temporary files are in it too.
        words: after `isoglot`.
        values: names such as `isoglot.runtime.store.SHARD_TEXTS` and what to set them to.
        slowed: names of functions and the seconds that each call takes longer.
        file_limit: bytes to which a file may grow.
    """

    folder: Path
    words: Sequence[str]
    values: Mapping[str, Any] = field(default_factory=dict)
    slowed: Mapping[str, float] = field(default_factory=dict)
    file_limit: int | None = None

    @property
    def said(self) -> list[str]:
        """Lines of the last run, those of both streams."""
        return (self.folder.parent / f"{self.folder.name}.said").read_text(errors="replace").splitlines()

    def start(self, kill_at: int | None = None) -> Any:
        """Start it, to die before its n-th change to the disk if that is wanted."""
        self.folder.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():  # for the server, which this may start
                patch.setenv(name, value)
            process = _CONTEXT.Process(target=_run, args=(self, kill_at), daemon=True)
            process.start()
        return process

    def run(self, kill_at: int | None = None) -> int:
        """Run to the end, and give the exit code: minus the signal if it was killed."""
        process = self.start(kill_at)
        process.join(_LONGEST)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"{self.words} hangs")
        return int(process.exitcode)


def killed_at_random(next_job: Callable[[], Job], kills: int, span: float, seed: int) -> int:
    """Kill a job after random delays of at most `span` seconds, each time going on with the next, then let it end.

    Returns:
        How often it was killed: less than `kills` where what was kept between kills sufficed to end earlier.
    """
    delays = random.Random(seed)
    for done in range(kills):
        process = (job := next_job()).start()
        process.join(delays.uniform(0, span))
        if not process.is_alive():
            assert _is_done(job, process.exitcode, killed=done > 0), job.said
            return done
        process.kill()
        process.join()
    job = next_job()
    assert _is_done(job, job.run(), killed=True), job.said
    return kills


def _is_done(job: Job, exit_code: int, *, killed: bool) -> bool:
    """Whether a job ended well: now, or earlier, if it was killed when its result stood already."""
    return exit_code == 0 or (killed and exit_code == 2 and "exists already" in job.said[-1])


def timed(job: Job) -> float:
    """Seconds that a job takes which nobody disturbs."""
    start = time.perf_counter()
    assert job.run() == 0, job.said
    return time.perf_counter() - start


def state(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, hidden ones too, with its content but for dates, times and a tokenizer's last call."""
    return {
        str(path.relative_to(folder)): _timeless(path) if path.is_file() else b"" for path in sorted(folder.rglob("*"))
    }


def _timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        return b"\n".join(_without_times(line) for line in content.splitlines())
    return _without_times(content) if path.name in ("results.json", "tokenizer.json") else content


def _without_times(text: bytes) -> bytes:
    entry = json.loads(text)
    passing = ("seconds", "date", "truncation", "padding")
    return json.dumps({name: entry[name] for name in entry if name not in passing}).encode()


def _run(job: Job, kill_at: int | None) -> None:
    said = os.open(job.folder.parent / f"{job.folder.name}.said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(job.folder)
    (job.folder / "tmp").mkdir(exist_ok=True)
    tempfile.tempdir = str(job.folder / "tmp")
    os.environ.update({**ENVIRONMENT, "ISOGLOT_CACHE": str(job.folder / "cache")})
    for name, value in job.values.items():
        owner, attribute = _place(name)
        setattr(owner, attribute, value)
    for name, seconds in job.slowed.items():
        owner, attribute = _place(name)
        setattr(owner, attribute, _slowed(getattr(owner, attribute), seconds))
    if job.file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.file_limit, job.file_limit))
    if kill_at is not None:
        _die_before_change(kill_at, job.folder)
    sys.argv = ["isoglot", *job.words]
    from isoglot.cli import main

    main()


def _place(name: str) -> tuple[Any, str]:
    """The module or class that holds a name, and the name in it."""
    module, *rest = (part for part in name.split("."))
    while rest:
        try:
            owner = importlib.import_module(f"{module}.{rest[0]}")
        except ModuleNotFoundError:
            break
        module, rest = owner.__name__, rest[1:]
    return reduce(getattr, rest[:-1], importlib.import_module(module)), rest[-1]


def _slowed(function: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(seconds)
        return function(*arguments, **named)

    return slow


def _die_before_change(number: int, folder: Path) -> None:
    """Let the process kill itself before its n-th change to the disk, counted from 1."""
    left = number

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not writes and event not in _CHANGES:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)
