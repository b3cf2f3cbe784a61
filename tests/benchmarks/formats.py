"""Small benchmarks in the formats that the real ones come in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture(autouse=True)
def fresh_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test keeps, no other finds; the hub's library reads its own setting once, so it is set in place."""
    import datasets.config

    monkeypatch.setenv("ISOGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_lines(path, (json.dumps(row, ensure_ascii=False) for row in rows))


def write_hub_folder(folder: Path, tables: Mapping[tuple[str, str], list[dict[str, Any]]]) -> None:
    """A folder as the hub has them: Parquet files, and a README whose head says which configuration has which."""
    folder.mkdir(parents=True, exist_ok=True)
    head = ["---", "configs:"]
    for (config, split), rows in tables.items():
        file = f"{config}-{split}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), folder / file)
        head += [f"- config_name: {config}", "  data_files:", f"  - split: {split}", f"    path: {file}"]
    write_lines(folder / "README.md", [*head, "---"])
