"""Commands on the way from a corpus to a search: encode, index, search."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

import isoglot
from isoglot.cli.shared import CorpusFiles, Encoding, Json, UrlMap, encodes, given, listed, reads_corpus, refuse, say
from isoglot.common.errors import InputError
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
    load = partial(isoglot.load_text_encoder, where, bf16=encoding.bf16, **encoding.options())
    return isoglot.RayEngine(load, workers, cpus)


@encodes
@reads_corpus
def index(
    out: Annotated[Path, typer.Option(help="Folder of the index; the same command finishes", show_default=False)],
    encoding: Encoding,
    files: CorpusFiles,
    corpus: Annotated[
        str | None,
        typer.Argument(help="As of encode; or vectors: what encode or debias wrote", show_default=False),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Encodes the corpus; not needed for vectors")] = None,
    engine: Annotated[str | None, typer.Option(help="exact, edge or qdrant", show_default="as it is, or exact")] = None,
    url: Annotated[str | None, typer.Option(help="For qdrant: http://localhost:6333/COLLECTION")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="A map.npz of debias, for vectors and questions")
    ] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Delete what is gone from the corpus")] = False,
    delete: Annotated[
        list[str] | None, typer.Option(help="Delete this id in all languages, or id@language; or the lines of a FILE")
    ] = None,
    vector_column: Annotated[str | None, typer.Option(help="For vectors: name of their column")] = None,
) -> None:
    """Make an index of a corpus or of vectors, or change one: rows are added, and replaced by id and language."""
    if corpus is None:
        if model is not None:
            raise InputError("--model goes with a CORPUS")
        more = {"map": map_file, "sync": sync, "vector_column": vector_column}
        refuse("goes with a CORPUS", **asdict(encoding), **asdict(files), **more)
        if delete is None and engine is None and url is None:
            raise InputError("name a CORPUS to index, or --delete ID")
    if delete is not None or corpus is None:
        done = isoglot.delete_rows(out, _lines(delete or ()), engine=engine, url=url)
        _tell(done)
    if corpus is not None:
        settings = files.settings()
        settings["columns"] = replace(settings["columns"], vector=vector_column)
        encoder = None if model is None else encoding.load_text_encoder(model)
        mapping = None if map_file is None else isoglot.load_map(map_file)
        done = isoglot.build_index(corpus, encoder, out, engine=engine, url=url, mapping=mapping, sync=sync, **settings)
        _tell(done)


@encodes
def search(
    target: Annotated[str, typer.Argument(help="Folder of an index, or URL of its collection", metavar="INDEX")],
    question: Annotated[str, typer.Argument(help="In any language")],
    encoding: Encoding,
    languages: Annotated[str | None, typer.Option(help="Only these, comma-separated, in any spelling: sw,de")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many hits")] = 10,
    mix: Annotated[str, typer.Option(help="How languages share the list: none, cap:N, floor:P, round-robin")] = "none",
    language: Annotated[str | None, typer.Option(help="The reader's language, for the next two")] = None,
    prefer_own_language: Annotated[
        float | None, typer.Option(help="Put it before others that score at most so much better")
    ] = None,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Each document once, in --language if it can be, translations under it")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The index' own model, if it has moved", show_default="where it was")
    ] = None,
    map_file: UrlMap = None,
    as_json: Json = False,
) -> None:
    """Search an index by meaning, in all languages at once."""
    searcher, _ = encoding.open_index(target, model, map_file)
    found = searcher.search(
        question,
        limit=limit,
        languages=listed(languages),
        language=language,
        mix=mix,
        prefer_own_language=prefer_own_language,
        collapse=collapse,
    )
    notes = list(filter(None, (searcher.note, found.note)))
    if as_json:
        print(json.dumps({**found.as_dict(), "note": " ".join(notes) or None}, ensure_ascii=False))
        return
    for place, hit in enumerate(found.hits, start=1):
        say(f"{place:>3}  {_in_words(hit)}")
        for other in hit.translations:
            say(f"       {_in_words(other)}")
    for note in notes:
        say(note)


def _tell(done: isoglot.Indexed) -> None:
    for sentence in done.sentences():
        say(sentence)


def _in_words(hit: isoglot.Hit) -> str:
    text = " ".join((hit.text or "").split())
    return " ".join(f"{hit.score:.3f}  {hit.language or '-'}  {hit.id}  {text}".splitlines())  # an id may hold breaks


def _lines(given: Sequence[str]) -> Iterator[str]:
    """What is given, and of a file of that name its lines."""
    from isoglot.common.files import read_lines

    for each in given:
        if _is_file(each):
            yield from filter(None, (line.rstrip("\r\n") for line in read_lines(Path(each))))
        else:
            yield each


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # an id may be longer than any file's name
        return False
