"""Everything that training on a GPU without a network needs, as one folder.

    python bench/gpu/pack.py BUNDLE [--model runs/base-lir] [--development $DATA/prepared/development] [--present FILE]

- wheels/: isoglot, and of what it needs whatever is not in FILE, the output of `pip list` there. Without FILE that is
  present.txt, what stands beside a CUDA build of torch with sentence-transformers. Versions are those installed here.
- encoder.tar.xz: the model without the vocabulary that the packed text does not use, in 4 bits where that is exact.
- text/, align.yaml, hybrid.yaml: the recipe, and as much of its sources as there is room for (LANGUAGES, EXAMPLES),
  each text as far as it is read in training; none is in the recipe's evaluation sets.
- development/: the parallel files of a folder, on which the model is to be scored.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PathDistribution, requires, version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packing import pack_model
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from isoglot import (
    ParallelPairs,
    check_no_overlap,
    load_benchmark,
    load_config,
    load_encoder,
    read_pairs,
    save_model,
    trim,
    write_pairs,
)
from isoglot.common.atomic import write_whole_folder
from isoglot.common.errors import InputError
from isoglot.training.config import DataSource, TrainConfig
from isoglot.training.data import read_sources

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
STAGES = ("align", "hybrid")  # of the recipe; each starts from the model of the one before
MOST_BYTES = 60_000_000
LANGUAGES = frozenset(["ar", "de", "el", "en", "es", "fr", "hi", "ja", "ru", "th", "tr", "vi", "zh"])
"""Those of which training text is packed: every language takes room twice, as text and as vocabulary."""
EXAMPLES = {"messages": 5000, "paragraphs": 4500, "debian": 4500, "questions": 20_000}
"""Of each source, by its file's name, so many; of any other all. A batch needs as many of one source as it is large."""
NOT_NEEDED = {"language-data"}  # names of languages, which stand in for tags in what people read


def pack_wheels(folder: Path, present: Path, python: str) -> None:
    """The wheel of isoglot, and those of what it needs that is not there."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, PROJECT], check=True)
    platforms = [f"--platform=manylinux{name}_x86_64" for name in ("_2_28", "_2_27", "_2_17", "2014", "1")]
    wanted = [*platforms, "--only-binary=:all:", "--no-deps", "--python-version", python, "--dest", str(folder)]
    names = sorted(missing(wheel_requirements(folder), names_in(present), python))
    print(f"Wheels of {', '.join(names) or 'nothing else'}", flush=True)
    if names:
        subprocess.run([*pip, "download", *wanted, *(f"{name}=={version(name)}" for name in names)], check=True)


def names_in(listing: Path) -> set[str]:
    """The packages of a list with a name first in each line, as `pip list` writes it."""
    lines = listing.read_text(encoding="utf-8").splitlines()
    return {canonicalize_name(line.partition("==")[0].split()[0]) for line in lines if line.strip()}


def wheel_requirements(folder: Path) -> list[str]:
    """What the one wheel in a folder needs."""
    archive = zipfile.Path(next(folder.glob("*.whl")))
    info = next(entry for entry in archive.iterdir() if entry.name.endswith(".dist-info"))
    return PathDistribution(info).requires or []


def missing(needed: Iterable[str], present: set[str], python: str) -> set[str]:
    """Names of what is needed and not present, and of what these need in turn."""
    found: set[str] = set()
    waiting = list(needed)
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        there = {"extra": "", "python_version": python, "sys_platform": "linux", "platform_system": "Linux"}
        if name in present | found | NOT_NEEDED or (requirement.marker and not requirement.marker.evaluate(there)):
            continue
        found.add(name)
        waiting += requires(name) or []
    return found


class Reader:
    """Reads texts as the model's tokenizer does, and keeps those in which a piece is met for the first time.

    Trimming needs to see no others: of a text the pieces that fit best still do when those in no text are gone.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self.tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
        self.tokenizer.no_padding()
        self.pieces: set[int] = set()
        self.telling: list[str] = []

    def cut(self, texts: Sequence[str | None], tokens: int | None) -> list[str | None]:
        """The texts up to so many tokens; None stays None."""
        self.tokenizer.no_truncation()
        if tokens is not None:
            self.tokenizer.enable_truncation(tokens)
        cut: list[str | None] = list(texts)
        for at in range(0, len(texts), 2000):
            there = {n: text for n, text in enumerate(texts[at : at + 2000], at) if text}
            for (n, text), read in zip(there.items(), self.tokenizer.encode_batch(list(there.values())), strict=True):
                cut[n] = kept = text[: max(end for _, end in read.offsets)]
                if not self.pieces.issuperset(read.ids):
                    self.pieces.update(self.tokenizer.encode(kept).ids)  # at the cut they may be others
                    self.telling.append(kept)
        return cut


def pack_pairs(pairs: ParallelPairs, path: Path, reader: Reader, limits: Mapping[str, int | None]) -> None:
    """Write pairs in few bytes, queries and passages up to so many tokens, and say how many there are."""
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary, path.name)
        write_pairs(pairs, plain)
        table = pq.read_table(plain)
    for name, tokens in limits.items():
        texts = pa.array(reader.cut(table[name].to_pylist(), tokens), table.schema.field(name).type)
        table = table.set_column(table.column_names.index(name), name, texts)
    pq.write_table(table, path, compression="zstd", compression_level=19)
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {pairs.example_count:,} examples, {len(pairs):,} rows, {size:.1f} MB", flush=True)


def pack_sources(stages: Iterable[TrainConfig], folder: Path, reader: Reader) -> set[str]:
    """Write the sources of all stages, each once, and give the names of the data sets in them.

    Text that the recipe will be measured on is refused.

    A little more than training reads is left of each text: its limits count prompts and the marks of both ends.
    """
    stages = list(stages)
    sets = {each for stage in stages for each in stage.evaluation_sets}
    measured = [load_benchmark(each.benchmark, each.data, languages=each.languages) for each in sets]
    limits = {
        "query": longest(stage.query_tokens or stage.max_tokens for stage in stages),
        "passage": longest(stage.passage_tokens or stage.max_tokens for stage in stages),
    }
    names: set[str] = set()
    for source in dict.fromkeys(source for stage in stages for source in stage.data):
        pairs = read_sources([source.model_copy(update={"examples": None})], stages[0].seed)
        pairs = pairs.filter_languages([tag for tag in pairs.languages if tag.partition("-")[0] in LANGUAGES])
        most = EXAMPLES.get(Path(source.source).stem, pairs.example_count)
        pairs = pairs.sample(min(most, pairs.example_count), stages[0].seed)
        for each in measured:
            check_no_overlap(pairs, each)
        pack_pairs(pairs, folder / packed_name(source), reader, limits)
        names.update(pairs.translations().datasets)
    return names


def longest(limits: Iterable[int | None]) -> int | None:
    """The largest limit; None if one of them is none."""
    found = list(limits)
    return None if None in found else max(limit for limit in found if limit)


def packed_name(source: DataSource) -> str:
    """Of the file that holds a source's pairs."""
    return f"{Path(source.source).stem}.parquet"


def pack_stage(stage: TrainConfig, names: set[str], path: Path) -> None:
    """Write a stage's configuration with `$BUNDLE` for the bundle and `$ENCODER` for the unpacked model.

    Data sets of which nothing was packed, for their languages, have no weight there.
    """
    settings = stage.model_dump(mode="json", exclude_defaults=True)
    settings |= {"model": "$ENCODER", "data": [{"source": f"$BUNDLE/text/{packed_name(each)}"} for each in stage.data]}
    settings.pop("evaluation_sets", None)
    if stage.loss.distillation and stage.loss.distillation.teacher:
        settings["loss"]["distillation"]["teacher"] = "$ENCODER"
    if isinstance(weights := stage.batches.dataset_weights, dict):
        settings["batches"]["dataset_weights"] = {name: each for name, each in weights.items() if name in names}
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def pack_encoder(model: SentenceTransformer, texts: Sequence[str], archive: Path) -> None:
    """Write the model with the vocabulary of these texts."""
    trimmed, report = trim(model, texts, spare=0)
    for line in report.sentences()[:2]:
        print(line, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        save_model(trimmed, Path(temporary, "model"))
        pack_model(Path(temporary, "model"), archive)


def check_size(bundle: Path) -> None:
    """Say what takes the room; raises InputError if it is too much."""
    sizes = {path: path.stat().st_size for path in sorted(bundle.rglob("*")) if path.is_file()}
    for path, size in sizes.items():
        print(f"{size / 1e6:6.2f} MB  {path.relative_to(bundle)}")
    print(f"{sum(sizes.values()) / 1e6:6.2f} MB in all")
    if sum(sizes.values()) > MOST_BYTES:
        raise InputError(f"more than {MOST_BYTES / 1e6:.0f} MB; pack fewer EXAMPLES, or a model that was in 4 bits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--recipe", type=Path, default=PROJECT / "recipes" / "fair-small")
    parser.add_argument("--model", help="the initial model; the recipe's where not given")
    parser.add_argument("--development", type=Path, help="default: $DATA/prepared/development")
    parser.add_argument("--present", type=Path, default=HERE / "present.txt", help="names of packages that are there")
    parser.add_argument("--python", default="3.12", help="its version there")
    given = parser.parse_args()
    development = given.development or Path(os.environ["DATA"], "prepared", "development")
    stages = {name: load_config(given.recipe / f"{name}.yaml") for name in STAGES}
    model = load_encoder(given.model or stages[STAGES[0]].model, device="cpu")
    reader = Reader(model)
    with write_whole_folder(given.bundle) as bundle:
        for name in ("text", "development"):
            (bundle / name).mkdir()
        pack_wheels(bundle / "wheels", given.present, given.python)
        for file in sorted(development.glob("*.parquet")):
            pack_pairs(read_pairs(file), bundle / "development" / file.name, reader, {"query": None, "passage": None})
        names = pack_sources(stages.values(), bundle / "text", reader)
        for name, stage in stages.items():
            pack_stage(stage, names, bundle / f"{name}.yaml")
        pack_encoder(model, reader.telling, bundle / "encoder.tar.xz")
        check_size(bundle)


if __name__ == "__main__":
    main()
