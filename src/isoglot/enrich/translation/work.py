"""The work file: what is translated so far, one line each, so that a run that is killed goes on where it was.

Lines are forced to disk chunk by chunk, and what a crash left of one is cut off. So the number of whole lines says
where to go on: nothing is lost but the chunk in hand, and nothing is doubled.
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
        self.path, self.done = path, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)  # a buffer would be written once more after a failure
        try:
            if lock(self._file.fileno()) is False:
                raise InputError(
                    f"{path}: another process is at work on it; wait for its end, or write to another file"
                )
            whole = self._whole(run)
            self._file.truncate(whole)
            if not whole:
                self._write([{"run": dict(run)}])
        except InputError:
            self.close()
            raise

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
        # Half a character, which a server's JSON may hold, is written as JSON's own escape.
        said = (json.dumps(record, ensure_ascii=False) for record in records)
        lines = [line.encode(errors="backslashreplace") + b"\n" for line in said]
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

    def _whole(self, run: Mapping[str, Any]) -> int:
        """Bytes up to the end of the last whole line, each of which is looked at and, but for the first, counted."""
        whole = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                record = _record(line)
                if number == 0:
                    self._refuse_another(record.get("run"), run)
                elif not record:
                    wrong = "damaged; cut the file before it to go on from there, or delete it"
                    raise InputError(f"{self.path} line {number + 1}: {wrong}")
                whole, self.done = whole + len(line), number
        return whole

    def _refuse_another(self, found: object, run: Mapping[str, Any]) -> None:
        if found != dict(run):
            keys = [key for key in run if not isinstance(found, dict) or found.get(key) != run[key]]
            raise InputError(
                f"{self.path}: an unfinished run with another {' and '.join(keys) or 'setting'}; "
                "give what it was begun with, or delete this file to begin anew"
            )


def _record(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
