"""The language bias of any model on your own parallel texts, in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from isoglot.benchmarks import RetrievalSet, retrieval_set_of
from isoglot.benchmarks.sample import parallel_sample
from isoglot.common.languages import language_name
from isoglot.evaluation.averages import TOP
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

    Every translation of a passage answers every translation of its query. All else is as for `evaluate`, and where the
    model seems to be used with other prompts than it was trained with, `summary["notes"]` says so.
    """
    return audited(model, retrieval_set_of(pairs, "audit"), name=name, store=store, bf16=bf16)


def audit_sample(model: SentenceTransformer, languages: Iterable[str], **settings: Any) -> Results:
    """`audit` on a small parallel set in some languages that `parallel_sample` fetches, named in `summary["notes"]`.

    Args:
        model: any.
        languages: codes of two or more.
        settings: `name`, `store` and `bf16`, as for `audit`.

    Raises:
        InputError: as `parallel_sample` does.
    """
    data = parallel_sample(languages)
    results = audited(model, data, **settings)
    sample = f"{len(set(data.query_example))} examples of {data.name}, in each of {', '.join(data.languages)}"
    results.summary["notes"].insert(0, f"Measured on {sample}; texts of your own, with --pairs, tell more.")
    return results


def audited(model: SentenceTransformer, data: RetrievalSet, *, name: str | None = None, **settings: Any) -> Results:
    """An evaluation that looks at the model's prompts first; `summary["notes"]` has what is wrong with them."""
    from isoglot.evaluation.prompting import prompt_advice  # which needs torch, as what is measured here does

    advice = prompt_advice(model, data, name, **settings)
    results = evaluate(model, data, name=name, **settings)
    results.summary["notes"] = advice
    return results


def verdict(results: Results) -> list[str]:
    """What the figures say, one sentence each; the first is the verdict, in the words of `Leaning`."""
    if "corpus" in results.summary:
        return _of_a_corpus(results)
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
            "`isoglot debias` takes much of such a bias out without training; `isoglot train` goes further."
        )
    return sentences


def _of_a_corpus(results: Results) -> list[str]:
    """What a corpus without translations shows, and what it cannot."""
    share, fair = (f"{results.bias(f'{name}@{TOP}'):.0%}" for name in ("same_language_share", "fair_share"))
    rows = results.summary["by_query_language"]
    furthest = max(rows, key=lambda tag: abs(rows[tag][f"same_language_bias@{TOP}"]))
    own, blind = (f"{rows[furthest][f'{name}@{TOP}']:.0%}" for name in ("same_language_share", "fair_share"))
    found, alone = (f"{results.setting(setting, f'recall@{TOP}'):.0%}" for setting in ("multilingual", "monolingual"))
    return [
        f"Of the first ten results {share} are in the query's language. Of a ranking of these documents that finds as "
        f"much and is blind to language {fair} would be. Furthest from that is {language_name(furthest)}: {own}, where "
        f"{blind} would be.",
        f"A query is the first sentence of a document and asks for the rest of it. That is among the first ten {found} "
        f"of the time, among those of its own language {alone}.",
        "What this cannot show: whether documents in other languages would have answered as well. Where languages "
        "write of different things a ranking by meaning alone keeps to one, too; only translations (--pairs) tell.",
    ]


def _first(what: str, figures: Mapping[str, float]) -> str:
    share, fair = figures["same_language_share@1"], figures["fair_share@1"]
    return f"it puts {what} first {share:.0%} of the time; {fair:.0%} would be expected of a fair model"


def _furthest(results: Results) -> list[str]:
    """The language whose queries lie furthest from their fair share, on either side."""
    by_language = results.summary["by_query_language"]
    rows = {tag: row for tag, row in by_language.items() if row["same_language_share@1"] is not None}
    lean = {tag: float(leans(row["same_language_share@1"], row["fair_share@1"], math.inf)) for tag, row in rows.items()}
    worst = max(lean, key=lambda tag: abs(lean[tag]))
    if lean[worst] == 0:
        return []
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
