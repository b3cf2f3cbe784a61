"""An index of many vectors: making, searching, changing and opening it, by each engine.

    python bench/index.py [--rows 100000] [--engines exact,edge] [--folder DIR]

Vectors of 384 float32 lie in clusters of 32 dimensions, with little noise in the others, as those of encoders do; of
uniform ones nothing can be said of approximate search. 11 languages share them as Zipf's law says, but for "sw", which
has 1 in 100. Questions are rows with noise. Each step is a process of its own, so that its peak memory is its own.
Latency is of one question at a time on one thread, `search_vectors` whole: ids, texts and notes too; by the clock, and
of the processor, which other work does not stretch. Recall at 10 is against the engine exact.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isoglot import build_index, open_index

LANGUAGES = ["en", "zh", "es", "de", "ru", "ar", "hi", "vi", "th", "el", "sw"]
DIMENSIONS, LATENT, CLUSTERS, PART, QUESTIONS = 384, 32, 500, 1 << 14, 200
LISTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "only sw": {"languages": ["sw"]},
    "cap:3": {"mix": "cap:3"},
    "floor:1.0": {"mix": "floor:1.0"},
    "round-robin": {"mix": "round-robin"},
    "prefer own": {"prefer_own_language": 0.02, "language": "de"},
    "collapse": {"collapse": True, "language": "de"},
}


def make(folder: Path, rows: int) -> dict[str, float]:
    """Files of vectors, and one of questions."""
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((LATENT, DIMENSIONS), np.float32)
    centres = rng.standard_normal((CLUSTERS, LATENT), np.float32)
    offsets = rng.standard_normal((len(LANGUAGES), DIMENSIONS), np.float32)
    shares = 0.99 / np.arange(1, len(LANGUAGES)) / (1 / np.arange(1, len(LANGUAGES))).sum()
    (folder / "vectors").mkdir()
    questions = []
    for start in range(0, rows, PART):
        size = min(PART, rows - start)
        language = rng.choice(len(LANGUAGES), size, p=[*shares, 0.01])
        latent = centres[rng.integers(CLUSTERS, size=size)] + 0.7 * rng.standard_normal((size, LATENT), np.float32)
        x = latent @ spread + offsets[language] + 0.5 * rng.standard_normal((size, DIMENSIONS), np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        columns = {
            "id": [f"d{n}" for n in range(start, start + size)],
            "language": np.array(LANGUAGES)[language],
            "text": [
                f"passage {n} of a length that passages have, as far as texts go" for n in range(start, start + size)
            ],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), DIMENSIONS),
        }
        pq.write_table(pa.table(columns), folder / "vectors" / f"part-{start:09}.parquet", compression="lz4")
        questions.append(
            x[: max(1, QUESTIONS * size // rows)] + 0.02 * rng.standard_normal((1, DIMENSIONS), np.float32)
        )
    np.save(folder / "questions.npy", np.concatenate(questions).astype(np.float32))
    return {}


def build(folder: Path, engine: str) -> dict[str, float]:
    """The index made, and a hundredth of it changed."""
    index, start = folder / engine, time.perf_counter()
    build_index(folder / "vectors", None, index, engine=engine)
    took = {"build s": time.perf_counter() - start}
    part = pq.read_table(min((folder / "vectors").iterdir()))
    x = part["vector"].combine_chunks().flatten().to_numpy()[::-1].reshape(-1, DIMENSIONS)
    changed = part.set_column(3, "vector", pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), DIMENSIONS))
    pq.write_table(changed.slice(0, 1000), folder / "changed.parquet")
    start = time.perf_counter()
    build_index(folder / "changed.parquet", None, index)
    took["replace 1,000 rows s"] = time.perf_counter() - start
    took["disk MB"] = sum(path.stat().st_blocks * 512 for path in index.rglob("*")) / 1e6
    took["engine MB"] = sum(path.stat().st_blocks * 512 for path in (index / engine).rglob("*")) / 1e6
    return took


def ask(folder: Path, engine: str) -> dict[str, float]:
    """The index opened and asked."""
    questions, start = np.load(folder / "questions.npy"), time.perf_counter()
    searcher = open_index(folder / engine)
    searcher.search_vectors(questions[:1])
    took = {"open and first ms": 1000 * (time.perf_counter() - start)}
    for name, wish in LISTS.items():
        spent, worked, found = [], [], []
        for question in questions:
            start, before = time.perf_counter(), time.process_time()
            (hits,) = searcher.search_vectors(question[None], **wish)
            spent.append(1000 * (time.perf_counter() - start))
            worked.append(1000 * (time.process_time() - before))
            found.append([hit.id for hit in hits.hits])
        took |= {f"{name} p50 ms": float(np.median(spent)), f"{name} p95 ms": float(np.quantile(spent, 0.95))}
        took[f"{name} p50 ms of the processor"] = float(np.median(worked))
        (folder / f"{engine} {name}.json").write_text(json.dumps(found))
        if engine != "exact" and (reference := folder / f"exact {name}.json").exists():
            right = json.loads(reference.read_text())
            took[f"{name} recall@10"] = float(
                np.mean([len(set(one) & set(other)) / len(other) for one, other in zip(found, right, strict=True)])
            )
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--engines", default="exact,edge")
    parser.add_argument("--folder", type=Path, help="where files of some GB go for the time being")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step, engine = arguments.step
        took = (
            make(arguments.folder, arguments.rows)
            if step == "make"
            else {"build": build, "ask": ask}[step](arguments.folder, engine)
        )
        took["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(took))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        steps = [(step, engine) for engine in arguments.engines.split(",") for step in ("build", "ask")]
        for step, engine in [("make", "all"), *steps]:
            command = [sys.executable, __file__, "--step", step, engine, "--folder", folder]
            command += ["--rows", str(arguments.rows)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            took = json.loads(done.stdout.splitlines()[-1])
            print(f"{step} {engine}: {', '.join(f'{name} {value:,.3g}' for name, value in took.items())}", flush=True)


if __name__ == "__main__":
    main()
