"""Fetched pairs are kept as Parquet in the cache folder, beside the terms they come under, so that they come once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isoglot.common.atomic import write_text
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs, read_pairs, write_pairs
from isoglot.sources.registry import find_source


def cached_pairs(
    name: str,
    make: Callable[[], tuple[ParallelPairs, bool]],
    cache_dir: str | Path | None,
    refresh: bool = False,
    part: str = "",
) -> ParallelPairs:
    """The pairs of a named source: those that are kept, else those that `make` fetches, which are kept if all came.

    Args:
        name: of the source, in the registry.
        make: fetches; gives the pairs, and whether nothing is missing. What is incomplete is fetched anew next time.
        cache_dir: holds a folder for each source; `isoglot.common.cache.cache_folder()` if None.
        refresh: fetch even if some are kept.
        part: names what is kept of the source, where that is not all of it.
    """
    folder = (Path(cache_dir) if cache_dir else cache_folder()) / name
    kept = folder / f"pairs{part}.parquet"
    if kept.exists() and not refresh:
        try:
            return read_pairs(kept)
        except InputError:  # half a file from elsewhere or an older layout: fetching mends it
            pass
    pairs, whole = make()
    if whole:
        write_text(folder / "LICENCE.txt", find_source(name).licence + "\n")
        write_pairs(pairs, kept)
    return pairs
