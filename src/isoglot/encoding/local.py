"""Shards encoded on this machine: an encoder uses all cores, or one for each GPU shares the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol, runtime_checkable

from isoglot.common.roles import Role
from isoglot.encoding.shards import Shard, encode_shard
from isoglot.runtime.encoder import TextEncoder


class Engine(Protocol):
    """Where shards are encoded."""

    def run(self, shards: Sequence[Shard], encoder: TextEncoder, role: Role, advance: Callable[[int], None]) -> None:
        """Make all the shards; `advance` is told how many texts were encoded since it was last called.

        Raises:
            InputError: if the encoder cannot be used.
        """
        ...


@runtime_checkable
class Replicable(Protocol):
    """An encoder that can stand on several devices."""

    def replicas(self) -> Sequence[TextEncoder]:
        """Encoders of the same vectors, one for each device that this machine has for them."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """This machine: the encoder's own threads on a processor, or a thread for each GPU."""

    def run(self, shards: Sequence[Shard], encoder: TextEncoder, role: Role, advance: Callable[[int], None]) -> None:
        """Make all the shards, in order."""
        encoders = encoder.replicas() if isinstance(encoder, Replicable) else [encoder]
        free: SimpleQueue[TextEncoder] = SimpleQueue()
        for each in encoders:
            free.put(each)

        def make(shard: Shard) -> None:
            mine = free.get()
            try:
                for count in encode_shard(shard, mine, role):
                    advance(count)
            finally:
                free.put(mine)

        if len(encoders) == 1:
            for shard in shards:
                make(shard)
            return
        with ThreadPoolExecutor(len(encoders)) as pool:
            try:
                for _ in pool.map(make, shards):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
