"""Results without a model: drawn scores of parallel questions, averaged as an evaluation averages them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from isoglot.evaluation.results import TOP_SCHEMA, Results
from isoglot.report import LossLog

LANGUAGES = ("ar", "de", "zh")
EXAMPLES = 12
BENCHMARK_PRINT = "b" * 64
TEXTS = {
    "ar": ("ما هي عاصمة فرنسا؟", "باريس هي عاصمة فرنسا."),
    "de": ("Wie heißt die <Hauptstadt> & co?", "Paris ist die Hauptstadt </script><b>Frankreichs</b>."),
    "zh": ("法国的首都是哪里?", "巴黎是法国的首都。"),
}


def _rows(shift: float, seed: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    rows = []
    for example in range(EXAMPLES):
        hard = draw.random()  # translations of a question are about as hard
        for asked in LANGUAGES:
            for corpus in (*LANGUAGES, None):
                setting = "multilingual" if corpus is None else "monolingual" if corpus == asked else "cross_lingual"
                pooled = corpus is None
                rows.append(
                    {
                        "query": f"{asked}-{example}",
                        "example": str(example),
                        "query_language": asked,
                        "setting": setting,
                        "corpus_language": corpus,
                        "best_rank": 1,
                        "worst_rank": 9,
                        "map": float(np.clip(0.3 * hard + 0.1 * draw.random() + shift, 0, 1)),
                        "rank_distance": 900 - 800 * shift + 10 * draw.random() if pooled else None,
                        "same_language_share@1": float(draw.random() < 0.9 - shift) if pooled else None,
                        "fair_share@1": 1 / 3 if pooled else None,
                        "success@10": None,
                    }
                )
            for setting, level in (("mixed_own", 0.5), ("mixed_other", 0.1)):
                row = dict.fromkeys(rows[-1]) | {
                    name: rows[-1][name] for name in ("query", "example", "query_language")
                }
                found = float(np.clip(level + 0.3 * hard + 0.1 * draw.random() + shift, 0, 1))
                rows.append({**row, "setting": setting, "success@10": found})
    return rows


def _mean(rows: list[dict[str, Any]], measure: str) -> float | None:
    values = [row[measure] for row in rows if row[measure] is not None]
    return round(float(np.mean(values)), 6) if values else None


def _summary(name: str, benchmark: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    def of(setting: str, language: str | None = None) -> list[dict[str, Any]]:
        return [r for r in rows if r["setting"] == setting and language in (None, r["query_language"])]

    cells = [
        [_mean([r for r in rows if (r["query_language"], r["corpus_language"]) == (a, b)], "map") for b in LANGUAGES]
        for a in LANGUAGES
    ]
    bias = ("rank_distance", "same_language_share@1")
    return {
        "schema": 1,
        "benchmark": benchmark,
        "benchmark_fingerprint": BENCHMARK_PRINT,
        "model": {
            "name": name,
            "fingerprint": "f" * 64,
            "dimensions": 32,
            "prompts": {"query": "query: ", "passage": None},
            "max_tokens": 64,
            "arithmetic": "float32",
        },
        "languages": list(LANGUAGES),
        "queries": EXAMPLES * len(LANGUAGES),
        "passages": 300,
        "settings": {s: {"map": _mean(of(s), "map")} for s in ("monolingual", "cross_lingual", "multilingual")},
        "mixed": {
            s: {"success@10": _mean(of(s), "success@10"), "mrr@10": 0.25, "same_language_share@10": 0.75}
            for s in ("mixed_own", "mixed_other")
        },
        "language_bias": {**{m: _mean(of("multilingual"), m) for m in bias}, "fair_share@1": 1 / 3, "mrc@10": 0.5},
        "semantic_error": {"semantic_error": 0.375, "semantic_error_same_language": 0.25},
        "first_result": {"right_same_language@1": 0.75, "wrong_other_language@1": None},
        "preference": {"preference_rate": 0.625},
        "grid": {"measure": "map", "rows": "query language", "columns": "corpus language", "values": cells},
        "by_query_language": {
            tag: {**{m: _mean(of("multilingual", tag), m) for m in bias}, "fair_share@1": 1 / 3} for tag in LANGUAGES
        },
        "language_mix": {
            "cutoff": 10,
            "rows": list(LANGUAGES),
            "columns": list(LANGUAGES),
            "values": [[0.8 if a == b else 0.1 for b in LANGUAGES] for a in LANGUAGES],
        },
        "alignment": {"strong_alignment": 0.25, "language_probe": None},
        "seconds": {"encode": 1.5, "score": 0.5},
        "versions": {"isoglot": "0.1.0"},
    }


def _top() -> pa.Table:
    rows = []
    for asked, (question, _) in TEXTS.items():
        for example in range(2):
            for rank, (language, (_, answer)) in enumerate(TEXTS.items(), 1):
                rows.append(
                    {
                        "query": f"{asked}-{example}",
                        "example": str(example),
                        "query_language": asked,
                        "query_text": f"{question} {example}",
                        "rank": rank,
                        "passage": f"p-{language}",
                        "passage_language": language,
                        "passage_text": answer,
                        "score": 1 - rank / 10,
                        "relevant": rank == 1,
                    }
                )
    return pa.Table.from_pylist(rows, schema=TOP_SCHEMA)


@pytest.fixture(scope="session")
def make_results() -> Callable[..., Results]:
    def make(name: str = "base", shift: float = 0.1, benchmark: str = "toy", seed: int = 0) -> Results:
        rows = _rows(shift, seed)
        return Results(_summary(name, benchmark, rows), pa.Table.from_pylist(rows), _top())

    return make


@pytest.fixture(scope="session")
def results(make_results: Callable[..., Results]) -> list[Results]:
    return [make_results(), make_results("<b>other</b> & co", shift=0.5, seed=1)]


@pytest.fixture(scope="session")
def log() -> LossLog:
    entries: list[dict[str, Any]] = [
        {"step": step, "kind": ("monolingual", "cross-lingual")[step % 2], "loss": 1 / step} for step in range(1, 41)
    ]
    return LossLog("my-run", (*entries, {"step": 40, "held_out_loss": 0.5}))
