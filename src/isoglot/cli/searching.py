"""Commands on the way from a corpus to a search: encode."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

import isoglot
from isoglot.cli.shared import CorpusFiles, Encoding, encodes, given, reads_corpus, refuse, say
from isoglot.common.roles import Role


@encodes
@reads_corpus
def encode(
    corpus: Annotated[
        str,
        typer.Argument(
            help="JSON lines, CSV, TSV (gzip, zstd), Parquet or Arrow; a folder of such or BEIR's; a pattern",
            show_default=False,
            metavar="CORPUS",
        ),
    ],
    model: Annotated[str, typer.Option(help="Hub id, folder, or builtin:multilingual-e5-small", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the shards; the same command goes on", show_default=False)],
    encoding: Encoding,
    files: CorpusFiles,
    role: Annotated[
        Role, typer.Option(help="What the texts are; of parallel pairs the side that is encoded")
    ] = "passage",
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This machine; or Ray, on a cluster or started here")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="With ray: how many", show_default="all there is room for")
    ] = None,
    worker_cpus: Annotated[
        int | None, typer.Option(min=1, help="With ray: CPUs, and so threads, of a worker", show_default="2")
    ] = None,
    shard_rows: Annotated[int | None, typer.Option(min=1, help="Rows of a shard", show_default="8192")] = None,
) -> None:
    """Encode a corpus into shards of Parquet; run again it encodes only what is new or was not done."""
    if engine == "local":
        refuse("goes with --engine ray", workers=workers, worker_cpus=worker_cpus)
    done = isoglot.encode_corpus(
        corpus,
        encoding.load_text_encoder(model),
        out,
        role=role,
        engine=_on_ray(model, encoding, workers, worker_cpus) if engine == "ray" else None,
        **given(shard_rows=shard_rows),
        **files.settings(),
    )
    for sentence in done.sentences():
        say(sentence)


def _on_ray(model: str, encoding: Encoding, workers: int | None, cpus: int | None) -> isoglot.RayEngine:
    """Workers that load the same model; they may run in other folders."""
    where = str(Path(model).resolve()) if Path(model).is_dir() else model
    return isoglot.RayEngine(partial(isoglot.load_text_encoder, where, **asdict(encoding)), workers, cpus)
