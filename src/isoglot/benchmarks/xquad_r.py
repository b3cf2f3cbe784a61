"""XQuAD-R and MLQA-R: answer retrieval over sentences (LAReQA, arXiv 2004.05484).

A folder holds one SQuAD JSON file per language, `de.json` and so on; each paragraph carries its `sentences` and
their `sentence_breaks` (start and end in the paragraph). The relevant candidate of a question is the sentence whose
span holds the start of its first answer. Questions with the same id are translations of each other; in MLQA-R a
question need not exist, nor be answered, in every language.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from isoglot.benchmarks.retrieval_set import Passage, Query, RetrievalSet
from isoglot.common.errors import InputError
from isoglot.common.files import files_by_language, some_text
from isoglot.common.languages import asked

Candidate = Literal["sentence", "sentence+context"]


def load_xquad_r(
    folder: str | Path,
    *,
    candidate: Candidate = "sentence",
    name: str = "xquad-r",
    every_nth_paragraph: int = 1,
    languages: Iterable[str] | None = None,
) -> RetrievalSet:
    """Load a folder of XQuAD-R or MLQA-R.

    Args:
        folder: the folder of language files.
        candidate: what is encoded for a passage: the `sentence` (arXiv 2408.10536), or `sentence+context`, the
            sentence followed by its paragraph, as LAReQA does.
        name: the benchmark's name in results.
        every_nth_paragraph: keep only every n-th paragraph, for a quick look; figures on a part do not compare
            with figures on the whole, as the pool is smaller.
        languages: read these only; all of them if None.

    Raises:
        InputError: if the folder or a file is not of this form.
    """
    queries: list[Query] = []
    passages: list[Passage] = []
    relevant: list[tuple[str, str]] = []
    for language, file in asked(files_by_language(Path(folder), ".json"), languages, name).items():
        for number, paragraph in enumerate(_paragraphs(file)[::every_nth_paragraph]):
            try:
                ids = [f"{language}/{number}/{sentence}" for sentence in range(len(paragraph["sentences"]))]
                context = f" {paragraph['context']}" if candidate == "sentence+context" else ""
                for key, sentence in zip(ids, paragraph["sentences"], strict=True):
                    passages.append(Passage(key, language, sentence + context))
                for question in paragraph["qas"]:
                    text = some_text(question["question"], question["id"], "question")
                    key = str(question["id"])
                    queries.append(Query(key, language, text))
                    relevant.append((key, ids[_sentence_of(question, paragraph["sentence_breaks"])]))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise InputError(
                    f"{file}: paragraph {number * every_nth_paragraph + 1} is not of the XQuAD-R form "
                    f"(context, sentences, sentence_breaks, qas): {error!r}"
                ) from error
    return RetrievalSet.build(name, queries, passages, relevant)


def _paragraphs(file: Path) -> list[dict[str, Any]]:
    try:
        articles = json.loads(file.read_text(encoding="utf-8-sig"))["data"]
        return [paragraph for article in articles for paragraph in article["paragraphs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file}: not a SQuAD JSON file with data and paragraphs: {error}") from error


def _sentence_of(question: dict[str, Any], breaks: list[list[int]]) -> int:
    start = question["answers"][0]["answer_start"]
    for number, (low, high) in enumerate(breaks):
        if low <= start < high:
            return number
    raise ValueError(f"the answer of question {question['id']} starts at {start}, in no sentence")
