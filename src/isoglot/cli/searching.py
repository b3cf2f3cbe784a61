"""Commands on the way from a corpus to a search: encode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import isoglot
from isoglot.cli.shared import CorpusFiles, Encoding, encodes, reads_corpus, say
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
    role: Annotated[Role, typer.Option(help="What the texts are; of parallel files that side is taken")] = "passage",
    shard_rows: Annotated[int, typer.Option(min=1, help="Rows of a shard")] = 8192,
) -> None:
    """Encode a corpus into shards of Parquet: resumable, what is there is not made again."""
    done = isoglot.encode_corpus(
        corpus, encoding.load_text_encoder(model), out, role=role, shard_rows=shard_rows, **files.settings()
    )
    for sentence in done.sentences():
        say(sentence)
