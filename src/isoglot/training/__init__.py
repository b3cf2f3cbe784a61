"""Training: a plan, followed by sentence-transformers' own trainer."""

from isoglot.training.config import TrainConfig, load_config
from isoglot.training.run import train

__all__ = ["TrainConfig", "load_config", "train"]
