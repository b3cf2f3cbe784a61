"""How `--help` reads: the options of a long command in groups, and no type words that say nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

PANELS = {
    "Data": [
        "benchmark",
        "data",
        "candidate",
        "pairs",
        "languages",
        "vectors",
        "query_vectors",
        "qrels",
        "development",
        "fit_on",
        "role",
    ],
    "Columns": [
        "id_column",
        "group_column",
        "text_column",
        "vector_column",
        "language_column",
        "identify_languages",
        "skip_bad",
    ],
    "Model": ["model", "max_tokens", "query_prompt", "passage_prompt", "bf16", "trust_remote_code", "api"],
    "Output": ["folder", "out", "target", "name", "trec_depth", "as_json"],
}
"""Groups of options by the names of the arguments behind them; what stands in none is a command's own."""

_MANY = 8  # options of a command, from which they are grouped
_TYPE_WORDS = {"<bool>": "", "<list[str]>": "<str>", "<int range>": "<int>", "<float range>": "<float>"}


class _Readable:
    """Arguments and options as help shows them."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, grouped and with the type words that say something."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            parameter.display_type_rich = _type_word(parameter)
        options = [parameter for parameter in parameters if isinstance(parameter, TyperOption)]
        if len(options) > _MANY:
            for option in options:
                option.rich_help_panel = next((panel for panel, names in PANELS.items() if option.name in names), None)
            places = [None, *PANELS]
            parameters.sort(key=lambda each: places.index(getattr(each, "rich_help_panel", None)))
        return parameters


def _type_word(parameter: Any) -> Callable[..., str]:
    """What says how the word for a parameter's type is shown; an argument has its name for one."""
    shown = type(parameter).display_type_rich

    def word(ctx: Any) -> str:
        said = str(shown(parameter, ctx=ctx))
        return "" if isinstance(parameter, TyperArgument) else _TYPE_WORDS.get(said, said)

    return word


class Command(_Readable, TyperCommand):
    """A command with readable help."""


class Group(_Readable, TyperGroup):
    """A group of commands with readable help."""


class App(typer.Typer):
    """Commands that all have readable help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, no_args_is_help=True, pretty_exceptions_enable=False, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        """Register a command, as of `typer.Typer`."""
        return super().command(name, cls=Command, **settings)
