"""How people are spoken to: results on standard output, progress with the time left on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, ProgressColumn, TimeElapsedColumn
from rich.table import Table

WIDE = 10_000
console = Console(stderr=True)
"""Where people are told what goes on; standard output is kept for results."""
out = Console(width=None if sys.stdout.isatty() else WIDE)
"""Standard output. A pipe, a file or a log has no width, so nothing is wrapped or cut there."""


def show_table(table: Table) -> None:
    """Print a table; on a terminal too narrow for it row by row in words, so that no figure is ever cut."""
    if table.title:  # by itself, for a table breaks its title to its own width
        out.print(table.title, highlight=False)
        table.title = None
    if out.measure(table, options=out.options.update(width=WIDE)).maximum <= out.width:
        out.print(table)
        return
    headings = [str(column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *rest = (f"{heading} {cell}".strip() for heading, cell in zip(headings, row, strict=True))
        out.print(f"{first}: {'; '.join(rest)}", highlight=False)


def time_left_bar(*more: ProgressColumn, transient: bool = False) -> Progress:
    """A bar with the time left, which shows on a terminal alone; the further columns stand behind it."""
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
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
