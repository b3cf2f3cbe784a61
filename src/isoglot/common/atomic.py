"""Files and folders that are written whole or not at all.

Everything is written to a hidden sibling first, forced to disk and then renamed, so that whoever looks, even after a
power cut or `kill -9`, finds the old content or the new, never a part. What a kill leaves of a sibling is taken away
when something is next written to the same folder: writers lock their siblings, and a lock ends with its process.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any
from zlib import crc32

from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked and so nothing taken away
    fcntl = None  # type: ignore[assignment]

_SIBLING = re.compile(r"\..*\.[0-9a-f]{16}\.writing(\..*)?", re.DOTALL)
_SYSTEMS_WORDS = re.compile(r"\(os error (\d+)\)")  # how writers in Rust, such as safetensors, end their messages
_FULL_BELOW = 16 << 20  # bytes; writers that fail without saying why have then met a full disk


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to; it becomes `path`, `~` and variables filled in, when the block ends well.

    The temporary path keeps the suffix, because some writers choose their format by it.

    Raises:
        OSError: what the writing or the renaming raised; the temporary file is gone and `path` is untouched. Where the
            system is why another error was raised, the disk being full most of all, it is made one that says so.
    """
    target = expanded_path(path)
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name a file in it")
    with _sibling(target, Path.touch) as temporary:
        yield temporary
        _sync(temporary)
        temporary.replace(target)


@contextmanager
def write_whole_folder(path: str | Path) -> Iterator[Path]:
    """Give a new empty folder to fill; it becomes `path`, `~` and variables filled in, when the block ends well.

    An existing folder is replaced. No portable call swaps two folders, so between two renames there is an instant
    without either; a crash there leaves the old one, complete, under a hidden name beside `path`. Errors are as from
    `write_whole`.
    """
    target = expanded_path(path)
    previous = target.with_name(f".{target.name}.{secrets.token_hex(8)}.replaced")
    with _sibling(target, Path.mkdir) as temporary:
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
        if previous.exists():
            previous.rename(temporary)  # a name that is swept, should a kill leave part of it
            _remove(temporary)


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


def checksum(paths: Iterable[Path]) -> str:
    """CRC-32 of the content of files, one after the other; at 4 GB a second it costs less than reading them does."""
    value = 0
    for path in paths:
        if path.stat().st_size:
            with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                value = crc32(content, value)
    return f"{value:08x}"


def lock(descriptor: int) -> bool | None:
    """Take the lock of an open file or folder, which is kept until that is closed.

    Returns:
        True if it is taken, False if another process has it, None where there are no locks, as on some network drives.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Keep the lock of a folder while the block runs; False is given if another process has it."""
    descriptor = _open(folder)
    try:
        yield descriptor is None or lock(descriptor) is not False
    finally:
        _close(descriptor)


@contextmanager
def _sibling(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A new hidden file or folder beside `target`, locked while the block runs and gone if it fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    while True:
        temporary = target.with_name(f".{target.stem}.{secrets.token_hex(8)}.writing{target.suffix}")
        try:
            make(temporary)
        except OSError as error:  # of a name that nobody gave
            raise OSError(error.errno, error.strerror, str(target)) from None
        held = _open(temporary)
        # Who sweeps between the making and the locking takes it away; then another is made.
        if (held is None or lock(held) is not False) and temporary.exists():
            break
        _close(held)
    try:
        yield temporary
        _sync(target.parent)
    except BaseException as error:
        _remove(temporary)
        reason = reason_of_the_system(error, target)
        if reason is None:
            raise
        raise reason from error
    finally:
        _close(held)


def is_unfinished(path: Path) -> bool:
    """Whether something is called as what a writer makes, which a kill may have left."""
    return bool(_SIBLING.fullmatch(path.name))


def sweep(folder: Path) -> None:
    """Take away what killed writers left in a folder."""
    for entry in folder.iterdir():
        if not is_unfinished(entry) or (held := _open(entry)) is None:
            continue
        try:
            if lock(held):
                _remove(entry)
        finally:
            _close(held)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def reason_of_the_system(error: BaseException, target: Path) -> OSError | None:
    """The error as one of the system that names the target, None if it is another or does so already."""
    if isinstance(error, OSError) and error.errno and error.filename:
        return None
    code, words = getattr(error, "errno", None), _SYSTEMS_WORDS.search(str(error))
    if words:
        code = int(words[1])
    elif not code and isinstance(error, (OSError, RuntimeError)):
        code = errno.ENOSPC if shutil.disk_usage(target.parent).free < _FULL_BELOW else None
    if code:
        return OSError(code, os.strerror(code), str(target))
    return OSError(errno.EIO, str(error), str(target)) if isinstance(error, OSError) else None


def _sync(path: Path) -> None:
    """Force a file or a folder's list of names to disk, where the system can open it."""
    descriptor = _open(path)
    try:
        if descriptor is not None:
            os.fsync(descriptor)
    finally:
        _close(descriptor)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except (PermissionError, FileNotFoundError):  # Windows opens no folders; another process may have been quicker
        return None


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
