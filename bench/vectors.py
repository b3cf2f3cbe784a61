"""A million vectors debiased by stream, against a plain loop that reads, multiplies and writes them.

    python bench/vectors.py [--rows 1000000] [--dimensions 384] [--folder DIR]

Makes a Parquet file of float32 vectors in 11 languages, sorted by language as exports often are, in row groups of a
million as pyarrow writes them. Each way is a process of its own, so that its peak memory is its own: the plain loop,
`isoglot debias --vectors` (checks every row, fetches a sample, fits, maps, writes) and `isoglot debias --apply`
(checks, maps, writes). Seconds are by the clock and of the processors, which other work does not stretch.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isoglot import apply_map, debias_vectors

LANGUAGES = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]
PART = 1 << 14


def make_file(path: Path, rows: int, dimensions: int) -> None:
    """Vectors with a share of language."""
    rng = np.random.default_rng(0)
    offsets = 0.6 * rng.normal(size=(len(LANGUAGES), dimensions)).astype(np.float32)
    number = np.arange(rows) * len(LANGUAGES) // rows
    x = rng.standard_normal((rows, dimensions), np.float32)
    for start in range(0, rows, PART):
        some = slice(start, start + PART)
        x[some] += offsets[number[some]]
        x[some] /= np.linalg.norm(x[some], axis=1, keepdims=True)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), dimensions)
    columns = {"id": [f"d{n}" for n in range(rows)], "language": np.array(LANGUAGES)[number], "vector": vectors}
    pq.write_table(pa.table(columns), path, use_dictionary=["language"], compression="lz4", row_group_size=1 << 20)


def plain(file: Path, out: Path) -> None:
    """What mapping costs at the least: each part is read, multiplied and written."""
    reader = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    weight = None
    with pq.ParquetWriter(out, reader.schema_arrow, use_dictionary=["id", "language"], compression="lz4") as writer:
        for batch in reader.iter_batches(batch_size=PART):
            x = batch["vector"].flatten().to_numpy().reshape(batch.num_rows, -1)
            weight = np.eye(x.shape[1], dtype=np.float32) if weight is None else weight
            y = pa.FixedSizeListArray.from_arrays(pa.array((x @ weight).ravel()), type=batch["vector"].type)
            writer.write_batch(batch.set_column(2, "vector", y))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--folder", type=Path, help="where files of some GB go for the time being")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        measure(arguments.way, arguments.folder, arguments.rows, arguments.dimensions)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(f"{arguments.rows:,} vectors of {arguments.dimensions} float32")
        first = None
        shape = ["--rows", str(arguments.rows), "--dimensions", str(arguments.dimensions)]
        # Whoever starts a process lends it his own peak memory, so the file is made by another one, too.
        for way in ("make", "plain", "debias", "apply"):
            command = [sys.executable, __file__, "--way", way, "--folder", folder, *shape]
            took = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            if way == "make":
                continue
            first = first or took
            ratios = ", ".join(
                f"{took[each]:.1f} s {each} ({took[each] / first[each]:.2f} x)" for each in ("clock", "cpu")
            )
            print(f"{way}: {ratios}, peak memory {took['megabytes']:,.0f} MB")


def measure(way: str, folder: Path, rows: int, dimensions: int) -> None:
    file, mapped = folder / "vectors.parquet", folder / "debias"
    start, spent = time.perf_counter(), time.process_time()
    if way == "make":
        make_file(file, rows, dimensions)
    elif way == "plain":
        plain(file, folder / "plain.parquet")
        (folder / "plain.parquet").unlink()
    elif way == "debias":
        print(*debias_vectors(file, mapped).sentences(), sep="\n")
        (mapped / "vectors.parquet").unlink()
    else:
        apply_map(mapped / "map.npz", file, folder / "applied")
    took = {"clock": time.perf_counter() - start, "cpu": time.process_time() - spent}
    print(json.dumps({**took, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
