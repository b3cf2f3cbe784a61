"""A run for a test to kill: translates with an engine that takes its time.

Usage: run_slowly.py PAIRS OUT SECONDS
"""

from __future__ import annotations

import sys
import time

from engines import Habit, backwards

from isoglot.enrich.translation import translate


def slowly(text: str) -> str:
    time.sleep(float(sys.argv[3]))
    return backwards(text)


if __name__ == "__main__":
    translate(sys.argv[1], to=["de", "es"], engine=Habit(slowly), out=sys.argv[2])
