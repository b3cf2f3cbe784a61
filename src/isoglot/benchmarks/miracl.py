"""MIRACL (arXiv 2210.09984): questions in 18 languages, each over the Wikipedia of its language, judged by people.

The questions are no translations of each other, so each language is a collection of its own, and the pooled setting
asks whether passages of other languages push the right ones away. In MIRACL's own files a folder `miracl-v1.0-ar`
holds `topics/topics.miracl-v1.0-ar-dev.tsv` (id and question) and `qrels/qrels.miracl-v1.0-ar-dev.tsv` (TREC), and a
folder `miracl-corpus-v1.0-ar` holds the passages, `docs-0.jsonl.gz` and on (`docid`, `title`, `text`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from isoglot.benchmarks.corpora import stored_files
from isoglot.benchmarks.judged import Collection, hub_collection, judged_set
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.files import read_json_lines, read_tab_lines, texts_by_id
from isoglot.common.languages import asked, normalize_language
from isoglot.sources.beir import passage_text, read_judgements
from isoglot.sources.hub_tables import HubTable

HUB_ID = "mteb/MIRACLRetrieval"
"""The development split without a loading script; `miracl/miracl` itself has one and asks for a sign-in."""
LANGUAGES = ("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "yo", "zh")
SPLIT = "dev"


def load_miracl(folder: str | Path | None = None, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """Load the development split of MIRACL.

    Args:
        folder: MIRACL's own files; the hub if None.
        languages: read these only; all 18, or those in the folder, if None. All 18 have 106 million passages.

    Raises:
        InputError: if a language or a file is not there, or not of this form.
    """
    if folder is None:
        parts = asked({tag: tag for tag in LANGUAGES}, languages, "miracl")
        return judged_set("miracl", [_from_hub(tag) for tag in parts])
    folder = Path(folder)
    codes = [path.name.removeprefix("miracl-v1.0-") for path in sorted(folder.glob("miracl-v1.0-*"))]
    if not codes:
        raise InputError(f"{folder}: no folders such as miracl-v1.0-ar here; name the folder that holds them")
    found = asked({normalize_language(code): code for code in codes}, languages, str(folder))
    return judged_set("miracl", [_from_folder(folder, code, tag) for tag, code in found.items()])


def _from_hub(tag: str) -> Collection:
    corpus, queries, judgements = (HubTable(HUB_ID, f"{tag}-{part}", SPLIT) for part in ("corpus", "queries", "qrels"))
    return hub_collection(tag, corpus, queries, judgements, f"{tag}/")


def _from_folder(folder: Path, code: str, tag: str) -> Collection:
    release = f"miracl-v1.0-{code}"
    files = sorted((folder / f"miracl-corpus-v1.0-{code}").glob("docs-*.jsonl*"), key=_number)
    if not files:
        raise InputError(f"{folder / f'miracl-corpus-v1.0-{code}'}: no docs-0.jsonl.gz here; the passages are missing")
    topics = folder / release / "topics" / f"topics.{release}-{SPLIT}.tsv"
    rows = read_tab_lines(topics, 2, "a question's id and the question")
    queries = texts_by_id(((f"{topics} line {number}", key, text) for number, (key, text) in rows), "question")
    read = partial(_passages, files, f"{tag}/")
    corpus = stored_files(files, read, language=tag, name=files[0].parent)
    judgements = read_judgements(folder / release / "qrels" / f"qrels.{release}-{SPLIT}.tsv")
    return Collection(tag, corpus, queries, judgements, prefix=f"{tag}/")


def _number(file: Path) -> tuple[int, str]:
    digits = file.name.removeprefix("docs-").partition(".")[0]
    return (int(digits) if digits.isdecimal() else 0, file.name)


def _passages(files: Sequence[Path], prefix: str, advance: Callable[[int], None]) -> Iterator[tuple[str, str]]:
    for file in files:
        for number, row in read_json_lines(file, "docid", "title", "text", on_read=advance):
            yield f"{prefix}{row['docid']}", passage_text(row["title"], row["text"], f"{file} line {number}")
