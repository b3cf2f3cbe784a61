"""Results of an evaluation, to and from disk.

`results.json` holds the averages, in a schema that is versioned and pinned by a test; `per_query.parquet` beside it
holds every query in every setting, so that statistics never need the model again; `top_passages.parquet` holds what
stood first for some queries, with the texts, for people to look at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isoglot.common.atomic import write_json, write_whole
from isoglot.common.errors import InputError
from isoglot.evaluation.language_bias import Leaning, leaning

SCHEMA = 1
RESULTS_FILE = "results.json"
PER_QUERY_FILE = "per_query.parquet"
TOP_FILE = "top_passages.parquet"

NO_MODEL: dict[str, Any] = {
    **dict.fromkeys(("name", "fingerprint", "dimensions", "similarity", "max_tokens", "arithmetic")),
    "prompts": {},
}
"""What results say of a system of which nothing is known."""

TOP_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("query", "example", "query_language", "query_text")),
        ("rank", pa.int64()),
        *((name, pa.string()) for name in ("passage", "passage_language", "passage_text")),
        ("score", pa.float64()),
        ("relevant", pa.bool_()),
    ]
)
"""Columns of `top_passages.parquet`."""


@dataclass(frozen=True)
class Results:
    """The outcome of one model on one benchmark.

    The summary is what `results.json` holds; the per-query table has one row per query, setting and corpus language;
    `top` are the first passages of some queries, in `TOP_SCHEMA`, None in results that were made without.
    """

    summary: dict[str, Any]
    per_query: pa.Table
    top: pa.Table | None = None

    def setting(self, name: str, measure: str = "map") -> float:
        """An average by setting and measure; nan if not measured.

        Settings are `monolingual`, `cross_lingual`, `multilingual`, and `mixed_own` and `mixed_other`, which have
        measures of their own.
        """
        value = {**self.summary["settings"], **(self.summary.get("mixed") or {})}.get(name, {}).get(measure)
        return float("nan") if value is None else float(value)

    def bias(self, name: str) -> float:
        """A language-bias measure by name; nan where not measured."""
        value = self.summary["language_bias"].get(name)
        return float("nan") if value is None else float(value)

    @property
    def leaning(self) -> Leaning:
        """Which way, and how far, the system leans by the query's language, over all languages."""
        return leaning_of(self.summary) or Leaning(0.0, "neither")

    def save(self, folder: str | Path) -> Path:
        """Write the files into a folder, made if need be; the summary last, so a summary has its tables."""
        target = Path(folder)
        for name, table in ((PER_QUERY_FILE, self.per_query), (TOP_FILE, self.top)):
            if table is not None:
                with write_whole(target / name) as temporary:
                    pq.write_table(table, temporary, compression="zstd")
        write_json(target / RESULTS_FILE, self.summary)
        return target


def leaning_of(summary: Mapping[str, Any]) -> Leaning | None:
    """Which way, and how far, a system leans over all languages, by what `results.json` holds; None if not measured."""
    rows = [row for row in summary["by_query_language"].values() if row.get("same_language_share@1") is not None]
    if not rows:
        return None
    # Results of older versions do not count queries by language.
    queries = [row.get("queries") or summary["queries"] / len(rows) for row in rows]
    share, fair = ([row[f"{name}@1"] for row in rows] for name in ("same_language_share", "fair_share"))
    return leaning(share, fair, queries)


def load_results(path: str | Path) -> Results:
    """Read results from a folder, or from its `results.json`.

    Raises:
        InputError: if the files are not there or of another schema.
    """
    folder = Path(path).parent if Path(path).name == RESULTS_FILE else Path(path)
    try:
        missing = [name for name in (RESULTS_FILE, PER_QUERY_FILE) if not (folder / name).is_file()]
        if missing:
            raise InputError(
                f"{folder}: no results here ({missing[0]} is missing); isoglot audit and evaluate write them with --out"
            )
        summary = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
        per_query = pq.read_table(folder / PER_QUERY_FILE)
        top = pq.read_table(folder / TOP_FILE) if (folder / TOP_FILE).is_file() else None
    except (json.JSONDecodeError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InputError(f"{folder}: the results cannot be read: {error}") from error
    schema = summary.get("schema") if isinstance(summary, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{folder}: results of schema {schema!r}; this version reads schema {SCHEMA}")
    # Older runs lack some.
    whole = {"alignment": {}, "seconds": {}, **summary, "model": {**NO_MODEL, **summary["model"]}}
    return Results(whole, per_query, top)
