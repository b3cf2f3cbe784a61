"""Overlap of training pairs with evaluation sets: what is put there is found, and nothing else."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.benchmarks import Passage, Query, RetrievalSet, load_benchmark
from isoglot.benchmarks import contamination as contamination_module
from isoglot.benchmarks.contamination import check_no_overlap, find_overlap, without_overlap
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs
from isoglot.sources import load_pairs
from shared_data import SHARED_DATA

WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "re") for b in ("ba", "do", "fi", "gu", "sem")]


def sentence(seed: int, length: int = 14) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def evaluation(passages: list[str], queries: list[str] | None = None) -> RetrievalSet:
    queries = queries or ["what is asked of these?"]
    return RetrievalSet.build(
        "toy-set",
        [Query(f"q{n}", "en", text) for n, text in enumerate(queries)],
        [Passage(f"p{n}", "en", text) for n, text in enumerate(passages)],
        [("q0", "p0")],
    )


def training(passages: list[str], queries: list[str | None] | None = None) -> ParallelPairs:
    asked = queries or [f"training query {n}" for n in range(len(passages))]
    return ParallelPairs.from_rows(
        {"id": f"t{n}", "language": "en", "query": query, "passage": passage}
        for n, (query, passage) in enumerate(zip(asked, passages, strict=True))
    )


def kinds(passages: list[str], evaluated: list[str]) -> dict[str, tuple[str, str]]:
    """Training id -> kind and evaluation id."""
    rows = find_overlap(training(passages), evaluation(evaluated)).matches.to_pylist()
    return {row["id"]: (row["kind"], row["evaluation_id"]) for row in rows}


def test_equal_near_and_inside_are_told_apart() -> None:
    a, b = sentence(1), sentence(2, 40)
    words = b.split()
    near = " ".join([*words[:-1], "other"])
    half = " ".join(words[:20] + sentence(3, 20).split())
    found = kinds(
        [f"  {a.upper()}!", f"{sentence(4, 30)}. {a}; {sentence(5, 30)}", near, half, sentence(6, 60)],
        [a, b],
    )
    assert found == {"t0": ("equal", "p0"), "t1": ("inside", "p0"), "t2": ("near", "p1")}


def test_scripts_without_spaces_are_compared_by_character() -> None:
    chinese = "光合作用是植物利用阳光把二氧化碳和水变成养分的过程"
    moreover = "ยิ่งไปกว่านั้น"
    thai = "พืชสีเขียวใช้แสงแดดเปลี่ยนคาร์บอนไดออกไซด์และน้ำให้เป็นอาหารของมัน"
    found = kinds([f"众所周知，{chinese}。人人都学过。", f"{moreover} {thai} ทุกวัน"], [chinese, moreover, thai])
    assert found == {"t0": ("inside", "p0"), "t1": ("inside", "p2")}  # not p1: "moreover" is in texts by chance


def test_questions_that_differ_in_a_name_are_different() -> None:
    asked = ["who was the first actor to play superman on the big screen"]
    near = ["Who was the first actor to play Zorro on the big screen?", asked[0].title() + "?"]
    found = find_overlap(training(["x", "y"], [*near]), evaluation(["p"], asked))
    assert [(row["id"], row["role"], row["kind"]) for row in found.matches.to_pylist()] == [("t1", "query", "equal")]


def runs(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[n : n + 4]) for n in range(len(words) - 3)}


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Evaluation texts, and training texts made of pieces of them and of other words."""
    evaluated = [sentence(seed, draw(st.integers(1, 30))) for seed in range(draw(st.integers(1, 4)))]
    trained = []
    for _ in range(draw(st.integers(1, 4))):
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            words = draw(st.sampled_from([*evaluated, sentence(draw(st.integers(50, 52)))])).split()
            parts += words[draw(st.integers(0, 2)) : len(words) - draw(st.integers(0, 2))]
        trained.append(" ".join(parts or ["alone"]))
    return trained, evaluated


@settings(deadline=None, max_examples=60)
@given(mixtures())
def test_sets_of_runs_agree(texts: tuple[list[str], list[str]]) -> None:
    trained, evaluated = texts
    expected = {}
    for place, text in enumerate(trained):
        best = []
        for number, other in enumerate(evaluated):
            wanted = runs(other)
            shared = len(wanted & runs(text))
            if text == other:
                best.append((0, -1.0, number))
            elif len(wanted) >= 5 and len(other.split()) >= 8 and shared >= 0.9 * len(wanted):
                near = shared >= 0.9 * max(0, len(text.split()) - 3)
                best.append((1 if near else 2, -shared / len(wanted), number))
        if best:
            kind, _, number = min(best)
            expected[f"t{place}"] = (("equal", "near", "inside")[kind], f"p{number}")
    assert kinds(trained, evaluated) == expected


def test_invisible_characters_hide_nothing() -> None:
    assert kinds([f"\u200f{sentence(1)}", sentence(2).replace("e", "e\u200b")], [sentence(1), sentence(2)]) == {
        "t0": ("equal", "p0"),
        "t1": ("equal", "p1"),
    }


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [sentence(seed) for seed in range(20)]
    pairs, held = training(texts), evaluation([*texts[3:9], *texts[15:]])
    whole = find_overlap(pairs, held)
    monkeypatch.setattr(contamination_module, "_TEXTS_AT_A_TIME", 4)
    parts = find_overlap(pairs, held)
    assert parts.matches.equals(whole.matches)
    assert whole.held == parts.held == {"query": 0, "passage": 11}


def test_runs_that_everybody_has_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    common = sentence(1, 10)
    evaluated = [f"{common} {sentence(seed, 3)}" for seed in range(10, 15)]
    assert set(kinds([f"start {text} end" for text in evaluated], evaluated)) == {f"t{n}" for n in range(5)}
    monkeypatch.setattr(contamination_module, "_COMMON", 4)
    assert kinds([f"start {text} end" for text in evaluated], evaluated) == {}


def test_counts_examples_and_words() -> None:
    pairs = ParallelPairs.concatenate(
        [
            ParallelPairs.from_rows(
                [
                    {"id": "1", "language": "en", "query": "Who?  ", "passage": sentence(1)},
                    {"id": "1", "language": "de", "query": "Wer?", "passage": sentence(7)},
                    {"id": "2", "language": "en", "query": None, "passage": sentence(2)},
                ],
                dataset="one",
            ),
            ParallelPairs.from_rows(
                [{"id": "3", "language": "en", "query": "C++", "passage": sentence(3)}], dataset="two"
            ),
        ]
    )
    overlap = find_overlap(pairs, evaluation([sentence(1), sentence(2)], ["who", "What?"]))
    assert overlap.counts() == [
        {"dataset": "one", "language": "en", "role": "passage", "kind": "equal", "texts": 2},
        {"dataset": "one", "language": "en", "role": "query", "kind": "equal", "texts": 1},
    ]
    assert overlap.example_ids == ["1", "2"]
    assert overlap.held == {"query": 1, "passage": 2}
    assert overlap.evaluated == {"query": 2, "passage": 2}
    assert [row["id"] for row in overlap.examples(1)] == ["1", "1"]
    assert "one en: 2 passages equal" in str(overlap)
    assert overlap.to_dict()["examples_with_overlap"] == 2
    left = without_overlap(pairs, overlap)
    assert list(left.example_ids) == ["3"]  # all translations of an example go, and of the others none
    assert len(find_overlap(left, evaluation([sentence(1), sentence(2)]))) == 0


def test_overlap_is_refused_in_one_line() -> None:
    pairs, held = training([sentence(1), sentence(2)]), evaluation([sentence(1)])
    message = r'1 training examples hold texts of toy-set \(1 equal passages\), such as t0 \(en\) ".*leave them out'
    with pytest.raises(InputError, match=message) as caught:
        check_no_overlap(pairs, held)
    assert "\n" not in str(caught.value)
    check_no_overlap(training([sentence(2)]), held)
    with pytest.raises(InputError, match='no example "t0" in these pairs'):
        without_overlap(
            ParallelPairs.from_rows([{"id": "x", "language": "en", "query": "q", "passage": "p"}]),
            find_overlap(pairs, held),
        )


def test_many_texts_take_seconds() -> None:
    numbers = np.random.default_rng(0).integers(0, 5000, (20_000, 25))
    texts = [" ".join(f"w{n}" for n in row) for row in numbers.tolist()]
    pairs, held = training(texts[:15_000]), evaluation(texts[14_900:])
    assert len(find_overlap(pairs, held)) == 100


@pytest.mark.data
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the data folder, which is not part of the project")
@pytest.mark.parametrize("name", ["legal/cc-by-4.0.jsonl", "technical/cncf-glossary.jsonl"])
def test_real_training_data_and_a_benchmark(name: str) -> None:
    pairs = load_pairs(Path(SHARED_DATA) / name)
    check_no_overlap(pairs, load_benchmark("xquad-r", Path(SHARED_DATA) / "xquad-r"))
