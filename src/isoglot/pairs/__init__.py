"""Parallel query-passage pairs: one table of translations, underneath everything that trains."""

from isoglot.pairs.description import Description
from isoglot.pairs.duplicates import DuplicateReport
from isoglot.pairs.files import read_pairs, write_pairs
from isoglot.pairs.parallel import ParallelPairs

__all__ = ["Description", "DuplicateReport", "ParallelPairs", "read_pairs", "write_pairs"]
