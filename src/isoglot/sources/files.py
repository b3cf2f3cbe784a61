"""Folders of aligned sentences, as NTREX and FLORES come: one file a language, line n is the same sentence in each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.pairs import ParallelPairs


def read_sentence_folder(folder: str | Path) -> ParallelPairs:
    """Read a folder with one text file per language, named by its code (`deu.txt`, `deu_Latn.txt`, `de`).

    A sentence is its own query and its own passage, so these pairs teach alignment across languages and nothing
    within one. Ids are `<folder>/<line>`, the data set is the folder's name. Hidden files are passed over, as are
    files named by no language, such as a README. A line that is empty in every file is passed over too.

    Raises:
        InputError: if fewer than two files are named by a language, two by the same, their numbers of lines differ,
            a line is empty in one file only, or a file is not UTF-8.
    """
    folder = Path(folder)
    texts = {language: _lines(path) for language, path in _files_by_language(folder).items()}
    reference = min(texts)
    for language, lines in texts.items():
        if len(lines) != len(texts[reference]):
            raise InputError(
                f"{folder}: {len(lines):,} lines in {language} and {len(texts[reference]):,} in {reference}; "
                "line n of every file must be the same sentence"
            )
    return ParallelPairs.from_rows(_rows(folder, texts), dataset=folder.resolve().name)


def _files_by_language(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            language = normalize_language(path.stem)
        except InputError:
            continue
        if language in found:
            raise InputError(f'{path}: "{language}" is already in {found[language].name}; keep one file per language')
        found[language] = path
    if len(found) < 2:
        raise InputError(
            f"{folder}: {len(found)} files named by a language, 2 are the least; name files like deu.txt or de.txt"
        )
    return found


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path} line {line}: not UTF-8; save the file as UTF-8") from None
    # Not splitlines: it parts at characters such as U+2028 that stand within sentences.
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _rows(folder: Path, texts: dict[str, list[str]]) -> Iterator[dict[str, str]]:
    name = folder.resolve().name
    for number, sentences in enumerate(zip(*texts.values(), strict=True), start=1):
        if not any(sentences):
            continue
        for language, sentence in zip(texts, sentences, strict=True):
            if not sentence:
                raise InputError(f"{folder} line {number}: empty in {language} only; it must hold the sentence")
            yield {"id": f"{name}/{number}", "language": language, "query": sentence, "passage": sentence}
