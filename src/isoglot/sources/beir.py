"""Folders in BEIR's format (arXiv 2104.08663): how to read their files, and training pairs of them.

A folder holds `corpus.jsonl` (objects with `_id`, `title` and `text`), `queries.jsonl` (`_id`, `text`) and
`qrels/SPLIT.tsv` (query id, passage id and grade). All may be gzipped, the corpus may be Parquet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.common.files import (
    Row,
    add_file,
    read_json_lines,
    read_lines,
    read_parquet_rows,
    some_text,
    texts_by_id,
    whole_text,
)
from isoglot.common.languages import asked, is_language, normalize_language
from isoglot.pairs import ParallelPairs

_HIGHEST_GRADE = 1 << 31


@dataclass(frozen=True)
class Judgement:
    """How relevant a passage is to a query, 0 or less for not at all, and the file and line that says so."""

    query: str
    passage: str
    grade: int
    where: str


def is_beir(folder: Path) -> bool:
    """Whether a folder has BEIR's queries in it."""
    return any((folder / name).is_file() for name in ("queries.jsonl", "queries.jsonl.gz"))


def beir_folders(folder: Path, counts: Callable[[Path], bool] = is_beir) -> dict[str, Path]:
    """Language to folder in BEIR's format, where a folder holds one per language; `counts` says which are.

    Raises:
        InputError: if the names of two mean one language.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and is_language(path.name) and counts(path):
            add_file(found, normalize_language(path.name), path)
    return found


def load_beir_pairs(folder: Path, *, languages: Iterable[str] | None = None) -> ParallelPairs:
    """Training pairs of a folder in BEIR's format: each query with the passage judged best, the first of several.

    Passages that are judged not relevant are its negatives. Judgements are those of `qrels/train.tsv`, or of the only
    split there is. A folder is in English or in the one language asked for; of a folder with such folders per
    language, `de/`, `en/` and so on, equal ids of queries are translations of each other.

    Raises:
        InputError: if a file is missing or not of this form, or one folder is to be in several languages.
    """
    parts = beir_folders(folder) or {the_language(str(folder), languages): folder}
    name = folder.resolve().name
    rows = (row for tag, part in asked(parts, languages, str(folder)).items() for row in _rows(part, tag, name))
    return ParallelPairs.from_rows(rows, dataset=name)


def the_language(name: str, languages: Iterable[str] | None) -> str:
    """The one language that a folder is in: that asked for, or English."""
    tags = sorted({normalize_language(tag) for tag in languages or ["en"]})
    if len(tags) > 1:
        raise InputError(f"{name}: a BEIR folder is in one language; say which, not {', '.join(tags)}")
    return tags[0]


def _rows(folder: Path, language: str, name: str) -> Iterator[Row]:
    queries = read_queries(folder)
    best: dict[str, Judgement] = {}
    wrong: dict[str, list[str]] = {}
    for judgement in read_judgements(_training_qrels(folder)):
        if judgement.query not in queries:
            raise InputError(f"{judgement.where}: names the query {judgement.query!r}, which is not among the queries")
        if judgement.grade <= 0:
            wrong.setdefault(judgement.query, []).append(judgement.passage)
        elif judgement.query not in best or judgement.grade > best[judgement.query].grade:
            best[judgement.query] = judgement
    named = {judgement.passage for judgement in best.values()}.union(*wrong.values())
    passages = texts_by_id((row for row in read_passages(folder) if row[1] in named), "passage")
    for query, judgement in best.items():
        if not passages.get(judgement.passage):
            lacks = "has no text" if judgement.passage in passages else "is not in the corpus"
            raise InputError(f"{judgement.where}: names the passage {judgement.passage!r}, which {lacks}")
        yield {
            "id": f"{name}/{query}",
            "language": language,
            "query": queries[query],
            "passage": passages[judgement.passage],
            "negatives": [passages[key] for key in wrong.get(query, ()) if passages.get(key)] or None,
        }


def _training_qrels(folder: Path) -> Path:
    there = sorted((folder / "qrels").glob("*.tsv"))
    found = next((path for path in there if path.stem == "train"), there[0] if len(there) == 1 else None)
    if found is None:
        names = ", ".join(path.name for path in there) or "none"
        raise InputError(f"{folder / 'qrels' / 'train.tsv'}: no such judgements; there are: {names}")
    return found


def read_queries(folder: Path) -> dict[str, str]:
    """Id to text of a folder's queries."""
    file = first_file(folder, "queries.jsonl", "queries.jsonl.gz")
    places = ((f"{file} line {number}", row) for number, row in read_json_lines(file, "_id", "text"))
    return texts_by_id(
        ((where, _id(row, where), some_text(row["text"], where, "text")) for where, row in places), "query"
    )


def corpus_file(folder: Path) -> Path:
    """The file of a folder's passages."""
    return first_file(folder, "corpus.jsonl", "corpus.jsonl.gz", "corpus.parquet")


def read_passages(folder: Path, on_read: Callable[[int], None] | None = None) -> Iterator[tuple[str, str, str]]:
    """Place, id and text of a folder's passages, the title in front of the text."""
    file = corpus_file(folder)
    parquet = file.suffix == ".parquet"
    rows = read_parquet_rows(file, "_id", "text") if parquet else read_json_lines(file, "_id", "text", on_read=on_read)
    for number, row in rows:
        where = f"{file} {'row' if parquet else 'line'} {number}"
        yield where, _id(row, where), passage_text(row.get("title"), row["text"], where)


def passage_text(title: object, text: object, where: str) -> str:
    """What is encoded for a passage: the title and the text with a blank between, as BEIR has it.

    >>> passage_text("Ulm", "A city.", ""), passage_text("", "A city.", ""), passage_text(None, " A city.", "")
    ('Ulm A city.', 'A city.', 'A city.')
    """
    for name, value in (("text", text), ("title", title or "")):
        if not isinstance(value, str):
            raise InputError(f'{where}: "{name}" must be a string, got {value!r:.40}')
    return whole_text(f"{title or ''} {text}".strip(), where, "text")


def _id(row: Row, where: str) -> str:
    value = row["_id"]
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise InputError(f'{where}: "_id" must be a string, got {value!r:.40}')
    return str(value)


def read_judgements(path: Path) -> Iterator[Judgement]:
    """Judgements in the form of TREC (`query 0 passage grade`) or of BEIR (`query passage grade`, perhaps a header)."""
    for number, whole in enumerate(read_lines(path), start=1):
        line = whole.rstrip("\r\n")
        row = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 1 and row[-1].strip().lower() == "score"):
            continue
        try:
            if len(row) not in (3, 4):
                raise ValueError
            yield Judgement(row[0], row[-2], whole_grade(row[-1]), f"{path} line {number}")
        except ValueError:
            raise InputError(
                f'{path} line {number}: "{line:.60}" is no judgement; a line holds a query id, a passage id and a '
                "whole number, in TREC's form with a 0 after the query id"
            ) from None


def whole_grade(value: object) -> int:
    """A grade, which may be written `1.0`, as pandas and the hub write numbers.

    >>> whole_grade("1.0"), whole_grade(2), whole_grade("-1")
    (1, 2, -1)
    """
    number = float(str(value))
    if not number.is_integer() or abs(number) > _HIGHEST_GRADE:
        raise ValueError(f"{value} is no whole number")
    return int(number)


def first_file(folder: Path, *names: str) -> Path:
    """The first of these files that a folder has."""
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise InputError(f"{folder}: no {' or '.join(names)} here; name a folder in BEIR's format")
    return found
