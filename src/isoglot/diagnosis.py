"""What an installation has and lacks: versions, the processor, and where data and models come from.

It is said without torch and without a network, of whatever is there; nothing is fetched.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from isoglot._version import __version__
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.hub import hub_address, hub_is_off, hub_is_reachable
from isoglot.common.processor import bf16_is_faster, has_bf16
from isoglot.common.versions import LIBRARIES, versions

_REQUIREMENT = re.compile(r"""([\w.-]+)(?:\[([\w,-]+)\])?.*extra\s*==\s*['"]([\w-]+)['"]""")
_DEVELOPMENT = "dev"


def described() -> dict[str, str]:
    """isoglot, Python and the machine, and the libraries that matter; what is not installed is said to be."""
    machine = f"{platform.python_version()}, {platform.platform()}"
    return {"isoglot": __version__, "Python": machine, **dict.fromkeys(LIBRARIES, "none"), **versions()}


def diagnose() -> dict[str, str]:
    """What there is, each thing in words; within some seconds, which torch and the hub take."""
    lacking = [extra for extra, missing in extras().items() if missing]
    return {
        **described(),
        **_arithmetic(),
        "apt": shutil.which("apt-get") or "none; data of Debian's packages needs Debian or Ubuntu",
        "hub": _hub(),
        "cache": f"{cache_folder()}, {_size(cache_folder())} (or ISOGLOT_CACHE)",
        "extras": ", ".join(extra for extra in extras() if extra not in lacking) or "none",
        **{f"no {extra}": f"pip install 'isoglot[{extra}]'" for extra in lacking},
    }


def extras() -> dict[str, list[str]]:
    """The extras of isoglot, but that for development, and what of each is not installed."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for requirement in _requirements():
        if (found := _REQUIREMENT.match(requirement)) and found[3] != _DEVELOPMENT:
            wanted.setdefault(found[3], []).append((found[1], found[2] or ""))

    def lacking(extra: str) -> list[str]:
        missing = []
        for name, inner in wanted.get(extra, []):
            if name == "isoglot":
                missing += [each for one in inner.split(",") for each in lacking(one)]
            elif _version(name) is None:
                missing.append(name)
        return missing

    return {extra: lacking(extra) for extra in wanted}


def _requirements() -> list[str]:
    try:
        return requires("isoglot") or []
    except PackageNotFoundError:  # run from its source
        return []


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _arithmetic() -> dict[str, str]:
    """Cores, and threads, bfloat16 and GPUs as torch sees them."""
    cores = f"{os.cpu_count()} cores"
    if _version("torch") is None:
        return {"processor": cores}
    try:
        import torch
    except Exception as error:  # a broken installation may raise anything
        return {"processor": cores, "torch fails": str(error).partition("\n")[0]}
    if has_bf16():
        bf16 = f"yes, with --bf16; {'faster' if bf16_is_faster() else 'not faster'} than float32 here"
    else:
        bf16 = "no instructions for it; --bf16 computes in float32"
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "processor": f"{cores}, {torch.get_num_threads()} threads",
        "bfloat16": bf16,
        "GPU": ", ".join(gpus) or "none",
    }


def _hub() -> str:
    if hub_is_off():
        return "HF_HUB_OFFLINE is set: models are folders, or builtin:..."
    try:
        if hub_is_reachable(seconds=2):
            return f"{hub_address()} answers"
    except InputError as error:
        return str(error)
    return f"{hub_address()} does not answer: models are folders, or builtin:..."


def _size(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return f"{sum(path.stat().st_size for path in files) / 1e6:,.0f} MB in {len(files):,} files"
