"""From ranks to figures: the measures of every query, and their averages in each setting.

*Monolingual*, query and corpus in one language; *cross-lingual*, every ordered pair of different languages;
*multilingual*, one query against the pooled passages of all languages (arXiv 2408.10536, section 4); *mixed*, against
corpora that hold each document in one language (`isoglot.evaluation.mixed`). Scores are averaged over the queries of a
language (or pair of languages), then over languages (or pairs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from isoglot.benchmarks.answers import has_answer
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.common.arrays import BoolArray, FloatArray, IntArray, Values, mean_present, place_in_group, plain
from isoglot.common.errors import InputError
from isoglot.evaluation import language_bias
from isoglot.evaluation.agreement import Scores, mean_rank_correlation, ranking_agreement
from isoglot.evaluation.measures import MEASURES, best_rank, success, worst_rank
from isoglot.evaluation.mixed import MIXED, MIXED_MEASURES, mixed_search
from isoglot.evaluation.preference import first_result, preference, semantic_error
from isoglot.evaluation.ranking import UNRANKED, Ranks

SECTIONS = ("language_bias", "preference", "semantic_error", "first_result")
"""Where `results.json` has what is measured in the pooled setting alone."""
BY_DISTANCE: tuple[str, ...] = tuple(f"same_language_{kind}@{k}" for kind in ("share", "bias") for k in (1, 10))
"""Measures that are best at the fair share: what counts is how far from it they are, on either side."""
LOWER_IS_BETTER = (
    *BY_DISTANCE,
    *("rank_distance", "max_rank_norm", "fair_share_distance@1", "fair_share_distance@10"),
    *("semantic_error", "semantic_error_same_language", "semantic_error_other_language"),
    *("wrong_same_language@1", "wrong_other_language@1"),
)
"""Measures of which less is better."""
MATTERS_OF_TASTE = ("preference_rate", "language_preference_rate", "right_same_language@1", "right_other_language@1")
"""Measures of which neither more nor less is better."""
TOP = 10  # how many of the first passages the language mix is taken over
CORRELATED = (5, 10, 20)  # where the mean rank correlation is taken
DEEPEST = 128  # the first passages of the pool are kept so deep at most, however many right ones may stand first
ANSWER_CUTOFFS = (20, 100)  # where recall by answer string is taken, as others do on MKQA


def depth_needed(data: RetrievalSet) -> int:
    """How many first passages of the pool the measures of a set look at."""
    if data.answers is not None:
        return max(ANSWER_CUTOFFS)
    most_relevant = int(np.bincount(data.judgement_query, minlength=1).max())
    return max(*CORRELATED, min(most_relevant + 1, DEEPEST))


def summarise(
    data: RetrievalSet, ranks: Ranks, scores: Scores | None = None, order: Scores | None = None
) -> tuple[pa.Table, dict[str, Any]]:
    """Measures of every query and their averages: the per-query table, and what `results.json` has that goes by ranks.

    Where relevance is by answer string, a query scores 1 at a cutoff if one of the first passages holds an answer
    (`answer_recall@k`), and 0 otherwise. Without scores of any passages no mean rank correlation is measured, and no
    mixed corpus is searched. `order` is what to rank by there, where equal scores do not come in the pool's order.
    """
    if data.answers is not None:
        return _summarise_answers(data, ranks)
    corpus_of = data.passage_language[data.judgement_passage]
    blocks: list[pa.Table] = []
    by_corpus: dict[int, dict[str, Values]] = {}
    for corpus in np.unique(corpus_of).tolist():
        queries, values, table = _measure(data, ranks.in_language, np.flatnonzero(corpus_of == corpus))
        blocks.append(_per_query(data, queries, table, values, corpus))
        by_corpus[corpus] = _by_language(data, queries, values)
    queries, values, table = _measure(data, ranks.pooled, np.arange(len(data.judgement_query)))
    sections = _pooled_sections(data, ranks, scores, queries, table)
    for section in sections.values():
        values |= section
    blocks.append(_per_query(data, queries, table, values, None))
    pooled = _by_language(data, queries, values)
    found, corpora = ({}, None) if scores is None else mixed_search(data, order or scores)
    mixed = {setting: _by_language(data, np.arange(len(data.query_texts)), each) for setting, each in found.items()}
    blocks += [_mixed_rows(data, setting, each) for setting, each in found.items()]
    per_query = pa.concat_tables(blocks, promote_options="default")
    names = {section: list(measures) for section, measures in sections.items()}
    for k in (1, TOP):  # of the means: a single query is never at its fair share
        pooled[f"fair_share_distance@{k}"] = np.abs(pooled[f"same_language_bias@{k}"])
        names["language_bias"].append(f"fair_share_distance@{k}")
    summary = _summary(data, by_corpus, pooled, names, mixed)
    return per_query, {**summary, "mixed_corpora": corpora, "language_mix": language_mix(data, ranks)}


def _summarise_answers(data: RetrievalSet, ranks: Ranks) -> tuple[pa.Table, dict[str, Any]]:
    """The corpus is of one language, so each query language makes one setting with it."""
    corpora = np.unique(data.passage_language).tolist()
    if len(corpora) != 1:
        raise InputError(f"{data.name}: relevance by answer string needs a corpus of one language")
    table = _answer_ranks(data, ranks)
    values = {f"answer_recall@{k}": success(table, k) for k in ANSWER_CUTOFFS}
    queries = np.arange(len(data.query_texts))
    summary = _summary(data, {corpora[0]: _by_language(data, queries, values)}, {}, dict.fromkeys(SECTIONS, ()), {})
    per_query = _per_query(data, queries, table, values, corpora[0])
    return per_query, {**summary, "mixed_corpora": None, "language_mix": language_mix(data, ranks)}


def _answer_ranks(data: RetrievalSet, ranks: Ranks) -> IntArray:
    """`(queries, 1)`; rank of the first passage that holds an answer, 0 where none of those looked at does."""
    table = np.zeros((len(data.query_texts), 1), np.int64)
    for query, answers in enumerate(data.answers or ()):
        places = enumerate(ranks.top[query].tolist(), 1)
        table[query] = next((n for n, each in places if each >= 0 and has_answer(data.passage_texts[each], answers)), 0)
    return table


def language_mix(data: RetrievalSet, ranks: Ranks) -> dict[str, Any]:
    """Languages of the first ten passages of the pool, by query language: rows of shares that sum to 1."""
    top, count = _top_language(data, ranks)[:, :TOP], len(data.languages)
    cell = (data.query_language[:, None] * count + top)[top >= 0]
    cells = np.bincount(cell, minlength=count * count).reshape(count, count)
    asked = np.flatnonzero(cells.sum(1))
    return {
        "cutoff": TOP,
        "rows": [data.languages[n] for n in asked],
        "columns": list(data.languages),
        "values": [[plain(share) for share in cells[n] / cells[n].sum()] for n in asked],
    }


def _measure(data: RetrievalSet, rank: IntArray, chosen: IntArray) -> tuple[IntArray, dict[str, Values], IntArray]:
    """The queries of the chosen judgements, their measures, and their ranks `(queries, relevant)`."""
    queries, table, grades = _rank_table(data.judgement_query[chosen], rank[chosen], data.judgement_grade[chosen])
    graded = None if (grades <= 1).all() else grades
    return queries, {name: measure(table, graded) for name, measure in MEASURES.items()}, table


def _rank_table(query: IntArray, rank: IntArray, grade: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Ranks and grades as one row per query, padded with 0; and first which query each row is."""
    queries, row = np.unique(query, return_inverse=True)
    place = place_in_group(query)
    table, grades = (np.zeros((len(queries), place.max(initial=-1) + 1), np.int64) for _ in range(2))
    table[row, place], grades[row, place] = rank, grade
    return queries, table, grades


def _pooled_sections(
    data: RetrievalSet, ranks: Ranks, scores: Scores | None, queries: IntArray, table: IntArray
) -> dict[str, dict[str, Values]]:
    """What the pooled setting alone has, by section of `results.json`."""
    language, top = data.query_language[queries], _top_language(data, ranks)[queries]
    same = data.passage_language[data.judgement_passage] == data.query_language[data.judgement_query]
    own = _rank_table(data.judgement_query, ranks.pooled, same.astype(np.int64))[2].astype(bool)
    all_found = (table < UNRANKED).all(1)
    pool, pool_same = (counts[queries] for counts in _pools(data))
    bias = {
        "rank_distance": np.where(all_found, language_bias.rank_distance(table), np.nan),
        "max_rank_norm": np.where(all_found, language_bias.max_rank_norm(table, pool), np.nan),
        "other_language_recall@10": language_bias.other_language_recall(table, own, 10),
        "tlr@20": language_bias.other_language_recall(table, own, 20),
    }
    for k in (1, TOP):
        share = language_bias.same_language_share(language, top, k)
        found, shown = ((table > 0) & (table <= k)).sum(1), (top[:, :k] >= 0).sum(1)
        fair = language_bias.fair_share(found, shown, (table > 0).sum(1), own.sum(1), pool, pool_same)
        bias |= {f"same_language_share@{k}": share, f"fair_share@{k}": fair, f"same_language_bias@{k}": share - fair}
    return {
        "language_bias": bias | _agreement(data, ranks.top[queries], scores, queries),
        "preference": preference(table, own),
        "semantic_error": semantic_error(table, language, top),
        "first_result": first_result(table, language, top),
    }


def _agreement(data: RetrievalSet, top: IntArray, scores: Scores | None, queries: IntArray) -> dict[str, Values]:
    """How alike translations are answered; no correlations without scores."""
    _, example = np.unique(np.array(data.query_example)[queries], return_inverse=True)
    correlations = [np.full(len(queries), np.nan)] * len(CORRELATED)
    if scores is not None:
        ignored, of = look_up_pairs(data, data.ignored_query, data.ignored_passage), scores

        def known(some: IntArray, passages: IntArray) -> FloatArray:
            left_out = ignored(queries[some][:, None], passages[None])[1]
            return np.where(left_out, np.float32(np.nan), of(queries[some], passages))

        correlations = mean_rank_correlation(top, example, known, CORRELATED)
    return {
        "ranking_agreement@10": ranking_agreement(top[:, :TOP], example),
        **{f"mrc@{k}": values for k, values in zip(CORRELATED, correlations, strict=True)},
    }


def look_up_pairs(
    data: RetrievalSet, query: IntArray, passage: IntArray
) -> Callable[[IntArray, IntArray], tuple[IntArray, BoolArray]]:
    """A function from queries and passages to the places of such pairs in a list, and whether they are in it."""
    pairs = np.append(query * len(data.passage_texts) + passage, np.iinfo(np.int64).max)
    order = np.argsort(pairs)

    def look_up(queries: IntArray, passages: IntArray) -> tuple[IntArray, BoolArray]:
        wanted = queries * len(data.passage_texts) + passages
        at = order[np.searchsorted(pairs, wanted, sorter=order)]
        found = pairs[at] == wanted
        return np.where(found, at, 0), found

    return look_up


def _pools(data: RetrievalSet) -> tuple[IntArray, IntArray]:
    """`(queries,)` twice: how many passages each query's pool has, and how many of them in its language."""
    count = len(data.query_language)
    in_language = np.bincount(data.passage_language, minlength=len(data.languages))
    same = data.passage_language[data.ignored_passage] == data.query_language[data.ignored_query]
    left_out = np.bincount(data.ignored_query, minlength=count)
    left_out_same = np.bincount(data.ignored_query[same], minlength=count)
    return len(data.passage_language) - left_out, in_language[data.query_language] - left_out_same


def _top_language(data: RetrievalSet, ranks: Ranks) -> IntArray:
    """`(queries, k)`; languages of the first passages, -1 where there is none."""
    language: IntArray = np.append(data.passage_language, -1)[ranks.top[:, :DEEPEST]]
    return language


def _per_query(
    data: RetrievalSet, queries: IntArray, table: IntArray, values: dict[str, Values], corpus: int | None
) -> pa.Table:
    """Rows of `per_query.parquet` for the queries that were asked of one corpus, or of the pool."""
    tags = np.array(data.languages)
    language = data.query_language[queries]
    corpus_language = None if corpus is None else data.languages[corpus]
    setting = np.where(language == corpus, "monolingual", "cross_lingual" if corpus is not None else "multilingual")
    ids = data.query_ids
    return pa.table(
        {
            "query": pa.array([ids[n] for n in queries]),
            "example": pa.array([data.query_example[n] for n in queries]),
            "query_language": pa.array(tags[language]),
            "setting": pa.array(setting),
            "corpus_language": pa.array([corpus_language] * len(queries), pa.string()),
            "best_rank": _found(best_rank(table)),
            "worst_rank": _found(worst_rank(table)),
            **{name: pa.array(column, from_pandas=True) for name, column in values.items()},
        }
    )


def _mixed_rows(data: RetrievalSet, setting: str, values: dict[str, Values]) -> pa.Table:
    """Rows for the queries that have something to find there; they have no ranks, being means over corpora."""
    queries = np.flatnonzero(~np.isnan(values[MIXED_MEASURES[0]]))
    no_ranks = np.zeros((len(queries), 0), np.int64)
    rows = _per_query(data, queries, no_ranks, {name: each[queries] for name, each in values.items()}, None)
    return rows.set_column(rows.column_names.index("setting"), "setting", pa.array([setting] * len(rows), pa.string()))


def _found(ranks: IntArray) -> pa.Array:
    return pa.array(ranks, mask=(ranks < 1) | (ranks >= UNRANKED))


def _by_language(data: RetrievalSet, queries: IntArray, values: dict[str, Values]) -> dict[str, Values]:
    """Means over the queries of each language, `(languages,)`; nan where no query has a value."""
    mine = [data.query_language[queries] == n for n in range(len(data.languages))]
    return {name: np.array([mean_present(column[those]) for those in mine]) for name, column in values.items()}


def _summary(
    data: RetrievalSet,
    by_corpus: dict[int, dict[str, Values]],
    pooled: dict[str, Values],
    sections: Mapping[str, Sequence[str]],
    mixed: Mapping[str, dict[str, Values]],
) -> dict[str, Any]:
    by_pair = {name: np.full((len(data.languages),) * 2, np.nan) for name in next(iter(by_corpus.values()))}
    for corpus, measured in by_corpus.items():
        for name, means in measured.items():
            by_pair[name][:, corpus] = means
    across = ~np.eye(len(data.languages), dtype=bool)
    settings = {
        "monolingual": {name: _mean(np.diag(grid)) for name, grid in by_pair.items()},
        "cross_lingual": {name: _mean(grid[across]) for name, grid in by_pair.items()},
        "multilingual": {name: _mean(pooled[name]) if name in pooled else None for name in by_pair},
    }
    asked = np.bincount(data.query_language, minlength=len(data.languages))
    main = "map" if "map" in by_pair else next(iter(by_pair))
    grid = by_pair[main]
    return {
        "languages": list(data.languages),
        "queries": len(data.query_texts),
        "passages": len(data.passage_texts),
        "settings": settings,
        "mixed": {
            setting: {name: _mean(mixed[setting][name]) if mixed else None for name in MIXED_MEASURES}
            for setting in MIXED
        },
        **{section: {name: _mean(pooled[name]) for name in names} for section, names in sections.items()},
        "grid": {
            "measure": main,
            "rows": "query language",
            "columns": "corpus language",
            "values": [[plain(value) for value in row] for row in grid],
        },
        "by_query_language": {
            tag: {
                "queries": int(asked[n]),
                f"monolingual_{main}": plain(grid[n, n]),
                f"cross_lingual_{main}": _mean(np.delete(grid[n], n)),
                **({f"multilingual_{main}": plain(pooled[main][n])} if pooled else {}),
                **{f"{setting}_success@10": plain(each["success@10"][n]) for setting, each in mixed.items()},
                **{name: plain(pooled[name][n]) for names in sections.values() for name in names},
            }
            for n, tag in enumerate(data.languages)
            if not np.isnan(grid[n]).all()
        },
    }


def _mean(values: Values) -> float | None:
    return plain(mean_present(values))
