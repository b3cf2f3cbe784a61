"""What the exported forms of a model give on this processor, held against torch on the same texts, one thread each.

    python bench/backends.py [--model builtin:multilingual-e5-small] [--texts 300] [--pairs debian] [--max-tokens 96]

Passages of the pairs, in all their languages, are encoded in batches of 32 by every back end in turn, three times over;
then thirty queries one by one. Time is the processor's, so that other work on the machine disturbs it little: with one
thread a core-second is a second, and a query's milliseconds are what it takes where nothing else runs. The cosine is
with what torch gives in float32.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from isoglot.common.arrays import FloatArray
from isoglot.common.roles import Role

Format = Literal["onnx", "openvino", "ctranslate2"]


def seconds(encode: Callable[[list[str], Role], FloatArray], texts: list[str], role: Role) -> tuple[float, FloatArray]:
    start = time.process_time()
    vectors = encode(texts, role)
    return time.process_time() - start, vectors


def megabytes(folder: str) -> float:
    return (
        sum(file.stat().st_size for file in Path(folder).rglob("*") if "token" not in file.name and file.is_file())
        / 1e6
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="builtin:multilingual-e5-small")
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--pairs", default="debian")
    parser.add_argument("--max-tokens", type=int, default=96)
    arguments = parser.parse_args()

    import numpy as np
    import torch

    from isoglot import export, load_encoder, load_pairs, save_model
    from isoglot.models.arithmetic import in_bf16
    from isoglot.models.text_encoder import ModelEncoder
    from isoglot.runtime.encoder import TextEncoder
    from isoglot.runtime.exported import ExportedEncoder

    torch.set_num_threads(1)
    pairs = load_pairs(arguments.pairs)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(pairs.has_query))[: arguments.texts]
    passages, queries = ([str(text) for text in pairs.texts(role, rows)] for role in ("passage", "query"))
    model = load_encoder(arguments.model, device="cpu", max_tokens=arguments.max_tokens)
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, f"{folder}/torch")
        encoders: dict[str, tuple[TextEncoder, float]] = {}
        encoders["torch float32"] = ModelEncoder(model), megabytes(f"{folder}/torch")
        if in_bf16(None, torch.device("cpu")):
            encoders["torch bfloat16"] = ModelEncoder(model, bf16=True), megabytes(f"{folder}/torch")
        for name in get_args(Format):
            export(model, f"{folder}/{name}", name)
            encoders[name] = ExportedEncoder(f"{folder}/{name}", threads=1), megabytes(f"{folder}/{name}")
        taken: dict[str, list[float]] = {name: [] for name in encoders}
        asked: dict[str, list[float]] = {name: [] for name in encoders}
        vectors = {}
        for encoder, _ in encoders.values():
            encoder.encode(passages[:8], "passage")  # what is made at the first call
        for _ in range(3):  # in turns, so that a slow minute of the machine hits all
            for name, (encoder, _) in encoders.items():
                spent, vectors[name] = seconds(encoder.encode, passages, "passage")
                taken[name].append(spent)
        for query in queries[:30]:
            for name, (encoder, _) in encoders.items():
                asked[name].append(seconds(encoder.encode, [query], "query")[0])
    own = vectors["torch float32"]
    print(f"{len(passages)} passages of at most {arguments.max_tokens} tokens, one thread")
    print("back end         texts per core-second   of torch   one query ms      MB   cosine mean / min")
    for name, (_, size) in encoders.items():
        rate, ms = len(passages) / statistics.median(taken[name]), 1000 * statistics.median(asked[name])
        cosine = (own * vectors[name]).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(vectors[name], axis=1)
        gain = statistics.median(taken["torch float32"]) / statistics.median(taken[name])
        near = f"{cosine.mean():.5f} / {cosine.min():.5f}"
        print(f"{name:<16} {rate:>21.1f} {gain:>10.2f} {ms:>14.1f} {size:>7.0f}   {near}")


if __name__ == "__main__":
    main()
