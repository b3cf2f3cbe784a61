"""Mixed corpora: how they are drawn, and figures against a slow search of each of them and against others' tools."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings, strategies
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import Passage, Query, RetrievalSet, retrieval_set_of
from isoglot.common.arrays import FloatArray, IntArray, Values
from isoglot.evaluation.agreement import Scores
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.mixed import MIXED, MIXED_MEASURES, MixedCorpora, mixed_search, zipf_shares
from isoglot.evaluation.results import Results, load_results
from isoglot.evaluation.trec import evaluate_run, write_trec
from isoglot.pairs import ParallelPairs
from isoglot.statistics.comparison import compare

TAGS = ("ar", "de", "en", "th")


def parallel(documents: int, tags: tuple[str, ...] = TAGS) -> RetrievalSet:
    """Every document in every language, with a question each."""
    queries = [Query(f"q{n}", tag, f"q{n} {tag}") for tag in tags for n in range(documents)]
    passages = [Passage(f"{tag}/{n}", tag, f"p{n} {tag}") for tag in tags for n in range(documents)]
    relevant = [(f"q{n}", f"{tag}/{n}") for n in range(documents) for tag in tags]
    return RetrievalSet.build("toy", queries, passages, relevant)


def uneven(rng: np.random.Generator, documents: int = 30) -> RetrievalSet:
    """Like MLQA-R, and worse: documents lack languages, passages answer nothing, two questions, or one in pieces."""
    queries, passages, relevant, ignored = [], [], [], []
    for n in range(documents):
        for tag in TAGS:
            if rng.random() < 0.8:
                queries.append(Query(f"q{n}", tag, f"q{n} {tag}"))
            for piece in range(rng.integers(0, 3)):
                passages.append(Passage(f"{tag}/{n}/{piece}", tag, f"p{n} {piece} {tag}"))
                if rng.random() < 0.7:
                    relevant.append((f"q{n}", passages[-1].id))
                if rng.random() < 0.2:
                    relevant.append((f"q{(n + 1) % documents}", passages[-1].id))
    for query in queries:
        if rng.random() < 0.2:
            ignored.append((f"{query.example}@{query.language}", passages[rng.integers(len(passages))].id))
    asked = {query.example for query in queries}
    kept = [pair for pair in relevant if pair[0] in asked]
    return RetrievalSet.build("toy", queries, passages, kept, ignored=ignored)


def of(table: FloatArray) -> Scores:
    return lambda queries, passages: table[np.ix_(queries, passages)]


def searches(data: RetrievalSet, table: FloatArray, draws: int, seed: int) -> dict[tuple[int, int], list[IntArray]]:
    """Every search by itself: by query and passage put in, the whole ranking of each corpus."""
    judged, ignored = defaultdict(set), defaultdict(set)
    for q, p in zip(data.judgement_query.tolist(), data.judgement_passage.tolist(), strict=True):
        judged[q].add(p)
    for q, p in zip(data.ignored_query.tolist(), data.ignored_passage.tolist(), strict=True):
        ignored[q].add(p)
    found = defaultdict(list)
    for corpus in MixedCorpora(data).draw(draws, seed):
        for query, right in judged.items():
            rest = [p for p in corpus.tolist() if p not in right | ignored[query]]
            for language in {int(data.passage_language[p]) for p in right}:
                there = [p for p in right if data.passage_language[p] == language]
                item = max(there, key=lambda p: (table[query, p], -p))
                pool = np.array([*rest, item])
                order = np.lexsort((pool, data.passage_language[pool], -table[query, pool]))
                found[query, item].append(pool[order])
    return found


def by_query(data: RetrievalSet, items: dict[tuple[int, int], list[list[float]]]) -> dict[str, dict[str, Values]]:
    """By setting and measure, from measures of every query and passage put in, corpus by corpus."""
    shares, named = MixedCorpora(data).shares, len(next(iter(items.values()))[0])
    rows: dict[str, dict[int, list[tuple[float, Values]]]] = {setting: defaultdict(list) for setting in MIXED}
    for (query, item), values in items.items():
        language = data.passage_language[item]
        own = language == data.query_language[query]
        rows[MIXED[0 if own else 1]][query].append((1.0 if own else shares[language], np.mean(values, 0)))
    names = MIXED_MEASURES[:named]
    result = {setting: {name: np.full(len(data.query_texts), np.nan) for name in names} for setting in MIXED}
    for setting, each in rows.items():
        for query, found in each.items():
            mean = np.average([values for _, values in found], axis=0, weights=[weight for weight, _ in found])
            for name, value in zip(names, mean, strict=True):
                result[setting][name][query] = value
    return result


def plain_measures(data: RetrievalSet, query: int, item: int, ranking: IntArray) -> list[float]:
    """The measures of one search, from their definitions."""
    asked, spoken = data.query_language[query], data.passage_language
    rank = 1 + int(np.flatnonzero(ranking == item)[0])
    shown, wrong = ranking[:10], ranking[ranking != item]
    right = float(spoken[item] == asked) if rank <= 10 else 0.0
    blind = (len(shown) - (rank <= 10)) * (spoken[wrong] == asked).mean() if len(wrong) else 0.0
    share = (spoken[shown] == asked).mean()
    return [rank <= 10, 1 / rank if rank <= 10 else 0, share, (right + blind) / len(shown)]


@settings(max_examples=40)
@given(strategies.integers(0, 2**32), strategies.sampled_from([0, 1, 5]))
def test_figures_are_those_of_a_slow_search_of_every_corpus(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    data = uneven(rng, int(rng.integers(4, 20)))
    table = rng.normal(size=(len(data.query_texts), len(data.passage_texts))).round(decimals).astype(np.float32)
    if not MixedCorpora(data).parallel:
        return
    found, corpora = mixed_search(data, of(table), draws=3, seed=seed)
    every = searches(data, table, 3, seed).items()
    expected = by_query(data, {each: [plain_measures(data, *each, one) for one in some] for each, some in every})
    for setting in MIXED:
        for name in MIXED_MEASURES:
            assert found[setting][name] == pytest.approx(expected[setting][name], abs=1e-9, nan_ok=True), name
    assert corpora is not None
    assert sum(corpora["shares"].values()) == pytest.approx(1, abs=1e-5)


def test_figures_are_those_of_trec_eval() -> None:
    rng = np.random.default_rng(5)
    data, alike = parallel(60), np.arange(240)[:, None] % 60 == np.arange(240) % 60
    table = (rng.normal(size=(240, 240)) + 1.5 * alike).astype(np.float32)
    qrels, run = {}, {}
    for (query, item), rankings in searches(data, table, 3, 1).items():
        for turn, ranking in enumerate(rankings):
            name = f"{query} {item} {turn}"
            qrels[name] = {str(item): 1}
            run[name] = {str(p): float(table[query, p]) for p in ranking[:10].tolist()}
    items: dict[tuple[int, int], list[list[float]]] = defaultdict(list)
    names = "success_10", "recip_rank", "recall_10"
    for name, values in pytrec_eval.RelevanceEvaluator(qrels, set(names)).evaluate(run).items():
        assert values["recall_10"] == values["success_10"]  # of one right document
        items[tuple(map(int, name.split()[:2]))].append([values[name] for name in names[:2]])  # type: ignore[index]
    expected = by_query(data, items)
    found, _ = mixed_search(data, of(table), draws=3, seed=1)
    for setting in MIXED:
        for name in ("success@10", "mrr@10"):
            assert 0.1 < found[setting][name].mean() < 0.9
            assert found[setting][name] == pytest.approx(expected[setting][name], abs=1e-6)  # as trec_eval prints them


@given(strategies.integers(1, 200), strategies.integers(1, 6), strategies.integers(0, 2**32))
def test_each_document_stands_in_one_language_and_shares_follow_the_law(documents: int, draws: int, seed: int) -> None:
    data = parallel(documents)
    corpora = MixedCorpora(data)
    for corpus in corpora.draw(draws, seed):
        held = [data.passage_ids[n].partition("/")[2] for n in corpus.tolist()]
        assert sorted(held) == sorted(map(str, range(documents)))
        counts = np.bincount(data.passage_language[corpus], minlength=len(TAGS))
        assert (np.abs(counts - corpora.shares * documents) <= 1).all()
    assert corpora.shares.argmax() == TAGS.index("en")


def test_no_language_gets_more_than_it_has() -> None:
    rng = np.random.default_rng(3)
    data = uneven(rng)
    for corpus in MixedCorpora(data).draw(5, 0):
        assert len(set(corpus.tolist())) == len(corpus)
        assert (np.diff(data.passage_language[corpus]) >= 0).all()
        texts = [tuple(data.passage_ids[n].split("/")[:2]) for n in corpus.tolist()]
        assert len(texts) >= 10


def test_over_all_draws_a_document_stands_in_each_language_by_its_share() -> None:
    data, count = parallel(50), np.zeros((50, len(TAGS)))
    for corpus in MixedCorpora(data).draw(25, 0):
        for n in corpus.tolist():
            count[int(data.passage_ids[n].partition("/")[2]), data.passage_language[n]] += 1
    assert (np.abs(count - 25 * MixedCorpora(data).shares) <= 1).all()


@given(strategies.integers(0, 2**32))
def test_draws_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = uneven(rng, 12)
    if not MixedCorpora(data).parallel:
        return
    table = rng.normal(size=(len(data.query_texts), len(data.passage_texts))).astype(np.float32)
    by_query, by_passage = (rng.permutation(n) for n in table.shape)
    place_q, place_p = np.argsort(by_query), np.argsort(by_passage)
    shuffled = replace(
        data,
        query_example=[data.query_example[n] for n in by_query],
        query_language=data.query_language[by_query],
        query_texts=[data.query_texts[n] for n in by_query],
        passage_ids=[data.passage_ids[n] for n in by_passage],
        passage_language=data.passage_language[by_passage],
        passage_texts=[data.passage_texts[n] for n in by_passage],
        judgement_query=place_q[data.judgement_query],
        judgement_passage=place_p[data.judgement_passage],
        ignored_query=place_q[data.ignored_query],
        ignored_passage=place_p[data.ignored_passage],
    )
    one, described = mixed_search(data, of(table), draws=3, seed=seed)
    other, again = mixed_search(shuffled, of(table[np.ix_(by_query, by_passage)]), draws=3, seed=seed)
    assert described == again
    for setting in MIXED:
        for name in MIXED_MEASURES:
            assert np.array_equal(one[setting][name][by_query], other[setting][name], equal_nan=True)


def test_draws_depend_on_the_seed() -> None:
    data = parallel(50)
    first, second, again = (next(MixedCorpora(data).draw(1, seed)).tolist() for seed in (0, 1, 0))
    assert first == again != second


@pytest.mark.parametrize(
    ("meaning", "language", "own", "other"),
    [(100.0, 0.0, (1, 1), (1, 1)), (0.0, 0.0, (0.02, 0.08), (0.02, 0.08)), (4.0, 9.0, (0.9, 1), (0, 0.5))],
    ids=["perfect", "at random", "own language first"],
)
def test_models_of_which_the_outcome_is_known(
    meaning: float, language: float, own: tuple[float, float], other: tuple[float, float]
) -> None:
    data, rng = parallel(200), np.random.default_rng(0)
    n = np.arange(800)
    alike, same = n[:, None] % 200 == n % 200, n[:, None] // 200 == n // 200
    table = (rng.normal(size=(800, 800)) + meaning * alike + language * same).astype(np.float32)
    found, _ = mixed_search(data, of(table), seed=0)
    for setting, (low, high) in zip(MIXED, (own, other), strict=True):
        assert low <= found[setting]["success@10"].mean() <= high
    if not meaning:
        both = (found[setting] for setting in MIXED)
        for each in both:
            assert each["same_language_share@10"].mean() == pytest.approx(each["fair_share@10"].mean(), abs=0.01)
    if language:
        assert found["mixed_other"]["same_language_share@10"].mean() > 2 * found["mixed_other"]["fair_share@10"].mean()


def test_sentences_have_no_document_of_their_own(pairs: ParallelPairs, tiny_encoder: SentenceTransformer) -> None:
    sentences = ParallelPairs.from_rows([{**row, "passage": row["query"]} for row in pairs.rows()])
    results = evaluate(tiny_encoder, retrieval_set_of(sentences, "toy"))
    assert set(results.summary["mixed"]["mixed_own"].values()) == {None}
    assert 0 <= results.setting("mixed_other", "success@10") <= 1
    assert "mixed_own" not in results.per_query["setting"].to_pylist()


def test_without_parallel_documents_there_is_nothing_to_draw(tiny_encoder: SentenceTransformer) -> None:
    queries = [Query(f"{tag}{n}", tag, f"{tag} {n}") for tag in TAGS for n in range(3)]
    passages = [Passage(query.example, query.language, query.text) for query in queries]
    data = RetrievalSet.build("toy", queries, passages, [(p.id, p.id) for p in passages])
    summary = evaluate(tiny_encoder, data).summary
    assert summary["mixed_corpora"] is None
    assert {value for setting in MIXED for value in summary["mixed"][setting].values()} == {None}


def test_a_run_of_the_whole_pool_gives_the_figures_of_its_model(
    pairs: ParallelPairs, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    data = retrieval_set_of(pairs, "toy")
    depth = len(data.passage_texts)
    own = evaluate(tiny_encoder, data, top_k=depth, on_ranks=lambda ranks: write_trec(tmp_path, data, ranks)).summary
    read = evaluate_run(tmp_path / "run.trec", data).summary
    for setting in MIXED:
        assert read["mixed"][setting] == own["mixed"][setting]


def test_equal_scores_of_a_run_come_in_the_order_of_trec_eval(tmp_path: Path) -> None:
    data = parallel(30)  # the passages with the largest ids are the Thai ones, of which the first ten are 29, 28, ...
    lines = [f"{query} Q0 {passage} 1 1 all-alike" for query in data.query_ids for passage in data.passage_ids]
    (tmp_path / "run.trec").write_text("\n".join(lines))
    rows = evaluate_run(tmp_path / "run.trec", data).per_query.to_pylist()
    own = {row["query"]: row["success@10"] for row in rows if row["setting"] == "mixed_own"}
    assert own["q9@th"] == 1
    assert own["q0@ar"] == 0


def test_what_a_run_does_not_hold_is_not_found() -> None:
    data = parallel(30)
    table = np.full((120, 120), -np.inf, np.float32)
    found, _ = mixed_search(data, of(table))
    for setting in MIXED:
        assert not found[setting]["success@10"].any()
        assert np.isnan(found[setting]["same_language_share@10"]).all()


def test_shares_fall_by_the_law_and_english_comes_first() -> None:
    assert zipf_shares(np.array([3, 3, 7])) == pytest.approx([3 / 11, 2 / 11, 6 / 11])
    assert zipf_shares(np.array([3, 3, 7]), first=1) == pytest.approx([2 / 11, 6 / 11, 3 / 11])


def older(results: Results) -> Results:
    """As a version without mixed corpora wrote them."""
    summary = {name: each for name, each in results.summary.items() if name != "mixed"}
    kept = [setting not in MIXED for setting in results.per_query["setting"].to_pylist()]
    table = results.per_query.filter(np.array(kept)).drop_columns(["success@10"])
    return replace(results, summary=summary, per_query=table)


def test_results_of_an_older_version_are_read_and_compared(
    pairs: ParallelPairs, tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    now = evaluate(tiny_encoder, retrieval_set_of(pairs, "toy"), name="now")
    before = load_results(older(now).save(tmp_path))
    assert np.isnan(before.setting("mixed_own", "success@10"))
    both = compare([before, now], names=["before", "now"])
    assert {one.setting for one in both.contrasts} == {"monolingual", "cross_lingual", "multilingual"}
    assert any("mixed corpora are left out: no figures there of before" in note for note in both.notes)
    tested = compare([now, now], names=["a", "b"])
    assert {one.setting for one in tested.contrasts if one.measure == "success@10"} == set(MIXED)
    assert not any("mixed" in note for note in tested.notes)


def test_averages_are_those_of_the_rows(pairs: ParallelPairs, tiny_encoder: SentenceTransformer) -> None:
    results = evaluate(tiny_encoder, retrieval_set_of(pairs, "toy"))
    rows = results.per_query.to_pylist()
    for setting in MIXED:
        by_language = defaultdict(list)
        for row in rows:
            if row["setting"] == setting:
                by_language[row["query_language"]].append(row["success@10"])
        means = {tag: np.mean(values) for tag, values in by_language.items()}
        assert results.setting(setting, "success@10") == pytest.approx(np.mean(list(means.values())), abs=1e-6)
        for tag, value in means.items():
            assert results.summary["by_query_language"][tag][f"{setting}_success@10"] == pytest.approx(value, abs=1e-6)
