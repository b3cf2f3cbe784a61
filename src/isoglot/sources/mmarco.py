"""mMARCO (arXiv 2108.13897): MS MARCO's queries and passages, translated by machine into 13 languages.

Ids are the same in every language, so everything is parallel. The second version is taken, translated by Google, in
the layout of its release: `collections/german_collection.tsv` and `queries/train/german_queries.train.tsv`; beside
them or one folder up `triples.train.ids.small.tsv` or, where there is none, `qrels.train.tsv`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from isoglot.common.errors import InputError
from isoglot.common.files import read_lines, read_tab_lines
from isoglot.common.languages import asked
from isoglot.common.progress import progress
from isoglot.pairs import ParallelPairs
from isoglot.pairs.numbers import Column
from isoglot.pairs.rows import RowColumns, Rows
from isoglot.pairs.texts import ArrowTexts, IntArray, texts_of
from isoglot.sources.hub_tables import fetch_file
from isoglot.sources.registry import find_source

TRIPLES, QRELS = "triples.train.ids.small.tsv", "qrels.train.tsv"

_NOT_THERE, _BLANK = -2, -1
_LAST_ID = (1 << 31) - 1  # of those that 32 bits hold
_ROWS_AT_A_TIME = 1 << 20

Find = Callable[[str], Path]
"""Gives the file of a name within the release's `data/google`, or of those that stand one folder up."""


def mmarco_languages() -> dict[str, str]:
    """Tag to the release's name of each language."""
    layout = find_source("hub:mmarco").hub
    return {tag: name or tag for tag, name in layout.configs.items()} if layout else {}


def is_mmarco(folder: Path) -> bool:
    """Whether a folder has the layout of the release."""
    return any(folder.glob("collections/*_collection.tsv")) and (folder / "queries").is_dir()


def finder(folder: Path | None) -> Find:
    """How to find files: in a folder or one folder up, or on the hub if it is None."""
    if folder is None:
        hub_id = find_source("hub:mmarco").url.partition("/datasets/")[2]
        return lambda name: fetch_file(hub_id, f"data/{'google/' if '/' in name else ''}{name}")

    def find(name: str) -> Path:
        beside = folder / name
        above = folder.resolve().parent / name
        found = above if "/" not in name and above.is_file() and not beside.is_file() else beside
        if not found.is_file():
            where = "" if "/" in name else ", nor one folder up"
            raise InputError(f"{beside}: no such file{where}; name the release's folder data/google")
        return found

    return find


def parts_of(folder: Path | None, languages: Iterable[str] | None) -> dict[str, str]:
    """Tag to name of the languages asked for; all that there are if None."""
    names = mmarco_languages()
    if folder is None:
        return asked(names, languages, "mmarco")
    there = {tag: name for tag, name in names.items() if (folder / collection(name)).is_file()}
    if not there:
        raise InputError(f"{folder}: no {collection('german')} or the like here; name the folder that holds them")
    return asked(there, languages, str(folder))


def collection(language: str) -> str:
    """The name of a language's file of passages."""
    return f"collections/{language}_collection.tsv"


def load_mmarco_pairs(
    folder: Path | None, *, languages: Iterable[str] | None = None, limit: int | None = None
) -> ParallelPairs:
    """Training pairs of mMARCO: an example per triple of query, right and wrong passage, or per judged pair.

    Each text is kept once, whatever the number of triples that name it. Triples with a blank text in a language are
    left out there.

    Args:
        folder: the release's `data/google`; None fetches its files from the hub.
        languages: read these only; all 14, or those in the folder, if None.
        limit: take the first so many triples, which stand in no order; all if None.

    Raises:
        InputError: if a language or a file is not there, or not of this form.
    """
    parts, find = parts_of(folder, languages), finder(folder)
    try:
        judged = find(TRIPLES)
    except InputError:
        judged = find(QRELS)
    width = 3 if judged.name == TRIPLES else 2
    flat = array("i")
    for _, row in islice(_judged(judged, width), limit):
        flat.extend(row)
    numbers = np.frombuffer(flat, np.int32).reshape(-1, width)
    columns, negative, listed = RowColumns(len(parts), 1), Column(np.int32), 0
    stores: list[ArrowTexts] = []
    for language, name in enumerate(parts.values()):
        queries, query_place = _texts(find(f"queries/train/{name}_queries.train.tsv"), numbers[:, 0])
        passages, passage_place = _texts(find(collection(name)), numbers[:, 1:])
        begin = sum(map(len, stores))
        for first in range(0, len(numbers), _ROWS_AT_A_TIME):
            texts = numbers[first : first + _ROWS_AT_A_TIME]
            places = np.column_stack([query_place[texts[:, 0]], passage_place[texts[:, 1:]]])
            if (places == _NOT_THERE).any():
                row, cell = np.argwhere(places == _NOT_THERE)[0].tolist()
                line = next(islice((number for number, _ in _judged(judged, width)), first + row, None))
                wrong = f"names the id {texts[row, cell]}, which {name} does not have"
                raise InputError(f"{judged} line {line}: {wrong}")
            told = np.flatnonzero((places >= 0).all(1))  # no text is blank in this language
            places = places[told] + begin + np.array([0, *[len(queries)] * (width - 1)])
            columns.append(_rows(first + told, language, places, listed))
            listed += len(told) * (width - 2)
            negative.append(places[:, 2:].ravel())
        stores += [queries, passages]
    names = texts_of(f"mmarco/{line}" for line in range(1, len(numbers) + 1))
    rows = columns.finish()
    pairs = ParallelPairs(ArrowTexts.joined(stores), names, tuple(parts), ("mmarco",), rows, negative.finish())
    used = np.zeros(len(numbers), np.bool_)
    used[rows.example] = True
    return pairs if used.all() else pairs.select_examples(used)


def _rows(example: IntArray, language: int, places: IntArray, listed: int) -> Rows:
    """Rows of texts, `(rows, 2 or 3)`, in one language; so many negatives are listed before."""
    count = len(places)
    negatives = places.shape[1] - 2
    return Rows(
        example=example,
        language=np.full(count, language),
        dataset=np.zeros(count, np.int64),
        query=places[:, 0],
        passage=places[:, 1],
        negatives_from=np.arange(count) + listed if negatives else np.zeros(count, np.int64),
        negatives_count=np.full(count, negatives or -1),
    )


def _judged(path: Path, width: int) -> Iterator[tuple[int, list[int]]]:
    """Query and right passage, and in triples a wrong one, of each line that is not blank, after its number."""
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.split()
        if width == 2 and len(cells) == 4:
            cells = cells[::2]  # judgements in TREC's form: an unused second cell, the grade, always 1, in the last
        ids = [int(cell) for cell in cells if cell.isdecimal() and len(cell) <= len(str(_LAST_ID))]
        if len(cells) == len(ids) == width and max(ids) <= _LAST_ID:
            yield number, ids
        elif cells:
            wrong = f"{line.strip()!r:.60} is not {width} ids; they are whole numbers up to {_LAST_ID}"
            raise InputError(f"{path} line {number}: {wrong}; correct the line, or fetch the file again")


def _texts(path: Path, wanted: IntArray) -> tuple[ArrowTexts, IntArray]:
    """The wanted texts of a file of numbered ones, and the place of each id's: `_BLANK` and `_NOT_THERE` are none."""
    asked = np.zeros(int(wanted.max(initial=-1)) + 1, np.uint8)
    asked[wanted.ravel()] = 1
    is_asked = asked.tobytes()
    place, found = np.full(len(asked), _NOT_THERE, np.int32), array("i")

    def read(advance: Callable[[int], None]) -> Iterator[str]:
        for _, (key, text) in read_tab_lines(path, 2, "an id and a text", advance):
            if key.isdecimal() and int(key) < len(is_asked) and is_asked[int(key)]:
                if text.strip():
                    found.append(int(key))
                    yield text
                else:
                    place[int(key)] = _BLANK

    with progress(f"Reading {path.name}", path.stat().st_size) as advance:
        texts = texts_of(read(advance))
    place[np.frombuffer(found, np.int32)] = np.arange(len(found))
    return texts, place
