"""What the machine's own apt fetches: package lists and packages, into a private folder, without root.

The system's package lists stay as they are. Packages are read as archives and never installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

from isoglot.common.errors import InputError
from isoglot.common.progress import progress, tell

ELSE = "name other pairs: a .jsonl, .csv or .parquet file, or a folder of aligned sentences"

# Hooks are cleared: an image's own may delete the system's package files after every update. Plain lists spare a
# decompressor; the index of packages, most of the lists, is for those who ask for packages. Languages are one string,
# because a list would be added to what an image has set, often "none", which wins. Only root reads the user line:
# apt's own user cannot enter root's private folder.
_CONFIG = """\
Dir::State::Lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Acquire::Languages "{languages}";
Acquire::GzipIndexes "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::Packages::DefaultEnabled "{packages}";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True)
class Apt:
    """apt, with lists of its own in an empty folder.

    Attributes:
        source: the source of training data that it fetches for; messages begin with it.
        folder: takes what is fetched.
        timeout: seconds that each call of apt may take.
    """

    source: str
    folder: Path
    timeout: float

    def descriptions(self, languages: tuple[str, ...]) -> tuple[Path, bool]:
        """Fetch the lists of package descriptions in these languages; the folder they are in, and whether all came.

        Raises:
            InputError: if there is no apt, or none came.
        """
        said = self._update(",".join(languages), packages=False)
        # Another source of this machine may have failed while Debian's lists arrived: what counts is what is there.
        if not any((self.folder / "lists").glob("*_i18n_Translation-*")):
            raise self._failed(said, "no package source has descriptions")
        return self.folder / "lists", self._has_all("i18n", said)

    def packages(self, names: re.Pattern[str]) -> tuple[list[Path], bool]:
        """Fetch all packages that are named so; their archives, by name, and whether every list of names came.

        Raises:
            InputError: if there is no apt, no such package, or one did not come.
        """
        said = self._update("none", packages=True)
        wanted = sorted(filter(names.fullmatch, self._run("apt-cache", "pkgnames").split()))
        if not wanted:
            raise self._failed(said, f"no package source has packages named {names.pattern}")
        has_all, said = self._has_all("binary-", said), ""
        with progress(f"{self.source}: fetching packages", len(wanted)) as advance:
            advance(0)
            for name in wanted:
                said += self._run("apt-get", "download", name)
                advance(1)
        archives = sorted(self.folder.glob("*.deb"))
        if len(archives) < len(wanted):
            raise self._failed(said, f"{len(archives)} of {len(wanted)} packages came")
        return archives, has_all

    def _has_all(self, lists: str, said: str) -> bool:
        """Whether every list whose address has that came, by what apt said; what did not come is told."""
        failed = [line.strip() for line in said.splitlines() if "Failed to fetch" in line]
        missing = [line for line in failed if lists in line]
        if failed:
            lack = "texts are missing, and the next call tries again" if missing else "texts may be missing"
            tell(f"{self.source}: apt did not fetch everything, so {lack}: {[*missing, *failed][0]}")
        return not missing

    def _update(self, languages: str, packages: bool) -> str:
        (self.folder / "lists" / "partial").mkdir(parents=True)
        (self.folder / "cache").mkdir()
        config = _CONFIG.format(folder=self.folder, languages=languages, packages=str(packages).lower())
        (self.folder / "apt.conf").write_text(config, encoding="utf-8")
        return self._run("apt-get", "update")

    def _run(self, program: str, action: str, *names: str) -> str:
        """What a program of apt's says."""
        if (path := shutil.which(program)) is None:
            raise InputError(f"{self.source}: this machine has no {program} to fetch with; {ELSE}")
        command = [path, action, "-c", str(self.folder / "apt.conf"), *names]
        try:
            done = subprocess.run(
                command, stdout=PIPE, stderr=STDOUT, text=True, errors="replace", cwd=self.folder, timeout=self.timeout
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{self.source}: fetching took over {self.timeout:g} seconds; allow more, or {ELSE}"
            ) from None
        return done.stdout

    def _failed(self, said: str, otherwise: str) -> InputError:
        reason = next((line[3:] for line in said.splitlines() if line.startswith(("E: ", "W: "))), otherwise)
        return InputError(f"{self.source}: apt could not fetch ({reason}); check the network, or {ELSE}")


def files_of(archive: Path, paths: re.Pattern[str]) -> Iterator[tuple[re.Match[str], bytes]]:
    """Match and content of each file of a package whose path is like that; unpacked on the way, so nothing is written.

    Raises:
        InputError: if the archive cannot be unpacked.
    """
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=PIPE, stderr=DEVNULL) as unpacking:
        try:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as files:
                for file in files:
                    path = paths.fullmatch(file.name.removeprefix("./"))
                    if path and file.isfile() and (content := files.extractfile(file)):
                        yield path, content.read()
        except tarfile.TarError as error:
            raise InputError(f"{archive.name}: cannot be unpacked ({error}); fetch it again") from None
