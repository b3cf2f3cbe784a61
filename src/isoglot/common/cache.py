"""Where isoglot keeps what it fetched, so that it fetches once."""

from __future__ import annotations

import os
from pathlib import Path

from isoglot.common.paths import expanded_path


def cache_folder() -> Path:
    """The user's cache folder for isoglot; it may not exist yet.

    `ISOGLOT_CACHE` names it; else it is `isoglot` in `XDG_CACHE_HOME`; else `~/.cache/isoglot`.
    """
    own = os.environ.get("ISOGLOT_CACHE")
    if own:
        return expanded_path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "isoglot"
