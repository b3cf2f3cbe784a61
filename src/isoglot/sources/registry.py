"""Training data that has a name: where it is, how its columns map, and under what terms it comes.

The entries are in `registry.yaml` beside this module; their keys are the attributes of `Source` and `HubLayout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from isoglot.common.errors import InputError


@dataclass(frozen=True)
class HubLayout:
    """How to read one data set of the Hugging Face hub as parallel pairs.

    There are two layouts. In one a hub row is a translation, with a query and a passage: `columns`. In the other a
    hub row holds one sentence in several languages: `texts`.

    Attributes:
        hub_id: `owner/name` on the hub, or a local folder in the hub's format.
        columns: our column -> the hub's: `query` and `passage`, perhaps `id`, `language`, `negatives` and `answer`. A
            dot leads into a nested column or, with a number from 0, into a list. Without `id` row n of every
            configuration is the same example. An `id` column may hold the text that all translations share. With
            `answer`, a text or the place where it begins, the passage is the sentence that holds the answer, and
            rows without one are left out.
        texts: language -> column of its sentence; the language `*` stands for that of the configuration, and so does
            a `*` in the name of its column.
        configs: language -> the hub's name of the configuration that holds it; None is the default configuration.
        files: where the data set has a program to read it, which is not run, the file of JSON lines that takes the
            place of a configuration; a `*` in it stands for that.
        each: a column that holds a list of rows, `qa_pairs`: each of them is a row.
        split: the hub's name of the split.
        keep: the hub's column -> the value, as text, that rows must have there.
        language_names: how a value of the language column begins -> the language, for data sets that write neither
            a tag nor a code.
    """

    hub_id: str
    columns: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str | None] = field(default_factory=dict)
    files: str = ""
    each: str = ""
    split: str = "train"
    keep: Mapping[str, str] = field(default_factory=dict)
    language_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One named data set.

    Attributes:
        name: what `load_pairs` takes.
        title: what it is, in a few words.
        summary: what it is, in a line.
        languages: tags of its languages.
        licence: the terms the data comes under.
        citation: whom to cite.
        size: about how many rows are read.
        url: where it is described; empty for what the machine's own package lists hold.
        non_commercial: whether its terms forbid commercial use, or grant research use only.
        hub: how to read it, if it is on the hub.
        missing: why it cannot be read; empty if it can.
    """

    name: str
    title: str
    summary: str
    languages: tuple[str, ...]
    licence: str
    citation: str
    size: str
    url: str = ""
    non_commercial: bool = False
    hub: HubLayout | None = None
    missing: str = ""


def find_source(name: str) -> Source:
    """The source of that name.

    Raises:
        InputError: if there is none; the message lists the names.

    >>> find_source("debian").languages[:3]
    ('en', 'da', 'it')
    """
    if name not in SOURCES:
        raise InputError(f'unknown data set "{name}"; known are {", ".join(SOURCES)}')
    return SOURCES[name]


def _source(name: str, entry: dict[str, Any]) -> Source:
    hub = HubLayout(**entry.pop("hub")) if "hub" in entry else None
    url = f"https://huggingface.co/datasets/{hub.hub_id}" if hub else entry.pop("url", "")
    return Source(name=name, languages=tuple(entry.pop("languages").split()), hub=hub, url=url, **entry)


_ENTRIES = yaml.safe_load(Path(__file__).with_name("registry.yaml").read_text(encoding="utf-8"))
SOURCES: Mapping[str, Source] = {name: _source(name, entry) for name, entry in _ENTRIES.items()}
