"""Debian's package descriptions as training data: written and translated by people, fetched by the machine's own apt.

A package has a short description, a natural query, and a long one, a natural passage. Translators are volunteers, so
languages run from tens of thousands of pairs to a few hundred. apt fetches into a private folder, needs no root and
leaves the system's package lists alone.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from isoglot.common.errors import InputError
from isoglot.common.languages import asked, normalize_language, shortest_language
from isoglot.common.progress import progress
from isoglot.pairs import ParallelPairs
from isoglot.sources.apt import ELSE, Apt
from isoglot.sources.cached import cached_pairs

_LANGUAGES = (
    *("en", "bg", "ca", "cs", "da", "de", "el", "eo", "es", "eu", "fa", "fi", "fr", "gl", "hr", "hu", "id", "it", "ja"),
    *("km", "ko", "lt", "ml", "nb", "nl", "pl", "pt", "pt_BR", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi"),
    *("zh_CN", "zh_TW"),
)
_MIN_PASSAGE = 20  # characters; less is a remark such as "See above."
_LONG_PARAGRAPH = 80  # characters; one this long that equals the English was left untranslated

_ENTRY = re.compile(
    r"^Package: .+\nDescription-md5: (?P<md5>[0-9a-f]{32})\n"
    r"Description-[^:\n]+: ?(?P<short>.*)\n(?P<long>(?: .*\n?)*)",
    re.MULTILINE,
)
_WIDE = r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"  # Chinese and Japanese, written without spaces
_WRAPPED_WIDE = re.compile(rf"(?<={_WIDE})\n (?={_WIDE})")


def load_debian(*, cache_dir: str | Path | None = None, refresh: bool = False, timeout: float = 600.0) -> ParallelPairs:
    """Deduplicated pairs of short and long package descriptions in every language Debian has; cached as Parquet.

    Ids are `debian/` and the MD5 sum of the English description, which is what joins translations. Left out are
    passages under 20 characters and those with a long paragraph still in English. Which release they are of depends
    on the machine's package sources; `ParallelPairs.fingerprint` tells.

    Args:
        cache_dir: folder for the result; `isoglot.common.cache.cache_folder()` if None.
        refresh: fetch even if there is a cached result.
        timeout: seconds the fetching may take.

    Raises:
        InputError: if there is no apt, or it could not fetch.
    """
    return cached_pairs("debian", lambda: _fetch(_LANGUAGES, timeout), cache_dir, refresh)


def load_debian_in(
    languages: Iterable[str], *, cache_dir: str | Path | None = None, timeout: float = 60.0
) -> ParallelPairs:
    """Those of `load_debian` that stand in every one of some languages, without fetching the others; cached apart.

    Args:
        languages: their codes; `pt` is Brazil's and `zh` China's.
        cache_dir: folder for the result; `isoglot.common.cache.cache_folder()` if None.
        timeout: seconds the fetching may take.

    Raises:
        InputError: if Debian has no such language, there is no apt, or it could not fetch.
    """
    codes = asked({shortest_language(code): code for code in _LANGUAGES}, map(shortest_language, languages), "debian")

    def in_all(pairs: ParallelPairs) -> ParallelPairs:
        everywhere = np.bincount(pairs.example, minlength=pairs.example_count) == len(codes)
        if not everywhere.any():
            raise InputError(f"debian: no description is there in all of {', '.join(codes)}")
        return pairs.select_examples(everywhere)

    part = f"-{'-'.join(sorted(codes))}"
    return cached_pairs("debian", lambda: _fetch(tuple(codes.values()), timeout, in_all), cache_dir, part=part)


def pairs_of_lists(lists: Path) -> ParallelPairs:
    """Pairs of the `*_i18n_Translation-*` files of apt's folder of lists, joined on the English description's MD5."""
    entries: dict[str, dict[str, tuple[str, str]]] = {}
    for path in sorted(lists.glob("*_i18n_Translation-*")):
        language = normalize_language(path.name.rpartition("Translation-")[2].replace("%5f", "_"))
        for md5, query, passage in descriptions(path.read_text(encoding="utf-8", errors="replace")):
            entries.setdefault(md5, {})[language] = (query, passage)
    if not entries:
        raise InputError(f"{lists}: apt fetched no package descriptions; enable a Debian or Ubuntu source, or {ELSE}")
    return ParallelPairs.from_rows(_rows(entries), dataset="debian")


def descriptions(text: str) -> Iterator[tuple[str, str, str]]:
    r"""MD5 sum, short and long description of each entry of a translation list.

    Lines are unwrapped, without a space between Chinese or Japanese characters; paragraphs part at an empty line.

    >>> entry = "Package: a\nDescription-md5: " + "0" * 32 + "\nDescription-en: tool\n It does\n this.\n .\n And so.\n"
    >>> next(descriptions(entry))[1:]
    ('tool', 'It does this.\n\nAnd so.')
    """
    for entry in _ENTRY.finditer(text):
        paragraphs = _WRAPPED_WIDE.sub("", entry["long"]).split("\n .\n")
        passage = "\n\n".join(filter(None, (" ".join(paragraph.split()) for paragraph in paragraphs)))
        yield entry["md5"], " ".join(entry["short"].split()), passage


def _rows(entries: dict[str, dict[str, tuple[str, str]]]) -> Iterator[dict[str, str]]:
    for md5, translations in entries.items():
        english = translations.get("en", ("", ""))[1]
        untranslated = {part for part in english.split("\n\n") if len(part) >= _LONG_PARAGRAPH}
        for language, (query, passage) in translations.items():
            if not query or len(passage) < _MIN_PASSAGE or query == passage:
                continue
            if language == "en" or (passage != english and untranslated.isdisjoint(passage.split("\n\n"))):
                yield {"id": f"debian/{md5}", "language": language, "query": query, "passage": passage}


def _fetch(
    languages: tuple[str, ...], timeout: float, choose: Callable[[ParallelPairs], ParallelPairs] = lambda pairs: pairs
) -> tuple[ParallelPairs, bool]:
    with tempfile.TemporaryDirectory(prefix="isoglot-debian-") as private:
        with progress(f"debian: apt fetches package descriptions in {len(languages)} languages"):
            lists, whole = Apt("debian", Path(private), timeout).descriptions(languages)
        with progress("debian: joining and deduplicating"):
            return choose(pairs_of_lists(lists)).deduplicate()[0], whole
