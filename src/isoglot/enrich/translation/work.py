"""The work file: what is translated so far, one line each, so that a run that is killed goes on where it was.

Lines are appended in the order of the work and forced to disk chunk by chunk. What a crash left of a line is cut off.
So the number of whole lines says where to go on: nothing is lost but the chunk in hand, and nothing is doubled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from isoglot.common.atomic import lock
from isoglot.common.errors import InputError

Record = dict[str, Any]


class WorkFile:
    """Records of one run, appended. The first line says which run it is of.

    Args:
        path: the file; begun if there is none.
        run: what makes the run this one: input, languages, engine.

    Raises:
        InputError: if the file is of another run, in use by one, or damaged.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)  # a buffer would be written once more after a failure
        if lock(self._file.fileno()) is False:
            self.close()
            raise InputError(f"{path}: another process is at work on it; wait for its end, or write to another file")
        try:
            whole, self.done = _whole_lines(path)
        except InputError:
            self.close()
            raise
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
        rest = b"".join(lines)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(
                f"{self.path}: {error.strerror or error}; make room, then go on by the same call"
            ) from error
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


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _whole_lines(path: Path) -> tuple[int, int]:
    """Bytes up to the end of the last whole line, and how many lines that are."""
    whole = count = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole, count = whole + len(line), count + 1
            if count > 1 and not _is_record(line):
                raise InputError(
                    f"{path} line {count}: damaged; cut the file before it to go on from there, or delete it"
                )
    return whole, count
