"""Parallel pairs in the formats of other tools: BEIR's folders, TMX, and folders of aligned sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from isoglot._version import __version__
from isoglot.common.atomic import write_whole, write_whole_folder
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path, new_folder
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.pairs.files import FORMATS, target_file

Lines = dict[str, list[str]]
"""What stands in the files of a folder, line by line."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def export_pairs(pairs: ParallelPairs, target: str | Path, form: str | None = None) -> Path:
    """Write pairs in a format that `isoglot.load_pairs` and other tools read, whole or not at all; returns where.

    Args:
        pairs: what is written.
        target: a `.jsonl`, `.csv`, `.tsv`, `.parquet` or `.tmx` file; with a `form`, a new folder.
        form: `beir`: `corpus.jsonl`, `queries.jsonl` and `qrels/train.tsv`, of several languages in a folder for
            each, with negatives judged 0; or `sentences`: a text file per language, line n of each the same sentence.

    Raises:
        InputError: if the format is unknown, or cannot hold the pairs: TMX and `sentences` hold texts that are their
            own query and passage, `sentences` those that are in all languages.
    """
    target = export_target(target, form)
    if form is not None:
        files = _FOLDERS[form](pairs)
        with write_whole_folder(target) as folder:
            for name, lines in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    elif target.suffix.lower() == ".tmx":
        with write_whole(target) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_tmx(pairs))
    else:
        write_pairs(pairs, target)
    return target


def export_target(target: str | Path, form: str | None = None) -> Path:
    """Where `export_pairs` would write, so that a wrong name is found before the work is done.

    Raises:
        InputError: if the format is unknown, the ending says none, or the folder exists.
    """
    if form is None:
        file = expanded_path(target)
        return file if file.suffix.lower() == ".tmx" else target_file(file)
    if form not in _FOLDERS:
        raise InputError(f"format {form!r} is unknown; use one of {', '.join(_FOLDERS)}, or name a {FORMATS} file")
    return new_folder(target)


def _beir(pairs: ParallelPairs) -> Lines:
    """BEIR's three files for each language; a text that several rows have for a passage is one."""
    files: Lines = {}
    for number, language in enumerate(pairs.languages):
        corpus: dict[str, str] = {}
        queries, judgements = [], ["query-id\tcorpus-id\tscore"]
        for row in pairs.rows(np.flatnonzero(pairs.language == number)):
            if re.search(r"[\t\r\n]", row["id"]):
                raise InputError(f"id {row['id']!r} has a tab or a line break, which BEIR's judgements cannot hold")
            passages = [row["passage"], *(row["negatives"] or ())]
            # With a letter, for a passage that has the id of a query is left out of its ranking.
            keys = [corpus.setdefault(text, f"p{len(corpus)}") for text in passages]
            if row["query"] is not None:
                queries.append(_json(_id=row["id"], text=row["query"]))
                judgements += [f"{row['id']}\t{key}\t{int(n == 0)}" for n, key in enumerate(keys)]
        folder = f"{language}/" if len(pairs.languages) > 1 else ""
        files[f"{folder}corpus.jsonl"] = [_json(_id=key, title="", text=text) for text, key in corpus.items()]
        files[f"{folder}queries.jsonl"] = queries
        files[f"{folder}qrels/train.tsv"] = judgements
    return files


def _json(**row: str) -> str:
    return json.dumps(row, ensure_ascii=False)


def _sentences(pairs: ParallelPairs) -> Lines:
    """A file of lines for each language."""
    files: Lines = {f"{language}.txt": [] for language in pairs.languages}
    for name, texts in _units(pairs):
        if lacking := [tag for tag in pairs.languages if tag not in texts]:
            raise InputError(f"id {name!r} is not in {lacking[0]}; a line needs every language: choose some languages")
        for tag, text in texts.items():
            if re.search(r"[\r\n]", text):
                raise InputError(f"id {name!r} has a line break in {tag}; a sentence must be one line")
            files[f"{tag}.txt"].append(text)
    return files


def _tmx(pairs: ParallelPairs) -> Iterator[str]:
    """The lines of a TMX 1.4 file, a unit for each example."""
    source = "en" if "en" in pairs.languages else next(iter(pairs.languages), "*all*")
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n'
    yield f'<header creationtool="isoglot" creationtoolversion="{__version__}" segtype="sentence" adminlang="en" '
    yield f'srclang="{source}" o-tmf="isoglot" datatype="plaintext"/>\n<body>\n'
    for name, texts in _units(pairs):
        for where, text in (("", name), *((f" in {tag}", text) for tag, text in texts.items())):
            if sign := _NOT_IN_XML.search(text):
                wrong = f"id {name!r} has the character {sign[0]!r}{where}, which XML cannot hold"
                raise InputError(f"{wrong}; take it out, or write .jsonl")
        yield f"<tu tuid={quoteattr(name)}>\n"
        for tag, text in texts.items():
            yield f'<tuv xml:lang="{tag}"><seg>{escape(text, {chr(13): "&#13;"})}</seg></tuv>\n'
        yield "</tu>\n"
    yield "</body>\n</tmx>\n"


def _units(pairs: ParallelPairs) -> Iterator[tuple[str, dict[str, str]]]:
    """Id and texts by language of each example, which are query and passage in one."""

    def key(row: dict[str, Any]) -> str:
        return str(row["id"])

    for name, rows in groupby(pairs.rows(np.argsort(pairs.example, kind="stable")), key):
        texts = {}
        for row in rows:
            if row["query"] != row["passage"]:
                raise InputError(
                    f"id {name!r} has a query and a passage of its own in {row['language']}; this format holds aligned "
                    "sentences: write .jsonl, .csv, .tsv or .parquet, or the format beir"
                )
            texts[row["language"]] = row["passage"]
        yield name, texts


_FOLDERS: dict[str, Callable[[ParallelPairs], Lines]] = {"beir": _beir, "sentences": _sentences}
