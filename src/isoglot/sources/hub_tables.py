"""Tables and files of the Hugging Face hub, read with its own libraries and never by a data set's own code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from isoglot.common.errors import InputError, IsoglotError, hub_errors
from isoglot.common.extras import library
from isoglot.pairs.texts import identity

_ROWS_AT_A_TIME = 1 << 12


@dataclass(frozen=True)
class HubTable:
    """Where a table is: `owner/name` on the hub or a folder in its format, a configuration (None: default), a split."""

    hub_id: str
    config: str | None
    split: str

    def __str__(self) -> str:
        """How errors name the table."""
        return f"hub:{self.hub_id} {self.config or 'default'} {self.split}"

    def rows(self, limit: int | None = None, cache_dir: str | Path | None = None) -> Iterator[dict[str, Any]]:
        """The rows as they are; with a limit they are streamed and not downloaded whole."""
        with _readable(str(self)):  # what is streamed may break off
            yield from islice(self.load(streaming=limit is not None, cache_dir=cache_dir), limit)

    def load(self, streaming: bool = False, cache_dir: str | Path | None = None) -> Any:
        """The table as the `datasets` library has it."""
        datasets = library("datasets", "torch", "the hub")
        cache = None if cache_dir is None else str(cache_dir)
        if Path(self.hub_id).is_dir():
            # The library knows a folder by its last name alone, and gives what another of that name held.
            files = sorted(path for path in Path(self.hub_id).rglob("*") if path.is_file())
            name = sha256("\0".join(identity(files)).encode()).hexdigest()[:32]
            cache = str(Path(cache or datasets.config.HF_DATASETS_CACHE) / name)
        with _readable(str(self)):
            return datasets.load_dataset(
                self.hub_id, self.config, split=self.split, streaming=streaming, cache_dir=cache
            )


class HubRows:
    """The rows of a table, which stay on disk; per name of ours, `columns` has those that the hub may use for it."""

    def __init__(self, table: HubTable, columns: Mapping[str, tuple[str, ...]]) -> None:
        self.table = table
        self._data = table.load()
        names = list(self._data.column_names)
        self._columns = {ours: next((name for name in theirs if name in names), "") for ours, theirs in columns.items()}
        for ours, theirs in columns.items():
            if not self._columns[ours]:
                raise InputError(f'{table}: no column "{theirs[0]}"; it has {", ".join(names)}')

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._data)

    @property
    def fingerprint(self) -> str:
        """Changes when the content does."""
        return str(self._data._fingerprint)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as mappings of the caller's names."""
        for start in range(0, len(self), _ROWS_AT_A_TIME):
            block = self._data[start : start + _ROWS_AT_A_TIME]
            for values in zip(*(block[theirs] for theirs in self._columns.values()), strict=True):
                yield dict(zip(self._columns, values, strict=True))


def fetch_file(hub_id: str, name: str) -> Path:
    """A file of a data set on the hub, fetched to the hub's own cache if it is not there yet, or of a local folder."""
    if Path(hub_id).is_dir():
        return Path(hub_id) / name
    hub = library("huggingface_hub", "torch", "the hub")
    with _readable(f"hub:{hub_id} {name}"):
        return Path(hub.hf_hub_download(hub_id, name, repo_type="dataset"))


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Says in one line why something of the hub cannot be read."""
    try:
        yield
    except IsoglotError:  # which says so already
        raise
    except Exception as error:
        from datasets.exceptions import DatasetsError

        if not isinstance(error, (DatasetsError, *hub_errors())):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{what}: cannot be read ({reason}); check the network, or get the files elsewhere and name their folder"
        ) from error
