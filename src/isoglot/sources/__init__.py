"""Training data: parallel pairs from files of many formats, folders, the hub and Debian's packages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.pairs import ParallelPairs, read_pairs
from isoglot.pairs.files import stem_of, suffix_of
from isoglot.sources.beir import beir_folders, is_beir, load_beir_pairs
from isoglot.sources.debian import load_debian
from isoglot.sources.exchange import is_exchange, load_exchange
from isoglot.sources.files import read_moses, read_sentence_folder, read_tab_pairs
from isoglot.sources.hub import load_hub, number_of_rows
from isoglot.sources.mmarco import is_mmarco, load_mmarco_pairs
from isoglot.sources.packages import PACKAGED, load_packaged
from isoglot.sources.registry import SOURCES, Source, find_source

__all__ = ["SOURCES", "Source", "find_source", "load_pairs"]

_LIMIT = "?limit="


def load_pairs(
    spec: str | Path, *, languages: Iterable[str] | None = None, cache_dir: str | Path | None = None
) -> ParallelPairs:
    """Parallel pairs from wherever `spec` says.

    Args:
        spec: a `.jsonl`, `.csv`, `.tsv` or `.parquet` file of parallel pairs; aligned sentences as a folder with one
            file per language, one of Moses' pairs of files or the name they share, or a TMX, XLIFF, PO or MO file or a
            folder of them; a folder in BEIR's format, or with mMARCO's files, where `?limit=N` after it takes the
            first N triples; `debian`, `libreoffice-help` or another name of `isoglot data list`; or `hub:` and what
            `isoglot.sources.hub.parse_hub_spec` takes.
        languages: keep only rows in these; None keeps all. A BEIR folder is taken to be in the one language given here.
        cache_dir: where fetched data is kept; a place in the user's cache folder if None.

    Raises:
        InputError: if there is no such source, or what it holds is wrong; the message says where.
    """
    spec = str(spec)
    if not spec.partition(_LIMIT)[0].strip():  # which would be the current folder
        raise InputError(f'"{spec}" names no source; name a file, a folder (. for this one) or a data set')
    wanted = None if languages is None else list(languages)
    pairs = _load(spec, wanted, cache_dir)
    if not len(pairs):
        raise InputError(f"{spec}: holds no pairs")
    return pairs if wanted is None else pairs.filter_languages(wanted)


def _load(spec: str, languages: list[str] | None, cache_dir: str | Path | None) -> ParallelPairs:
    if spec.partition("?")[0] == "hub:mmarco":
        return load_mmarco_pairs(None, languages=languages, limit=_limit(spec))
    if spec.startswith("hub:"):
        return load_hub(spec.removeprefix("hub:"), languages=languages, cache_dir=cache_dir)
    if spec == "debian":
        return load_debian(cache_dir=cache_dir)
    if spec in PACKAGED:
        return load_packaged(spec, cache_dir=cache_dir)
    path = expanded_path(spec)
    if path.is_dir():
        return _load_folder(path, languages, None)
    if path.is_file() and suffix_of(path) in (".jsonl", ".csv", ".tsv", ".parquet"):
        return (read_tab_pairs(path) if suffix_of(path) == ".tsv" else None) or read_pairs(path)
    if path.is_file() and is_exchange(path):
        return load_exchange([path], stem_of(path))
    if (moses := read_moses(path)) is not None:
        return moses
    if _LIMIT in spec and (folder := expanded_path(spec.rpartition(_LIMIT)[0])).is_dir():
        return _load_folder(folder, languages, _limit(spec))
    if path.exists():
        return read_pairs(path)  # which says what files are called
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"{spec}: no such file or folder{'' if path.is_absolute() else f' in {Path.cwd()}'}")
    raise InputError(f'no file, folder or data set "{spec}"; named data sets are {", ".join(SOURCES)}')


def _load_folder(folder: Path, languages: list[str] | None, limit: int | None) -> ParallelPairs:
    if is_mmarco(folder):
        return load_mmarco_pairs(folder, languages=languages, limit=limit)
    if limit is not None:
        raise InputError(f"{folder}: limit is for mMARCO's files, and this folder has no collections/ and queries/")
    if is_beir(folder) or beir_folders(folder):
        return load_beir_pairs(folder, languages=languages)
    if exchange := [path for path in sorted(folder.rglob("*")) if path.is_file() and is_exchange(path)]:
        return load_exchange(exchange, folder.resolve().name)
    return read_sentence_folder(folder)


def _limit(spec: str) -> int | None:
    if "?" not in spec:
        return None
    key, _, number = spec.rpartition("?")[2].partition("=")
    if key != "limit":
        raise InputError(f'{spec}: of mMARCO one may say limit, not "{key}"')
    return number_of_rows(number, spec)
