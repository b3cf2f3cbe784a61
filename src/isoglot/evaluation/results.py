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
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from isoglot.common.atomic import write_json, write_whole
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.settings import first_problem
from isoglot.evaluation.language_bias import Leaning, leaning

SCHEMA = 1
RESULTS_FILE = "results.json"
PER_QUERY_FILE = "per_query.parquet"
TOP_FILE = "top_passages.parquet"

KEYS = ("query", "example", "query_language", "setting", "corpus_language")
"""Columns of `per_query.parquet` that say what a row is of."""

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
        target = expanded_path(folder)
        for name, table in ((PER_QUERY_FILE, self.per_query), (TOP_FILE, self.top)):
            if table is not None:
                with write_whole(target / name) as temporary:
                    pq.write_table(table, temporary, compression="zstd")
        write_json(target / RESULTS_FILE, self.summary)
        return target


class _Model(BaseModel):
    name: str | None = None


class _Summary(BaseModel):
    """What every `results.json` of this schema holds."""

    model_config = ConfigDict(strict=True)
    benchmark: str
    model: _Model
    languages: list[str]
    queries: int = Field(ge=0)
    settings: dict[str, dict[str, float | None]]
    language_bias: dict[str, float | None]
    by_query_language: dict[str, dict[str, float | None]]


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
    given = expanded_path(path)
    folder = given.parent if given.name == RESULTS_FILE else given
    if missing := [name for name in (RESULTS_FILE, PER_QUERY_FILE) if not (folder / name).is_file()]:
        raise InputError(
            f"{folder}: no results here ({missing[0]} is missing); isoglot audit and evaluate write them with --out"
        )
    try:
        # Not a number is no JSON: what was not measured is null.
        summary = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{folder / RESULTS_FILE}: cannot be read ({error}); evaluate again") from error
    per_query = _read_table(folder / PER_QUERY_FILE)
    top = _read_table(folder / TOP_FILE) if (folder / TOP_FILE).is_file() else None
    schema = summary.get("schema") if isinstance(summary, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{folder}: results of schema {schema!r}; this version reads schema {SCHEMA}")
    _check_content(folder, summary, per_query, top)
    # Older runs lack some.
    whole = {"alignment": {}, "seconds": {}, **summary, "model": {**NO_MODEL, **summary["model"]}}
    return Results(whole, per_query, top)


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable Parquet file ({reason}); evaluate again") from error


def _check_content(folder: Path, summary: Mapping[str, Any], per_query: pa.Table, top: pa.Table | None) -> None:
    """Refuse files that are of this schema by their word alone."""
    try:
        _Summary.model_validate(summary)
    except ValidationError as error:
        problem = first_problem(error, "the results", "docs/evaluating")
        raise InputError(f"{folder / RESULTS_FILE}: {problem}; evaluate again") from None
    texts = [field.name for field in per_query.schema if not pa.types.is_primitive(field.type)]
    if missing := [name for name in KEYS if name not in texts]:
        raise InputError(f"{folder / PER_QUERY_FILE}: no column {missing[0]!r} of texts; evaluate again")
    if top is not None and (missing := [name for name in TOP_SCHEMA.names if name not in top.column_names]):
        raise InputError(f"{folder / TOP_FILE}: no column {missing[0]!r}; evaluate again")
