"""Several processes that train one model: who speaks, who waits, and the mean of their gradients.

`torchrun` starts the processes and gives each a number. Every process plans the same batches, works on its slice of
each, and sees the vectors of the others, so that together they take the steps that one process would take. Where there
is one process, all of this does nothing.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from accelerate import PartialState  # type: ignore[import-untyped]
from torch import nn

from isoglot.common.errors import IsoglotError
from isoglot.common.progress import console

Result = TypeVar("Result")

_PATIENCE = timedelta(days=7)  # the first process may encode targets for hours while the others wait


def join() -> None:
    """Meet the processes that torchrun started, if it started some; from then on only the first one speaks."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "LOCAL_RANK" not in os.environ:
        return
    if not dist.is_initialized():
        PartialState(cpu=not torch.cuda.is_available())
        atexit.register(dist.destroy_process_group)
    _waiting_room()
    console.quiet = rank() > 0


def count() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def first(action: Callable[[], Result]) -> Result | None:
    """Run an action in the first process while the others wait for it; gives None to them.

    If it fails, the first process raises the error and the others end in silence.
    """
    if count() == 1:
        return action()
    if rank() > 0:
        if _told(False):
            raise SystemExit(2)
        return None
    try:
        result = action()
    except BaseException:
        _told(True)
        raise
    _told(False)
    return result


def in_turn(action: Callable[[], Result]) -> Result:
    """Run an action in the first process, then in the others, which find in the caches what the first one put there."""
    result = first(action)
    return cast(Result, result) if rank() == 0 else action()


def agreed(action: Callable[[], Result]) -> Result:
    """What an action in the first process gives, for all."""
    answer: list[Any] = [first(action)]
    if count() > 1:
        dist.broadcast_object_list(answer, src=0, group=_waiting_room())
    return cast(Result, answer[0])


@contextmanager
def one_voice() -> Iterator[None]:
    """An error that all processes meet at once is raised by the first one; the others end in silence."""
    try:
        yield
    except IsoglotError:
        if rank() > 0:
            raise SystemExit(2) from None
        raise


def wait() -> None:
    """Go on when every process has come here."""
    if count() > 1:
        dist.barrier(group=_waiting_room())


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over the processes."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for work in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
        work.wait()
    torch._foreach_div_(gradients, count())


def _told(failed: bool) -> bool:
    """What the first process says of its action."""
    message: list[Any] = [failed]
    dist.broadcast_object_list(message, src=0, group=_waiting_room())
    return bool(message[0])


@cache
def _waiting_room() -> Any:
    """A group on the processors, whatever the devices, in which one may wait for long."""
    return dist.new_group(backend="gloo", timeout=_PATIENCE)
