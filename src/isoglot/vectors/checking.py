"""The pass over all rows that comes before any work: every bad row is found, and every row is counted.

A row is bad if its vector is null, of another length, not finite or zero, if it has no id where ids are needed, if its
key stood in an earlier row, if its text is blank, or if it has no language where one is needed. The first ends the work
in one line, or all are left out into a file; so rows in are always rows out and rows left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import BoolArray, IntArray, Values
from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.common.languages import LanguageCodes
from isoglot.common.paths import expanded_path
from isoglot.common.progress import progress
from isoglot.common.text import is_blank
from isoglot.pairs.texts import hashes
from isoglot.vectors.remedies import lengths_of
from isoglot.vectors.rows import Part, VectorRows

HashArray = npt.NDArray[np.uint64]
LeaveOut = Callable[[dict[str, Any]], object]
Fault = tuple[BoolArray, Callable[[int], str]]
"""Which rows of a part have it, and what to say of one."""

_UNIT = 1e-3  # how far from 1 the length of a unit vector may be: half precision rounds so
_LEFT_OUT = {"file", "id", "language", "reason"}  # keys of a row that is left out, besides its place
_LONGEST_LINE = 1 << 20  # bytes of a line that is looked at: a file of another kind may have no lines
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd; its multiples tell the languages of one id apart


@dataclass(frozen=True)
class Survey:
    """What a pass over all rows found.

    Attributes:
        rows: the rows.
        bad: numbers of the rows that are left out, in order.
        language: `(rows,)`; numbers that index `tags`; -1 for no language.
        tags: the languages, sorted.
        group: `(rows,)`; hashes of the groups, of the id where a row has no group, 0 for neither; None without columns.
        ids_shared: whether translations share an id, so that keys are id and language.
        lengths: the least and the greatest length of a vector.
        notes: what people should know: languages merged, rows without one, rows left out.
    """

    rows: VectorRows
    bad: IntArray
    language: IntArray
    tags: tuple[str, ...]
    group: HashArray | None
    ids_shared: bool
    lengths: tuple[float, float]
    notes: tuple[str, ...]

    @property
    def good(self) -> BoolArray:
        """`(rows,)`; which rows are not left out."""
        kept = np.ones(len(self.language), bool)
        kept[self.bad] = False
        return kept

    @property
    def unit(self) -> bool:
        """Whether all vectors are of unit length."""
        return all(abs(length - 1) < _UNIT for length in self.lengths)

    def rows_per_language(self) -> dict[str, int]:
        """How many rows are in each language, of those that are not left out."""
        counts = np.bincount(self.language[self.good & (self.language >= 0)], minlength=len(self.tags))
        return dict(zip(self.tags, counts.tolist(), strict=True))

    def kept(self, part: Part) -> BoolArray:
        """Which rows of a part are not left out."""
        kept = np.ones(len(part), bool)
        low, high = np.searchsorted(self.bad, [part.first, part.first + len(part)])
        kept[self.bad[low:high] - part.first] = False
        return kept


@contextmanager
def leaving_out(path: str | Path | None, *used: str | Path) -> Iterator[LeaveOut | None]:
    """What takes bad rows to a file of JSON lines, there once the block has ended well; None without a path.

    Args:
        path: the file; one that an earlier run left rows out into is replaced.
        used: files and folders that are read, or replaced as a whole.

    Raises:
        InputError: if the file is one of these, lies in one, or holds something else already.
    """
    if path is None:
        yield None
        return
    path = expanded_path(path)
    _refuse_used(path, used)
    if path.exists() and not _holds_rows_left_out(path):
        raise InputError(f"{path}: exists already, and holds no rows left out; name a new file for --skip-bad")
    with write_whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield lambda row: file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _refuse_used(path: Path, used: Iterable[str | Path]) -> None:
    """Refuse a file that is read, or would be by the next run: a corpus may be a folder, or a pattern."""
    for each in map(expanded_path, used):
        beside = each.with_suffix(".jsonl") if each.suffix == ".npy" else each  # which describes its rows
        within = {each.resolve(), beside.resolve()} & {path.resolve(), *path.resolve().parents}
        if within or fnmatch(str(path.absolute()), str(each.absolute())):
            raise InputError(f"{path}: belongs to {each}, which is read or written; name another file for --skip-bad")


def _holds_rows_left_out(path: Path) -> bool:
    """Whether a file is empty, or begins with a row that was left out."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
    try:
        return not line or set(json.loads(line)) - {"row", "line"} == _LEFT_OUT
    except (ValueError, TypeError, RecursionError):
        return False


def survey(rows: VectorRows, leave_out: LeaveOut | None = None, *, needs: Collection[str] = ()) -> Survey:
    """Look at every row, once.

    Args:
        rows: the rows.
        leave_out: takes every bad row; where None, a bad row is an error.
        needs: `id`, `language` or `text`, where a row without one is bad.

    Raises:
        InputError: naming the first bad row and how many there are; or if no row is good.
    """
    seen = _Seen(rows, leave_out, needs)
    with progress(f"Checking {rows.path.name}", len(rows)) as advance:
        for part in rows.parts(seen.columns):
            seen.look(part)
            advance(len(part))
    return seen.survey()


def left_out(part: Part, row: int, reason: str) -> dict[str, Any]:
    """A bad row as it stands in the file of rows that are left out."""
    what, _, number = part.file.place(part.in_file + row).partition(" ")
    key, code = part.identity(row)
    return {"file": str(part.file.path), what: int(number), "id": key, "language": code, "reason": reason}


def hashes_of_keys(ids: HashArray, language: IntArray) -> HashArray:
    """`(rows,)`; hashes of id and language together, from those of the ids and the numbers of the languages."""
    keys: HashArray = ids ^ ((language + 1).astype(np.uint64) * _SPREAD)
    return keys


class _Seen:
    """What was seen of the rows so far."""

    def __init__(self, rows: VectorRows, leave_out: LeaveOut | None, needs: Collection[str]) -> None:
        self.rows, self._leave_out, self._needs = rows, leave_out, needs
        named = rows.columns
        text = named.text if "text" in needs else None
        self.columns = [name for name in (named.vector, named.id, named.group, named.language, text) if name]
        self._codes: dict[str | None, int] = {}
        self._language: list[IntArray] = []
        self._ids: list[HashArray] = []
        self._groups: list[HashArray] = []
        self._bad: list[int] = []
        self._reasons: Counter[str] = Counter()
        self._first = ""
        self._lengths = np.inf, 0.0

    def look(self, part: Part) -> None:
        """Check and count the rows of a part."""
        codes = pc.dictionary_encode(part.languages(), null_encoding="encode")
        number = [self._codes.setdefault(code, len(self._codes)) for code in codes.dictionary.to_pylist()]
        self._language.append(np.array(number, np.int64)[codes.indices.to_numpy()])
        for name, kept in ((self.rows.columns.id, self._ids), (self.rows.columns.group, self._groups)):
            if name is not None:
                kept.append(hashes(part.text(name)))
        faults, lengths = list(self._other_faults(part)), np.ones(len(part))
        if self.rows.columns.vector is not None:
            vectors, whole, counts = part.vectors()
            lengths = lengths_of(vectors)
            faults = [*self._vector_faults(whole, counts, lengths), *faults]
        bad = np.zeros(len(part), bool)
        for faulty, reason in faults:
            for row in np.flatnonzero(faulty & ~bad).tolist():
                self._note(part, row, reason(row))
            bad |= faulty
        if not bad.all():
            good = lengths[~bad]
            self._lengths = min(self._lengths[0], float(good.min())), max(self._lengths[1], float(good.max()))

    def _vector_faults(self, whole: BoolArray, counts: IntArray, lengths: Values) -> Iterator[Fault]:
        yield counts < 0, lambda _: "no vector (null)"
        usual = self.rows.dimensions
        yield ~whole, lambda row: f"the vector has {counts[row]} numbers where other rows have {usual}"
        yield ~np.isfinite(lengths), lambda _: "the vector is not finite"
        yield lengths < np.finfo(np.float32).tiny, lambda _: "the vector is all zeros"

    def _other_faults(self, part: Part) -> Iterator[Fault]:
        named = self.rows.columns
        if "id" in self._needs:
            absent = pc.fill_null(pc.equal(part.text(named.id), ""), True)
            yield absent.to_numpy(zero_copy_only=False), lambda _: "no id"
        if "text" in self._needs and named.text is not None:
            blank = pc.fill_null(is_blank(pa.chunked_array([part.text(named.text)])), True)
            yield blank.to_numpy(), lambda _: "the text is empty"
        if "language" in self._needs:
            silent = [n for n, tag in enumerate(LanguageCodes.of(self._codes).tags.values()) if tag is None]
            spelled = part.languages()
            yield np.isin(self._language[-1], silent), lambda row: f"no language ({_shown(spelled[row].as_py())})"

    def survey(self) -> Survey:
        """All that was seen, once every row was."""
        codes = LanguageCodes.of(self._codes)
        tags = sorted({tag for tag in codes.tags.values() if tag is not None})
        coded = np.concatenate(self._language)
        language = np.array([tags.index(tag) if tag else -1 for tag in codes.tags.values()], np.int64)[coded]
        ids = np.concatenate(self._ids) if self._ids else None
        shared = False
        if ids is not None:
            good = np.setdiff1d(np.arange(len(ids)), self._bad)
            shared = len(np.unique(ids[good])) < len(good)
            if shared:
                # Where rows are known by id and language, all that names no language is one; else it may be several.
                spelled = np.where(language < 0, len(tags) + coded, language)
                keyed = language if "id" in self._needs else spelled
                self._note_repeated(hashes_of_keys(ids, keyed), good, codes)
        self._refuse(len(language))
        bad = np.array(sorted(self._bad), np.int64)
        notes, name = codes.sentences(), self.rows.path.name
        silent = np.delete(coded, bad)[np.delete(language, bad) < 0]
        if len(silent) and self.rows.columns.language is not None:
            said = [_shown(code) for code, number in self._codes.items() if number in silent]
            notes.append(f"{name}: {len(silent):,} rows without a language ({', '.join(said[:5])}).")
        if self._bad:
            notes.append(f"{name}: {len(bad):,} of {len(language):,} rows left out: {self._counted()}.")
        groups = self._grouped(ids)
        return Survey(self.rows, bad, language, tuple(tags), groups, shared, self._lengths, tuple(notes))

    def _grouped(self, ids: HashArray | None) -> HashArray | None:
        """Hashes of the groups; a row without one, whose hash is 0, goes by its id."""
        groups = np.concatenate(self._groups) if self._groups else None
        if groups is None or ids is None:
            return ids if groups is None else groups
        return np.where(groups == 0, ids, groups)

    def _refuse(self, rows: int) -> None:
        if self._bad and self._leave_out is None:
            also = f"; {len(self._bad):,} rows are bad in all ({self._counted()})" if len(self._bad) > 1 else ""
            raise InputError(f"{self._first}{also}; mend the file, or leave bad rows out with --skip-bad FILE")
        if len(self._bad) == rows:
            raise InputError(f"{self.rows.path}: no row is good ({self._counted()})")

    def _note(self, part: Part, row: int, reason: str) -> None:
        """Note a bad row, and leave it out if it may be."""
        self._reasons[reason.partition(" where ")[0].partition(", first")[0]] += 1
        if not self._bad or part.first + row < self._bad[0]:
            self._first = f"{part.where(row)}: {reason}"
            self._bad.insert(0, part.first + row)
        else:
            self._bad.append(part.first + row)
        if self._leave_out is not None:
            self._leave_out(left_out(part, row, reason))

    def _note_repeated(self, keys: HashArray, good: IntArray, codes: LanguageCodes) -> None:
        """Note rows whose id and language, or lack of one, stood in an earlier row.

        Hashes say where to look, the ids decide.
        """
        ordered = np.sort(keys[good])
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(twice):
            return
        suspect = good[np.isin(keys[good], twice)]
        first: dict[tuple[str | None, str | None], str] = {}
        for part in self.rows.parts([name for name in (self.rows.columns.id, self.rows.columns.language) if name]):
            low, high = np.searchsorted(suspect, [part.first, part.first + len(part)])
            for row in (suspect[low:high] - part.first).tolist():
                key, code = part.identity(row)
                named = codes.tags[code] or (None if "id" in self._needs else code)
                row_key, where = (key, named), part.where(row)
                if key is not None and first.setdefault(row_key, where) != where:
                    twice = "in one language" if codes.tags[code] else "without a language"
                    self._note(part, row, f"this id stands twice {twice}, first in {first[row_key]}")

    def _counted(self) -> str:
        return ", ".join(f"{reason}: {count:,}" for reason, count in self._reasons.most_common(5))


def _shown(code: str | None) -> str:
    return "null" if code is None else f'"{code}"'
