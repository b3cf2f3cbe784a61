"""The language bias of any model on your own parallel texts, in plain words."""

from __future__ import annotations

import math

from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import retrieval_set_of
from isoglot.common.languages import language_name
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.results import Results
from isoglot.models.embed import EmbeddingStore
from isoglot.pairs import ParallelPairs


def audit(
    model: SentenceTransformer,
    pairs: ParallelPairs,
    *,
    name: str,
    store: EmbeddingStore | None = None,
    bf16: bool = False,
) -> Results:
    """Measure how far a model ranks by language on parallel pairs.

    Args:
        model: any sentence-transformers model.
        pairs: the user's texts in two languages or more; every translation of a passage answers every translation
            of its query.
        name: what to call the model.
        store: where vectors are kept.
        bf16: encode in bfloat16.
    """
    return evaluate(model, retrieval_set_of(pairs, "audit"), name=name, store=store, bf16=bf16)


def verdict(results: Results) -> list[str]:
    """What the figures say, one sentence each; the first is the verdict.

    The verdict looks at the excess of same-language passages in first place over what a ranking blind to language
    would give: under a tenth of the possible excess is called fair, under a third mild, under two thirds strong.
    """
    bias = results.summary["language_bias"]
    if bias["rank_distance"] is None:
        return ["No query has right answers in two languages, so language bias cannot be measured on these texts."]
    share, fair = bias["same_language_share@1"], bias["fair_share@1"]
    excess = (share - fair) / (1 - fair) if fair < 1 else 0.0
    levels = ((0.1, "fair"), (1 / 3, "mildly biased"), (2 / 3, "strongly biased"), (math.inf, "severely biased"))
    word = next(word for limit, word in levels if excess < limit)
    by_language = results.summary["by_query_language"]
    worst = max(by_language, key=lambda tag: by_language[tag]["same_language_share@1"])
    worst_name = language_name(worst)
    sentences = [
        f"This model is {word} towards the query's language: it puts a passage in that language first "
        f"{share:.0%} of the time; {fair:.0%} would be expected of a fair model.",
        f"Most biased is {worst_name}: a query in {worst_name} finds a {worst_name} passage first "
        f"{by_language[worst]['same_language_share@1']:.0%} of the time; "
        f"{by_language[worst]['fair_share@1']:.0%} would be expected of a fair model.",
        f"The best and the worst of the parallel right answers lie {bias['rank_distance']:,.0f} ranks apart, in a "
        f"pool of {results.summary['passages']:,} passages.",
        f"Asked within one language the mean average precision is {results.setting('monolingual'):.3f}; over the pool "
        f"of all languages, where every translation counts, it is {results.setting('multilingual'):.3f}.",
    ]
    if excess >= 0.1:
        sentences.append(
            "`isoglot debias` takes much of such a bias out in seconds, without training; `isoglot train` goes further."
        )
    return sentences
