"""Models as graphs: ONNX, OpenVINO, and CTranslate2 with a small ONNX graph for what follows its transformer."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.common.extras import library
from isoglot.models.builtin import quiet_transformers
from isoglot.models.portable import write_settings
from isoglot.runtime.exported import CTRANSLATE2_FOLDER, HEAD_FILE, ONNX_FILE, OPENVINO_FILE, OUTPUT

_ONE_FILE = 1_900_000_000  # bytes of weights; a file of ONNX ends at 2 GB, and larger weights stand beside it
_EXAMPLES = ["All human beings are born free", "and equal in dignity"]  # of two lengths


class _Stack(torch.nn.Module):
    """Modules one after another, from two named tensors to the finished vector."""

    def __init__(self, modules: list[torch.nn.Module], inputs: Mapping[str, Any], dimensions: int | None) -> None:
        super().__init__()
        self.stack, self.inputs, self.dimensions = torch.nn.ModuleList(modules), tuple(inputs), dimensions

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        features = dict(zip(self.inputs, (first, second), strict=True))
        for module in self.stack:
            features = module(features)
        return features[OUTPUT][:, : self.dimensions]


def write_onnx(model: SentenceTransformer, folder: Path) -> None:
    """Write all modules as one graph, from numbers of tokens to the finished vector."""
    tokens = model.tokenizer(_EXAMPLES, padding=True, return_tensors="pt")
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    _write_graph(_Stack([*model.children()], inputs, model.truncate_dim), inputs, folder / ONNX_FILE)
    transformer = model[0].model
    settings = json.loads(transformer.config.to_json_string(use_diff=False))
    write_json(folder / "config.json", {**settings, "architectures": [type(transformer).__name__]})
    write_json(folder / "config_sentence_transformers.json", {"prompts": dict(model.prompts)})
    write_settings(model, folder)


def write_openvino(model: SentenceTransformer, folder: Path) -> None:
    """Write the same as OpenVINO's intermediate representation."""
    openvino = library("openvino", "openvino", "this format")
    with tempfile.TemporaryDirectory() as temporary:
        write_onnx(model, Path(temporary))
        (folder / OPENVINO_FILE).parent.mkdir()
        converted = openvino.convert_model(Path(temporary) / ONNX_FILE)
        openvino.save_model(converted, folder / OPENVINO_FILE, compress_to_fp16=False)
    write_settings(model, folder)


def write_ctranslate2(model: SentenceTransformer, folder: Path) -> None:
    """Write the transformer in 8-bit integers for CTranslate2, and what follows as a graph of its own.

    Raises:
        InputError: if CTranslate2 does not know the architecture.
    """
    converters = library("ctranslate2.converters", "translate", "this format")
    transformer, *rest = model.children()
    with tempfile.TemporaryDirectory() as temporary, quiet_transformers():
        transformer.save(temporary)
        config = Path(temporary) / "config.json"
        # Position embeddings count from the first token; transformers 5 no longer says so, and the converter asks.
        write_json(config, {"position_embedding_type": "absolute", **json.loads(config.read_text("utf-8"))})
        try:
            converters.TransformersConverter(temporary).convert(str(folder / CTRANSLATE2_FOLDER), quantization="int8")
        except Exception as error:  # it asserts what it needs, and reaches for parts that are not there
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"CTranslate2 does not take this model ({reason}); export it as onnx") from error
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    inputs = {"token_embeddings": torch.zeros(2, 3, transformer.get_embedding_dimension()), "attention_mask": mask}
    _write_graph(_Stack(rest, inputs, model.truncate_dim), inputs, folder / HEAD_FILE)
    write_settings(model, folder)


def _write_graph(stack: _Stack, inputs: dict[str, torch.Tensor], path: Path) -> None:
    library("onnxscript", "export", "this format")
    path.parent.mkdir()
    size = sum(each.nbytes for each in stack.parameters())
    free = {0: "texts", 1: "tokens"}
    try:
        with _quiet_exporter(), torch.inference_mode():
            torch.onnx.export(
                stack.eval(),
                tuple(inputs.values()),
                path,
                input_names=[*inputs],
                output_names=[OUTPUT],
                dynamic_shapes={"first": free, "second": free},
                external_data=size > _ONE_FILE,
                verbose=False,
            )
    except Exception as error:  # whatever in the model's code the exporter cannot follow
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the model cannot be written as a graph: {reason}") from error


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep what the exporter says of its own affairs off the screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
