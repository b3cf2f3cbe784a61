"""Comparisons of results: what is averaged, tested and corrected, what is said, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from isoglot.common.errors import InputError
from isoglot.evaluation.audit import audit
from isoglot.evaluation.results import Results
from isoglot.pairs import ParallelPairs
from isoglot.report import language_findings, sentences
from isoglot.statistics.comparison import NOT_SHOWN, Comparison, Contrast, compare
from isoglot.statistics.significance import (
    bootstrap_interval,
    differences,
    holm,
    macro_score,
    randomisation_test,
    seed_effect,
)

LANGUAGES = ("de", "en", "zh")


def results(name: str, better: float = 0.0, seed: int = 0, examples: int = 60, spread: float = 0.1) -> Results:
    """Results of a made-up system whose scores stand `better` above those of a system with 0."""
    random = np.random.default_rng([seed, 7])
    difficulty = np.random.default_rng(7).uniform(0.2, 0.6, examples)
    rows = []
    for number in range(examples):
        for query in LANGUAGES:
            for corpus in (*LANGUAGES, None):
                value = float(np.clip(difficulty[number] + better + random.normal(0, spread), 0, 1))
                setting = "multilingual" if corpus is None else "monolingual" if corpus == query else "cross_lingual"
                rows.append(
                    {
                        "query": f"{number}@{query}",
                        "example": str(number),
                        "query_language": query,
                        "setting": setting,
                        "corpus_language": corpus,
                        "best_rank": 1,
                        "map": value,
                        "mrr@10": value / 2,
                        "rank_distance": 100 * (1 - value) if corpus is None else None,
                    }
                )
    summary = {"benchmark": "toy", "benchmark_fingerprint": "f", "model": {"name": name}}
    return Results(summary, pa.Table.from_pylist(rows))


def pick(comparison: Comparison, setting: str, measure: str = "map", language: str | None = None) -> Contrast:
    (found,) = (c for c in comparison.contrasts if (c.setting, c.measure, c.language) == (setting, measure, language))
    return found


def matrix(of: Results, setting: str, language: str | None, measure: str = "map") -> np.ndarray:
    """A setting's values as `(examples, cells)`, row by row."""
    cells: dict[Any, dict[str, float]] = {}
    for row in of.per_query.to_pylist():
        if row["setting"] == setting and language in (None, row["query_language"]):
            cells.setdefault((row["query_language"], row["corpus_language"]), {})[row["example"]] = row[measure]
    return np.array([list(cell.values()) for cell in cells.values()]).T


FAST: dict[str, Any] = {"resamples": 100, "permutations": 500}


def fast(systems: Sequence[Results | Sequence[Results]], **options: Any) -> Comparison:
    return compare(systems, **{**FAST, **options})


@pytest.mark.parametrize("setting", ["monolingual", "cross_lingual", "multilingual"])
@pytest.mark.parametrize("language", [None, "zh"])
def test_every_figure_is_that_of_the_setting_s_own_matrix(setting: str, language: str | None) -> None:
    base, other = results("base"), results("other", 0.03, seed=1)
    comparison = fast([base, other])
    a, b = matrix(other, setting, language), matrix(base, setting, language)
    found = pick(comparison, setting, language=language)
    interval = bootstrap_interval(differences(a, b), resamples=100)
    assert found.difference == pytest.approx(macro_score(a) - macro_score(b))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(randomisation_test(a, b, permutations=500), abs=1e-9)
    assert found.better == pytest.approx((a.mean(1) > b.mean(1)).mean())
    (estimate,) = (
        e
        for e in comparison.estimates
        if (e.system, e.setting, e.measure, e.language) == ("other", setting, "map", language)
    )
    assert estimate.value == pytest.approx(macro_score(a))
    assert estimate.low < estimate.value < estimate.high
    assert estimate.examples == 60


def test_the_rows_of_a_table_may_be_in_any_order() -> None:
    base, other = results("base"), results("other", 0.05, seed=1)
    order = np.random.default_rng(0).permutation(len(other.per_query))
    shuffled = Results(other.summary, other.per_query.take(order))
    assert fast([base, other]) == fast([base, shuffled])
    # the baseline decides the order of the examples, and with it what is drawn: values stay, draws do not
    turned = fast([Results(base.summary, base.per_query.take(order)), other])
    assert pick(turned, "multilingual").difference == pytest.approx(
        pick(fast([base, other]), "multilingual").difference
    )


def test_scores_are_those_of_the_summary(tiny_encoder: Any, pairs: ParallelPairs) -> None:
    first = audit(tiny_encoder, pairs, name="one")
    comparison = fast([first, first], names=["one", "two"])
    for estimate in comparison.estimates:
        by_language = first.summary["by_query_language"]
        if estimate.measure == "map" and estimate.language is None:
            expected = first.setting(estimate.setting)
        elif estimate.measure == "map":
            expected = by_language[estimate.language][f"{estimate.setting}_map"]
        elif estimate.measure == "success@10" and estimate.language is None:
            expected = first.setting(estimate.setting, "success@10")
        elif estimate.measure == "success@10":
            expected = by_language[estimate.language][f"{estimate.setting}_success@10"]
        else:
            expected = by_language.get(estimate.language, first.summary["language_bias"])[estimate.measure]
        assert estimate.value == pytest.approx(expected, abs=1e-6)
    assert {(c.difference, c.p_value, c.verdict) for c in comparison.contrasts} == {(0, 1, "no difference shown")}


def test_holm_goes_over_settings_and_systems_and_apart_over_languages() -> None:
    comparison = fast([results("base"), results("a", 0.01, 1), results("b", 0.02, 2)])
    for measure, sizes in (("map", (6, 18)), ("rank_distance", (2, 6))):
        for whole, size in zip((True, False), sizes, strict=True):
            family = [c for c in comparison.contrasts if c.measure == measure and (c.language is None) == whole]
            assert len(family) == size
            assert [c.p_corrected for c in family] == holm([c.p_value for c in family]).tolist()


def test_lower_is_better_for_bias() -> None:
    found = pick(fast([results("base"), results("good", 0.2, 1)]), "multilingual", "rank_distance")
    assert found.difference < 0
    assert found.verdict == "better"
    assert found.better > 0.8 > 0.2 > found.worse
    assert found.effect_size < 0


def leaning_results(name: str, share: dict[str, float], seed: int = 0, examples: int = 200) -> Results:
    """A system that puts a passage in the query's language first so often, where half of the time would be fair."""
    random = np.random.default_rng([seed, 3])
    of = results(name, examples=examples)
    pooled = np.array(of.per_query["setting"].to_pylist()) == "multilingual"
    chance = np.array([share.get(tag, 0.5) for tag in of.per_query["query_language"].to_pylist()])
    first = np.where(pooled, random.random(len(pooled)) < chance, np.nan)
    columns = {"same_language_share@1": first, "fair_share@1": np.where(pooled, 0.5, np.nan)}
    table = of.per_query
    for column, values in columns.items():
        table = table.append_column(column, pa.array(values, from_pandas=True))
    return Results(of.summary, table)


@pytest.mark.parametrize(
    ("base", "other", "verdict", "difference"),
    [
        ({"de": 0.9, "en": 0.9, "zh": 0.9}, {"de": 0.6, "en": 0.6, "zh": 0.6}, "better", -0.3),
        ({"de": 0.6, "en": 0.6, "zh": 0.6}, {"de": 0.1, "en": 0.1, "zh": 0.1}, "worse", 0.3),  # lower, and less fair
        ({"de": 0.9, "en": 0.9, "zh": 0.9}, {"de": 0.1, "en": 0.1, "zh": 0.1}, NOT_SHOWN, 0.0),  # as far on either side
        ({}, {"de": 1.0, "en": 0.25, "zh": 0.25}, "worse", 1 / 3),  # fair on average, and in no language
        ({}, {}, NOT_SHOWN, 0.0),
    ],
)
def test_a_same_language_share_is_compared_by_its_distance_from_the_fair_share(
    base: dict[str, float], other: dict[str, float], verdict: str, difference: float
) -> None:
    compared = fast([leaning_results("base", base), leaning_results("other", other, seed=1)])
    found = pick(compared, "multilingual", "same_language_share@1")
    assert found.verdict == verdict
    assert found.difference == pytest.approx(difference, abs=0.06)
    assert found.low <= found.difference <= found.high
    (shown,) = (e for e in compared.estimates if (e.system, e.measure, e.language) == ("other", found.measure, None))
    assert shown.value == pytest.approx(np.mean([other.get(tag, 0.5) for tag in LANGUAGES]), abs=0.06)  # the share


@pytest.mark.slow
def test_two_fair_systems_are_rarely_told_apart() -> None:
    found = [
        pick(fast([leaning_results("a", {}, n), leaning_results("b", {}, n + 1000)], languages=False), *key).p_value
        for n in range(200)
        for key in [("multilingual", "same_language_share@1")]
    ]
    assert np.mean(np.array(found) < 0.05) < 0.08


def test_a_preference_is_higher_or_lower_and_neither_better_nor_worse() -> None:
    def of(name: str, rate: float) -> Results:
        base = results(name)
        random = np.random.default_rng(0)
        values = np.clip(rate + random.normal(0, 0.1, len(base.per_query)), 0, 1)
        return Results(base.summary, base.per_query.append_column("preference_rate", pa.array(values)))

    compared = fast([of("a", 0.5), of("b", 0.8), of("c", 0.2)], measures=["preference_rate"])
    kind = ("multilingual", "preference_rate", None)
    verdicts = {c.system: c.verdict for c in compared.contrasts if (c.setting, c.measure, c.language) == kind}
    assert verdicts == {"b": "higher", "c": "lower"}


def test_what_not_every_system_has_is_left_out_and_said() -> None:
    """A shallow run has no rank distance in some language, or in none."""
    deep, shallow = results("deep"), results("shallow", seed=1)
    lacks = pc.equal(shallow.per_query["query_language"], "zh")

    def without(rows: pa.Array) -> Results:
        kept = pc.if_else(rows, pa.scalar(None, pa.float64()), shallow.per_query["rank_distance"])
        at = shallow.per_query.column_names.index("rank_distance")
        return Results(shallow.summary, shallow.per_query.set_column(at, "rank_distance", kept))

    for pair in ([deep, without(lacks)], [without(lacks), deep]):
        compared = fast(pair)
        assert {c.language for c in compared.contrasts if c.measure == "rank_distance"} == {"de", "en"}
        assert {c.language for c in compared.contrasts if c.measure == "map"} == {None, *LANGUAGES}
        assert any("rank_distance is left out in the multilingual setting, zh" in note for note in compared.notes)
    everything = pa.array([True] * len(shallow.per_query))
    for pair in ([deep, without(everything)], [without(everything), deep]):
        assert {c.measure for c in fast(pair).contrasts} == {"map"}


def test_a_language_in_which_one_question_is_asked_is_left_out_and_the_reason_said() -> None:
    def one_in_zh(made: Results) -> Results:
        table = made.per_query
        return Results(
            made.summary,
            table.filter(pc.or_(pc.not_equal(table["query_language"], "zh"), pc.equal(table["example"], "0"))),
        )

    compared = fast([one_in_zh(results("a")), one_in_zh(results("b", seed=1))])
    assert "map, rank_distance are left out in zh: one example alone" in compared.notes
    assert any("few queries in zh (1): intervals that these" in note for note in compared.notes)
    assert not any("not every system" in note for note in compared.notes)


def test_several_results_in_one_entry_are_runs_of_one_system() -> None:
    base = [results("base", seed=n) for n in range(3)]
    other = [results("other", 0.02, seed=n) for n in range(3, 6)]
    found = pick(fast([base, other]), "cross_lingual")
    expected = seed_effect(*([matrix(run, "cross_lingual", None) for run in runs] for runs in (other, base)))
    assert (found.difference, found.low, found.high, found.p_value) == pytest.approx(
        (expected.value, expected.low, expected.high, expected.p_value)
    )


def test_runs_that_differ_widen_the_interval() -> None:
    base = results("base")
    close = fast([base, [results("x", 0.1, 1), results("x", 0.1, 2)]])
    apart = fast([base, [results("x", 0.05, 1), results("x", 0.15, 2)]])
    narrow, wide = pick(close, "multilingual"), pick(apart, "multilingual")
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)
    assert narrow.verdict == "better"
    assert wide.verdict == "no difference shown"


def test_one_query_language_needs_no_tests_by_language() -> None:
    both = []
    for system in (results("a"), results("b", 0.1, 1)):
        table = system.per_query.filter(pc.equal(system.per_query["query_language"], "en"))
        both.append(Results(system.summary, table))
    assert {contrast.language for contrast in fast(both).contrasts} == {None}
    assert {contrast.language for contrast in fast([results("a"), results("b")], languages=False).contrasts} == {None}


def test_settings_and_languages_without_values_are_left_out() -> None:
    """A monolingual benchmark has no other settings, and a language of one question no variance."""
    both = []
    for system in (results("a"), results("b", 0.1, 1)):
        table = system.per_query.filter(pc.equal(system.per_query["setting"], "monolingual"))
        lonely = pc.and_(pc.equal(table["query_language"], "zh"), pc.not_equal(table["example"], "0"))
        both.append(Results(system.summary, table.filter(pc.invert(lonely))))
    found = fast(both)
    assert {(c.setting, c.measure) for c in found.contrasts} == {("monolingual", "map")}
    assert {c.language for c in found.contrasts} == {None, "de", "en"}


def test_sentences_say_who_is_better_by_how_much() -> None:
    comparison = fast(
        [results("base"), results("good", 0.2, 1), results("same", 0, 2), results("bad", -0.2, 3)], permutations=2000
    )
    whole, parts = sentences(comparison)[:12], sentences(comparison)[12:]
    good = pick(Comparison(**{**vars(comparison), "contrasts": comparison.contrasts[:1]}), "monolingual")
    assert whole[0] == (
        f"good is better than base in monolingual mAP ({good.difference:+.3f} [{good.low:+.3f}, {good.high:+.3f}], "
        f"p = {good.p_corrected:.3f}, corrected over 9 tests)"
    )
    assert sum(" is better than " in line for line in whole) == sum(" is worse than " in line for line in whole) == 4
    assert any(line.startswith("bad is worse than base in rank distance (+") for line in whole)
    assert (
        "good against base in multilingual mAP by query language: better in de, en, zh (corrected over 27 tests)"
        in parts
    )


def test_sentences_say_where_nothing_is_shown() -> None:
    lines = sentences(fast([results("base"), results("same", 0, 2)]))
    assert lines[0].startswith("no difference shown between same and base in monolingual mAP (")
    assert lines[-1].endswith("by query language: no difference shown in 3 of 3 (corrected over 3 tests)")


def test_findings_leave_out_what_shows_nothing() -> None:
    comparison = fast([results("base"), results("same", 0, 2), results("good", 0.1, 3)])
    assert language_findings(comparison)
    assert all(line.startswith("good") for line in language_findings(comparison))


def test_json_holds_everything() -> None:
    table = results("x").per_query
    flat = table.set_column(table.column_names.index("map"), "map", pa.array([0.5] * len(table)))
    base = Results(results("base").summary, flat)
    higher = flat.set_column(flat.column_names.index("map"), "map", pa.array([0.75] * len(table)))
    comparison = fast([base, Results(results("up").summary, higher)])
    assert np.isnan(pick(comparison, "monolingual").effect_size)  # no spread
    back = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert back["contrasts"][0]["effect_size"] is None
    assert len(back["estimates"]) == len(comparison.estimates)
    assert (back["systems"], back["seed"], back["resamples"]) == (["base", "up"], 0, 100)


def test_notes_say_what_is_not_seen() -> None:
    one, two, three = results("one"), results("two", 0.1, 1), results("two", 0.1, 2)
    assert any(note.startswith("one run per system") for note in fast([one, two]).notes)
    assert any(note.startswith("one run of one:") for note in fast([one, [two, three]]).notes)
    assert not any("one run" in note for note in fast([[one, results("one", 0, 5)], [two, three]]).notes)
    assert any("too narrow" in note for note in fast([results("a", examples=20), results("b", examples=20)]).notes)
    assert any("cannot show" in note for note in fast([one, two], permutations=99).notes)
    assert not any("cannot show" in note for note in fast([one, two], permutations=999).notes)


def test_the_same_call_gives_the_same_comparison_and_names_may_be_given() -> None:
    systems = [results("x"), results("x", 0.1, 1)]
    assert fast(systems, names=["a", "b"]) == fast(systems, names=["a", "b"])
    turned = fast(systems, names=["a", "b"], baseline=1)
    assert (turned.baseline, turned.contrasts[0].system) == ("b", "a")
    assert pick(turned, "multilingual").verdict == "worse"


def with_table(system: Results, table: pa.Table) -> Results:
    return Results(system.summary, table)


def renamed(system: Results, **summary: str) -> Results:
    return Results({**system.summary, **summary}, system.per_query)


BASE, OTHER = results("base", examples=4), results("other", examples=4, seed=1)


@pytest.mark.parametrize(
    ("systems", "options", "message"),
    [
        ([BASE], {}, "1 of 1 systems have results; give at least two"),
        ([BASE, []], {}, "1 of 2 systems have results"),
        ([BASE, BASE], {}, "two systems are called 'base'; tell them apart with names="),
        ([BASE, OTHER], {"names": ["a"]}, "1 names for 2 systems"),
        ([BASE, OTHER], {"baseline": 2}, "baseline 2: there are systems 0 to 1"),
        ([BASE, OTHER], {"measures": ["mmap"]}, "base: no measure 'mmap'; there are map, mrr@10, rank_distance"),
        ([BASE, renamed(OTHER, benchmark="mkqa")], {}, "other: benchmark is 'mkqa', the baseline's 'toy'"),
        ([BASE, renamed(OTHER, benchmark_fingerprint="g")], {}, "other: benchmark_fingerprint is 'g'"),
        ([BASE, [OTHER, renamed(OTHER, benchmark="mkqa")]], {}, "other: benchmark is 'mkqa'"),
        ([BASE, with_table(OTHER, OTHER.per_query.drop_columns("example"))], {}, "other: .* no column 'example'"),
        ([BASE, with_table(OTHER, OTHER.per_query.slice(1))], {}, "other: its queries differ"),
        ([BASE, results("other", examples=5)], {}, "other: its queries differ"),
        ([with_table(BASE, pa.concat_tables([BASE.per_query] * 2)), OTHER], {}, "base: a query occurs twice"),
        ([with_table(s, s.per_query.slice(0, 0)) for s in (BASE, OTHER)], {}, "map: fewer than two examples"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(systems: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        compare(systems, **options)
    assert "\n" not in str(caught.value)
