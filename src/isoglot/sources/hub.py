"""Parallel pairs from data sets on the Hugging Face hub, by a mapping of columns and never by a data set's code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import datasets
from datasets.exceptions import DatasetsError

from isoglot.common.errors import InputError, hub_errors
from isoglot.common.languages import normalize_language
from isoglot.pairs import ParallelPairs
from isoglot.sources.registry import SOURCES, HubTable

_COLUMNS = ("id", "language", "query", "passage", "negatives", "answer")
_ID_LENGTH = 64  # characters; a longer id is a text that translations share, and its hash takes its place
_HOW = "owner/name?query=COLUMN&passage=COLUMN&language=COLUMN, or owner/name?de=COLUMN&en=COLUMN for sentences"

_SENTENCE_END = re.compile(
    # Not after an initial or a title, and not before a small letter or a number.
    r"(?<!\b[^\W\d_a-z])(?<!\b(?:Dr|Jr|Mr|Ms|No|St|vs))[.!?\u2026\u061f]+[\"'\u2019\u201d)\]]*\s+(?=[^a-z\d\s])"
    # Chinese, Japanese and Hindi; paragraphs.
    r"|[\u3002\uff01\uff1f\u0964]+[\"'\u2019\u201d\u300d\u300f)\]]*\s*|\s*\n\s*"
)

Row = dict[str, Any]


def load_hub(
    spec: str, *, languages: Iterable[str] | None = None, cache_dir: str | Path | None = None
) -> ParallelPairs:
    """Pairs from a data set on the hub, or from a local folder in the hub's format.

    Hub rows with an empty text, and further rows of one id in one language, are left out: they are the data set's
    flaws, not the caller's.

    Args:
        spec: what `parse_hub_spec` takes.
        languages: keep these only, and read only their configurations; None takes all.
        cache_dir: where downloads are kept; the `datasets` library's own folder if None.

    Raises:
        InputError: if the data set, a configuration, a split or a column is not there, or cannot be fetched.
    """
    table, limit = parse_hub_spec(spec)
    wanted = None if languages is None else [normalize_language(language) for language in languages]
    configs = {tag: name for tag, name in table.configs.items() if wanted is None or tag in wanted} or table.configs
    rows = (
        row
        for language, config in configs.items()
        for number, hub_row in enumerate(_read(table, config, limit, cache_dir))
        for row in _rows(hub_row, number, table, language)
    )
    pairs = ParallelPairs.from_rows(_first_of_each(rows), dataset=_dataset_name(table))
    return pairs if wanted is None else pairs.filter_languages(wanted)


def parse_hub_spec(spec: str) -> tuple[HubTable, int | None]:
    """How to read a hub data set, and how many rows of each configuration at most.

    A spec is a registry name or `owner/name`, then `?key=value&...`. Keys: `id`, `language`, `query`, `passage`,
    `negatives` and `answer` name the hub's columns; `config.de` names the configuration with the German rows, empty
    for the default one; `config` one that holds all languages; `keep.label=1` keeps the rows with 1 in the column
    `label`; `split`; `limit`, with which rows are streamed and not downloaded whole; any other key is a language, and
    names the column of its sentence (for Indonesian `ind`).

    Raises:
        InputError: if a key is no language either, the number is none, or it remains unsaid what a row holds.

    >>> table, limit = parse_hub_spec("owner/name?de=translation.de&en=translation.en&config=de-en&limit=100")
    >>> table.texts["de"], table.configs, limit
    ('translation.de', {'*': 'de-en'}, 100)
    """
    name, _, query = spec.partition("?")
    known = SOURCES.get(f"hub:{name}")
    columns: dict[str, str] = {}
    texts: dict[str, str] = {}
    configs: dict[str, str | None] = {}
    keep: dict[str, str] = {}
    split, limit = "train", None
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "split":
            split = value
        elif key == "limit":
            if not value.isdecimal() or not int(value):
                raise InputError(f'hub:{spec}: limit must be a number of rows from 1, got "{value}"')
            limit = int(value)
        elif known is not None and known.hub is not None:
            raise InputError(f'hub:{spec}: {name} has its own columns; of it one may say split and limit, not "{key}"')
        elif key == "config":
            configs["*"] = value
        elif key.startswith("config."):
            configs[normalize_language(key.removeprefix("config."))] = value or None
        elif key.startswith("keep."):
            keep[key.removeprefix("keep.")] = value
        elif key in _COLUMNS:
            columns[key] = value
        else:
            texts[_language_of_key(key, spec)] = value
    if known is not None and known.hub is not None:
        return replace(known.hub, split=split), limit
    speaks = "language" in columns or (configs and "*" not in configs)
    if not texts and not ({"query", "passage"} <= columns.keys() and speaks):
        raise InputError(f"hub:{spec}: say what its columns hold: {_HOW}; or name one of {_names()}")
    return HubTable(name, columns, texts, configs or {"*": None}, split, keep), limit


def _names() -> str:
    return ", ".join(name for name, source in SOURCES.items() if source.hub)


def _language_of_key(key: str, spec: str) -> str:
    try:
        return normalize_language(key)
    except InputError:
        known = ", ".join((*_COLUMNS, "config", "keep", "split", "limit"))
        raise InputError(f'hub:{spec}: unknown key "{key}"; keys are {known} and language tags') from None


def _read(table: HubTable, config: str | None, limit: int | None, cache_dir: str | Path | None) -> Iterator[Row]:
    folder = None if cache_dir is None else str(cache_dir)
    try:
        rows = datasets.load_dataset(
            table.hub_id, config, split=table.split, streaming=limit is not None, cache_dir=folder
        )
        yield from islice(rows, limit)
    except (DatasetsError, *hub_errors()) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"hub:{table.hub_id}: cannot be read ({reason})") from error


def _rows(hub_row: Row, number: int, table: HubTable, language: str) -> list[Row]:
    """The translations that one row of the hub holds; none if it is not to be kept or one of their texts is empty."""
    if any(str(_cell(hub_row, column, table)) != value for column, value in table.keep.items()):
        return []
    key = str(_cell(hub_row, table.columns["id"], table)) if "id" in table.columns else str(number)
    if len(key) > _ID_LENGTH:
        key = sha256(key.encode()).hexdigest()[:16]
    name = f"{_dataset_name(table)}/{key}"
    if table.texts:
        texts = {tag: _cell(hub_row, column.replace("*", language), table) for tag, column in table.texts.items()}
        rows = [
            {"id": name, "language": language if tag == "*" else tag, "query": text, "passage": text}
            for tag, text in texts.items()
        ]
    else:
        values = {ours: _cell(hub_row, theirs, table) for ours, theirs in table.columns.items()}
        if "answer" in values:
            values["passage"] = sentence_with(values["passage"], values.pop("answer"))
        if isinstance(values.get("negatives"), str):
            values["negatives"] = [values["negatives"]]
        values["language"] = _language_of(values.get("language", language), table)
        rows = [{**values, "id": name}]
    empty = any(isinstance(row[role], str) and not row[role].strip() for row in rows for role in ("query", "passage"))
    return [] if empty else rows


def sentence_with(text: str, answer: str | int | None) -> str:
    """The sentence of a text that holds an answer, as question answering sets give it; empty where it is not there.

    Sentences end at a full stop, question or exclamation mark before something other than a small letter or a
    number, at their like in Chinese, Japanese, Arabic and Hindi, and at a line break. Thai marks no ends, so there it
    is the paragraph.

    Args:
        text: a paragraph.
        answer: the answer's text, of which the first occurrence counts, or the place where it begins, from 0.

    >>> sentence_with("The U.S. has 50 states. Alaska is the largest. It joined in 1959.", "largest")
    'Alaska is the largest.'
    >>> sentence_with("東京は首都です。人口は多い。", 9)
    '人口は多い。'
    """
    start = text.find(answer) if isinstance(answer, str) and answer else answer
    if not isinstance(start, int) or not 0 <= start < len(text):
        return ""
    last = start + max(len(answer) - 1, 0) if isinstance(answer, str) else start
    ends = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    return text[max(end for end in ends if end <= start) : min(end for end in ends if end > last)].strip()


def _language_of(value: str, table: HubTable) -> str:
    return next((tag for name, tag in table.language_names.items() if value.startswith(name)), value)


def _dataset_name(table: HubTable) -> str:
    return Path(table.hub_id).resolve().name if Path(table.hub_id).is_dir() else table.hub_id


def _cell(hub_row: Row, column: str, table: HubTable) -> Any:
    value: Any = hub_row
    for part in column.split("."):
        if part.isdecimal() and isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
            continue
        if not isinstance(value, Mapping) or part not in value:
            raise InputError(f'hub:{table.hub_id}: no column "{column}"; it has {", ".join(hub_row)}')
        value = value[part]
    return value


def _first_of_each(rows: Iterable[Row]) -> Iterator[Row]:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        key = (row["id"], row["language"])
        if key not in seen:
            seen.add(key)
            yield row
