"""Settings in YAML: read with every key once, changed by `key=value`, and a wrong one named in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from isoglot.common.errors import InputError

_KIND = re.compile(r"(float|int|str|bool|tuple|dict|list|literal|constrained-\w+|function-\w+)(\[.*\])?(\(.*\))?")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping; the library would let the last one win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value} stands twice, first in line {seen[key.value]}; keep one",
                    problem_mark=key.start_mark,
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep)


def read_settings(path: Path, what: str) -> dict[str, Any]:
    """The mapping that a YAML file holds; `what` says in an error what it is: `a configuration is a mapping of ...`."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{where}: {_problem_of(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {what}")
    return content


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set a key of nested mappings, in place: `batches.alpha=0.3`. The value is YAML, null takes the key away.

    >>> content = {"batches": {"alpha": 0.5}, "dropout": 0.0}
    >>> apply_override(content, "batches.size=64"), apply_override(content, "dropout=null"), content
    (None, None, {'batches': {'alpha': 0.5, 'size': 64}})
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"--set {override}: write key=value, for example --set seed=1")
    *parents, last = key.split(".")
    for parent in parents:
        if content.get(parent) is None:
            content[parent] = {}
        content = content[parent]
        if not isinstance(content, dict):
            raise InputError(f"--set {override}: {parent} holds a value, not keys")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"--set {override}: the value is {_problem_of(error)}") from error
    if value is None:
        content.pop(last, None)
    else:
        content[last] = value


def first_problem(error: ValidationError, whole: str, docs: str, under: str = "") -> str:
    """The first thing that is wrong with settings, by its dotted key or, if it is none's, as of the `whole`.

    `docs` is the page that lists the keys, `under` the key that the settings stand under, with a dot behind it.
    """
    problem, *others = error.errors()
    key = _key_of(problem["loc"])
    where = under + key if key else whole
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where}; {docs} lists the keys"
    given = problem["input"]
    shown = "" if isinstance(given, (dict, list)) or problem["type"] == "missing" else f" (given {given!r})"
    said = [each["msg"].removeprefix("Value error, ") for each in (problem, *others) if _key_of(each["loc"]) == key]
    return f"{where}: {', or: '.join(said)}{shown}"


def _key_of(location: tuple[int | str, ...]) -> str:
    """The dotted key of a problem; where a value may be of several kinds, its location names the kind, too.

    >>> _key_of(("batches", "language_sampling", "literal['uniform','size']")), _key_of(("data", 0, "source"))
    ('batches.language_sampling', 'data.0.source')
    """
    return ".".join(str(part) for part in location if not _KIND.fullmatch(str(part)))


def _problem_of(error: Exception) -> str:
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return problem if "stands twice" in problem else f"not YAML: {problem}"
