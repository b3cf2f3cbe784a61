"""Files and folders that are written whole or not at all.

Everything is written to a hidden sibling first, forced to disk and then renamed, so that whoever looks, even after a
power cut or `kill -9`, finds the old content or the new, never a part.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path` when the block ends well.

    The temporary path keeps the suffix, because some writers choose their format by it.

    Raises:
        OSError: what the writing or the renaming raised; the temporary file is gone and `path` is untouched.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with write_whole(folder / "numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> (folder / "numbers.txt").read_text(), len(list(folder.iterdir()))
    ('1 2 3', 1)
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(target)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


@contextmanager
def write_whole_folder(path: str | Path) -> Iterator[Path]:
    """Give a new empty folder to fill; it becomes `path` when the block ends well.

    An existing folder is replaced. No portable call swaps two folders, so between two renames there is an instant
    without either; a crash there leaves both, complete, under hidden names beside `path`.

    Raises:
        OSError: what the writing or the renaming raised; the new folder is gone and `path` is untouched.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "model"
    >>> with write_whole_folder(folder) as temporary:
    ...     _ = (temporary / "weights").write_bytes(b"0")
    >>> [file.name for file in folder.iterdir()]
    ['weights']
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary, previous = _sibling(target), _sibling(target)
    temporary.mkdir()
    try:
        yield temporary
        for entry in [*temporary.rglob("*"), temporary]:
            _sync(entry)
        if target.exists():
            target.rename(previous)
        try:
            temporary.rename(target)
        except OSError:
            if previous.exists():
                previous.rename(target)
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(previous, ignore_errors=True)
    _sync(target.parent)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with write_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, obj: Any) -> None:
    """Write `obj` as indented JSON, whole or not at all.

    Raises:
        ValueError: if a number is not finite, which JSON cannot express.
    """
    write_text(path, json.dumps(obj, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def _sibling(target: Path) -> Path:
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")


def _sync(path: Path) -> None:
    """Force a file or a folder's list of names to disk, where the system can open it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
