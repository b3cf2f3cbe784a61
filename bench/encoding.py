"""A corpus encoded on this machine's cores, and by Ray with two workers, one of which is killed in the middle.

    python bench/encoding.py [--texts 20000] [--model MODEL] [--workers 2] [--shard-rows 1024] [--folder DIR]

Without --model a small BERT of random weights is made (4 layers of 128, a word of the text a token), so that the
work is that of an encoder and fits any machine. Texts have 4 to 40 words. Says texts per second of each way, what Ray
takes until the first shard is there, whether the shards are the same to the byte, and that a second call makes none.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import isoglot
from isoglot.common.roles import Role

WORDS = 2000


def make_corpus(path: Path, texts: int) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 41, texts)
    said = [" ".join(f"word{n}" for n in rng.integers(0, WORDS, length)) for length in lengths]
    pq.write_table(pa.table({"id": [f"d{n}" for n in range(texts)], "text": said}), path)


def make_model(folder: Path) -> None:
    """A BERT of random weights with a vocabulary of the corpus' words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    vocabulary = {name: n for n, name in enumerate(["[PAD]", "[UNK]", *(f"word{n}" for n in range(WORDS))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    shape: dict[str, Any] = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
    BertModel(BertConfig(vocab_size=len(vocabulary), intermediate_size=512, **shape)).save_pretrained(folder / "bare")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=128
    ).save_pretrained(folder / "bare")
    modules = [Transformer(str(folder / "bare")), Pooling(128, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "model"))


class Mortal:
    """An encoder whose process is killed at the third shard that it is given, once in all."""

    def __init__(self, model: str, marks: Path) -> None:
        self.encoder, self.marks, self.calls = isoglot.load_text_encoder(model), marks, 0
        self.name, self.dimensions = self.encoder.name, self.encoder.dimensions
        self.max_tokens = self.encoder.max_tokens

    def provenance(self, role: Role) -> isoglot.Provenance:  # noqa: D102
        return self.encoder.provenance(role)

    def encode(self, texts: Sequence[str], role: Role) -> np.ndarray:  # noqa: D102
        self.calls += 1
        vectors = self.encoder.encode(texts, role)
        (self.marks / str(time.time())).touch()
        if self.calls == 3:
            try:
                os.open(self.marks / "killed", os.O_CREAT | os.O_EXCL)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return vectors

    def count_tokens(self, texts: Sequence[str], role: Role) -> list[int]:  # noqa: D102
        return self.encoder.count_tokens(texts, role)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard-rows", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where files go for the time being")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        (folder / "marks").mkdir()
        if asked.model is None:
            make_model(folder)
        model, corpus = asked.model or str(folder / "model"), folder / "corpus.parquet"
        make_corpus(corpus, asked.texts)
        encoder = isoglot.load_text_encoder(model)
        on_ray = isoglot.RayEngine(partial(Mortal, model, folder / "marks"), asked.workers, 1)
        for way, engine in (("local", None), ("ray", on_ray)):
            start, begun = time.perf_counter(), time.time()
            isoglot.encode_corpus(corpus, encoder, folder / way, engine=engine, shard_rows=asked.shard_rows)
            seconds = time.perf_counter() - start
            print(f"{way}: {seconds:.1f} s, {asked.texts / seconds:,.0f} texts a second", flush=True)
        times = sorted(float(path.name) for path in (folder / "marks").iterdir() if path.name != "killed")
        shards = -(-asked.texts // asked.shard_rows)
        pace = (len(times) - 1) * asked.shard_rows / (times[-1] - times[0])
        print(f"ray: first shard after {times[0] - begun:.1f} s, then {pace:,.0f} texts a second")
        print(f"ray: {len(times)} calls for {shards} shards, a worker killed: {(folder / 'marks' / 'killed').exists()}")
        one, two = ({p.name: p.read_bytes() for p in (folder / way).iterdir()} for way in ("local", "ray"))
        print(f"the same to the byte: {sum(one[name] == two.get(name) for name in one)} of {len(one)} files")
        again = isoglot.encode_corpus(corpus, encoder, folder / "ray", shard_rows=asked.shard_rows)
        print(f"called again: {again.encoded} texts encoded")


if __name__ == "__main__":
    main()
