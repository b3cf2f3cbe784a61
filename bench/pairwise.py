"""A whole evaluation, encoding included: isoglot against sentence-transformers' evaluator, setting by setting.

    python bench/pairwise.py XQUAD_R_FOLDER [--languages de,en,zh] [--every 4]

builtin:multilingual-e5-small on every n-th paragraph of XQuAD-R. The peer evaluates what isoglot does in one pass: each
ordered pair of languages, and the pool of all, each with an InformationRetrievalEvaluator of its own that encodes its
queries and corpus, as an evaluator by pairs must; its rankings are cut off at 100. Both encode in float32. Texts that
reach the model are counted. No vectors are kept between runs.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from isoglot.benchmarks import RetrievalSet, load_xquad_r
from isoglot.evaluation.evaluate import evaluate
from isoglot.models.encoders import load_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="XQuAD-R; nothing is timed without it")
    parser.add_argument("--languages", default="de,en,zh")
    parser.add_argument("--every", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.folder is None:
        print("needs XQuAD-R: python bench/pairwise.py FOLDER")
        return
    languages = arguments.languages.split(",")
    data = load_xquad_r(arguments.folder, every_nth_paragraph=arguments.every).in_languages(languages)
    model = load_encoder("builtin:multilingual-e5-small", max_tokens=96)
    counted = count_encoded(model)
    start = time.perf_counter()
    results = evaluate(model, data, name="isoglot")
    ours, our_texts = time.perf_counter() - start, counted.pop("texts")
    spent = results.summary["seconds"]
    settings = len(languages) ** 2 + 1
    print(f"{len(data.query_texts):,} queries, {len(data.passage_texts):,} passages, {settings} settings")
    print(f"isoglot: {ours:.0f} s, {our_texts:,} texts encoded; ranks and measures {spent['score']:.2f} s")
    start = time.perf_counter()
    for queries in languages:
        for corpus in languages:
            rank_pair(model, data, {queries}, {corpus})
    for queries in languages:
        rank_pair(model, data, {queries}, set(languages))
    theirs, their_texts = time.perf_counter() - start, counted["texts"]
    print(f"pair by pair: {theirs:.0f} s, {their_texts:,} texts encoded; {theirs / ours:.1f} x the time")


def count_encoded(model: SentenceTransformer) -> dict[str, int]:
    """Counts the texts that any model of this class is asked to encode from now on."""
    counted = {"texts": 0}
    original = SentenceTransformer.encode

    def encode(self: SentenceTransformer, inputs: list[str], *args: Any, **kwargs: Any) -> Any:
        counted["texts"] = counted.get("texts", 0) + len(inputs)
        return original(self, inputs, *args, **kwargs)

    SentenceTransformer.encode = encode
    return counted


def rank_pair(model: SentenceTransformer, data: RetrievalSet, queries: set[str], corpus: set[str]) -> None:
    """One setting as a sentence-transformers user would evaluate it."""
    tags, ids = data.languages, data.query_ids
    relevant: dict[str, set[str]] = {}
    for query, passage in zip(data.judgement_query.tolist(), data.judgement_passage.tolist(), strict=True):
        if tags[data.query_language[query]] in queries and tags[data.passage_language[passage]] in corpus:
            relevant.setdefault(ids[query], set()).add(data.passage_ids[passage])
    evaluator = InformationRetrievalEvaluator(
        queries={ids[n]: text for n, text in enumerate(data.query_texts) if ids[n] in relevant},
        corpus={
            name: text
            for name, text, n in zip(data.passage_ids, data.passage_texts, data.passage_language, strict=True)
            if tags[n] in corpus
        },
        relevant_docs=relevant,
        map_at_k=[100],
    )
    evaluator(model)


if __name__ == "__main__":
    main()
