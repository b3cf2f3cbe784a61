"""`kill -9` while an index is made and changed: the state before or the state after, and the same call finishes."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import pytest
from toy_index import ToyEncoder, row, write

from isoglot import build_index, open_index
from isoglot.search.edge import EdgeIndex
from isoglot.search.store import Store

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["isoglot.search.building", "toy_index"])
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")


def corpus(folder: Path, step: int, size: int) -> Path:
    """The rows of a step: from one to the next a third gets new texts, some go and some come."""
    rows = [
        row(f"r{n}", ("en", "de", "sw")[n % 3], f"row {n} of step {step - (step + n) % 3}")
        for n in range(step * size // 9, size + step * size // 9)
    ]
    return write(folder / f"step{step}.jsonl", rows)


def change(folder: Path, step: int, engine: str, kill_at: int | None) -> None:
    """Bring the index to a step, perhaps to die before its n-th change to the disk."""
    if kill_at is not None:
        left = kill_at

        def look(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in _CHANGES:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
    build_index(folder / f"step{step}.jsonl", ToyEncoder(), folder / "index", engine=engine, sync=True)


def run(folder: Path, step: int, engine: str, *, kill_at: int | None = None, after: float | None = None) -> int:
    process = _CONTEXT.Process(target=change, args=(folder, step, engine, kill_at), daemon=True)
    process.start()
    process.join(60 if after is None else after)
    process.kill()
    process.join()
    return int(process.exitcode)


def held(folder: Path) -> dict[tuple[str, str | None], tuple[str, bytes]]:
    """All that an index holds, once each."""
    if not (folder / "index" / "manifest.json").exists():
        return {}
    store = Store.open(folder / "index")
    rows = store.rows(store.numbers, ["id", "language", "text"])
    found = {
        (each["id"], each["language"]): (each["text"], vector.tobytes())
        for each, vector in zip(rows, store.vectors(store.numbers), strict=True)
    }
    assert len(found) == len(rows) == store.state.rows
    return found


def expected(folder: Path, steps: int, size: int) -> list[dict[tuple[str, str | None], tuple[str, bytes]]]:
    """What the index holds after each step that nobody disturbs."""
    states: list[dict[tuple[str, str | None], tuple[str, bytes]]] = [{}]
    for step in range(1, steps + 1):
        path = corpus(folder, step, size)
        build_index(path, ToyEncoder(), folder / f"whole{step}" / "index")
        states.append(held(folder / f"whole{step}"))
    return states


def check_whole(folder: Path, engine: str, state: object) -> None:
    """The index holds what it must, its engine does, and a search finds it."""
    assert held(folder) == state
    store = Store.open(folder / "index")
    if engine == "edge":
        assert EdgeIndex.holds(store)
        index = EdgeIndex(store)
        assert index._numbers().tolist() == store.numbers.tolist()
        index.close()
    searcher = open_index(folder / "index", ToyEncoder())
    assert searcher.note is None
    assert len(searcher.search("row 5", limit=10_000).hits) == len(held(folder))
    searcher.close()


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_any_change_to_the_disk(tmp_path: Path, every: int) -> None:
    states = expected(tmp_path, 2, 30)
    assert run(tmp_path, 1, "exact") == 0
    shutil.copytree(tmp_path / "index", tmp_path / "first")
    for number in range(1, 1000, every):
        shutil.rmtree(tmp_path / "index")
        shutil.copytree(tmp_path / "first", tmp_path / "index")
        killed = run(tmp_path, 2, "exact", kill_at=number)
        assert held(tmp_path) in states[1:]
        if killed == 0:
            break
        assert killed == -signal.SIGKILL
        assert run(tmp_path, 2, "exact") == 0
        check_whole(tmp_path, "exact", states[2])
    assert number > 10


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_while_it_is_first_made(tmp_path: Path, every: int) -> None:
    states = expected(tmp_path, 1, 30)
    for number in range(1, 1000, every):
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        if run(tmp_path, 1, "exact", kill_at=number) == 0:
            break
        assert held(tmp_path) in states
        assert run(tmp_path, 1, "exact") == 0
        check_whole(tmp_path, "exact", states[1])
    assert number > 10


def test_what_a_killed_writer_left_is_no_index_and_nothing_of_others(tmp_path: Path) -> None:
    path = corpus(tmp_path, 1, 30)
    (tmp_path / "index").mkdir()
    for name in (".manifest.0123456789abcdef.writing.json", ".map.0123456789abcdef.writing.npz"):
        (tmp_path / "index" / name).touch()
    build_index(path, ToyEncoder(), tmp_path / "index")
    assert not list((tmp_path / "index").glob(".*writing*"))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["exact", "edge"])
def test_killed_at_any_time(tmp_path: Path, engine: str) -> None:
    """25 kills at random moments, from the first making on."""
    pytest.importorskip("qdrant_edge")
    states, moments = expected(tmp_path, 6, 600), random.Random(0)
    kills = 0
    while kills < 25:
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        for step in range(1, 7):
            killed = run(tmp_path, step, engine, after=moments.uniform(0.0, 1.5)) != 0
            kills += killed
            assert held(tmp_path) in (states[step - 1 : step + 1] if killed else [states[step]])
            assert run(tmp_path, step, engine) == 0
            check_whole(tmp_path, engine, states[step])
