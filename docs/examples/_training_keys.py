"""The tables of keys in docs/training.md are written from the classes of a configuration: python _training_keys.py.

A row is a key, its default and the docstring of its attribute; which keys stand in which table the page says.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from isoglot.training import TrainConfig

PAGE = Path(__file__).parents[1] / "training.md"
ROW = re.compile(r"^\| `([^`]+)` \| (\S+) \| (.+) \|$", re.MULTILINE)


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every key of a configuration, dotted, with its default, `...` where one must be given, and what it means."""
    for name, field in model.model_fields.items():
        key, default = prefix + name, ... if field.default is PydanticUndefined else field.default
        inner = next((kind for kind in _parts(field.annotation) if issubclass(kind, BaseModel)), None)
        if not isinstance(default, BaseModel):
            yield key, default, " ".join((field.description or "").split())
        if inner is not None:
            yield from fields(inner, f"{key}[]." if tuple in _parts(field.annotation) else f"{key}.")


def _parts(annotation: Any) -> list[type]:
    """The classes that an annotation is made of."""
    origin = getattr(annotation, "__origin__", None)
    inner = [part for argument in get_args(annotation) for part in _parts(argument)]
    return [kind for kind in (origin, annotation) if isinstance(kind, type)] + inner


def _shown(default: Any) -> str:
    """A default as YAML has it."""
    if default is ... or default is None:
        return "*required*" if default is ... else "*none*"
    text = yaml.safe_dump(list(default) if isinstance(default, tuple) else default, default_flow_style=True)
    return f"`{text.partition(chr(10))[0]}`"


def written(page: str) -> str:
    """The page with rows as they are to be."""
    rows = {key: f"| `{key}` | {_shown(default)} | {meaning} |" for key, default, meaning in fields(TrainConfig)}
    return ROW.sub(lambda row: rows[row[1]], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
