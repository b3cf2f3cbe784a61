"""Seconds to plan 1,000,000 rows over 10 languages, and how it grows.

    python bench/plan.py

Languages have from 2 % to 100 % of 200,000 examples, so that the scarce ones repeat.
"""

import time

import numpy as np

from isoglot.batching.plan import plan_batches
from isoglot.batching.translations import Translations

LANGUAGES = tuple("abcdefghij")


def make_translations(examples: int) -> Translations:
    rng = np.random.default_rng(0)
    available = rng.random((examples, len(LANGUAGES))) < np.linspace(0.02, 1, len(LANGUAGES))
    available[:, -1] = True
    rows = np.where(available, np.cumsum(available).reshape(available.shape) - 1, -1)
    return Translations.from_matrix(LANGUAGES, rows)


def main() -> None:
    translations = make_translations(200_000)
    for rows in (100_000, 1_000_000, 4_000_000):
        for strategy in ("monolingual", "hybrid", "cross-lingual"):
            times = []
            for seed in range(3):
                start = time.perf_counter()
                plan_batches(translations, strategy, batch_size=100, steps=rows // 100, seed=seed)
                times.append(time.perf_counter() - start)
            print(f"{rows:>9,} rows, {strategy:<13}: {min(times):.2f} s (best of 3)")


if __name__ == "__main__":
    main()
