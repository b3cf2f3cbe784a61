"""The work file: what is translated so far, one line each, so that a run that is killed goes on where it was.

Lines are appended in the order of the work and forced to disk chunk by chunk. What a crash left of a line is cut off.
So the number of whole lines says where to go on: nothing is lost but the chunk in hand, and nothing is doubled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from isoglot.errors import InputError

Record = dict[str, Any]


class WorkFile:
    """Records of one run, appended. The first line says which run it is of.

    Args:
        path: the file; begun if there is none.
        run: what makes the run this one: input, languages, engine.

    Raises:
        InputError: if the file is of another run.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        whole, self.done = _whole_lines(path)
        self._file: IO[bytes] = path.open("ab")
        self._file.truncate(whole)
        if whole == 0:
            self._write([{"run": dict(run)}])
        else:
            self.done -= 1
            self._refuse_another(run)

    def append(self, records: Iterable[Record]) -> None:
        """Add records; they are on disk when this returns."""
        self.done += self._write(records)

    def records(self) -> Iterator[Record]:
        """All records so far, in order."""
        with self.path.open(encoding="utf-8", newline="\n") as file:
            next(file)
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Close the file; what is appended stays."""
        self._file.close()

    def _write(self, records: Iterable[Record]) -> int:
        lines = [json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records]
        self._file.write(b"".join(lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        return len(lines)

    def _refuse_another(self, run: Mapping[str, Any]) -> None:
        with self.path.open("rb") as file:
            try:
                found = json.loads(file.readline())["run"]
            except (ValueError, TypeError, KeyError):
                found = None
        if found == dict(run):
            return
        self.close()
        keys = [key for key in run if not isinstance(found, dict) or found.get(key) != run[key]]
        raise InputError(
            f"{self.path}: an unfinished run with another {' and '.join(keys) or 'setting'}; "
            "give what it was begun with, or delete this file to begin anew"
        )


def _whole_lines(path: Path) -> tuple[int, int]:
    """Bytes up to the end of the last whole line, and how many lines that are."""
    if not path.exists():
        return 0, 0
    whole = count = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                whole, count = whole + len(line), count + 1
    return whole, count
