"""The command that serves an index, or a model alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import isoglot
from isoglot.cli.shared import Encoding, UrlMap, encodes, refuse, say
from isoglot.common.errors import InputError
from isoglot.common.extras import library


@encodes
def serve(
    encoding: Encoding,
    index: Annotated[
        str | None,
        typer.Argument(
            help="Folder of an index, or URL of its collection; none for a model alone",
            show_default=False,
            metavar="INDEX",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Hub id or folder, where there is no index or its model is elsewhere now")
    ] = None,
    map_file: UrlMap = None,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free")] = 8000,
    key_file: Annotated[
        Path | None, typer.Option(help="Keys, one a line, of which clients must send one; wanted beyond this machine")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name by which clients call the server; may be given several times")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the model", show_default="its own name")] = None,
    queue_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens that may wait to be encoded; what comes then is told to come again")
    ] = 1_000_000,
) -> None:
    """Serve an index: search, a page, and an embeddings endpoint for client libraries; or that endpoint alone."""
    library("uvicorn", "serve", "serving")
    searcher = None
    if index is not None:
        searcher, encoder = encoding.open_index(index, model, map_file)
        if searcher.note:
            say(searcher.note)
    else:
        refuse("goes with an index", map=map_file)
        if model is None:
            raise InputError("name an INDEX to serve, or a --model")
        encoder = encoding.load_text_encoder(model)
    isoglot.serve(
        encoder,
        searcher,
        host=host,
        port=port,
        key_file=key_file,
        allow_hosts=allow_host or (),
        name=name,
        limits=isoglot.Limits(queue_tokens=queue_tokens),
        on_start=lambda address: say(f"Serving at {address} (interrupt to end)"),
    )
