"""Progress with the time left, on standard error, for anything that takes more than a few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)
"""Where people are spoken to; standard output is kept for results."""


def time_left_bar(*more: ProgressColumn, transient: bool = False) -> Progress:
    """A bar with the time left, which shows on a terminal alone; the further columns stand behind it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, *more, console=console, transient=transient, disable=not console.is_terminal)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with the time left while the block runs; the block calls what it is given with each advance.

    >>> with progress("counting", 3) as advance:
    ...     advance(3)
    """
    with time_left_bar(transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)
