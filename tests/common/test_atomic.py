import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from isoglot.common.atomic import write_json, write_text, write_whole, write_whole_folder
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "table.npy"
    with write_whole(target) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == target.suffix
        assert not target.exists()
    assert target.read_text() == "half"
    assert names(target.parent) == ["table.npy"]


@pytest.mark.parametrize("writer", [write_whole, write_whole_folder])
def test_an_error_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, writer: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    target = tmp_path / "kept"
    if writer is write_whole:
        target.write_text("old")
    else:
        target.mkdir()
        (target / "old").touch()

    def fail() -> None:
        with writer(target) as temporary:
            (temporary / "new" if temporary.is_dir() else temporary).write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert names(tmp_path) == ["kept"]
    assert target.read_text() == "old" if target.is_file() else names(target) == ["old"]


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for target in (tmp_path, Path()):
        with pytest.raises(InputError, match="is a folder; name a file in it"), write_whole(target):
            pass
    assert names(tmp_path) == []


def test_a_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ["first", "second"]:
        with write_whole_folder(target) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / name).write_text(name)
    assert names(tmp_path) == ["model"]
    assert names(target / "sub") == ["second"]


def test_home_is_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_text("~/a.txt", "text")
    with write_whole_folder("~/folder") as temporary:
        (temporary / "b.txt").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_text_and_json_are_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "så\n")
    assert (tmp_path / "a.txt").read_bytes() == "så\n".encode()
    write_json(tmp_path / "a.json", {"språk": ["日本語"]})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"språk": ["日本語"]}


def test_json_refuses_what_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert names(tmp_path) == []


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    monkeypatch.delenv("ISOGLOT_CACHE", raising=False)
    assert cache_folder() == Path("/shared/isoglot")
    monkeypatch.setenv("ISOGLOT_CACHE", "/own")
    assert cache_folder() == Path("/own")
