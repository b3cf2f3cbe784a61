"""Training: a plan, followed by sentence-transformers' own trainer.

The files in the order in which a run meets them: `config`, `preparation` (pairs and plan), `model_setup`, `data` (rows
and tokens), `losses` and `lengths` (what is minimised, and how texts are encoded for it), `trainer_setup`, `trainer`,
`run` (which calls the others and writes the folder), `card`. `estimate` takes a few steps; `processes` shares the work.
"""

from isoglot.training.config import TrainConfig, load_config
from isoglot.training.estimate import Estimate, estimate
from isoglot.training.run import train

__all__ = ["Estimate", "TrainConfig", "estimate", "load_config", "train"]
