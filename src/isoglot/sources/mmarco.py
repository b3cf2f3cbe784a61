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

from isoglot.common.errors import InputError
from isoglot.common.files import Row, read_lines, read_tab_lines
from isoglot.common.languages import asked
from isoglot.common.progress import progress
from isoglot.pairs import ParallelPairs
from isoglot.sources.hub_tables import fetch_file
from isoglot.sources.registry import find_source

TRIPLES, QRELS = "triples.train.ids.small.tsv", "qrels.train.tsv"

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
    """Tag to name of the languages asked for; all that there are if None.

    Raises:
        InputError: if a language is not there, or none is.
    """
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
    numbers = array("q")
    for row in islice(_judged(judged, width), limit):
        numbers.extend(row)
    rows = (row for tag, name in parts.items() for row in _rows(tag, name, numbers, width, find, judged))
    return ParallelPairs.from_rows(rows, dataset="mmarco")


def _judged(path: Path, width: int) -> Iterator[list[int]]:
    """Query and right passage, and in triples a wrong one, of each line."""
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.split()
        try:
            # Judgements in TREC's form have an unused second cell and the grade, always 1, in the last.
            yield [int(cell) for cell in (cells if width == 3 or len(cells) < 4 else cells[::2])][:width]
        except ValueError:
            raise InputError(
                f"{path} line {number}: {line.strip()!r:.60} holds no ids; they are whole numbers"
            ) from None


def _rows(tag: str, name: str, numbers: array[int], width: int, find: Find, judged: Path) -> Iterator[Row]:
    queries = _texts(find(f"queries/train/{name}_queries.train.tsv"), set(numbers[::width]))
    wanted = {number for place in range(1, width) for number in numbers[place::width]}
    passages = _texts(find(collection(name)), wanted)
    for line, start in enumerate(range(0, len(numbers), width), start=1):
        query, *others = numbers[start : start + width]
        try:
            texts = [queries[query], *(passages[other] for other in others)]
        except KeyError as error:
            raise InputError(f"{judged} line {line}: names the id {error}, which {name} does not have") from None
        yield {
            "id": f"mmarco/{line}",
            "language": tag,
            "query": texts[0],
            "passage": texts[1],
            "negatives": texts[2:] or None,
        }


def _texts(path: Path, wanted: set[int]) -> dict[int, str]:
    with progress(f"Reading {path.name}", path.stat().st_size) as advance:
        lines = read_tab_lines(path, 2, "an id and a text", advance)
        return {int(key): text for _, (key, text) in lines if key.isdecimal() and int(key) in wanted}
