"""What the commands share: their options, and how they speak."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from isoglot.models.embed import EmbeddingStore

WIDE = 10_000
out = Console(width=None if sys.stdout.isatty() else WIDE)
"""Standard output, for results; people are spoken to through `isoglot.common.progress.console`.

A pipe, a file or a log has no width, so nothing is wrapped or cut there.
"""

Model = Annotated[
    str, typer.Argument(help="Hub id, folder, or builtin:multilingual-e5-small", show_default=False, metavar="MODEL")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Encode in bfloat16: faster where the processor has it")]
MaxTokens = Annotated[int | None, typer.Option(help="Cut longer texts; the model's own limit by default")]
QueryPrompt = Annotated[
    str | None, typer.Option(help="What to put before queries: a text, or the name of a prompt that the model has")
]
PassagePrompt = Annotated[str | None, typer.Option(help="The same for passages")]
RemoteCode = Annotated[bool, typer.Option(help="Run code that comes with the model")]
Languages = Annotated[str | None, typer.Option(help="Only these, comma-separated: de,en,zh-CN")]


def say(line: str) -> None:
    """Print a line as it is: paths may hold square brackets, and must not be broken."""
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def show_table(table: Table) -> None:
    """Print a table; on a terminal too narrow for it row by row in words, so that no figure is ever cut."""
    if table.title:  # by itself, for a table breaks its title to its own width
        out.print(table.title, highlight=False)
        table.title = None
    if out.measure(table, options=out.options.update(width=WIDE)).maximum <= out.width:
        out.print(table)
        return
    headings = [str(column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *rest = (f"{heading} {cell}".strip() for heading, cell in zip(headings, row, strict=True))
        out.print(f"{first}: {'; '.join(rest)}", highlight=False)


def show(results: Any, as_json: bool) -> None:
    """Print results as tables, or as JSON."""
    from isoglot.report import grid_table, text_table

    if as_json:
        print(json.dumps(results.summary, ensure_ascii=False))
        return
    show_table(text_table([results]))
    if len(results.summary["languages"]) <= 16:
        show_table(grid_table(results))


def listed(languages: str | None) -> list[str] | None:
    """The parts of a comma-separated list; None for none."""
    return [tag.strip() for tag in languages.split(",") if tag.strip()] if languages else None


def encoder(
    name: str, max_tokens: int | None, query_prompt: str | None, passage_prompt: str | None, trust_remote_code: bool
) -> SentenceTransformer:
    """The model that the options describe."""
    from isoglot.models.encoders import load_encoder

    return load_encoder(
        name,
        max_tokens=max_tokens,
        query_prompt=query_prompt,
        passage_prompt=passage_prompt,
        trust_remote_code=trust_remote_code,
    )


def store() -> EmbeddingStore:
    """Where vectors are kept between runs."""
    from isoglot.models.embed import embedding_store

    return embedding_store()
