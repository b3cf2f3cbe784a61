"""Shards encoded by Ray Data, on a cluster that is there or on one that is started on this machine.

A shard is a task. Workers are actors that load the encoder once; what travels between them is where shards stand and
how many texts were encoded, so all must see one file system. A worker that dies is started again and its task done
again, as often as need be (so Ray Data does of itself): a shard is written whole, under a name that says what it holds,
so doing it twice changes nothing.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from isoglot.common.errors import InputError
from isoglot.common.extras import library
from isoglot.common.roles import Role
from isoglot.encoding.shards import Shard, encode_shard
from isoglot.runtime.encoder import TextEncoder
from isoglot.vectors.provenance import Provenance

DEFAULT_CPUS = 2
"""CPUs, and so threads, of a worker."""


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster: the one that runs or that `RAY_ADDRESS` names, else one for as long as the work takes.

    Args:
        load: loads the encoder in a worker; it must be the same one as the driver's.
        workers: how many; None for as many as there is room for, one for each GPU if there are any.
        cpus: CPUs of a worker, which has as many threads; one CPU of the cluster is always left free, without which Ray
            Data waits for ever.
    """

    load: Callable[[], TextEncoder]
    workers: int | None = None
    cpus: int | None = None

    def run(self, shards: Sequence[Shard], encoder: TextEncoder, role: Role, advance: Callable[[int], None]) -> None:
        """Make all the shards, in any order.

        Raises:
            MissingExtraError: if Ray is not installed.
            InputError: if the cluster has no room for the workers, or one of them cannot use its encoder.
        """
        if not shards:
            return
        with _cluster(self) as ray:
            workers, needs = self._pool(ray)
            items = [
                {"staged": str(each.staged.resolve()), "target": str(each.target.resolve()), "missing": each.missing}
                for each in shards
            ]
            made = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
                _Worker,
                fn_constructor_args=(self.load, encoder.provenance(role), role),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(items)), max_tasks_in_flight_per_actor=1),
                **needs,
            )
            for row in made.iter_rows():
                if row["refused"]:
                    raise InputError(row["refused"])
                advance(int(row["encoded"]))

    def _pool(self, ray: Any) -> tuple[int, dict[str, Any]]:
        """How many workers, and what each needs."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = [int(node.get("CPU", 0)) for node in nodes]
        room[room.index(max(room))] -= 1
        cpus = self.cpus or max(1, min(DEFAULT_CPUS, max(room)))
        gpus = int(sum(node.get("GPU", 0) for node in nodes))
        most = sum(each // cpus for each in room)
        most = min(most, gpus) if gpus else most
        workers = self.workers or most
        if not 0 < workers <= most:
            raise InputError(
                f"the cluster has {sum(room) + 1} CPUs and {gpus} GPUs, room for {most} workers of {cpus} CPUs beside "
                f"one CPU that must be left free; {workers or 1} do not fit"
            )
        threads = {"env_vars": {"OMP_NUM_THREADS": str(cpus), "TOKENIZERS_PARALLELISM": "false"}}
        return workers, {"num_cpus": cpus, "num_gpus": 1 if gpus else 0, "runtime_env": threads}


class _Worker:
    """Makes shards with an encoder of its own, loaded once."""

    def __init__(self, load: Callable[[], TextEncoder], provenance: Provenance, role: Role) -> None:
        self._load, self._provenance, self._role = load, provenance, role

    @cached_property
    def _encoder(self) -> TextEncoder:
        """Loaded in the first call, so that what is wrong with it is told as what is wrong with a shard."""
        encoder = self._load()
        if encoder.provenance(self._role).unlike(self._provenance):
            raise InputError(
                f"{platform.node()}: the model {encoder.name} is another one than where the work was begun; "
                "all machines must see the same files"
            )
        return encoder

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        staged, target, missing = (batch[name][0] for name in ("staged", "target", "missing"))
        shard, refused = Shard(Path(staged), Path(target), int(missing)), ""
        try:
            if not shard.target.exists():  # it is whole if it exists: a worker was lost after writing it
                for _ in encode_shard(shard, self._encoder, self._role):
                    pass
        except InputError as error:
            refused = str(error)
        return {"encoded": [missing], "refused": [refused]}


@contextmanager
def _cluster(engine: RayEngine) -> Iterator[Any]:
    """Ray, connected while the block runs."""
    ray = library("ray", "cluster", "the engine ray")
    library("ray.data", "cluster", "the engine ray")
    ours = not ray.is_initialized()
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if ours:
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anyone unasked
            wanted = (engine.workers or 0) * (engine.cpus or 1) + 1
            ray.init(num_cpus=max(os.cpu_count() or 1, wanted, 2), include_dashboard=False, **quiet)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
