"""The whole story on real data, in under ten minutes on two CPU cores.

Debian's package descriptions, translated by people, are split; on held-out packages four systems are scored: an
encoder as it is, with the free remedy, fine-tuned with hybrid batches, and both together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import RetrievalSet, retrieval_set_of
from isoglot.common.errors import InputError
from isoglot.common.progress import console, out, show_table
from isoglot.common.settings import read_settings
from isoglot.evaluation.audit import verdict
from isoglot.evaluation.evaluate import evaluate
from isoglot.evaluation.results import Results
from isoglot.models.debiasing import with_debias_of, without_debias
from isoglot.models.encoders import load_encoder
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.report import grid_tables, save_report, text_table
from isoglot.report.page import plot_library
from isoglot.runtime.store import embedding_store
from isoglot.sources import load_pairs
from isoglot.training import TrainConfig, train

LANGUAGES = ("de", "en", "es", "fr", "ja", "ko", "pl", "ru", "uk", "zh-CN")
HELD_OUT = 150
MAX_TOKENS = 96
_MIN_LANGUAGES = 5  # of a held-out example: what is in one or two languages says nothing of bias


def run_demo(folder: Path, source: str | None = None) -> Path:
    """Run the demo.

    Args:
        folder: where everything goes; must not hold an earlier demo.
        source: parallel pairs to use in place of Debian's.

    Returns:
        The report.

    Raises:
        InputError: if the folder is taken, or the pairs are too few or cannot be had.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: exists already; remove it or choose another with --out")
    plot_library()  # the report at the end needs it: better to miss it now than after minutes
    took: dict[str, float] = {}
    with _step("reading pairs", took):
        pairs = load_pairs(source or "debian", languages=LANGUAGES if source is None else None)
        training, held_out = hold_out(pairs, HELD_OUT)
        console.print(f"Held out for scoring: {held_out!r}")
        write_pairs(held_out, folder / "held-out.jsonl")
        write_pairs(training, folder / "training.parquet")
    config = demo_config(folder)
    with _step("debiasing and training", took):
        train(config)
    with _step("scoring four systems", took):
        results = _score_systems(config, retrieval_set_of(held_out, "demo"), folder)
        report = folder / "report.html"
        save_report(results, report)
    out.print(f"Pairs of {date.today()}, fingerprint {pairs.fingerprint[:12]}: {pairs!r}", soft_wrap=True)
    _tell(results, report, folder, took)
    return report


@contextmanager
def _step(name: str, took: dict[str, float]) -> Iterator[None]:
    """Say what is being done, and note the seconds it took."""
    console.print(f"{name[0].upper()}{name[1:]} ...")
    start = time.perf_counter()
    yield
    took[name] = time.perf_counter() - start


def hold_out(pairs: ParallelPairs, examples: int, seed: int = 0) -> tuple[ParallelPairs, ParallelPairs]:
    """Training pairs, and held-out examples that exist in several languages.

    Raises:
        InputError: if there are too few of those.
    """
    wanted = min(_MIN_LANGUAGES, len(pairs.languages))
    rich = np.flatnonzero(np.bincount(pairs.example[pairs.has_query], minlength=pairs.example_count) >= wanted)
    if len(rich) < 2 * examples:
        raise InputError(
            f"{len(rich)} examples are in {wanted} languages or more and the demo needs {2 * examples}; "
            "name other parallel pairs with --pairs FILE, or score your own with isoglot audit"
        )
    chosen = np.zeros(pairs.example_count, bool)
    chosen[np.random.default_rng(seed).choice(rich, examples, replace=False)] = True
    return pairs.select_examples(~chosen), pairs.select_examples(chosen)


def demo_config(folder: Path) -> TrainConfig:
    """The training run of the demo: the free remedy first, then a short hybrid fine-tuning through it."""
    content = read_settings(Path(__file__).with_suffix(".yaml"), "a configuration is a mapping")
    data = [{"source": str(folder / "training.parquet")}]
    own = {"output": str(folder / "run"), "max_tokens": MAX_TOKENS, "data": data}
    return TrainConfig.model_validate({**content, **own})


def _score_systems(config: TrainConfig, data: RetrievalSet, folder: Path) -> list[Results]:
    """Evaluate the four systems; two are encoded, as a remedy behind a model shares its vectors."""
    base = load_encoder(config.model, max_tokens=MAX_TOKENS)
    tuned = load_encoder(Path(config.output) / "model", max_tokens=MAX_TOKENS)
    systems: dict[str, SentenceTransformer] = {
        "base": base,
        "base + debias": with_debias_of(base, tuned),
        "hybrid": without_debias(tuned),
        "hybrid + debias": tuned,
    }
    store = embedding_store()
    results = [evaluate(model, data, name=name, store=store) for name, model in systems.items()]
    for name, found in zip(systems, results, strict=True):
        found.save(folder / "results" / name.replace(" + ", "-"))
    return results


def _tell(results: list[Results], report: Path, folder: Path, took: dict[str, float]) -> None:
    summary = results[0].summary
    show_table(text_table(results, f"{summary['queries']:,} queries, {summary['passages']:,} held-out passages"))
    for grid in (results[0], results[-1]):
        show_table(*grid_tables(grid, folder))
    parts = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in took.items())
    for line in (
        "Of the base model:",
        *verdict(results[0])[:3],
        f"Done in {sum(took.values()) / 60:.1f} minutes: {parts}.",
        f"The report is {report}; results and model are in {folder}.",
        "Now your own texts: isoglot audit MODEL --pairs FILE  (a JSONL file with id, language, query, passage)",
    ):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
