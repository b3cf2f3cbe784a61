"""How people are spoken to: results on standard output, progress with the time left on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

WIDE = 10_000
_FOLDED = 12  # columns of a terminal, to which names in a table may be folded
console = Console(stderr=True, width=None if sys.stderr.isatty() else WIDE)
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


class Advance(Protocol):
    """Takes how many more are done, and words to show beside, such as a loss."""

    def __call__(self, count: int, words: str = "", /) -> None:
        """Go on. What was there before the work began comes first, by itself, so that no rate is made of it."""
        ...


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Advance]:
    """Show how far the block is: on a terminal a bar with the time left, elsewhere a line a minute.

    Work without a total is a moving bar on a terminal, and one line, when it begins, elsewhere.

    >>> with progress("counting", 3) as advance:
    ...     advance(3)
    """
    # Where colours are forced upon a log, it counts as a terminal to rich.
    if console.is_interactive and console.file.isatty():
        with _bars() as bars:
            task = bars.add_task(escape(description), total=total, words="")
            try:
                yield lambda count, words="", /: bars.update(task, advance=count, words=escape(words))
            finally:
                bars.remove_task(task)
    elif total is None:
        tell(f"{description} ...")
        yield lambda count, words="", /: None
    else:
        lines = _Lines(description, total)
        yield lines
        lines.end()


def tell(line: str) -> None:
    """Print a line on standard error as it is, above the bars if there are any."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def span(seconds: float) -> str:
    """A time in words.

    >>> span(42), span(330), span(9000)
    ('42 s', '5.5 min', '2.5 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


_shown: Progress | None = None  # the bars of the outermost block: a terminal has one place for them


@contextmanager
def _bars() -> Iterator[Progress]:
    """The bars on the screen, while the outermost block runs."""
    global _shown
    if _shown is not None:
        yield _shown
        return
    more = MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[words]}")
    with Progress(*Progress.get_default_columns(), *more, console=console, transient=True) as _shown:
        try:
            yield _shown
        finally:
            _shown = None


_LINE_EVERY = 60.0  # seconds
_FIRST_AFTER, _FIRST_PARTS = 10.0, 8  # seconds and parts of the work that an estimate is made of


class _Lines:
    """Lines for a log: an estimate once it shows that the work takes over a minute, then one a minute, and the end."""

    def __init__(self, description: str, total: int) -> None:
        self._description, self._total, self._done = description, total, 0
        self._began = time.monotonic()
        self._last: tuple[float, int] | None = None  # the time from which the rate is taken, and what was done then
        self._parts = 0  # that were done since
        self._told = False
        self._lock = Lock()  # some advance from several threads

    def __call__(self, count: int, words: str = "", /) -> None:
        """Go on, and say so if it is time."""
        with self._lock:
            now, self._done = time.monotonic(), self._done + count
            since, before = self._last = self._last or (now, self._done)
            spent, made, left = now - since, self._done - before, self._total - self._done
            self._parts += made > 0
            early = not self._told and spent >= _FIRST_AFTER and self._parts >= _FIRST_PARTS
            if not made or not (early or spent >= _LINE_EVERY):
                return
            rate = made / spent
            time_left = left / rate
            if now - self._began + time_left < _LINE_EVERY:
                return
            done = f"{self._description}: {self._done:,} of {self._total:,} done, {left:,} left"
            tell(", ".join([done, _rate(rate), f"about {span(time_left)} left", *([words] if words else [])]))
            self._last, self._told = (now, self._done), True

    def end(self) -> None:
        """Say how long it took, if it took long enough for an estimate."""
        if self._told:
            tell(f"{self._description}: {self._done:,} done in {span(time.monotonic() - self._began)}")


def _rate(a_second: float) -> str:
    """How many in a time in which there are some.

    >>> _rate(1235), _rate(2.5), _rate(0.05), _rate(0.001)
    ('1,235 a second', '2.5 a second', '3.0 a minute', '3.6 an hour')
    """
    rates = {"a second": a_second, "a minute": 60 * a_second, "an hour": 3600 * a_second}
    unit = next((unit for unit, rate in rates.items() if rate >= 1), "an hour")
    return f"{rates[unit]:,.0f} {unit}" if rates[unit] >= 10 else f"{rates[unit]:.1f} {unit}"
