"""The language bias of any model on your own parallel texts, in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.languages import language_name
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.language_bias import leans
from isoglot.evaluation.mixed import MIXED
from isoglot.evaluation.results import Results
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def audit(
    model: SentenceTransformer,
    pairs: ParallelPairs,
    *,
    name: str | None = None,
    store: EmbeddingStore | None = None,
    bf16: bool = False,
) -> Results:
    """Measure how far a model ranks by language on parallel pairs, texts of your own in two languages or more.

    Every translation of a passage answers every translation of its query. All else is as for `evaluate`.
    """
    return evaluate(model, retrieval_set_of(pairs, "audit"), name=name, store=store, bf16=bf16)


def verdict(results: Results) -> list[str]:
    """What the figures say, one sentence each; the first is the verdict, in the words of `Leaning`."""
    bias = results.summary["language_bias"]
    if bias["fair_share@1"] is None or bias["fair_share@1"] == 1:
        return ["No query has right answers in two languages, so language bias cannot be measured on these texts."]
    leaning = results.leaning
    sentences = [f"This model is {leaning}: {_first('a passage in that language', bias)}.", *_furthest(results)]
    if bias["rank_distance"] is not None:
        sentences.append(
            f"The best and the worst of the parallel right answers lie {bias['rank_distance']:,.0f} ranks apart, in a "
            f"pool of {results.summary['passages']:,} passages."
        )
    sentences += [*_errors(results), *_preference(results), _quality(results), *_mixed(results)]
    if leaning.word != "fair":
        sentences.append(
            "`isoglot debias` takes much of such a bias out in seconds, without training; `isoglot train` goes further."
        )
    return sentences


def _first(what: str, figures: Mapping[str, float]) -> str:
    share, fair = figures["same_language_share@1"], figures["fair_share@1"]
    return f"it puts {what} first {share:.0%} of the time; {fair:.0%} would be expected of a fair model"


def _furthest(results: Results) -> list[str]:
    """The language whose queries lie furthest from their fair share, on either side."""
    by_language = results.summary["by_query_language"]
    rows = {tag: row for tag, row in by_language.items() if row["same_language_share@1"] is not None}
    lean = {tag: float(leans(row["same_language_share@1"], row["fair_share@1"], math.inf)) for tag, row in rows.items()}
    worst = max(lean, key=lambda tag: abs(lean[tag]))
    name, way = language_name(worst), "towards" if lean[worst] > 0 else "away from"
    return [f"It leans furthest {way} {name} where {name} is asked: {_first(f'a passage in {name}', rows[worst])}."]


def _errors(results: Results) -> list[str]:
    """How many right answers a wrong passage stands above, and what stands first."""
    share = {
        name: f"{value or 0:.0%}"
        for section in ("semantic_error", "first_result")
        for name, value in results.summary[section].items()
    }
    return [
        f"Errors: {share['semantic_error']} of the right answers have a wrong passage above them. The highest wrong "
        f"one is in the query's language for {share['semantic_error_same_language']}, in another for "
        f"{share['semantic_error_other_language']}.",
        f"First stands a right answer in the query's language {share['right_same_language@1']} of the time, a right "
        f"one in another {share['right_other_language@1']}, a wrong passage in the query's language "
        f"{share['wrong_same_language@1']}, a wrong one in another {share['wrong_other_language@1']}.",
    ]


def _preference(results: Results) -> list[str]:
    rate = results.summary["preference"]["preference_rate"]
    if rate is None:
        return []
    return [
        f"Preference, which is no error: of the right answers, one in the query's language stands above one in another "
        f"{rate:.0%} of the time; 50% is none."
    ]


def _mixed(results: Results) -> list[str]:
    """What a user of a corpus finds that holds each document once."""
    own, other = (results.setting(setting, "success@10") for setting in MIXED)
    if math.isnan(own) or math.isnan(other):
        return []
    documents = results.summary["mixed_corpora"]["documents"]
    return [
        f"In a corpus of {documents:,.0f} documents, each in one language, the right one is among the first ten "
        f"{own:.0%} of the time where it is in the query's language, {other:.0%} where it is in another."
    ]


def _quality(results: Results) -> str:
    alone, pooled = results.setting("monolingual"), results.setting("multilingual")
    within = "" if math.isnan(alone) else f"{alone:.3f} asked within one language and "
    return f"Mean average precision: {within}{pooled:.3f} over the pool of all, where every translation counts."
