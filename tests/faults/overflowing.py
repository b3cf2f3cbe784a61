"""A loss that overflows at its seventh step."""

from __future__ import annotations

from typing import Any

from isoglot.training.losses import Objective

_forward = Objective.forward
_calls = 0


def forward(objective: Objective, *arguments: Any, **named: Any) -> Any:
    """In place of `Objective.forward`."""
    global _calls
    _calls += 1
    loss = _forward(objective, *arguments, **named)
    return loss * float("nan") if _calls == 7 else loss
