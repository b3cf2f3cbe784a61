"""What killed writers leave is taken away by the next one; what is being written is not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from isoglot.common import atomic
from isoglot.common.atomic import lock, sweep, write_text, write_whole, write_whole_folder
from isoglot.enrich import negatives as negatives_module
from isoglot.enrich.translation import translating
from isoglot.runtime import store

Writer = Callable[[Path], AbstractContextManager[Path]]
WRITERS = [write_whole, write_whole_folder]


def killed_while_writing(writer: Writer, target: Path) -> None:
    child = os.fork()
    if child == 0:
        with writer(target) as temporary:
            (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("writer", WRITERS)
def test_kills_do_not_pile_up(writer: Writer, tmp_path: Path) -> None:
    for _ in range(3):
        killed_while_writing(writer, tmp_path / "target.npy")
        assert len(list(tmp_path.iterdir())) == 1
    write_text(tmp_path / "other.txt", "another file of the folder")
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_being_written_stays(writer: Writer, tmp_path: Path) -> None:
    with writer(tmp_path / "target.npy") as temporary:
        child = os.fork()
        if child == 0:
            sweep(tmp_path)
            os._exit(0)
        os.waitpid(child, 0)
        sweep(tmp_path)
        assert temporary.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["target.npy"]


def test_files_of_others_stay(tmp_path: Path) -> None:
    names = [".a.0123456789abcdef.tmp", "a.0123456789abcdef.writing", ".a.writing", ".all.translations.partial.jsonl"]
    for name in names:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_where_nothing_can_be_locked_nothing_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_writing(write_whole, tmp_path / "target.npy")
    monkeypatch.setattr(atomic, "fcntl", None)
    write_text(tmp_path / "target.txt", "whole")
    assert len(list(tmp_path.iterdir())) == 2


def test_writers_at_once_do_not_take_away_each_others_files(tmp_path: Path) -> None:
    """A sibling is swept only by who gets its lock, also in the instant before its maker has it."""

    def write(number: int) -> None:
        for _ in range(60):
            try:
                with write_whole(tmp_path / f"{number}.txt") as temporary:
                    temporary.write_text(str(number))
            except BaseException as error:
                failed.append(error)

    failed: list[BaseException] = []
    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {f"{n}.txt": str(n) for n in range(4)}


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as first:
        assert lock(first.fileno())
        with (tmp_path / "file").open() as second:
            assert lock(second.fileno()) is False
    with (tmp_path / "file").open() as third:
        assert lock(third.fileno())


def test_the_page_says_how_much_is_in_hand() -> None:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    assert f"the {translating._ROWS_AT_A_TIME:,} rows in hand" in page
    assert (
        f"the {store.SHARD_TEXTS:,} texts being encoded or the {negatives_module._CHUNK_ROWS:,} rows being mined"
        in page
    )
