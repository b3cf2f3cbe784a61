"""What the commands share: their options, and how they speak."""

from __future__ import annotations

import functools
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import isoglot
from isoglot.common.errors import InputError
from isoglot.common.paths import new_folder
from isoglot.common.progress import out, show_table

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from isoglot.runtime.encoder import TextEncoder
    from isoglot.vectors.columns import Columns


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed

Model = Annotated[
    str, typer.Argument(help="Hub id, folder, or builtin:multilingual-e5-small", show_default=False, metavar="MODEL")
]
ModelIfAny = Annotated[
    str | None,
    typer.Argument(
        help="Hub id, folder, builtin:multilingual-e5-small, or api:URL#MODEL", show_default=False, metavar="MODEL"
    ),
]
Pairs = Annotated[str, typer.Argument(help="A file of parallel pairs, or another source", metavar="FILE")]
NewFolder = Annotated[Path, typer.Option("--out", help="A new folder for what is made", callback=new_folder)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts")]
UrlMap = Annotated[Path | None, typer.Option("--map", help="The map.npz that the vectors at a URL went through")]
RemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model")]
Languages = Annotated[str | None, typer.Option(help="Only these, comma-separated: de,en,zh-CN")]
Vectors = Annotated[
    Path | None,
    typer.Option(help="In place of a model: vectors that exist; Parquet, Arrow, .npy with .jsonl, Lance, or a folder"),
]
QueryVectors = Annotated[Path | None, typer.Option(help="With --vectors, which are of passages: those of queries")]
Directions = Annotated[int | None, typer.Option(help="lir, linear-lir: how many to remove", show_default="20")]
Strength = Annotated[
    float | None, typer.Option(help="How much of what the remedy takes out is taken out, to 1", show_default="1")
]


def check_fit(
    remedy: str | None, strength: float | None, directions: int | None = None, source_language: str | None = None
) -> None:
    """Refuse what is no remedy or no strength, and what the remedy has not, before anything is read."""
    from isoglot.vectors.remedies import DEFAULT_REMEDY, check_remedy

    fitted = DEFAULT_REMEDY if remedy is None else remedy
    check_remedy(fitted, 1.0 if strength is None else strength)
    if fitted not in ("lir", "linear-lir"):
        refuse(f"is for lir and linear-lir; {fitted} has none", directions=directions)
    if fitted != "shift":
        refuse("is for --remedy shift", source_language=source_language)


@dataclass(frozen=True)
class Encoding:
    """How a model reads texts: the options that `encodes` gives a command."""

    max_tokens: Annotated[
        int | None, typer.Option(min=3, help="Cut longer texts; the model's own limit by default")
    ] = None
    query_prompt: Annotated[
        str | None, typer.Option(help="What to put before queries: a text, or the name of a prompt that the model has")
    ] = None
    passage_prompt: Annotated[str | None, typer.Option(help="The same for passages")] = None
    bf16: Annotated[bool, typer.Option("--bf16", help="Encode in bfloat16; doctor says if it is faster here")] = False
    trust_remote_code: RemoteCode = False
    api: Annotated[
        list[str] | None, typer.Option(help="How the server of api:URL#MODEL is asked: key=value, such as batch_size=8")
    ] = None

    def options(self) -> dict[str, Any]:
        """The options as `load_encoder` takes them, and `load_text_encoder` beside `bf16`."""
        options = {name: value for name, value in asdict(self).items() if name != "bf16"}
        return options | {"api": isoglot.ApiOptions.parse(self.api) if self.api else None}

    def load(self, model: str, **more: Any) -> SentenceTransformer:
        """The model, as the options describe it; `more` goes to `load_encoder`."""
        return isoglot.load_encoder(model, **self.options(), **more)

    def load_text_encoder(self, model: str) -> TextEncoder:
        """The same for an index or a search."""
        return isoglot.load_text_encoder(model, bf16=self.bf16, **self.options())

    def open_index(self, index: str, model: str | None, map_file: Path | None) -> tuple[isoglot.Searcher, TextEncoder]:
        """An index that takes questions, and their encoder: the model that is named, or the one that made its vectors.

        Raises:
            InputError: if nothing says which, or the index names a server that nobody allowed: it would be sent
                questions, and the key of the environment.
        """
        from isoglot.runtime.api_settings import API_PREFIX

        searcher = isoglot.open_index(index, mapping=None if map_file is None else isoglot.load_map(map_file))
        named = model or searcher.provenance.model
        if named is None:
            raise InputError(f"{index}: nothing says which model made its vectors; name it with --model")
        if model is None and named.startswith(API_PREFIX) and not self.trust_remote_code:
            raise InputError(f"{index}: its vectors come from {named}; if you trust that, name it with --model")
        encoder = self.load_text_encoder(named)
        searcher.ask_with(encoder)
        return searcher, encoder


@dataclass(frozen=True)
class VectorFiles:
    """Files of vectors: the options that `reads_vectors` gives a command."""

    id_column: Annotated[str | None, typer.Option(help="Name of the ids' column, where it is not a usual one")] = None
    group_column: Annotated[str | None, typer.Option(help="The same of what translations share")] = None
    text_column: Annotated[str | None, typer.Option(help="The same of the texts")] = None
    vector_column: Annotated[str | None, typer.Option(help="The same of the vectors")] = None
    language_column: Annotated[str | None, typer.Option(help="The same of the languages")] = None
    skip_bad: Annotated[Path | None, typer.Option(help="Leave bad rows out, into this file; else they are refused")] = (
        None
    )

    def settings(self) -> dict[str, Any]:
        """The options as the library takes them."""
        return {"columns": _columns(asdict(self)), "skip_bad": self.skip_bad}


@dataclass(frozen=True)
class CorpusFiles:
    """A corpus: the options that `reads_corpus` gives a command."""

    id_column: Annotated[str | None, typer.Option(help="Name of the ids' column, where it is not a usual one")] = None
    group_column: Annotated[
        str | None, typer.Option(help="The same of what translations share; the ids' again if it is they")
    ] = None
    text_column: Annotated[str | None, typer.Option(help="The same of the texts")] = None
    language_column: Annotated[str | None, typer.Option(help="The same of the languages")] = None
    language: Annotated[str | None, typer.Option(help="The language of all rows, if no column says")] = None
    identify_languages: Annotated[
        bool, typer.Option("--identify-languages", help="Find out the languages that are missing")
    ] = False
    skip_bad: Annotated[Path | None, typer.Option(help="Leave bad rows out, into this file; else they are refused")] = (
        None
    )

    def settings(self) -> dict[str, Any]:
        """The options as the library takes them."""
        said = asdict(self)
        return {"columns": _columns(said), **{name: value for name, value in said.items() if "_column" not in name}}


def _columns(said: Mapping[str, Any]) -> Columns:
    """The columns that options name."""
    from isoglot.vectors.columns import Columns

    return Columns(**{name.removesuffix("_column"): value for name, value in said.items() if name.endswith("_column")})


def encodes(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Encoding`; it takes them together, as its argument `encoding`."""
    return _with_options(command, "encoding", Encoding)


def reads_vectors(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `VectorFiles`; it takes them together, as its argument `files`."""
    return _with_options(command, "files", VectorFiles)


def reads_corpus(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `CorpusFiles`; it takes them together, as its argument `files`."""
    return _with_options(command, "files", CorpusFiles)


def _with_options(command: Callable[..., None], argument: str, kind: type[Any]) -> Callable[..., None]:
    shared = inspect.signature(kind, eval_str=True).parameters
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{argument: kind(**{name: given.pop(name) for name in shared})}, **given)

    own = [parameter for name, parameter in signature.parameters.items() if name != argument]
    options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in shared.values()]
    run.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return run


def refuse(reason: str, **options: Any) -> None:
    """Refuse options that were given and do not go with others.

    Raises:
        InputError: naming the first of them.
    """
    if named := next((name for name, value in options.items() if value), None):
        option = "MODEL" if named == "model" else f"--{named.replace('_', '-')}"
        raise InputError(f"{option} {reason}")


def without_controls(line: str) -> str:
    """A line without what a terminal obeys, which texts, ids and files of others may hold."""
    return _CONTROLS.sub(" ", line)


def say(line: str) -> None:
    """Print a line as it is but for what a terminal obeys: paths may hold square brackets, and must not be broken."""
    out.print(without_controls(line), highlight=False, markup=False, soft_wrap=True)


def show(results: Any, as_json: bool, folder: Path | None = None) -> None:
    """Print results as tables, or as JSON; the folder is where they are saved."""
    from isoglot.report import grid_tables, mix_table, text_table

    if as_json:
        print(json.dumps(results.summary, ensure_ascii=False))
        return
    show_table(text_table([results]))
    show_table(*([mix_table(results)] if "corpus" in results.summary else grid_tables(results, folder)))


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; what was not is left to the library's own default."""
    return {name: value for name, value in options.items() if value is not None}


def listed(names: str | None) -> list[str] | None:
    """The parts of a comma-separated list; None where none is given.

    Raises:
        InputError: if the list has no parts.
    """
    if names is None:
        return None
    if not (parts := [name.strip() for name in names.split(",") if name.strip()]):
        raise InputError(f'"{names}" is a list of nothing; put names into it, with commas between')
    return parts


def store() -> isoglot.EmbeddingStore:
    """Where vectors are kept between runs."""
    from isoglot.runtime.store import embedding_store

    return embedding_store()


def save_model(model: SentenceTransformer, folder: Path, card: str | None = None) -> str:
    """Write a model whole or not at all; returns where it is, in words."""
    from isoglot.models.foreign import FOREIGN_FILE

    isoglot.save_model(model, folder, card=card)
    trust = ", trust_remote_code=True" if (folder / FOREIGN_FILE).exists() else ""
    return f"The model is in {folder}; it loads with SentenceTransformer({str(folder)!r}{trust})"


def counts(file: Path, pairs: isoglot.ParallelPairs) -> str:
    """What was written to a file, in words."""
    languages = ", ".join(pairs.languages)
    return f"{file}: {pairs.example_count:,} examples, {len(pairs):,} translations in {languages}"
