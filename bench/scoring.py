"""Scoring all settings of a benchmark of XQuAD-R's shape, against one matrix product and against peers.

    python bench/scoring.py [--peers]

13,090 queries and 13,014 passages in 11 languages, 384 dimensions, with vectors drawn so that ranks are as spread as
a real model's. The product and isoglot's scoring alternate in one run; the ratio of the best times is reported, by the
clock and by the processors' time, which other work on the machine does not stretch.
`--peers` adds sentence-transformers' InformationRetrievalEvaluator on the pooled setting, given the same vectors and
cut off at 100 passages: it keeps what it ranks as Python objects, and with a full ranking, as isoglot's mAP needs, it
ran out of 24 GiB. It covers 1 of the 122 settings of isoglot's pass (11 monolingual, 110 cross-lingual, 1 pooled).
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from isoglot.benchmarks import Passage, Query, RetrievalSet
from isoglot.common.threads import one_thread
from isoglot.evaluation.averages import summarise
from isoglot.evaluation.evaluate import EncodedSet, rank_set, scores_of
from isoglot.evaluation.mixed import DRAWS, mixed_search
from isoglot.evaluation.ranking import rank_relevant

LANGUAGES, QUESTIONS, SENTENCES, DIMENSIONS = 11, 1190, 1183, 384


def make_set() -> tuple[RetrievalSet, EncodedSet]:
    """Texts that stand for themselves, and vectors with a share of meaning, of language and of noise."""
    rng = np.random.default_rng(0)
    tags = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]
    queries = [Query(f"q{n}", tag, f"q{n} {tag}") for tag in tags for n in range(QUESTIONS)]
    passages = [Passage(f"p{n}@{tag}", tag, f"p{n} {tag}") for tag in tags for n in range(SENTENCES)]
    relevant = [(f"q{n}", f"p{n % SENTENCES}@{tag}") for n in range(QUESTIONS) for tag in tags]
    meaning = rng.normal(size=(SENTENCES, DIMENSIONS))
    language = rng.normal(size=(LANGUAGES, DIMENSIONS))

    def vectors(examples: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        noise = rng.normal(size=(len(examples), DIMENSIONS))
        x = 0.4 * meaning[examples % SENTENCES] + 0.6 * language[numbers] + noise
        unit: np.ndarray = x / np.linalg.norm(x, axis=1, keepdims=True)
        return unit.astype(np.float32)

    encoded = EncodedSet(
        vectors(np.tile(np.arange(QUESTIONS), LANGUAGES), np.repeat(np.arange(LANGUAGES), QUESTIONS)),
        vectors(np.tile(np.arange(SENTENCES), LANGUAGES), np.repeat(np.arange(LANGUAGES), SENTENCES)),
        0.0,
    )
    return RetrievalSet.build("bench", queries, passages, relevant), encoded


def seconds(work: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="also time InformationRetrievalEvaluator (a minute)")
    arguments = parser.parse_args()
    data, encoded = make_set()
    q, p = torch.from_numpy(encoded.queries), torch.from_numpy(encoded.passages)

    def score() -> None:
        rank_relevant(
            encoded.queries,
            encoded.passages,
            similarity=encoded.similarity,
            passage_language=data.passage_language,
            judgement_query=data.judgement_query,
            judgement_passage=data.judgement_passage,
        )

    clocks = {"by the clock": time.perf_counter, "of the processors": time.process_time}
    best = {name: [float("inf")] * 2 for name in clocks}
    for _ in range(5):
        for name, clock in clocks.items():
            once = seconds(lambda: torch.mm(q, p.T), 1, clock), seconds(score, 1, clock)
            best[name] = [min(pair) for pair in zip(best[name], once, strict=True)]
    ranks = rank_set(data, encoded)
    measures = seconds(lambda: summarise(data, ranks), 3)
    for name, (product, scoring) in best.items():
        ratio = scoring / product
        print(f"{name}: one product {product:.2f} s; all ranks of all settings {scoring:.2f} s, {ratio:.2f} x")
    print(f"measures and averages from ranks {measures:.2f} s")
    with one_thread():  # as in an evaluation
        mixed = seconds(lambda: mixed_search(data, scores_of(encoded)), 3, time.process_time)
    print(f"{DRAWS} mixed corpora {mixed:.2f} s of one core")
    if arguments.peers:
        peer = time_peer(data, encoded)
        ratio = peer / best["by the clock"][1]
        print(f"InformationRetrievalEvaluator, pooled, cut off at 100: {peer:.1f} s, {ratio:.0f} x")


def time_peer(data: RetrievalSet, encoded: EncodedSet) -> float:
    """sentence-transformers' evaluator on the pooled setting, with encoding replaced by a look-up."""
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    ids = data.query_ids
    relevant: dict[str, set[str]] = {}
    for query, passage in zip(data.judgement_query.tolist(), data.judgement_passage.tolist(), strict=True):
        relevant.setdefault(ids[query], set()).add(data.passage_ids[passage])
    evaluator = InformationRetrievalEvaluator(
        queries=dict(zip(ids, data.query_texts, strict=True)),
        corpus=dict(zip(data.passage_ids, data.passage_texts, strict=True)),
        relevant_docs=relevant,
        map_at_k=[100],
        mrr_at_k=[10],
        ndcg_at_k=[10],
        accuracy_at_k=[1],
        precision_recall_at_k=[1, 10, 100],
    )
    known = dict(zip([*data.query_texts, *data.passage_texts], [*encoded.queries, *encoded.passages], strict=True))

    class LookUp:
        """Stands for a model whose vectors are known."""

        similarity_fn_name = "cosine"
        model_card_data = None

        def encode(self, texts: list[str], **_: Any) -> torch.Tensor:
            return torch.from_numpy(np.stack([known[text] for text in texts]))

        encode_query = encode_document = encode

        def similarity(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return torch.mm(a, b.T)

    scores = {"cosine": lambda a, b: torch.mm(a, b.T)}
    evaluator.score_functions, evaluator.score_function_names = scores, ["cosine"]
    return seconds(lambda: evaluator.compute_metrices(LookUp()), 1)


if __name__ == "__main__":
    main()
