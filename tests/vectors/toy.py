"""Toy vectors with a share of language, as files of every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LANGUAGES = ("de", "en", "sw")
FORMATS = (".parquet", ".arrow", ".arrows", ".npy")


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def toy(
    examples: int = 20, dimensions: int = 8, seed: int = 0, languages: tuple[str, ...] = LANGUAGES, pull: float = 0.9
) -> dict[str, Any]:
    """Rows of parallel texts: ids that translations share, languages and float32 unit vectors."""
    rng = np.random.default_rng(seed)
    meaning = unit(rng.normal(size=(examples, dimensions)))
    offsets = pull * unit(rng.normal(size=(len(languages), dimensions)))
    noise = 0.35 * rng.normal(size=(examples, len(languages), dimensions)) / np.sqrt(dimensions)
    vectors = unit(meaning[:, None] + offsets + noise).reshape(-1, dimensions).astype(np.float32)
    ids = [f"e{n:02d}" for n in range(examples) for _ in languages]
    return {"id": ids, "language": list(languages) * examples, "vector": vectors}


def vector_column(vectors: Any, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([None if row is None else list(row) for row in vectors], kind or pa.list_(pa.float32()))


def write(path: Path, columns: dict[str, Any], kind: pa.DataType | None = None) -> Path:
    """Write rows; the format is that of the suffix."""
    if path.suffix == ".npy":
        np.save(path, columns["vector"])
        rest = {name: values for name, values in columns.items() if name != "vector"}
        rows = [dict(zip(rest, values, strict=True)) for values in zip(*rest.values(), strict=True)]
        path.with_suffix(".jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        return path
    table = pa.table({**columns, "vector": vector_column(columns["vector"], kind)})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    new = pa.ipc.new_stream if path.suffix == ".arrows" else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return path


def read(path: Path) -> dict[str, Any]:
    """The columns of a file, by other means than isoglot's."""
    if path.suffix == ".npy":
        rows = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
        return {**{name: [row[name] for row in rows] for name in rows[0]}, "vector": np.load(path)}
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    else:
        opened = pa.ipc.open_stream if path.suffix == ".arrows" else pa.ipc.open_file
        table = opened(pa.memory_map(str(path))).read_all()
    columns = table.to_pydict()
    return {**columns, "vector": np.array(columns["vector"])}
