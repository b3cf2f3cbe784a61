"""Whether a model is used with the prompts that it was trained with: by its name, and by trying others."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, get_args

import numpy as np
from scipy.special import stdtr  # type: ignore[import-untyped]
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.arrays import Values
from isoglot.common.roles import Role
from isoglot.evaluation.evaluate import encode_set, scores_of
from isoglot.models.encoders import own_name, role_prompt
from isoglot.models.foreign import ForeignReader
from isoglot.models.mteb import MtebReader
from isoglot.models.prompts import E5, prompt_family

PAIRS = 25  # queries, and as many passages: 50 texts
_FEWEST = 10
_LEVEL = 0.001  # one-sided; below it a difference on so few texts is no chance


class Prompts(NamedTuple):
    """What is put before queries and before passages."""

    query: str
    passage: str

    def options(self) -> str:
        """As options of a command."""
        return " ".join(f"--{role}-prompt {_quoted(text)}" for role, text in zip(get_args(Role), self, strict=True))


def prompt_advice(
    model: SentenceTransformer, data: RetrievalSet, name: str | None = None, **settings: Any
) -> list[str]:
    """Say what prompts a model should be used with, where it seems to be used with others; empty where all is well.

    A model whose name tells its family (`isoglot.models.prompts.FAMILIES`) is held to what that was trained with,
    unless it does worse so. Of any other, and of one whose prompts are right, a difference is told if it is no chance.
    Either way 50 texts of the set are encoded once more: with the family's prompts, without any, or with E5's where it
    has none. Models that put prompts before texts themselves (behind an API, of MTEB, exported) are left alone.

    Args:
        model: any, with the prompts that it is used with.
        data: what it is to be measured on.
        name: what it was loaded by.
        settings: as for `encode_set`.
    """
    if isinstance(model[0], (ForeignReader, MtebReader)):
        return []
    used = Prompts(role_prompt(model, "query"), role_prompt(model, "passage"))
    called = name or own_name(model)
    family = prompt_family([called.rstrip("/").rpartition("/")[2], own_name(model)])
    wrong = family is not None and not family.fits(*used)
    if family is not None and wrong:
        other = Prompts(family.query, family.passage)
    else:
        other = Prompts("", "") if any(used) else Prompts(E5.query, E5.passage)
    found = _tried(model, data, used, other, settings)
    if family is not None and wrong and found.direction >= 0:
        said = f"{called} is used with other prompts than models like it, {family.name}, were trained with"
    elif found.direction > 0:
        said = f"{called} does better with {'these prompts' if any(other) else 'no prompts'}"
    else:
        return []
    return [f"{said}: set {other.options()}{found.words}."]


class _Tried(NamedTuple):
    direction: int
    """1 where the other prompts are better, -1 where they are worse, 0 where neither shows."""
    words: str


def _tried(
    model: SentenceTransformer, data: RetrievalSet, used: Prompts, other: Prompts, settings: dict[str, Any]
) -> _Tried:
    """The prompts in use against others, on a few texts."""
    few = _few(data)
    if few is None:
        return _Tried(0, "")
    before, after = (_separation(model, few, prompts, settings) for prompts in (used, other))
    gain = after - before
    error = gain.std(ddof=1) / len(gain) ** 0.5
    chance = 1.0 if error == 0 else float(stdtr(len(gain) - 1, -abs(gain.mean()) / error))
    return _Tried(
        int(np.sign(gain.mean())) if chance < _LEVEL else 0,
        f" (on {2 * len(gain)} texts a right answer scores {before.mean():.1f} standard deviations above wrong ones as "
        f"it is, {after.mean():.1f} so)",
    )


def _few(data: RetrievalSet) -> RetrievalSet | None:
    """Queries in one language and a right passage of each, in that language where there is one; chosen by ids alone."""
    query, passage = data.judgement_query, data.judgement_passage
    own = data.query_language[query] == data.passage_language[passage]
    language = np.where(own | ~own.any(), data.query_language[query], -1)
    mine = np.flatnonzero(language == np.bincount(language[language >= 0]).argmax())
    for each in (query, passage):
        mine = mine[np.unique(each[mine], return_index=True)[1]]
    ids = [hashlib.sha256(data.query_example[n].encode()).digest() for n in query[mine].tolist()]
    chosen = mine[sorted(range(len(mine)), key=ids.__getitem__)[:PAIRS]]
    return data.select(np.sort(query[chosen]), np.sort(passage[chosen])) if len(chosen) >= _FEWEST else None


def _separation(model: SentenceTransformer, few: RetrievalSet, prompts: Prompts, settings: dict[str, Any]) -> Values:
    """How far each query's answer scores above those of the others, in standard deviations of these, `(queries,)`.

    It tells prompts apart where all of a few answers stand first anyway.
    """
    own, model.prompts = model.prompts, {"query": prompts.query, "document": prompts.passage}
    try:
        score = scores_of(encode_set(model, few, **settings))
    finally:
        model.prompts = own
    right = np.zeros((len(few.query_texts), len(few.passage_texts)), bool)
    right[few.judgement_query, few.judgement_passage] = True
    scores = score(*map(np.arange, right.shape)).astype(np.float64)
    best, wrong = np.where(right, scores, -np.inf).max(1), np.where(right, np.nan, scores)
    separation: Values = (best - np.nanmean(wrong, 1)) / np.maximum(np.nanstd(wrong, 1), 1e-9)
    return separation


def _quoted(text: str) -> str:
    return f"${text!r}" if "\n" in text else repr(text)
