"""Paths are read as a shell would, or refused in one line."""

from pathlib import Path

import pytest

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path


def test_home_and_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PART", "a b")
    assert expanded_path("~/x") == tmp_path / "x"
    assert expanded_path("$HOME/${PART}/x.csv") == tmp_path / "a b" / "x.csv"
    assert expanded_path(Path("plain/x~1")) == Path("plain/x~1")


def test_what_is_there_under_the_very_name_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("$x").mkdir()
    assert expanded_path("$x") == Path("$x")
    assert expanded_path("$x/new.csv") == Path("$x/new.csv")


@pytest.mark.parametrize(
    ("path", "message"),
    [("$NO_SUCH/x", "variable NO_SUCH is not set"), ("${NO_SUCH}", "NO_SUCH"), ("~no-such-user/x", "no such user")],
)
def test_what_cannot_be_filled_in_is_one_line(path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        expanded_path(path)
