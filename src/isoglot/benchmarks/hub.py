"""Tables of the Hugging Face hub, read with the `datasets` library and never by a data set's own code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isoglot.common.errors import InputError, hub_errors

_ROWS_AT_A_TIME = 1 << 12


@dataclass(frozen=True)
class HubTable:
    """Where a table is.

    Attributes:
        hub_id: `owner/name` on the hub, or a folder in the hub's format.
        config: the configuration, None for the default one.
        split: the split.
    """

    hub_id: str
    config: str | None
    split: str

    def __str__(self) -> str:
        """How errors name the table."""
        return f"hub:{self.hub_id} {self.config or 'default'} {self.split}"


class HubRows:
    """The rows of a table, which stay on disk.

    Args:
        table: where it is.
        columns: per name that the caller uses, the names that the hub may use for it, the first found taken.

    Raises:
        InputError: if the table, or one of its columns, is not there or cannot be fetched.
    """

    def __init__(self, table: HubTable, columns: Mapping[str, tuple[str, ...]]) -> None:
        self.table = table
        self._data = _load(table)
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
            columns = [block[theirs] for theirs in self._columns.values()]
            for values in zip(*columns, strict=True):
                yield dict(zip(self._columns, values, strict=True))


def fetch_file(hub_id: str, name: str) -> Path:
    """A file of a data set on the hub, fetched to the hub's own cache if it is not there yet.

    Raises:
        InputError: if there is no such file, or it cannot be fetched.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(hub_id, name, repo_type="dataset"))
    except hub_errors() as error:
        raise _unreadable(f"hub:{hub_id} {name}", error) from error


def _load(table: HubTable) -> Any:
    import datasets  # takes seconds to import
    from datasets.exceptions import DatasetsError

    try:
        return datasets.load_dataset(table.hub_id, table.config, split=table.split)
    except (DatasetsError, *hub_errors()) as error:
        raise _unreadable(str(table), error) from error


def _unreadable(what: str, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        f"{what}: cannot be read ({reason}); check the network, or get the files elsewhere and name their folder"
    )
