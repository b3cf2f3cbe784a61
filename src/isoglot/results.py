"""Results of an evaluation, to and from disk.

`results.json` holds the averages, in a schema that is versioned and pinned by a test; `per_query.parquet` beside it
holds every query in every setting, so that statistics never need the model again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot._version import __version__
from isoglot.atomic import write_json, write_whole
from isoglot.errors import InputError

SCHEMA = 1
RESULTS_FILE = "results.json"
PER_QUERY_FILE = "per_query.parquet"


@dataclass(frozen=True)
class Results:
    """The outcome of one model on one benchmark.

    Attributes:
        summary: what `results.json` holds.
        per_query: one row per query, setting and corpus language.
    """

    summary: dict[str, Any]
    per_query: pa.Table

    def setting(self, name: str, measure: str = "map") -> float:
        """An average by setting (`monolingual`, `cross_lingual`, `multilingual`) and measure; nan if not measured."""
        value = self.summary["settings"].get(name, {}).get(measure)
        return float("nan") if value is None else float(value)

    def bias(self, name: str) -> float:
        """A language-bias measure by name; nan where not measured."""
        value = self.summary["language_bias"].get(name)
        return float("nan") if value is None else float(value)

    def save(self, folder: str | Path) -> Path:
        """Write both files into a folder, made if need be; the summary last, so a summary has its table."""
        target = Path(folder)
        with write_whole(target / PER_QUERY_FILE) as temporary:
            pq.write_table(self.per_query, temporary, compression="zstd")
        write_json(target / RESULTS_FILE, self.summary)
        return target


def load_results(path: str | Path) -> Results:
    """Read results from a folder, or from its `results.json`.

    Raises:
        InputError: if the files are not there or of another schema.
    """
    folder = Path(path).parent if Path(path).name == RESULTS_FILE else Path(path)
    try:
        missing = [name for name in (RESULTS_FILE, PER_QUERY_FILE) if not (folder / name).is_file()]
        if missing:
            raise InputError(f"{folder}: no results here ({missing[0]} is missing)")
        summary = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
        per_query = pq.read_table(folder / PER_QUERY_FILE)
    except (json.JSONDecodeError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InputError(f"{folder}: the results cannot be read: {error}") from error
    schema = summary.get("schema") if isinstance(summary, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{folder}: results of schema {schema!r}; this version reads schema {SCHEMA}")
    return Results(summary, per_query)


def versions() -> dict[str, str]:
    """Versions of everything that a figure may depend on."""
    found = {"isoglot": __version__}
    for package in ("torch", "sentence-transformers", "transformers", "numpy", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
