"""Training data that has a name: where it is, how its columns map, and under what terms it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isoglot.errors import InputError


@dataclass(frozen=True)
class HubTable:
    """How to read one data set of the Hugging Face hub as parallel pairs.

    There are two layouts. In one a hub row is a translation, with a query and a passage: `columns`. In the other a
    hub row holds one sentence in several languages: `texts`.

    Attributes:
        hub_id: `owner/name` on the hub, or a local folder in the hub's format.
        columns: our column -> the hub's: `query` and `passage`, perhaps `id`, `language` and `negatives`. A dot
            leads into a nested column. Without `id` row n of every configuration is the same example. An `id` column
            may hold the text that all translations share.
        texts: language -> column of its sentence; the language `*` stands for that of the configuration.
        configs: language -> the hub's name of the configuration that holds it; None is the default configuration.
        split: the hub's name of the split.
    """

    hub_id: str
    columns: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str | None] = field(default_factory=dict)
    split: str = "train"


@dataclass(frozen=True)
class Source:
    """One named data set.

    Attributes:
        name: what `load_pairs` takes.
        summary: what it is, in a line.
        languages: tags of its languages.
        licence: the terms the data comes under.
        url: where it is described.
        citation: whom to cite.
        hub: how to read it, if it is on the hub.
    """

    name: str
    summary: str
    languages: tuple[str, ...]
    licence: str
    url: str
    citation: str
    hub: HubTable | None = None


_TALKS = ("ar", "bg", "ca", "cs", "da", "de", "el", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko")

SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(
            name="debian",
            summary="names and descriptions of Debian's packages, translated by people; technical, rich to scarce",
            languages=(
                *("en", "da", "it", "fr", "de", "sk", "pt-BR", "ja", "ko", "uk", "pl", "ru", "cs", "es", "pt"),
                *("zh-CN", "fi", "sr", "nl", "sv", "hu"),
            ),
            licence=(
                "Package descriptions come under the terms of each package's packaging (its debian/copyright file), "
                "translations under those of the Debian Description Translation Project, by their translators. "
                "No single licence covers them; check both before you pass on the texts themselves."
            ),
            url="",
            citation="The Debian Description Translation Project",
        ),
        Source(
            name="hub:natural-questions",
            summary="questions asked of a search engine and the Wikipedia passage that answers each",
            languages=("en",),
            licence="CC BY-SA 3.0",
            url="https://huggingface.co/datasets/sentence-transformers/natural-questions",
            citation="Kwiatkowski et al. 2019, Natural Questions: a benchmark for question answering research",
            hub=HubTable(
                "sentence-transformers/natural-questions",
                columns={"query": "query", "passage": "answer"},
                configs={"en": None},
            ),
        ),
        Source(
            name="hub:talks",
            summary="sentences of talks with their translations: an alignment set, sentence to sentence",
            languages=("en", *_TALKS),
            licence="CC BY-NC-ND 4.0 for the transcripts, by the talks' publisher",
            url="https://huggingface.co/datasets/sentence-transformers/parallel-sentences-talks",
            citation="Reimers and Gurevych 2020, arXiv 2004.09813",
            hub=HubTable(
                "sentence-transformers/parallel-sentences-talks",
                columns={"id": "english"},
                texts={"en": "english", "*": "non_english"},
                configs={language: f"en-{language}" for language in _TALKS},
            ),
        ),
    )
}


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
