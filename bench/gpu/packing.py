"""Weights in few bytes: matrices in blocks of 32 with 4 bits a weight, everything else as it is.

A block holds whole numbers from -8 to 7 and one scale, such that the weight of largest magnitude becomes -8. Weights
that were in such blocks before, as the built-in encoder's were, come back exactly. Of any others the error is at most
an eighth of the block's largest magnitude.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError

BLOCK = 32
_SCALES, _NIBBLES = "|scales", "|nibbles"


def quantised(weights: torch.Tensor, scale_type: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales `(rows, width / 32)` and pairs of numbers `(rows, width / 2)` of a matrix whose width 32 divides."""
    blocks = weights.reshape(len(weights), -1, BLOCK)
    scales = (blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True)) / -8).to(scale_type)
    divisors = torch.where(scales == 0, 1, scales.float())
    numbers = ((blocks / divisors).round().clamp(-8, 7) + 8).to(torch.uint8)
    low, high = numbers.chunk(2, -1)
    return scales[..., 0], (low | high << 4).reshape(len(weights), -1)


def restored(scales: torch.Tensor, nibbles: torch.Tensor) -> torch.Tensor:
    """The matrix `(rows, width)`, float32."""
    pairs = nibbles.reshape(*scales.shape, BLOCK // 2)
    numbers = torch.cat([pairs & 15, pairs >> 4], -1).float() - 8
    return (numbers * scales.float()[..., None]).reshape(len(scales), -1)


def write_tensors(tensors: dict[str, torch.Tensor], path: Path, *, exact: bool) -> None:
    """Write float tensors, matrices in 4 bits; with `exact` only those that come back as they were.

    Scales are float16, in which blocks of the built-in encoder have them; where the rest is rounded anyway, as in small
    changes of weights, they are bfloat16, whose range is wider.
    """
    parts: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        weights = tensor.detach().cpu().float().contiguous()
        if weights.dim() == 2 and weights.shape[1] % BLOCK == 0:
            scales, nibbles = quantised(weights, torch.float16 if exact else torch.bfloat16)
            if not exact or torch.equal(restored(scales, nibbles), weights):
                parts |= {name + _SCALES: scales.contiguous(), name + _NIBBLES: nibbles}
                continue
        parts[name] = weights
    save_file(parts, path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of such a file, float32."""
    parts = load_file(path)
    return {
        name.removesuffix(_SCALES): restored(part, parts[name.removesuffix(_SCALES) + _NIBBLES])
        if name.endswith(_SCALES)
        else part
        for name, part in parts.items()
        if not name.endswith(_NIBBLES)
    }


def pack_model(folder: Path, archive: Path) -> None:
    """A model's folder as one `.tar.xz`, from which `unpack_model` gets the same weights."""
    with tempfile.TemporaryDirectory() as temporary:
        packed = Path(shutil.copytree(folder, Path(temporary, "model")))
        for file in packed.rglob("*.safetensors"):
            write_tensors(load_file(file), file, exact=True)
        shutil.make_archive(str(archive).removesuffix(".tar.xz"), "xztar", packed)


def unpack_model(archive: Path, folder: Path) -> None:
    """The model's folder, with weights in float32."""
    shutil.unpack_archive(archive, folder, filter="data")
    for file in folder.rglob("*.safetensors"):
        save_file(read_tensors(file), file, metadata={"format": "pt"})


def write_change(before: SentenceTransformer, after: SentenceTransformer, path: Path) -> float:
    """Write what training changed, and give the relative error of what `add_change` will add: norm over norm."""
    first, last = before.state_dict(), after.state_dict()
    change = {name: last[name].cpu() - first[name].cpu() for name in first if last[name].is_floating_point()}
    change = {name: tensor for name, tensor in change.items() if tensor.any()}
    write_tensors(change, path, exact=False)
    found = read_tensors(path)
    error = sum(float((found[name] - tensor).square().sum()) for name, tensor in change.items())
    whole = sum(float(tensor.square().sum()) for tensor in change.values())
    return (error / whole) ** 0.5 if whole else 0.0


def add_change(model: SentenceTransformer, path: Path) -> SentenceTransformer:
    """Add what training changed to a model's weights, in place.

    Raises:
        InputError: if the model has no such weights.
    """
    weights = model.state_dict()  # of the same memory
    for name, change in read_tensors(path).items():
        if name not in weights or weights[name].shape != change.shape:
            raise InputError(f"{path}: the model has no weights {name} {tuple(change.shape)}; name the initial model")
        weights[name] += change.to(weights[name].device)
    return model
