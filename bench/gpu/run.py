"""Train a packed recipe with large batches, and say what that cost and what it changed; run.sh calls it.

For each size of batches both stages of the recipe are trained, from the packed model on. A few steps of each stage are
timed first; where not all fit into the time that is left, as many are made as do. OUT gets results.json,
written anew after each size, and what training changed, 4 bits a weight: change-1024.safetensors, ...
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import operations, peak_rate, scores
from packing import add_change, unpack_model, write_change

from isoglot import estimate, load_config, load_encoder, train
from isoglot.common.atomic import write_json
from isoglot.common.versions import versions
from isoglot.models.arithmetic import in_bf16

STAGES = ("align", "hybrid")
MARGIN = 0.85  # of the time that is left is planned for: a few steps tell it roughly
WARM_UP = 2  # steps that do not count
TRIED = 32  # steps of the plan that a forecast is made of


@dataclass(frozen=True)
class Figures:
    """What a stage cost."""

    steps: int
    wanted_steps: int
    seconds: float  # preparation and targets included
    seconds_per_step: float
    pairs_per_second: float
    tokens_per_pair: float  # prompts included, padding not
    peak_memory: int | None  # bytes
    operations_per_second: float  # as `operations` counts them
    utilisation: float  # the same, as a share of the peak rate

    def __str__(self) -> str:
        """For people, a line."""
        memory = f"{self.peak_memory / 2**30:.1f} GiB" if self.peak_memory else "memory not known"
        return (
            f"{self.steps} of {self.wanted_steps} steps, {self.pairs_per_second:,.0f} pairs/s, {memory}, "
            f"{self.operations_per_second / 1e12:.2f} TFLOP/s, {self.utilisation:.1%} of a matrix product's"
        )


@dataclass
class Budget:
    """The time there is, shared among the stages by their steps."""

    end: float
    coming: list[int]  # steps of the stages to come

    def share(self) -> float:
        """Seconds for the next stage."""
        steps = self.coming.pop(0)
        return MARGIN * (self.end - time.monotonic()) * steps / (steps + sum(self.coming))


def train_stage(settings: Path, overrides: list[str], wanted: int, seconds: float, peak: float) -> tuple[Path, Figures]:
    """Train one stage, in about so many seconds at most; the model's folder, and what it cost."""
    start = time.monotonic()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    expected = estimate(load_config(settings, [*overrides, f"steps={min(TRIED, wanted)}"]))
    preparing = time.monotonic() - start  # which training does once more
    tried, size = expected.plan["steps"], expected.plan["batch_size"]
    affordable = (seconds - 2 * preparing) * tried / sum(expected.seconds.values())
    steps = max(WARM_UP + 2, min(wanted, int(affordable)))
    folder = train(load_config(settings, [*overrides, f"steps={steps}"]))
    log = [json.loads(line)["seconds"] for line in (folder.parent / "log.jsonl").read_text().splitlines()]
    per_step = (log[-1] - log[WARM_UP - 1]) / (len(log) - WARM_UP)
    rate = operations(load_encoder(folder, device="cpu"), expected.tokens, 2 * expected.pairs) / tried / per_step
    return folder, Figures(
        steps=steps,
        wanted_steps=wanted,
        seconds=round(time.monotonic() - start, 1),
        seconds_per_step=round(per_step, 4),
        pairs_per_second=round(size / per_step, 1),
        tokens_per_pair=round(expected.tokens / expected.pairs, 1),
        peak_memory=expected.peak_memory,
        operations_per_second=rate,
        utilisation=round(rate / peak, 4),
    )


def train_recipe(given: argparse.Namespace, size: int, budget: Budget, peak: float, work: Path) -> tuple[Path, Any]:
    """All stages with batches of one size; the last model's folder, and figures by stage.

    All sizes are to see as many pairs as the smallest does in the recipe's steps.
    """
    folder, figures = work / "encoder", {}
    for name in STAGES:
        overrides = [
            f"model={folder}",
            f"output={work / f'{name}-{size}'}",
            f"batches.size={size}",
            f"loss.mini_batch={given.mini_batch}",
            "checkpoint_every=1000000",
            *given.set,
        ]
        settings = given.bundle / f"{name}.yaml"
        wanted = (load_config(settings, given.set).steps or 1) * min(given.batches) // size
        folder, cost = train_stage(settings, overrides, wanted, budget.share(), peak)
        print(f"{name}, batches of {size}: {cost}", flush=True)
        figures[name] = asdict(cost)
    return folder, figures


def run(given: argparse.Namespace, work: Path) -> None:
    """Everything; the folder is for what is not kept."""
    end = time.monotonic() + given.seconds
    os.environ |= {"BUNDLE": str(given.bundle.resolve()), "ENCODER": str(work / "encoder"), "ISOGLOT_CACHE": str(work)}
    unpack_model(given.bundle / "encoder.tar.xz", work / "encoder")
    initial = partial(load_encoder, work / "encoder")
    device, development = initial().device, given.bundle / "development"
    peak, start = peak_rate(device), time.monotonic()
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "bf16": in_bf16(None, device),
        "peak_rate": peak,
        "versions": versions(),
        "scores": {"initial": scores(initial(), development)},
        "batches": {},
    }
    scoring = (time.monotonic() - start) * len(given.batches)
    wanted = [load_config(given.bundle / f"{name}.yaml", given.set).steps or 1 for name in STAGES]
    budget = Budget(end - scoring, wanted * len(given.batches))
    for size in given.batches:
        folder, figures = train_recipe(given, size, budget, peak, work)
        change = given.out / f"change-{size}.safetensors"
        figures["change_error"] = write_change(initial(), load_encoder(folder), change)
        report["batches"][str(size)] = figures
        report["scores"][str(size)] = scores(add_change(initial(), change), development)
        write_json(given.out / "results.json", report)
    for name in report["scores"]["initial"]:
        for system, found in report["scores"].items():
            print(f"{name}, {system}: " + ", ".join(f"{measure} {value}" for measure, value in found[name].items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=450)
    parser.add_argument("--batches", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--mini-batch", type=int, default=1024, help="texts encoded at a time")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of both stages")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        run(given, Path(temporary))


if __name__ == "__main__":
    main()
