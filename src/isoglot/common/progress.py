"""How people are spoken to: results on standard output, progress with the time left on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, ProgressColumn, TimeElapsedColumn
from rich.table import Table

WIDE = 10_000
_FOLDED = 12  # columns of a terminal, to which names in a table may be folded
console = Console(stderr=True)
"""Where people are told what goes on; standard output is kept for results."""
out = Console(width=None if sys.stdout.isatty() else WIDE)
"""Standard output. A pipe, a file or a log has no width, so nothing is wrapped or cut there."""


def show_table(*tables: Table) -> None:
    """Print the first of these tables that the terminal has room for, with its title and its legend, the caption.

    Long names, which are the first column, are folded. If there is room for none, the last is printed row by row in
    words, so that no figure is ever cut.
    """
    table = next(filter(_has_room, tables), tables[-1])
    title, legend, table.title, table.caption = table.title, table.caption, None, None  # breaks them to its own width
    if title:
        out.print(title, highlight=False)
    if _has_room(table):
        for column in table.columns:
            column.no_wrap, column.overflow = column is not table.columns[0], "fold"
        with out.capture() as printed:
            out.print(table)
        for line in printed.get().splitlines():
            print(line.rstrip(), file=out.file)  # a table fills its lines with blanks
    else:
        _print_in_words(table)
    if legend:
        out.print(legend, highlight=False)


def _has_room(table: Table) -> bool:
    names = max((out.measure(cell).maximum for cell in table.columns[0].cells), default=0)
    widest = out.measure(table, options=out.options.update(width=WIDE)).maximum
    return widest - max(0, names - _FOLDED) <= out.width


def _print_in_words(table: Table) -> None:
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
