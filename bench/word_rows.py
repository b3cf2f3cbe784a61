"""Seconds of a training step where word embeddings are trained: tables cut to the rows that a run meets, and whole.

    python bench/word_rows.py [DATA] [--model builtin:multilingual-e5-small] [--size 32] [--turns 3]

DATA is parallel pairs that people translated, such as libreoffice-help. A run of 300 steps is estimated from
a few steps of it, in turns, so that a slow minute of the machine hits both; medians are shown.
"""

import argparse
import statistics
from unittest import mock

from isoglot.training import TrainConfig, trainer_setup
from isoglot.training.estimate import estimate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="libreoffice-help")
    parser.add_argument("--model", default="builtin:multilingual-e5-small")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--size", type=int, default=32, help="pairs a step")
    asked = parser.parse_args()
    config = TrainConfig.model_validate(
        {
            "model": asked.model,
            "output": "runs/not-written",
            "data": [{"source": asked.data}],
            "steps": 300,
            "batches": {"size": asked.size},
            "freeze": {"word_embeddings": False},
            "validation": {"examples": 0},
            "query_tokens": 64,
            "passage_tokens": 64,
        }
    )
    seconds: dict[str, list[float]] = {"cut": [], "whole": []}
    for _ in range(asked.turns):
        seconds["cut"].append(estimate(config).seconds_per_step)
        with mock.patch.object(trainer_setup, "trained_tables", return_value=[]):
            seconds["whole"].append(estimate(config).seconds_per_step)
    cut, whole = (statistics.median(each) for each in seconds.values())
    print(f"seconds a step: cut {cut:.3f}, whole {whole:.3f}, {whole / cut:.2f} times as fast")


if __name__ == "__main__":
    main()
