"""Paths as people write them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from isoglot.common.errors import InputError

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def new_folder(path: str | Path) -> Path:
    """A folder that is yet to be made, so that nothing of anybody's is replaced; `~` and variables are filled in.

    Raises:
        InputError: if there is something of that name.
    """
    folder = expanded_path(path)
    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another folder")
    return folder


def results_folder(path: str | Path | None) -> Path | None:
    """A folder that results go into, there or not, so that nothing is measured in vain; `~` and variables filled in.

    Raises:
        InputError: if there is a file of that name.
    """
    folder = None if path is None else expanded_path(path)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder")
    return folder


def file_to_write(path: str | Path | None) -> Path | None:
    """A file that is written at the end of long work, looked at before it begins; `~` and variables filled in.

    Raises:
        InputError: if there is a folder of that name.
    """
    file = None if path is None else expanded_path(path)
    if file is not None and file.is_dir():
        raise InputError(f"{file}: is a folder; name a file in it")
    return file


def expanded_path(path: str | Path) -> Path:
    """A path with `~` and environment variables filled in; a shell leaves them as they are in quotes and in files.

    A path that is there under the very name, or whose folder is, stays as it is.

    Raises:
        InputError: if a variable is not set, or there is no such user.

    >>> os.environ["EXAMPLE"] = "/data"
    >>> expanded_path("$EXAMPLE/pairs.jsonl").as_posix()
    '/data/pairs.jsonl'
    """
    written, whole = str(path), Path(path)
    if any({"~", "$"} & set(each.name) and os.path.lexists(each) for each in (whole, *whole.parents)):
        return whole
    for braced, bare in _VARIABLE.findall(written):
        if (braced or bare) not in os.environ:
            raise InputError(f"{path}: the environment variable {braced or bare} is not set; set it, or write the path")
    try:
        return Path(os.path.expandvars(written)).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such user; write the folder's full path") from None
