"""Debian's documentation packages and message catalogues as training data: written and translated by people."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from isoglot.common.errors import InputError
from isoglot.common.files import Row
from isoglot.common.progress import progress
from isoglot.pairs import ParallelPairs
from isoglot.sources.apt import ELSE, Apt
from isoglot.sources.cached import cached_pairs
from isoglot.sources.catalogues import read_catalogues
from isoglot.sources.documentation import Manual, lxml, section_rows, text_rows
from isoglot.sources.gimp import read_gimp
from isoglot.sources.gnome import read_gnome
from isoglot.sources.libreoffice import read_libreoffice


@dataclass(frozen=True)
class Packages:
    """Packages that hold a data set.

    Attributes:
        names: what they are called.
        megabytes: about how much is fetched.
        read: reads one package; language -> manual.
        rows: takes the data set's name and all manuals, gives the rows.
    """

    names: re.Pattern[str]
    megabytes: int
    read: Callable[[Path], dict[str, Manual]]
    rows: Callable[[str, Mapping[str, Manual]], Iterator[Row]]


_LIBREOFFICE = re.compile(r"libreoffice-help-(?!common)[a-z-]+")
_GIMP = re.compile(r"gimp-help-(?!common)[a-z-]+")
_CATALOGUES = re.compile(
    r"wesnoth-1\.\d+-(?!core|music|server|tools)[a-z]+|cataclysm-dda-data|freeciv-data|kstars-data|kalzium-data|step|gbrainy"
)

PACKAGED: Mapping[str, Packages] = {
    "libreoffice-help": Packages(_LIBREOFFICE, 110, read_libreoffice, section_rows),
    "libreoffice-help-paragraphs": Packages(_LIBREOFFICE, 110, read_libreoffice, text_rows),
    "gnome-help": Packages(re.compile("gnome-user-docs"), 10, read_gnome, section_rows),
    "gimp-help": Packages(_GIMP, 1350, read_gimp, section_rows),
    "gettext": Packages(_CATALOGUES, 430, read_catalogues, text_rows),
}
"""Data sets by the names that `load_pairs` takes."""


def load_packaged(
    name: str, *, cache_dir: str | Path | None = None, refresh: bool = False, timeout: float = 3600.0
) -> ParallelPairs:
    """Deduplicated pairs of the packages that hold a data set, in every language they have; cached as Parquet.

    Ids are the data set's name and a key that is the same in all languages; that of a section is its page, `#` and its
    id. Which release they are of depends on the machine's package sources; `ParallelPairs.fingerprint` tells.

    Args:
        name: one of `PACKAGED`.
        cache_dir: folder for the result; `isoglot.common.cache.cache_folder()` if None.
        refresh: fetch even if there is a cached result.
        timeout: seconds the fetching may take.

    Raises:
        InputError: if there is no apt, or it could not fetch.
        MissingExtraError: if the library that reads the manuals is not installed.
    """
    return cached_pairs(name, lambda: _fetch(name, timeout), cache_dir, refresh)


def pairs_of_archives(name: str, archives: list[Path]) -> ParallelPairs:
    """Pairs of a data set's packages, near-duplicates included.

    Raises:
        InputError: if the English ones are not among them.
    """
    packages, manuals = PACKAGED[name], dict[str, Manual]()
    with progress(f"{name}: reading packages", len(archives)) as advance:
        for found in _read_each(archives, packages.read):
            for language, manual in found.items():
                manuals.setdefault(language, Manual()).update(manual)
            advance(1)
    if "en" not in manuals:
        raise InputError(f"{name}: no English text among {len(archives)} packages; {ELSE}")
    return ParallelPairs.from_rows(packages.rows(name, manuals), dataset=name)


def _fetch(name: str, timeout: float) -> tuple[ParallelPairs, bool]:
    packages = PACKAGED[name]
    if packages.read is not read_catalogues:
        lxml("html")  # before megabytes are fetched in vain
    with tempfile.TemporaryDirectory(prefix=f"isoglot-{name}-") as private:
        with progress(f"{name}: apt fetches packages, about {packages.megabytes:,} MB"):
            archives, whole = Apt(name, Path(private), timeout).packages(packages.names)
        pairs = pairs_of_archives(name, archives)
    with progress(f"{name}: deduplicating"):
        return pairs.deduplicate()[0], whole


def _read_each(archives: list[Path], read: Callable[[Path], dict[str, Manual]]) -> Iterator[dict[str, Manual]]:
    """What is read of each archive, in their order, on all cores."""
    # A fresh interpreter would run a script that calls this once more; where there is apt, there is fork.
    with ProcessPoolExecutor(min(len(archives), os.cpu_count() or 1), get_context("fork")) as pool:
        yield from pool.map(read, archives)
