"""Machine translation and mining of negatives: rows a second, and the share of time outside engine and encoder.

    python bench/enriching.py [FILE]

FILE holds parallel pairs with English rows; Debian's package descriptions are taken without one. Translation: 500
English rows to Spanish with Apertium, left out where that is not installed. Mining: four negatives each for 1,000
rows, with the built-in encoder at 64 tokens; encoding is timed apart, by running again with the vectors at hand.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isoglot.common.errors import InputError
from isoglot.enrich.negatives import mine_negatives
from isoglot.enrich.translation import Engine, load_engine, translate
from isoglot.models.encoders import load_encoder
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.runtime.store import EmbeddingStore
from isoglot.sources import load_pairs

ROWS_TRANSLATED, ROWS_MINED = 500, 1000


class TimedEngine:
    """An engine and the seconds spent in it."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.seconds = engine, 0.0
        self.name, self.model, self.more, self.targets = engine.name, engine.model, engine.more, engine.targets

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """As the engine does, timed."""
        start = time.perf_counter()
        translated = self.engine.translate(texts, source_language, target_language)
        self.seconds += time.perf_counter() - start
        return translated


def first_rows(pairs: ParallelPairs, rows: int) -> ParallelPairs:
    return pairs.select_rows(np.arange(len(pairs)) < rows)


def time_translation(pairs: ParallelPairs, folder: Path) -> None:
    try:
        engine = TimedEngine(load_engine("apertium"))
    except InputError as error:
        print(f"translation left out: {error}")
        return
    english = first_rows(pairs.filter_languages(["en"]), ROWS_TRANSLATED)
    write_pairs(english, folder / "english.jsonl")
    start = time.perf_counter()
    report = translate(folder / "english.jsonl", to=["es"], engine=engine, out=folder / "es.jsonl")
    seconds = time.perf_counter() - start
    print(
        f"translation: {report.rows / seconds:.0f} rows a second, {1 - engine.seconds / seconds:.0%} of the time "
        f"outside the engine; {report.dropped} of {report.rows} dropped"
    )


def time_mining(pairs: ParallelPairs, folder: Path) -> None:
    part = first_rows(pairs, ROWS_MINED)
    model = load_encoder("builtin:multilingual-e5-small", max_tokens=64)
    store, seconds = EmbeddingStore(folder / "vectors"), []
    for _ in range(2):
        start = time.perf_counter()
        mine_negatives(part, model, store=store)
        seconds.append(time.perf_counter() - start)
    print(
        f"mining: {len(part) / seconds[0]:.0f} rows a second, {seconds[1] / seconds[0]:.0%} of the time outside the "
        f"encoder; {len(part) / seconds[1]:,.0f} rows a second once texts are encoded"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="debian")
    pairs = load_pairs(parser.parse_args().file)
    with tempfile.TemporaryDirectory() as folder:
        time_translation(pairs, Path(folder))
        time_mining(pairs.select_rows(pairs.has_query), Path(folder))


if __name__ == "__main__":
    main()
