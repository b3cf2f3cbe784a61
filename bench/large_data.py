"""Pairs past memory: seconds and peak memory of 40 million examples in 14 languages, and of gigabytes of real text.

    python bench/large_data.py                     4, 12 and 40 million examples: opened, described, planned, read
    python bench/large_data.py --real pairs.parquet --gigabytes 3

The first part makes up texts, ids and rows on the cache folder's disk (11 GB for 40 million examples; one translation
in twenty is missing), each size in a process of its own. An example's texts are the same in all its languages, rows are
not. The second part puts passages together from distinct pairs of a file's passages until one column holds so many
gigabytes, writes them as JSON lines, and takes them through reading, deduplication, overlap search, mining, training,
a kill and a resumed run, with a small encoder made on the spot.

Peaks are of what belongs to the process alone (anonymous memory), and of that and the pages of mapped files together,
which the system takes back when it needs them.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.batching.plan import plan_batches
from isoglot.common.atomic import write_json
from isoglot.pairs import ParallelPairs, read_pairs, write_pairs
from isoglot.pairs.rows import RowColumns, Rows
from isoglot.pairs.texts import ArrowTexts, write_batches

LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "id", "it", "ja", "nl", "pt", "ru", "vi", "zh")
SIZES = (4_000_000, 12_000_000, 40_000_000)
BLOCK = 1 << 16


def memory(key: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+)", status)[1]) / 1e6  # type: ignore[index]


@contextmanager
def measured(what: str) -> Iterator[None]:
    """Print seconds, and the peaks while it ran, in GB."""
    own, everything, done = [0.0], [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            own[0], everything[0] = max(own[0], memory("RssAnon")), max(everything[0], memory("VmRSS"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, busy = time.perf_counter(), busy_seconds()
    try:
        yield
    finally:
        seconds, busy = time.perf_counter() - start, busy_seconds() - busy
        done.set()
        watcher.join()
        said = f"{what:<42} {seconds:8.1f} s, {busy:8.1f} s of processors"
        print(f"  {said}, {own[0]:5.2f} GB own, {everything[0]:5.2f} GB with mapped", flush=True)


def busy_seconds() -> float:
    """Processor time of this process and those that it waited for; what a shared machine leaves comparable."""
    return sum(os.times()[:4])


# --- made up: many rows ---


def make_texts(path: Path, examples: int) -> None:
    schema = pa.schema([(name, pa.large_string()) for name in ("id", "query", "passage")])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, examples, BLOCK):
            number = pc.cast(pa.array(np.arange(start, min(start + BLOCK, examples))), pa.large_string())
            query, passage = (
                pc.binary_join_element_wise(
                    pa.scalar(said, pa.large_string()), number, pa.scalar("", pa.large_string())
                )
                for said in ("what is ", "it is no. ")
            )
            yield pa.record_batch([number, query, passage], schema)

    write_batches(path, schema, batches())


def make_rows(examples: int) -> Rows:
    rows, count = RowColumns(len(LANGUAGES), 1), len(LANGUAGES)
    rng = np.random.default_rng(0)
    for start in range(0, examples, BLOCK):
        size = min(BLOCK, examples - start)
        there = rng.random((size, count), np.float32) >= 0.05
        there[:, :2] = True
        within, language = np.nonzero(there)
        query = 2 * start + within  # a block's queries stand before its passages
        none, same = np.full(len(within), -1), np.zeros(len(within), np.int64)
        rows.append(Rows(start + within, language, same, query, query + size, same, none))
    return rows.finish()


def time_many_rows(examples: int) -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("ISOGLOT_CACHE")) as folder:
        path = Path(folder) / "texts.arrow"
        with measured("made"):
            make_texts(path, examples)
            rows = make_rows(examples)
        print(f"{examples:,} examples, {len(rows):,} rows", flush=True)
        with measured("opened, every row looked at"):
            pairs = ParallelPairs(
                ArrowTexts.mapped(path, ("query", "passage")),
                ArrowTexts.mapped(path, ("id",)),
                LANGUAGES,
                ("made up",),
                rows,
                np.zeros(0, np.int32),
            )
            pairs._check_once_per_language(str)
        with measured("described"):
            print("   ", str(pairs.describe()).splitlines()[0])
        with measured("translations (passages compared)"):
            translations = pairs.translations()
        with measured("planned, 100,000 steps of 1,024"):
            plan = plan_batches(translations, batch_size=1024, steps=100_000)
        from isoglot.training.data import planned_dataset

        with measured("plan to rows"):
            data = planned_dataset(pairs, plan)
        with measured("read, 200 batches all over the run"):
            for step in np.linspace(0, plan.steps - 1, 200).astype(int).tolist():
                batch = data[step * 1024 : (step + 1) * 1024]
                assert len(batch["query"]) == 1024
        with measured("half of the examples chosen"):
            half = pairs.sample(examples // 2, seed=0)
        assert len(half) < len(pairs)
    print(f"  peak with mapped pages {memory('VmHWM'):.2f} GB", flush=True)


# --- real: long texts in one column ---


def make_pairs(source: ParallelPairs, path: Path, gigabytes: float) -> None:
    """Rows whose passages are lists of forty passages of one language, no two lists the same, as JSON lines."""
    rng = np.random.default_rng(0)
    counts = np.bincount(source.language, minlength=len(source.languages))
    rich = np.argsort(-counts)[:6].tolist()
    rows = {number: np.flatnonzero(source.language == number) for number in rich}
    size, example = 0.0, 0
    with path.open("w", encoding="utf-8") as file:
        while size < gigabytes * 1e9:
            for number in rich:
                some = list(source.rows(rng.choice(rows[number], 40, replace=False)))
                queries = [row["query"] or "" for row in some]
                passage = f"{example}: {'; '.join(queries)}\n\n" + "\n\n".join(row["passage"] for row in some)
                size += len(passage.encode())
                row = {"id": f"list {example}", "language": source.languages[number], "query": ", ".join(queries[:2])}
                file.write(json.dumps({**row, "passage": passage}, ensure_ascii=False) + "\n")
            example += 1


def make_encoder(source: ParallelPairs, folder: Path) -> None:
    """One layer of 64 dimensions with random weights: encoding is quick, and reading and searching show."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertModel

    names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=50_000, special_tokens=list(names.values()))
    tokenizer.train_from_iterator((row["passage"] for row in source.rows()), trainer)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=128,
    )
    bare = folder.with_name("bare")
    BertModel(config).save_pretrained(bare)
    tokenizer.save(str(bare / "tokenizer.json"))
    write_json(
        bare / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128, **names},
    )
    SentenceTransformer(modules=[Transformer(str(bare)), Pooling(64, "mean"), Normalize()]).save(str(folder))


def train(config: Path, kill: Path | None = None, *options: str) -> None:
    """Train in a process of its own; kill it as soon as its first checkpoint is whole."""
    process = subprocess.Popen([sys.executable, "-m", "isoglot", "train", str(config), *options])
    while process.poll() is None:
        if kill is not None and (kill / "checkpoints").is_dir() and any((kill / "checkpoints").glob("checkpoint-*")):
            process.send_signal(signal.SIGKILL)
        time.sleep(0.05)
    assert process.returncode == (0 if kill is None else -signal.SIGKILL), process.returncode


def time_real_text(source: Path, gigabytes: float) -> None:
    from isoglot.benchmarks import load_benchmark
    from isoglot.benchmarks.contamination import find_overlap
    from isoglot.enrich.negatives import mine_negatives
    from isoglot.models.encoders import load_encoder

    given = read_pairs(source)
    with tempfile.TemporaryDirectory(dir=os.environ.get("ISOGLOT_CACHE")) as name:
        folder = Path(name)
        lists, mined, run = folder / "lists.jsonl", folder / "mined.parquet", folder / "run"
        with measured("made"):
            make_pairs(given, lists, gigabytes)
            make_encoder(given, folder / "encoder")
            write_pairs(given.sample(1000, seed=1), folder / "benchmark.jsonl")
        with measured("read, into the cache"):
            pairs = read_pairs(lists)
        print(f"    {len(pairs):,} rows, {lists.stat().st_size / 1e9:.1f} GB of JSON lines")
        with measured("read again"):
            pairs = read_pairs(lists)
        with measured("fingerprint"):
            print(f"    {pairs.fingerprint[:12]}")
        with measured("deduplicated"):
            pairs, report = pairs.deduplicate()
        print(f"    {report}")
        with measured("overlap with 1,000 of the examples"):
            overlap = find_overlap(pairs, load_benchmark("parallel", folder / "benchmark.jsonl"))
        print(f"    {len(overlap):,} texts hold some")
        with measured("mined"):
            model = load_encoder(str(folder / "encoder"), device="cpu")
            pairs = mine_negatives(pairs, model, number=1, margin=1.0, work_dir=folder / "work", batch_size=256)
        with measured("written as Parquet"):
            write_pairs(pairs, mined)
        settings = {
            "model": str(folder / "encoder"),
            "output": str(run),
            "data": [{"source": str(mined)}],
            "batches": {"size": 64},
            "steps": 20,
            "checkpoint_every": 5,
            "validation": {"examples": 0},
            "freeze": {"word_embeddings": False},
            "optimizer": {"learning_rate": 0.001},
        }
        write_json(folder / "train.yaml", settings)
        with measured("trained until killed, in another process"):
            train(folder / "train.yaml", run)
        with measured("resumed to 20 steps"):
            train(folder / "train.yaml", None, "--resume")
        print(f"    largest peak of the processes {max_of_children():.2f} GB with mapped pages")


def max_of_children() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, nargs="+", default=SIZES)
    parser.add_argument("--real", type=Path, help="a file of pairs, such as isoglot data fetch debian gives")
    parser.add_argument("--gigabytes", type=float, default=3.0)
    arguments = parser.parse_args()
    if arguments.real is not None:
        time_real_text(arguments.real, arguments.gigabytes)
    elif len(arguments.examples) == 1:
        time_many_rows(arguments.examples[0])
    else:
        for examples in arguments.examples:
            subprocess.run([sys.executable, __file__, "--examples", str(examples)], check=True)


if __name__ == "__main__":
    main()
