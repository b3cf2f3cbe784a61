"""What fair lists cost and bring: each mix on parallel text and on mixed corpora, with and without debiasing.

    python bench/fair_lists.py --data XQUAD-R [--model builtin:multilingual-e5-small] [--questions 100]

Six languages of XQuAD-R, of each the sentences that answer the questions and as many others. *Parallel*: every question
in every language, all sentences in one pool, an answer in each language; mean average precision, and how far apart a
question's first and last answer stand. *Mixed*: every sentence in one language, which Zipf's law chooses, and the only
right answer in the question's language (own) or in each other one (other), as `evaluate` has it; reciprocal rank and
whether it is among ten. Parallel text alone flatters mixes that give all languages the same, for there each has an
answer. Scores are those of the index; a list is that of the pure functions in `isoglot.search.mixing`.

A last line for each model: of the pairs of translations among the answers, how many `by_likeness` finds with nothing
but vectors and languages to go by, and how many of the pairs that it joins are translations.
"""

import argparse
from collections.abc import Iterator
from itertools import islice

import numpy as np

import isoglot
from isoglot.evaluation.mixed import MixedCorpora
from isoglot.models.text_encoder import ModelEncoder
from isoglot.runtime.store import embedding_store
from isoglot.search.collapsing import by_likeness
from isoglot.search.mixing import load_mix, prefer_own

LANGUAGES = ["ar", "de", "en", "es", "ru", "zh"]
LISTS = ["none", "cap:3", "floor:1.0", "floor:0.5", "round-robin", "prefer-own 0.02"]
DRAWS, SHOWN = 3, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="builtin:multilingual-e5-small")
    parser.add_argument("--questions", type=int, default=100)
    arguments = parser.parse_args()
    data = some(isoglot.load_benchmark("xquad-r", arguments.data, languages=LANGUAGES), arguments.questions)
    store = embedding_store()
    model = isoglot.load_encoder(arguments.model)
    remedy = isoglot.debias(model, isoglot.passages_of(data), remedy="lir", store=store)
    print(f"{len(data.query_texts)} questions, {len(data.passage_texts)} sentences, {', '.join(LANGUAGES)}")
    heading = "mAP, rank distance, own MRR, other MRR, other success@10, own language's share of ten"
    print(f"| list | {heading.replace(', ', ' | ')} |")
    for name, each in (("base", model), ("debiased", remedy)):
        encoder = ModelEncoder(each, store=store)
        scores = encoder.encode(data.query_texts, "query") @ encoder.encode(data.passage_texts, "passage").T
        for mix in LISTS:
            figures = [*parallel(data, scores, mix), *mixed(data, scores, mix)]
            print(f"| {name}, {mix} | {' | '.join(f'{value:.3f}' for value in figures)} |", flush=True)
        pairs, found, right = collapsed(data, encoder)
        print(
            f"{name}: {found:.1%} of {pairs:,} pairs of translations are found, {right:.1%} of those joined are right"
        )


def some(data: isoglot.RetrievalSet, questions: int) -> isoglot.RetrievalSet:
    """A part of a set: some questions, and of each language the sentences that answer them and as many others."""
    chosen = sorted(set(data.query_example))[:: max(1, len(set(data.query_example)) // questions)][:questions]
    queries = np.flatnonzero(np.isin(np.array(data.query_example), chosen))
    answers = np.unique(data.judgement_passage[np.isin(data.judgement_query, queries)])
    rest = np.setdiff1d(np.arange(len(data.passage_ids)), answers)
    rng, others = np.random.default_rng(0), []
    for language in range(len(data.languages)):
        count = int((data.passage_language[answers] == language).sum())
        others.append(rng.choice(rest[data.passage_language[rest] == language], count, replace=False))
    return data.select(queries, np.sort(np.concatenate([answers, *others])))


def parallel(data: isoglot.RetrievalSet, scores: np.ndarray, mix: str) -> list[float]:
    """Mean average precision over the pool, and places between the first and the last answer."""
    languages = np.array(data.languages)[data.passage_language]
    tags, counts = np.unique(languages, return_counts=True)
    shares = dict(zip(tags.tolist(), (counts / counts.sum()).tolist(), strict=True))
    right = [data.judgement_passage[data.judgement_query == query] for query in range(len(scores))]
    precision, distance = [], []
    for query, row in enumerate(scores):
        order = np.argsort(-row, kind="stable")
        asked = data.languages[data.query_language[query]]
        shown = order[list(ordered(mix, languages[order].tolist(), row[order], asked, shares))]
        places = 1 + np.flatnonzero(np.isin(shown, right[query]))
        precision.append(float(np.sum(np.arange(1, len(places) + 1) / places) / len(right[query])))
        distance.append(float(places[-1] - places[0]) if len(places) else np.nan)
    return [float(np.mean(precision)), float(np.nanmean(distance))]


def mixed(data: isoglot.RetrievalSet, scores: np.ndarray, mix: str) -> list[float]:
    """In mixed corpora: own MRR, other MRR, other success, and the share of ten places that the own language has."""
    languages = np.array(data.languages)[data.passage_language]
    found: dict[bool, list[float]] = {True: [], False: []}
    own_share = []
    for corpus in MixedCorpora(data).draw(DRAWS, seed=0):
        tags, counts = np.unique(languages[corpus], return_counts=True)
        shares = dict(zip(tags.tolist(), (counts / counts.sum()).tolist(), strict=True))
        for query, row in enumerate(scores):
            asked = data.languages[data.query_language[query]]
            right = data.judgement_passage[data.judgement_query == query]
            rest = np.setdiff1d(corpus, right)
            for answer in right:
                pool = np.append(rest, answer)
                pool = pool[np.argsort(-row[pool], kind="stable")]
                shown = list(islice(ordered(mix, languages[pool].tolist(), row[pool], asked, shares), SHOWN))
                place = next((n for n, at in enumerate(shown, start=1) if pool[at] == answer), None)
                found[bool(languages[answer] == asked)].append(1 / place if place else 0.0)
                own_share.append(float(np.mean(languages[pool[shown]] == asked)))
    other = np.array(found[False])
    return [float(np.mean(found[True])), float(other.mean()), float((other > 0).mean()), float(np.mean(own_share))]


def collapsed(data: isoglot.RetrievalSet, encoder: ModelEncoder) -> tuple[int, float, float]:
    """Pairs of translations among the answers, the share of them that likeness finds, and the share that is right."""
    answers = np.random.default_rng(0).permutation(np.unique(data.judgement_passage))
    question = dict(zip(data.judgement_passage.tolist(), data.judgement_query.tolist(), strict=True))
    sentence = np.array([sorted(set(data.query_example)).index(data.query_example[question[n]]) for n in answers])
    vectors = encoder.encode([data.passage_texts[n] for n in answers], "passage")
    languages = [data.languages[data.passage_language[n]] for n in answers]
    document = np.array(by_likeness(vectors, languages))
    upper = np.triu(np.ones((len(answers), len(answers)), bool), 1)
    same, joined = (upper & (each[:, None] == each) for each in (sentence, document))
    return int(same.sum()), float((same & joined).sum() / same.sum()), float((same & joined).sum() / joined.sum())


def ordered(
    mix: str, languages: list[str], scores: np.ndarray, asked: str, shares: dict[str | None, float]
) -> Iterator[int]:
    """The candidates, which come best first, in the order of a list."""
    if mix.startswith("prefer-own"):
        return iter(prefer_own(scores.tolist(), [tag == asked for tag in languages], float(mix.split()[1])))
    return load_mix(mix).order(languages, shares)


if __name__ == "__main__":
    main()
