"""Parallel pairs from data sets on the Hugging Face hub, by a mapping of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from isoglot.common.errors import InputError
from isoglot.common.files import Row, read_json_lines
from isoglot.common.languages import language_at, normalize_language
from isoglot.common.paths import expanded_path
from isoglot.common.text import sentence_spans
from isoglot.pairs import ParallelPairs
from isoglot.sources.hub_tables import HubTable, fetch_file
from isoglot.sources.registry import SOURCES, HubLayout

_COLUMNS = ("id", "language", "query", "passage", "negatives", "answer")
_ID_LENGTH = 64  # characters; a longer id is a text that translations share, and its hash takes its place
_HOW = "owner/name?query=COLUMN&passage=COLUMN&language=COLUMN, or owner/name?de=COLUMN&en=COLUMN for sentences"


def load_hub(
    spec: str, *, languages: Iterable[str] | None = None, cache_dir: str | Path | None = None
) -> ParallelPairs:
    """Pairs from a data set on the hub, or from a local folder in the hub's format.

    Hub rows whose text, id or language is null or empty, and further rows of one id in one language, are left out:
    they are the data set's flaws, not the caller's.

    Args:
        spec: what `parse_hub_spec` takes.
        languages: keep these only, and read only their configurations; None takes all.
        cache_dir: where downloads are kept; the `datasets` library's own folder if None.

    Raises:
        InputError: if the data set, a configuration, a split or a column is not there, cannot be fetched, or a column
            holds no text.
    """
    layout, limit = parse_hub_spec(spec)
    name = Path(layout.hub_id).resolve().name if Path(layout.hub_id).is_dir() else layout.hub_id
    wanted = None if languages is None else [normalize_language(language) for language in languages]
    configs = {tag: name for tag, name in layout.configs.items() if wanted is None or tag in wanted} or layout.configs

    def first_of_each() -> Iterator[Row]:
        seen: set[tuple[str, str]] = set()
        for language, config in configs.items():
            for number, hub_row in enumerate(_read(layout, config, limit, cache_dir), start=1):
                for row in _rows(hub_row, number, layout, language, name):
                    if (key := (row["id"], row["language"])) not in seen:
                        seen.add(key)
                        yield row

    pairs = ParallelPairs.from_rows(first_of_each(), dataset=name)
    return pairs if wanted is None or not len(pairs) else pairs.filter_languages(wanted)


def parse_hub_spec(spec: str) -> tuple[HubLayout, int | None]:
    """How to read a hub data set, and how many rows of each configuration at most.

    A spec is a registry name or `owner/name`, then `?key=value&...`. Keys: `id`, `language`, `query`, `passage`,
    `negatives` and `answer` name the hub's columns; `config.de` names the configuration with the German rows, empty
    for the default one; `config` one that holds all languages; `keep.label=1` keeps the rows with 1 in the column
    `label`; `split`; `limit`, with which rows are streamed and not downloaded whole; any other key is a language, and
    names the column of its sentence (for Indonesian `ind`).

    Raises:
        InputError: if a key is no language either, the number is none, or it remains unsaid what a row holds, or is
            said twice.

    >>> layout, limit = parse_hub_spec("owner/name?de=translation.de&en=translation.en&config=de-en&limit=100")
    >>> layout.texts["de"], layout.configs, limit
    ('translation.de', {'*': 'de-en'}, 100)
    """
    name, _, query = spec.partition("?")
    known = SOURCES.get(f"hub:{name}")
    if known is not None and known.missing:
        raise InputError(f"hub:{name}: {known.missing}")
    own = None if known is None else known.hub
    columns: dict[str, str] = {}
    texts: dict[str, str] = {}
    configs: dict[str, str | None] = {}
    keep: dict[str, str] = {}
    split, limit = "train", None
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "split":
            split = value
        elif key == "limit":
            limit = number_of_rows(value, f"hub:{spec}")
        elif own is not None:
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
    if own is not None:
        return replace(own, split=split), limit
    if texts and (other := next((key for key in columns if key != "id"), None)):
        raise InputError(f'hub:{spec}: says "{other}" beside "{next(iter(texts))}"; say either {_HOW}')
    speaks = "language" in columns or (configs and "*" not in configs)
    if not name or (not texts and not ({"query", "passage"} <= columns.keys() and speaks)):
        names = ", ".join(name for name, source in SOURCES.items() if source.hub)
        raise InputError(f"hub:{spec}: name a data set and say what its columns hold: {_HOW}; or name one of {names}")
    return HubLayout(str(expanded_path(name)), columns, texts, configs or {"*": None}, split=split, keep=keep), limit


def number_of_rows(value: str, spec: str) -> int:
    """The number that a limit says."""
    if not value.isdecimal() or not int(value):
        raise InputError(f'{spec}: limit must be a number of rows from 1, got "{value}"')
    return int(value)


def _language_of_key(key: str, spec: str) -> str:
    try:
        return normalize_language(key)
    except InputError:
        known = ", ".join((*_COLUMNS, "config", "keep", "split", "limit"))
        raise InputError(f'hub:{spec}: unknown key "{key}"; keys are {known} and language tags') from None


def _read(layout: HubLayout, config: str | None, limit: int | None, cache_dir: str | Path | None) -> Iterator[Row]:
    rows: Iterable[Row]
    if layout.files:
        file = fetch_file(layout.hub_id, layout.files.replace("*", config or ""))
        rows = islice((row for _, row in read_json_lines(file)), limit)
    else:
        rows = HubTable(layout.hub_id, config, layout.split).rows(limit, cache_dir)
    if not layout.each:
        return iter(rows)
    return ({**row, **part} for row in rows for part in row.get(layout.each) or ())


def _rows(hub_row: Row, number: int, layout: HubLayout, language: str, dataset: str) -> list[Row]:
    """The translations that one row of the hub holds; none if it is not to be kept or lacks a text."""
    if any(str(_cell(hub_row, column, layout)) != value for column, value in layout.keep.items()):
        return []
    where = f"hub:{layout.hub_id} row {number}"
    key = _cell(hub_row, layout.columns["id"], layout) if "id" in layout.columns else number - 1
    if key is None or not str(key).strip():
        return []
    short = str(key) if len(str(key)) <= _ID_LENGTH else sha256(str(key).encode()).hexdigest()[:16]
    name = f"{dataset}/{short}"
    if layout.texts:
        columns = {
            language if tag == "*" else tag: column.replace("*", language) for tag, column in layout.texts.items()
        }
        texts = {tag: _text(_cell(hub_row, column, layout), where, column) for tag, column in columns.items()}
        rows = [{"id": name, "language": tag, "query": text, "passage": text} for tag, text in texts.items() if text]
        return rows if len(rows) > 1 else []
    values = {ours: _cell(hub_row, theirs, layout) for ours, theirs in layout.columns.items()}
    spoken = _language_of(values.get("language", language), layout, where)
    query, passage = (_text(values[role], where, layout.columns[role]) for role in ("query", "passage"))
    if "answer" in values and spoken:
        passage = sentence_with(passage, values["answer"], spoken)
    if not (query and passage and spoken):
        return []
    negatives = values.get("negatives")
    given = [negatives] if isinstance(negatives, str) else negatives or []
    wrong = list(filter(None, (_text(text, where, layout.columns["negatives"]) for text in given))) or None
    return [{"id": name, "language": spoken, "query": query, "passage": passage, "negatives": wrong}]


def sentence_with(text: str, answer: str | int | None, language: str = "en") -> str:
    """The sentence of a text that holds an answer, as question answering sets give it; empty where it is not there.

    The answer is its text, of which the first occurrence counts, or the place where it begins, from 0. Where a language
    marks no ends of sentences, as Thai, it is the paragraph.

    >>> sentence_with("The U.S. has 50 states. Alaska is the largest. It joined in 1959.", "largest")
    'Alaska is the largest.'
    >>> sentence_with("東京は首都です。人口は多い。", 9, "ja")
    '人口は多い。'
    """
    start = text.find(answer) if isinstance(answer, str) and answer else answer
    if not isinstance(start, int) or not 0 <= start < len(text):
        return ""
    last = start + max(len(answer) - 1, 0) if isinstance(answer, str) else start
    spans = list(sentence_spans(text, language))
    first = next(begin for begin, end in spans if end > start)
    return text[first : next(end for _, end in spans if end > last)].strip()


def _text(value: Any, where: str, column: str) -> str:
    """A text of the hub, empty for null and for nothing but space."""
    if value is None:
        return ""
    if isinstance(value, list):
        raise InputError(f'{where}: "{column}" holds a list; name one of it, such as {column}.0')
    if not isinstance(value, str):
        raise InputError(f'{where}: "{column}" must hold text, got {value!r:.40}')
    return value if value.strip() else ""


def _language_of(value: Any, layout: HubLayout, where: str) -> str:
    if value is None or not str(value).strip():
        return ""
    code = next((tag for name, tag in layout.language_names.items() if str(value).startswith(name)), str(value))
    return language_at(where, code)


def _cell(hub_row: Row, column: str, layout: HubLayout) -> Any:
    value: Any = hub_row
    for part in column.split("."):
        if part.isdecimal() and isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        elif value is not None:
            raise InputError(f'hub:{layout.hub_id}: no column "{column}"; it has {", ".join(hub_row)}')
    return value
