"""Parquet files that are whole at their ends and damaged within."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoglot.common.errors import InputError
from isoglot.common.files import read_parquet_rows
from isoglot.evaluation.results import KEYS, PER_QUERY_FILE, RESULTS_FILE, SCHEMA, load_results


def damaged(path: Path, table: pa.Table) -> Path:
    """The table in a file whose footer can be read, and whose pages cannot."""
    pq.write_table(table, path, compression="zstd", row_group_size=5000, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 200] = bytes(200)
    path.write_bytes(content)
    return path


TEXTS = [f"text number {n * 7919 % 10_000}" for n in range(10_000)]


def test_rows_of_a_damaged_table_name_its_file(tmp_path: Path) -> None:
    path = damaged(tmp_path / "texts.parquet", pa.table({"_id": TEXTS}))
    with pytest.raises(InputError, match=r"texts\.parquet: not a readable Parquet file \(.*\)") as caught:
        list(read_parquet_rows(path, "_id"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [PER_QUERY_FILE, RESULTS_FILE])
def test_damaged_results_name_their_file(tmp_path: Path, name: str) -> None:
    damaged(tmp_path / PER_QUERY_FILE, pa.table(dict.fromkeys(KEYS, TEXTS)))
    (tmp_path / RESULTS_FILE).write_text(json.dumps({"schema": SCHEMA}) if name == PER_QUERY_FILE else "{")
    with pytest.raises(InputError, match=rf"{name}: .*; evaluate again") as caught:
        load_results(tmp_path)
    assert "\n" not in str(caught.value)
