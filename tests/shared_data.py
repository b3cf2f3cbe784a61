"""Where the benchmarks' data lies, if it is beside the checkout."""

from pathlib import Path

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
