"""MKQA (arXiv 2007.15207): 10,000 questions of Natural Questions, translated by people into 25 languages.

`load_mkqa` asks for the translations of a question among the questions of all languages, `load_mkqa_passages` asks over
English Wikipedia, where a passage counts that holds one of the English answers (as mContriever and BGE-M3 do). A folder
holds the release, `mkqa.jsonl`, or files such as `mkqa-de.jsonl` or `de.jsonl` with `id`, `question` and `answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isoglot.benchmarks.beir import HUB_ID, load_corpus
from isoglot.benchmarks.judged import hub_corpus
from isoglot.benchmarks.parallel import retrieval_set_of
from isoglot.benchmarks.retrieval_set import Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.files import files_by_language, read_json_lines, some_text
from isoglot.common.languages import asked, normalize_language
from isoglot.pairs import ParallelPairs
from isoglot.sources.hub_tables import HubTable

_WITHOUT_SHORT_ANSWER = ("unanswerable", "binary", "long_answer")
_YES_AND_NO = ("yes", "no")


_Questions = tuple[list[Query], dict[str, list[str]]]
"""The questions, and each example's English answers; none where it has no short one."""


def load_mkqa(folder: str | Path, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """MKQA as retrieval of parallel questions: every other language's version of a question is relevant to it.

    The question itself stands in the pool too and is left out of its own ranking, so there is no monolingual figure.

    Args:
        folder: see the module.
        languages: take these only; all of them if None.

    Raises:
        InputError: if a file is missing or not of this form.
    """
    queries, _ = _read(Path(folder), languages, with_answers=False)
    rows = (
        {"id": each.example, "language": each.language, "query": each.text, "passage": each.text} for each in queries
    )
    return retrieval_set_of(ParallelPairs.from_rows(rows), "mkqa")


def load_mkqa_passages(folder: str | Path, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """MKQA's questions in many languages over English passages, with relevance by answer string.

    Questions without a short answer in English are not asked: in the release those of the types unanswerable, binary
    and long answer; in files per language, which do not say the type, those without an answer or with yes or no.

    Args:
        folder: see the module; also the passages, `corpus.jsonl` in BEIR's format. Where there are none, those of
            Natural Questions in BEIR are taken from the hub, as BGE-M3 does.
        languages: ask in these only; all of them if None. The passages are English in any case.

    Raises:
        InputError: if a file is missing or not of this form, or the passages cannot be fetched.
    """
    folder = Path(folder)
    questions, answers = _read(folder, languages, with_answers=True)
    queries = [query for query in questions if answers.get(query.example)]
    if not queries:
        raise InputError(f"{folder}: no question has a short answer in English")
    if any(folder.glob("corpus.*")):
        corpus = load_corpus(folder, "en")
    else:
        corpus = hub_corpus(HubTable(HUB_ID.format("nq"), "corpus", "corpus"), "en")
    return RetrievalSet.build("mkqa-passages", queries, corpus, answers=answers)


def _read(folder: Path, languages: Iterable[str] | None, *, with_answers: bool) -> _Questions:
    for release in (folder / "mkqa.jsonl", folder / "mkqa.jsonl.gz"):
        if release.is_file():
            return _read_release(release, languages)
    files = files_by_language(folder, ".jsonl", ".jsonl.gz")
    chosen = asked(files, languages, str(folder))
    if with_answers and "en" not in files:
        raise InputError(f"{folder}: no mkqa-en.jsonl or en.jsonl here; its answers decide what is relevant")
    queries: list[Query] = []
    answers: dict[str, list[str]] = {}
    answering = {"en": files["en"]} if with_answers else {}
    for tag, file in {**chosen, **answering}.items():
        texts: dict[str, str] = {}
        for number, row in read_json_lines(file, "id", "question", *(["answers"] if tag in answering else [])):
            where = f"{file} line {number}"
            example = str(row["id"]).removesuffix(f"_{row.get('lang', tag)}")
            if tag in chosen:
                _add(texts, example, row["question"], where)
            if tag in answering:
                answers[example] = _short_answers(row["answers"], where)
        queries += [Query(example, tag, text) for example, text in texts.items()]
    return queries, answers


def _read_release(path: Path, languages: Iterable[str] | None) -> _Questions:
    texts: dict[str, dict[str, str]] = {}
    answers: dict[str, list[str]] = {}
    codes: dict[str, str] = {}
    for number, row in read_json_lines(path, "example_id", "queries", "answers"):
        where = f"{path} line {number}"
        try:
            codes = codes or asked({normalize_language(code): code for code in row["queries"]}, languages, str(path))
            example = str(row["example_id"])
            for tag, code in codes.items():
                _add(texts.setdefault(tag, {}), example, row["queries"][code], where)
            answers[example] = list(_release_answers(row["answers"]["en"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{where}: not of MKQA's form (queries and answers by language): {error!r}") from error
    return [Query(example, tag, text) for tag, of in texts.items() for example, text in of.items()], answers


def _release_answers(answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for answer in answers:
        if answer["type"] not in _WITHOUT_SHORT_ANSWER:
            yield from answer.get("aliases") or ()
            if answer.get("text"):
                yield str(answer["text"])


def _short_answers(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f'{where}: "answers" must be a list of strings, got {value!r:.60}')
    return [] if all(answer.lower() in _YES_AND_NO for answer in value) else value


def _add(texts: dict[str, str], example: str, text: object, where: str) -> None:
    if example in texts:
        raise InputError(f"{where}: the question {example!r} occurs twice in this language")
    texts[example] = some_text(text, where, "question")
