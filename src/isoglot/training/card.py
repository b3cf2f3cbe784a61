"""The model card of a trained model: data, plan, settings and scores, so that it can be repeated."""

from __future__ import annotations

from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from isoglot.batching.plan import BatchPlan
from isoglot.evaluation.results import Results
from isoglot.training.config import TrainConfig


def model_card(config: TrainConfig, record: dict[str, Any], plan: BatchPlan, results: dict[str, Results]) -> str:
    """The card as Markdown with the hub's metadata at its head; `record` is `run.json`, `results` may be empty."""
    metadata = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "language": sorted({tag.split("-")[0] for tag in record["data"]["languages"]}),
        "tags": ["sentence-transformers", "isoglot", "multilingual", "retrieval"],
        "base_model": config.model,
    }
    settings = config.model_dump(mode="json", exclude={"output"})
    templates = Environment(loader=PackageLoader("isoglot.training"), undefined=StrictUndefined, autoescape=False)
    return templates.get_template("card.md").render(
        config=config,
        record=record,
        data=record["data"],
        plan=plan.describe(),
        results=results,
        done={"drop": "left out of training", "keep": "kept", "refuse": "none found"},
        metadata=yaml.safe_dump(metadata, sort_keys=False),
        settings=yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
    )
