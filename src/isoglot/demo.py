"""The whole story on real data, in under ten minutes on two CPU cores.

Debian's package descriptions, translated by people, are split; on held-out packages four systems are scored: an
encoder as it is, with the free remedy, fine-tuned with hybrid batches, and both together.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from isoglot.benchmarks import RetrievalSet, retrieval_set_of
from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.progress import out, show_table, span, tell
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
_ABOUT_FILE, _HELD_OUT_FILE, _TRAINING_FILE = "demo.json", "held-out.jsonl", "training.parquet"
_MIN_LANGUAGES = 5  # of a held-out example: what is in one or two languages says nothing of bias


def run_demo(folder: Path, source: str | None = None, *, force: bool = False) -> Path:
    """Run the demo, or go on with one that was begun: its pairs are kept, and what was trained is not trained again.

    Args:
        folder: where everything goes.
        source: parallel pairs to use in place of Debian's.
        force: take an earlier demo away first.

    Returns:
        The report.

    Raises:
        InputError: if the folder holds something else, or the pairs are too few or cannot be had.
    """
    folder = expanded_path(folder)
    begun = _begun(folder, source or "debian", force)
    plot_library()  # the report at the end needs it: better to miss it now than after minutes
    took: dict[str, float] = {}
    if begun is None:
        with _step("reading pairs", took):
            begun = _split(folder, source)
    held_out = load_pairs(folder / _HELD_OUT_FILE)
    tell(f"Held out for scoring: {held_out!r}")
    config = demo_config(folder)
    with _step("debiasing and training", took):
        train(config, resume=(folder / "run" / "run.json").exists())
    with _step("scoring four systems", took):
        results = _score_systems(config, retrieval_set_of(held_out, "demo"), folder)
        report = folder / "report.html"
        save_report(results, report)
    out.print(f"Pairs of {begun['date']}, fingerprint {begun['fingerprint'][:12]}: {begun['pairs']}", soft_wrap=True)
    _tell(results, report, folder, took)
    return report


def _begun(folder: Path, source: str, force: bool) -> dict[str, str] | None:
    """What is written of a demo that was begun in a folder; None for a new one."""
    about = folder / _ABOUT_FILE
    if about.exists() and force:
        for name in (_ABOUT_FILE, _HELD_OUT_FILE, _TRAINING_FILE, "report.html"):
            (folder / name).unlink(missing_ok=True)
        for name in ("run", "results"):
            shutil.rmtree(folder / name, ignore_errors=True)
        return None
    if not about.exists():
        # What a kill left of a split is written over.
        if folder.exists() and {each.name for each in folder.iterdir()} - {_HELD_OUT_FILE, _TRAINING_FILE}:
            raise InputError(f"{folder}: there is something else here; choose another folder with --out")
        return None
    begun: dict[str, str] = json.loads(about.read_text(encoding="utf-8"))
    if begun["source"] != source:
        raise InputError(f"{folder}: holds a demo of {begun['source']}; take it away with --force")
    tell(f"Going on with the demo of {begun['date']} in {folder}; --force begins anew")
    return begun


def _split(folder: Path, source: str | None) -> dict[str, str]:
    """Read pairs, write both parts, and say what they are; what is written last tells that all is there."""
    pairs = load_pairs(source or "debian", languages=LANGUAGES if source is None else None)
    training, held_out = hold_out(pairs, HELD_OUT)
    write_pairs(held_out, folder / _HELD_OUT_FILE)
    write_pairs(training, folder / _TRAINING_FILE)
    about = {"source": source or "debian", "date": str(date.today())}
    about |= {"fingerprint": pairs.fingerprint, "pairs": repr(pairs)}
    write_json(folder / _ABOUT_FILE, about)
    return about


@contextmanager
def _step(name: str, took: dict[str, float]) -> Iterator[None]:
    """Say what is being done, and when it is done; note the seconds it took."""
    tell(f"{name[0].upper()}{name[1:]} ...")
    start = time.perf_counter()
    yield
    took[name] = time.perf_counter() - start
    tell(f"... done in {span(took[name])}")


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
    data = [{"source": str(folder / _TRAINING_FILE)}]
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
    results = []
    for name, model in systems.items():
        tell(f"Scoring {name}")
        results.append(evaluate(model, data, name=name, store=store))
        results[-1].save(folder / "results" / name.replace(" + ", "-"))
    return results


def _five_numbers(before: Results, after: Results) -> list[str]:
    """The story in five numbers: what was biased, what is found now, and whether anything was lost for it."""
    kinds: list[tuple[str, Callable[[Results], float], str]] = [
        ("a text of the query's language stands first for", lambda each: each.bias("same_language_share@1"), "{:.0%}"),
        ("the best and the worst right answer are apart by", lambda each: each.bias("rank_distance"), "{:.0f} ranks"),
        ("mAP in the pool of all languages", lambda each: each.setting("multilingual"), "{:.3f}"),
        ("mAP from one language to another", lambda each: each.setting("cross_lingual"), "{:.3f}"),
        ("mAP within a language", lambda each: each.setting("monolingual"), "{:.3f}"),
    ]
    return [f"  {what}: {form.format(of(before))} -> {form.format(of(after))}" for what, of, form in kinds]


def _tell(results: list[Results], report: Path, folder: Path, took: dict[str, float]) -> None:
    summary = results[0].summary
    show_table(text_table(results, f"{summary['queries']:,} queries, {summary['passages']:,} held-out passages"))
    for grid in (results[0], results[-1]):
        show_table(*grid_tables(grid, folder))
    parts = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in took.items())
    for line in (
        "Of the base model:",
        *verdict(results[0])[:3],
        "From the base model to hybrid batches with debias:",
        *_five_numbers(results[0], results[-1]),
        f"Done in {sum(took.values()) / 60:.1f} minutes: {parts}.",
        f"The report is {report}; results and model are in {folder}.",
        "Now your own texts: isoglot audit MODEL --pairs FILE  (a JSONL file with id, language, query, passage)",
    ):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
