"""The model card of a trained model: data, plan, settings and scores, so that it can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from isoglot.batching.plan import BatchPlan
from isoglot.evaluation.results import Results
from isoglot.training.config import TrainConfig
from isoglot.training.preparation import OverlapFound

_USE = """```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this/folder")
queries = model.encode_query(["..."])
passages = model.encode_document(["..."])
```"""


def model_card(config: TrainConfig, record: dict[str, Any], plan: BatchPlan, results: dict[str, Results]) -> str:
    """The card as Markdown with the hub's metadata at its head.

    Args:
        config: of the run.
        record: `run.json`.
        plan: of the run.
        results: of the initial and the trained model on held-out pairs; may be empty.
    """
    metadata = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "language": sorted({tag.split("-")[0] for tag in record["data"]["languages"]}),
        "tags": ["sentence-transformers", "isoglot", "multilingual", "retrieval"],
        "base_model": config.model,
    }
    described = plan.describe()
    batches = ", ".join(f"{n:,} {kind}" for kind, n in described["batches"].items())
    settings = yaml.safe_dump(config.model_dump(mode="json", exclude={"output"}), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---",
        "# A retriever that ranks by meaning, not by language",
        f"Fine-tuned from `{config.model}` with isoglot {record['versions']['isoglot']} on parallel query-passage "
        f"pairs in batches of {plan.batch_size} ({batches}; strategy `{config.batches.strategy}`), after "
        "*Hybrid batch training* (arXiv 2408.10536).",
        _USE,
        "## Data",
        f"{record['data']['examples']:,} examples in {len(record['data']['languages'])} languages "
        f"({', '.join(record['data']['languages'])}), {record['data']['rows']:,} translations; data sets "
        f"{', '.join(record['data']['datasets'])}. Fingerprint `{record['data']['fingerprint'][:16]}`.",
        _overlap(record["data"]["evaluation_sets"]),
        "## Scores",
        _scores(results),
        "## Settings",
        f"```yaml\n{settings}```",
    ]
    return "\n\n".join(parts) + "\n"


def _overlap(checked: Sequence[OverlapFound]) -> str:
    if not checked:
        return "Overlap with evaluation sets was not checked."
    done = {"drop": "left out of training", "keep": "kept", "refuse": "none found"}
    parts = [f"{set_['benchmark']}: {set_['examples_with_overlap']:,} ({done[set_['on_overlap']]})" for set_ in checked]
    return f"Training examples that hold texts of evaluation sets: {'; '.join(parts)}."


def _scores(results: dict[str, Results]) -> str:
    if not results:
        return "No pairs were held out, so none were measured in training."
    lines = [
        "On held-out pairs, mAP in three settings, and the mean distance of the ranks of parallel right answers:",
        "",
        "| model | monolingual | cross-lingual | multilingual | rank distance |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        scores = [f"{result.setting(setting):.3f}" for setting in ("monolingual", "cross_lingual", "multilingual")]
        lines.append(f"| {name} | {' | '.join(scores)} | {result.bias('rank_distance'):.1f} |")
    return "\n".join(lines)
