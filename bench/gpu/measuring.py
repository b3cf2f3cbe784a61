"""What the device can do, what training asks of it, and how a model does on the development sets."""

import time
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from isoglot import evaluate, read_pairs, retrieval_set_of
from isoglot.models.arithmetic import in_bf16
from isoglot.models.limits import with_limit

_WIDTH = {"cuda": 8192}  # of the square matrices that are multiplied
_OTHER_WIDTH = 1024
_TOKENS = 128  # of a text that is scored


def peak_rate(device: torch.device) -> float:
    """Floating-point operations a second of one large matrix product, in the arithmetic of training."""
    width = _WIDTH.get(device.type, _OTHER_WIDTH)
    arithmetic = torch.bfloat16 if in_bf16(None, device) else torch.float32
    left, right = (torch.randn(width, width, device=device).to(arithmetic) for _ in range(2))

    def seconds(products: int = 10) -> float:
        start = time.perf_counter()
        for _ in range(products):
            product = left @ right
        float(product[0, 0])  # waits for the device
        return (time.perf_counter() - start) / products

    seconds()
    return 2 * width**3 / min(seconds() for _ in range(3))


def operations(model: SentenceTransformer, tokens: int, texts: int) -> float:
    """Floating-point operations of training on so many texts with so many tokens in all.

    Forward that is two for each token and weight of the blocks' linear layers, and attention's two products at the mean
    length; backward is twice that. Padding and the repeated passes of gradient caching are not counted, nor are the
    word embeddings, which are looked up, and the head.
    """
    transformer = model[0].auto_model
    linear = [module for module in transformer.encoder.modules() if isinstance(module, torch.nn.Linear)]
    attention = 4 * tokens / texts * transformer.config.hidden_size * transformer.config.num_hidden_layers
    return float(3 * tokens * (2 * sum(module.weight.numel() for module in linear) + attention))


def scores(model: SentenceTransformer, folder: Path) -> dict[str, dict[str, float]]:
    """Mean average precision in each setting, and the rank distance, by development set."""
    reader, found = with_limit(model, _TOKENS), {}
    for file in sorted(folder.glob("*.parquet")):
        data = retrieval_set_of(read_pairs(file), file.stem)
        results = evaluate(reader, data, batch_size=256, bf16=in_bf16(None, model.device))
        measured = {setting: results.setting(setting) for setting in ("monolingual", "cross_lingual", "multilingual")}
        measured["rank_distance"] = results.bias("rank_distance")
        found[file.stem] = {name: round(value, 4) for name, value in measured.items() if value == value}
    return found
