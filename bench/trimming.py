"""What a trimmed vocabulary saves in training: seconds per step and memory, with and without updating its embeddings.

    python bench/trimming.py [--steps 5] [--pairs debian] [--languages de,en,fr,ja,ru]

builtin:multilingual-e5-small, whole and trimmed by the text that it is then trained on, on the CPU. Each of the four
cases is a bare loop of forward, backward, clipping and AdamW over token batches made beforehand, in a process of its
own, so that its peak is its own; the cases take turns, twice. Seconds are medians without each loop's first step. The
trained state, weights, gradients and AdamW's two moments, is counted tensor by tensor; the peak is what the operating
system (Linux) saw, libraries and activations included.
"""

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from isoglot.common.roles import Role

BATCH = 32
LIMITS: dict[Role, int | None] = {"query": 32, "passage": 64}
Measured = tuple[list[float], int, int]
"""Seconds of each step, bytes of the trained state, peak memory in bytes."""


def measure(folder: str, texts: list[list[dict[str, str]]], frozen: bool) -> Measured:
    import torch

    from isoglot.models.builtin import quiet_transformers
    from isoglot.models.encoders import load_encoder
    from isoglot.training.data import Collator
    from isoglot.training.losses import Objective

    with quiet_transformers():
        model = load_encoder(folder, device="cpu").train()
    model[0].auto_model.get_input_embeddings().requires_grad_(not frozen)
    collate, loss = Collator(model, LIMITS), Objective(model, temperature=0.02)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.01, fused=True)
    batches = [collate(rows) for rows in texts]
    seconds = []
    for batch in batches:
        features = [
            {key.removeprefix(f"{name}_"): value for key, value in batch.items() if key.startswith(f"{name}_")}
            for name in ("query", "passage")
        ]
        start = time.perf_counter()
        loss(features, None).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        state = [*model.parameters(), *(parameter.grad for parameter in trained if parameter.grad is not None)]
        state += [value for moments in optimizer.state.values() for value in moments.values()]
        held = sum(tensor.nbytes for tensor in state)
        optimizer.zero_grad()
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    return seconds[1:], held, peak


def in_own_process(*arguments: Any) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--pairs", default="debian")
    parser.add_argument("--languages", default="de,en,fr,ja,ru")
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    from isoglot.models.builtin import quiet_transformers
    from isoglot.models.encoders import load_encoder
    from isoglot.models.trimming import trim
    from isoglot.sources import load_pairs

    pairs = load_pairs(arguments.pairs, languages=arguments.languages.split(","))
    whole = load_encoder("builtin:multilingual-e5-small", device="cpu")
    trimmed, report = trim(whole, pairs)
    for line in report.sentences():
        print(line)
    some = islice(pairs.rows(), 50_000)
    asked = [{"query": row["query"], "passage": row["passage"]} for row in some if row["query"]]
    every = max(1, len(asked) // (arguments.steps * BATCH))
    rows = asked[::every][: arguments.steps * BATCH]
    texts = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        trimmed.save_pretrained(str(Path(folder) / "trimmed"), create_model_card=False)
        models = {"whole": "builtin:multilingual-e5-small", "trimmed": str(Path(folder) / "trimmed")}
        del whole, trimmed
        cases = [(name, frozen) for frozen in (False, True) for name in models]
        found: dict[tuple[str, bool], list[Measured]] = {case: [] for case in cases}
        for _ in range(2):  # take turns, so that a slow minute of the machine hits all
            for name, frozen in cases:
                found[name, frozen].append(in_own_process(models[name], texts, frozen))
    for frozen in (False, True):
        print(f"word embeddings {'frozen' if frozen else 'trained'}")
        for name in models:
            turns = found[name, frozen]
            seconds = statistics.median(second for times, _, _ in turns for second in times)
            state, peak = turns[0][1] / 1e6, max(peak for _, _, peak in turns) / 1e6
            print(f"  {name:<8} {BATCH / seconds:5.1f} pairs/s, {seconds:.2f} s a step, ", end="")
            print(f"{state:.0f} MB of trained state, {peak:.0f} MB at most")


if __name__ == "__main__":
    main()
