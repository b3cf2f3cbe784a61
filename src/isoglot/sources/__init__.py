"""Training data: parallel pairs from files, folders of aligned sentences, the hub and Debian."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs, read_pairs
from isoglot.sources.debian import load_debian
from isoglot.sources.files import read_sentence_folder
from isoglot.sources.registry import SOURCES, Source, find_source

__all__ = ["SOURCES", "Source", "find_source", "load_pairs"]


def load_pairs(
    spec: str | Path, *, languages: Iterable[str] | None = None, cache_dir: str | Path | None = None
) -> ParallelPairs:
    """Parallel pairs from wherever `spec` says.

    Args:
        spec: a `.jsonl`, `.csv` or `.parquet` file of parallel pairs; a folder with one file of aligned sentences per
            language; `debian`; or `hub:` and what `isoglot.sources.hub.parse_hub_spec` takes.
        languages: keep only rows in these; None keeps all.
        cache_dir: where fetched data is kept; a place in the user's cache folder if None.

    Raises:
        InputError: if there is no such source, or what it holds is wrong; the message says where.
    """
    spec = str(spec)
    if spec.startswith("hub:"):
        from isoglot.sources.hub import load_hub  # the datasets library takes seconds to import

        return load_hub(spec.removeprefix("hub:"), languages=languages, cache_dir=cache_dir)
    if spec == "debian":
        pairs = load_debian(cache_dir=cache_dir)
    elif Path(spec).is_dir():
        pairs = read_sentence_folder(spec)
    elif Path(spec).exists():
        pairs = read_pairs(spec)
    else:
        raise InputError(f'no file, folder or data set "{spec}"; named data sets are {", ".join(SOURCES)}')
    if not len(pairs):
        raise InputError(f"{spec}: holds no pairs")
    return pairs if languages is None else pairs.filter_languages(languages)
