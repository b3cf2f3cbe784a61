"""Where a study's figures come from, as tables: data, benchmarks, weights, each by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isoglot.studies.tables import Table

_DIGITS = 12


def origins(arms: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Tables of what was read, what was scored on, and what every arm is.

    Args:
        arms: as in `study.json`.
    """
    return [_data(arms), _benchmarks(arms), _weights(arms)]


def _data(arms: Sequence[Mapping[str, Any]]) -> Table:
    read = {(name, fingerprint[:_DIGITS]) for arm in arms for name, fingerprint in arm["data"].items()}
    return Table("Text of training and remedies", ("data", "fingerprint"), tuple(sorted(read)), words=True)


def _benchmarks(arms: Sequence[Mapping[str, Any]]) -> Table:
    rows = {
        (
            name,
            result["benchmark_fingerprint"][:_DIGITS],
            f"{result['queries']:,}",
            f"{result['passages']:,}",
            " ".join(result["languages"]),
        )
        for arm in arms
        for name, result in arm["results"].items()
    }
    header = ("benchmark", "fingerprint", "queries", "passages", "languages")
    return Table("Benchmarks", header, tuple(sorted(rows)), words=True)


def _weights(arms: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for arm in arms:
        weights = {result["model"]["fingerprint"][:_DIGITS] for result in arm["results"].values()}
        rows.append(
            (arm["name"], arm["key"][:_DIGITS], arm["model"]["name"], ", ".join(sorted(weights)), arm["isoglot"])
        )
    header = ("arm", "key", "initial model", "weights", "isoglot")
    title = "Arms, what determines each in one hash, and the weights that were scored"
    return Table(title, header, tuple(rows), words=True)
