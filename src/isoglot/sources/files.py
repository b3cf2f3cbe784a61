"""Aligned sentences in files of lines, a file a language: as NTREX and FLORES come, and Moses' pairs.

Line n of every file is the same sentence. A sentence is its own query and its own passage, so these pairs teach
alignment across languages and nothing within one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.common.files import add_file, read_lines, read_tab_lines
from isoglot.common.languages import is_language, normalize_language
from isoglot.pairs import ParallelPairs
from isoglot.pairs.files import aligned_rows, stem_of

_SIDE = re.compile(r"[-._](src|ref)$")  # NTREX keeps the source and its translations apart by these
_PAIR = re.compile(r"(?:^|.*[._-])([A-Za-z]{2,3}(?:_[A-Za-z]+)?)-([A-Za-z]{2,3}(?:_[A-Za-z]+)?)$")

_TABLES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

Group = dict[str, Path]
"""Language to file; line n of each is the same sentence."""


def read_sentence_folder(folder: str | Path) -> ParallelPairs:
    """Read a folder with one text file per language, or with Moses' pairs of files.

    Files are named by the language: `deu.txt`, `deu_Latn.devtest`, `de`, `newstest2019-ref.deu.txt`; or, two or more
    of one name, they end in it: `corpus.de-en.de` and `corpus.de-en.en`. Each such name is a data set of its own. Ids
    are `<folder>/<line>`, or `<name>/<line>` where there are several. Hidden files are passed over, as are files named
    by no language, such as a README, and further references, such as `newstest2019-ref-2.spa.txt`. A line that is
    empty in every file is passed over too.

    Raises:
        InputError: if fewer than two files belong together, two are named by one language or one is a table, their
            numbers of lines differ, a line is empty in one file only, or a file is not UTF-8.
    """
    folder = Path(folder)
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    groups = {name: group for name, group in groups_of(files).items() if len(group) > 1}
    if not groups:
        raise InputError(
            f"{folder}: fewer than 2 files named by a language; "
            "name files like deu.txt or de.txt, or like corpus.de-en.de and corpus.de-en.en"
        )
    name = folder.resolve().name
    parts = [_read(group, prefix if len(groups) > 1 and prefix else name, folder) for prefix, group in groups.items()]
    return parts[0] if len(parts) == 1 else ParallelPairs.concatenate(parts)


def read_moses(path: Path) -> ParallelPairs | None:
    """The pairs of files that one of them, or the name they share, stands for; None if there are none."""
    if not path.parent.is_dir():
        return None
    stem = path.name.removesuffix(".gz")
    files = [other for other in sorted(path.parent.iterdir()) if other.name.startswith(Path(stem).stem)]
    for name, group in groups_of(files).items():
        if len(group) > 1 and (path in group.values() or path.name == name):
            return _read(group, name, path.parent)
    return None


def read_tab_pairs(path: Path) -> ParallelPairs | None:
    """A TSV file without a header whose name says its two languages, `corpus.de-en.tsv`; None if it is none.

    Nothing is quoted in it.
    """
    pair = _PAIR.fullmatch(stem_of(path))
    header = next(read_lines(path), "").rstrip("\r\n").split("\t")
    if pair is None or not all(map(is_language, pair.groups())) or "passage" in header or all(map(is_language, header)):
        return None
    name, languages = stem_of(path), list(pair.groups())
    rows = (
        row
        for number, cells in read_tab_lines(path, 2, f"a sentence in {' and one in '.join(languages)}")
        for row in aligned_rows(f"{name}/{number}", languages, cells, f"{path} line {number}")
    )
    return ParallelPairs.from_rows(rows, dataset=name)


def groups_of(files: list[Path]) -> dict[str, Group]:
    """Files that belong together, by the name they share; empty for those that are named by their language alone.

    >>> names = ["talks.de-en.de", "talks.de-en.en", "news-ref.deu.txt", "news-src.eng.txt", "fin.dev", "README.md"]
    >>> {name: list(group) for name, group in groups_of([Path(name) for name in names]).items()}
    {'talks.de-en': ['de', 'en'], 'news': ['de', 'en'], '': ['fi']}
    """
    groups: dict[str, Group] = {}
    names = {path: path.name.removesuffix(".gz") for path in files}
    ends = {path: code for path, name in names.items() if (code := _language_at_end(name))}
    stems = [names[path].rpartition(".")[0] for path in ends]
    for path, name in names.items():
        stem = name.rpartition(".")[0] or name
        if path in ends and stems.count(stem) > 1:
            add_file(groups.setdefault(stem, {}), normalize_language(ends[path]), path)
            continue
        prefix, _, code = stem.rpartition(".")
        if is_language(stem):
            if name.endswith(_TABLES):
                raise InputError(
                    f"{path}: holds rows and not a sentence a line; name the file itself, or a benchmark's folder with "
                    "--benchmark"
                )
            add_file(groups.setdefault("", {}), normalize_language(stem), path)
        elif prefix and is_language(code):
            add_file(groups.setdefault(_SIDE.sub("", prefix), {}), normalize_language(code), path)
    return groups


def _language_at_end(name: str) -> str | None:
    """The code that a name ends in: one of two letters, one of a pair in the name, or one with a script or region.

    Three letters alone are none: `txt`, `xml`, `src` and `tgt` are languages, too.
    """
    stem, _, end = name.rpartition(".")
    pair = _PAIR.fullmatch(stem)
    named = pair is not None and end in pair.groups()
    return end if stem and (named or len(end) == 2 or "_" in end or "-" in end) and is_language(end) else None


def _read(group: Mapping[str, Path], name: str, folder: Path) -> ParallelPairs:
    texts = {language: [line.strip() for line in read_lines(path)] for language, path in group.items()}
    reference = min(texts)
    for language, lines in texts.items():
        if len(lines) != len(texts[reference]):
            raise InputError(
                f"{folder}: {len(lines):,} lines in {language} and {len(texts[reference]):,} in {reference}; "
                "line n of every file must be the same sentence"
            )
    rows = (
        row
        for number, sentences in enumerate(zip(*texts.values(), strict=True), start=1)
        for row in aligned_rows(f"{name}/{number}", list(texts), list(sentences), f"{folder} line {number}")
    )
    return ParallelPairs.from_rows(rows, dataset=name)
