"""Progress: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from isoglot.common import progress
from isoglot.common.errors import InputError

Wait = Callable[[float], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Lets time pass."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output is for results"
    return captured.err.splitlines()


def test_a_log_gets_an_estimate_then_a_line_a_minute_then_the_end(
    wait: Wait, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.progress("Encoding [set]", 3000) as advance:
        advance(0)
        for _ in range(300):
            wait(1)
            advance(10)
    lines = said(capsys)
    assert lines[0] == "Encoding [set]: 100 of 3,000 done, 2,900 left, 10 a second, about 4.8 min left"
    assert lines[1] == "Encoding [set]: 700 of 3,000 done, 2,300 left, 10 a second, about 3.8 min left"
    assert lines[-1] == "Encoding [set]: 3,000 done in 5.0 min"
    assert len(lines) == 6


def test_what_was_there_already_makes_no_rate(wait: Wait, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("Translating", 10_000) as advance:
        wait(30)  # in which it is looked for
        advance(9_000)
        wait(60)
        advance(5, "loss: 1.5")
    assert said(capsys)[0] == (
        "Translating: 9,005 of 10,000 done, 995 left, 5.0 a minute, about 3.3 h left, loss: 1.5"
    ), "5 a minute, and not 9,005 in 90 seconds"


def test_the_first_parts_alone_are_no_measure(wait: Wait, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("Encoding", 1000) as advance:
        advance(0)
        for seconds in (20, *[1] * 29):  # the first batch is the longest
            wait(seconds)
            advance(10)
    assert said(capsys)[0].startswith("Encoding: 80 of 1,000 done, 920 left, 3.0 a second"), "80 in 27 seconds"


def test_work_of_less_than_a_minute_says_nothing(wait: Wait, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("Scoring", 50) as advance:
        for _ in range(50):
            wait(1)
            advance(1)
    assert said(capsys) == []


def test_work_that_turns_out_long_says_so_when_it_does(wait: Wait, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("Scoring", 50) as advance:
        advance(0)
        for seconds in [1] * 40 + [30] * 10:
            wait(seconds)
            advance(1)
    lines = said(capsys)
    assert lines[0].startswith("Scoring: 41 of 50 done, 9 left, ")
    assert len(lines) == 1 + 4 + 1, "an estimate, a line a minute, the end"


def test_work_that_fails_is_not_said_to_be_done(wait: Wait, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with progress.progress("Encoding", 1000) as advance:
            advance(0)
            wait(60)
            advance(1)
            raise InputError("no more")

    with pytest.raises(InputError):
        fail()
    assert len(said(capsys)) == 1


def test_work_that_cannot_be_counted_is_named_when_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("Fetching"):
        assert said(capsys) == ["Fetching ..."]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_bar_within_another(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(progress, "console", Console(file=screen, force_terminal=True, width=120, color_system=None))
    for _ in range(2):
        with progress.progress("Outer", 2) as outer, progress.progress("[Inner]", 4) as inner:
            outer(1)
            inner(3, "loss: [1]")
            assert progress._shown is not None
            progress._shown.refresh()
            progress.tell("above the [bars]")
    shown = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", screen.getvalue())
    for part in ("Outer", "1/2", "[Inner]", "3/4", "loss: [1]", "above the [bars]"):
        assert part in shown
    assert progress._shown is None


def test_colours_that_are_forced_upon_a_log_draw_no_bars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "console", Console(stderr=True, force_terminal=True, color_system=None))
    with progress.progress("Encoding", 2) as advance:
        advance(2)
    assert said(capsys) == []
