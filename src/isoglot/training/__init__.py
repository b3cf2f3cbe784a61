"""Training: a plan, followed by sentence-transformers' own trainer."""

from isoglot.training.config import TrainConfig, load_config
from isoglot.training.estimate import Estimate, estimate
from isoglot.training.run import train

__all__ = ["Estimate", "TrainConfig", "estimate", "load_config", "train"]
