"""Debian's package descriptions as training data: written and translated by people, fetched by the machine's own apt.

A package has a short description, a natural query, and a long one, a natural passage. Translators are volunteers, so
languages run from tens of thousands of pairs to a few hundred. apt fetches into a private folder, needs no root and
leaves the system's package lists alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT

from isoglot.common.atomic import write_text
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.common.progress import console
from isoglot.pairs import ParallelPairs, read_pairs, write_pairs
from isoglot.sources.registry import find_source

_LANGUAGES = (
    *("en", "bg", "ca", "cs", "da", "de", "el", "eo", "es", "eu", "fa", "fi", "fr", "gl", "hr", "hu", "id", "it", "ja"),
    *("km", "ko", "lt", "ml", "nb", "nl", "pl", "pt", "pt_BR", "ro", "ru", "sk", "sl", "sr", "sv", "tr", "uk", "vi"),
    *("zh_CN", "zh_TW"),
)
_MIN_PASSAGE = 20  # characters; less is a remark such as "See above."
_LONG_PARAGRAPH = 80  # characters; one this long that equals the English was left untranslated
_ELSE = "name other pairs: a .jsonl, .csv or .parquet file, or a folder of aligned sentences"

# Hooks are cleared: an image's own may delete the system's package files after every update. Plain lists spare a
# decompressor; the index of packages, most of the download, is not needed. Languages are one string, because a list
# would be added to what an image has set, often "none", which wins. Only root reads the user line: apt's own user
# cannot enter root's private folder.
_APT_CONFIG = """\
Dir::State::Lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Acquire::Languages "{languages}";
Acquire::GzipIndexes "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::Packages::DefaultEnabled "false";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""

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
    folder = (Path(cache_dir) if cache_dir else cache_folder()) / "debian"
    cached = folder / "pairs.parquet"
    if cached.exists() and not refresh:
        try:
            return read_pairs(cached)
        except InputError:  # half a file from elsewhere or an older layout: fetching mends it
            pass
    with (
        console.status("debian: apt fetches package descriptions, about 40 MB") as status,
        tempfile.TemporaryDirectory(prefix="isoglot-debian-") as private,
    ):
        lists = _fetch(Path(private), timeout)
        status.update("debian: joining and deduplicating, some 20 seconds")
        pairs, _ = pairs_of_lists(lists).deduplicate()
    write_text(folder / "LICENCE.txt", find_source("debian").licence + "\n")
    write_pairs(pairs, cached)
    return pairs


def pairs_of_lists(lists: Path) -> ParallelPairs:
    """Pairs of the `*_i18n_Translation-*` files of apt's folder of lists, joined on the English description's MD5."""
    entries: dict[str, dict[str, tuple[str, str]]] = {}
    for path in sorted(lists.glob("*_i18n_Translation-*")):
        language = normalize_language(path.name.rpartition("Translation-")[2].replace("%5f", "_"))
        for md5, query, passage in descriptions(path.read_text(encoding="utf-8", errors="replace")):
            entries.setdefault(md5, {})[language] = (query, passage)
    if not entries:
        raise InputError(f"{lists}: apt fetched no package descriptions; enable a Debian or Ubuntu source, or {_ELSE}")
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


def _fetch(folder: Path, timeout: float) -> Path:
    """Let apt fetch its lists into `folder`; returns the folder of lists."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise InputError(f"debian: this machine has no apt-get to fetch with; {_ELSE}")
    lists, config = folder / "lists", folder / "apt.conf"
    (lists / "partial").mkdir(parents=True)
    (folder / "cache").mkdir()
    config.write_text(_APT_CONFIG.format(folder=folder, languages=",".join(_LANGUAGES)), encoding="utf-8")
    try:
        command = [apt, "update", "-c", str(config)]
        done = subprocess.run(command, stdout=PIPE, stderr=STDOUT, text=True, errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        raise InputError(f"debian: fetching took over {timeout:g} seconds; allow more, or {_ELSE}") from None
    # Another source of this machine may have failed while Debian's lists arrived: what counts is what is there.
    if not any(lists.glob("*_i18n_Translation-*")):
        trouble = [line[3:] for line in done.stdout.splitlines() if line.startswith(("E: ", "W: "))]
        reason = trouble[0] if trouble else "no package source has descriptions"
        raise InputError(f"debian: apt could not fetch ({reason}); check the network, or {_ELSE}")
    return lists
