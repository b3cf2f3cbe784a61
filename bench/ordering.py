"""Encoding in order of tokens against other orders: texts a second, and how much of each batch is padding.

    python bench/ordering.py [FILE]

400 passages of FILE, parallel pairs in several languages; Debian's package descriptions without one. The same texts,
batches of 32 and 96 tokens with the built-in encoder: as they come, in order of characters, as
`SentenceTransformer.encode` does, and in order of tokens, as `isoglot.models.embed` does. The three take turns, twice;
the best times are compared.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from sentence_transformers import SentenceTransformer

from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder
from isoglot.sources import load_pairs

TEXTS, BATCH = 400, 32


def padding(lengths: np.ndarray, order: np.ndarray) -> float:
    """Share of a batch's places that hold no token, over all batches in this order."""
    batches = [lengths[order[start : start + BATCH]] for start in range(0, len(order), BATCH)]
    return float(1 - lengths.sum() / sum(len(batch) * batch.max() for batch in batches))


def encode_as_they_come(model: SentenceTransformer, texts: list[str]) -> None:
    for start in range(0, len(texts), BATCH):
        model.encode(texts[start : start + BATCH], prompt_name="document", batch_size=BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default="debian")
    pairs = load_pairs(parser.parse_args().file)
    rows = np.random.default_rng(0).permutation(len(pairs))[:TEXTS]
    texts = [str(text) for text in pairs.texts("passage", rows)]
    model = load_encoder("builtin:multilingual-e5-small", max_tokens=96)
    tokens = model.tokenizer(texts, truncation=True, max_length=96)["input_ids"]
    lengths = np.array([len(ids) for ids in tokens])
    ways: dict[str, tuple[np.ndarray, Callable[[], object]]] = {
        "as they come": (np.arange(len(texts)), lambda: encode_as_they_come(model, texts)),
        "by characters": (
            np.argsort([-len(text) for text in texts]),
            lambda: model.encode(texts, prompt_name="document", batch_size=BATCH),
        ),
        "by tokens": (np.argsort(-lengths), lambda: embed(model, texts, "passage", batch_size=BATCH)),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(2):
        for name, (_, encode) in ways.items():
            start = time.perf_counter()
            encode()
            best[name] = min(best[name], time.perf_counter() - start)
    for name, (order, _) in ways.items():
        ratio = best[name] / best["by tokens"]
        print(
            f"{name:14}: {len(texts) / best[name]:4.0f} texts a second, {ratio:.2f} x the time by tokens, "
            f"{padding(lengths, order):.0%} padding"
        )


if __name__ == "__main__":
    main()
