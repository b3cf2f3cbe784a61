"""Training data that has a name: where it is, how its columns map, and under what terms it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isoglot.common.errors import InputError


@dataclass(frozen=True)
class HubTable:
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
        split: the hub's name of the split.
        keep: the hub's column -> the value, as text, that rows must have there.
        language_names: how a value of the language column begins -> the language, for data sets that write neither
            a tag nor a code.
    """

    hub_id: str
    columns: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str | None] = field(default_factory=dict)
    split: str = "train"
    keep: Mapping[str, str] = field(default_factory=dict)
    language_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One named data set.

    Attributes:
        name: what `load_pairs` takes.
        summary: what it is, in a line.
        languages: tags of its languages.
        licence: the terms the data comes under.
        url: where it is described; empty for what the machine's own package lists hold.
        citation: whom to cite.
        size: about how many rows are read.
        non_commercial: whether its terms forbid commercial use, or grant research use only.
        hub: how to read it, if it is on the hub.
    """

    name: str
    summary: str
    languages: tuple[str, ...]
    licence: str
    url: str
    citation: str
    size: str
    non_commercial: bool = False
    hub: HubTable | None = None


_HUB = "https://huggingface.co/datasets/"
_MR_TYDI = ("ar", "bn", "en", "fi", "id", "ja", "ko", "ru", "sw", "te", "th")
_TYDI_QA = {
    "arabic": "ar",
    "bengali": "bn",
    "english": "en",
    "finnish": "fi",
    "indonesian": "id",
    "korean": "ko",
    "russian": "ru",
    "swahili": "sw",
    "telugu": "te",
}
_TALKS = ("ar", "bg", "ca", "cs", "da", "de", "el", "es", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko")
_TATOEBA = (
    *("ar", "bg", "ca", "cs", "da", "de", "el", "es", "et", "fa", "fi", "fr", "gl", "gu", "he", "hi", "hr", "hu"),
    *("hy", "id", "it", "ja", "ka", "ko", "ku", "lt", "lv", "mk", "mn", "mr", "nl", "ru"),
)
_OPUS = (
    *("ar", "bg", "cs", "da", "de", "el", "es", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "ko", "nl", "pl"),
    *("pt", "ro", "ru", "sv", "th", "tr", "uk", "vi", "zh"),
)


def _parallel_sentences(hub_id: str, languages: tuple[str, ...]) -> HubTable:
    """The layout of all `parallel-sentences` sets: English and one other language, joined on the English."""
    return HubTable(
        hub_id,
        columns={"id": "english"},
        texts={"en": "english", "*": "non_english"},
        configs={language: f"en-{language}" for language in languages},
    )


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
            size="about 230,000 translations of 61,000 packages; depends on the release",
        ),
        Source(
            name="hub:natural-questions",
            summary="questions asked of a search engine and the Wikipedia passage that answers each",
            languages=("en",),
            licence="CC BY-SA 3.0",
            url=_HUB + "sentence-transformers/natural-questions",
            citation="Kwiatkowski et al. 2019, Natural Questions: a benchmark for question answering research",
            size="100,231 pairs",
            hub=HubTable(
                "sentence-transformers/natural-questions",
                columns={"query": "query", "passage": "answer"},
                configs={"en": "pair"},
            ),
        ),
        Source(
            name="hub:squad",
            summary="questions on Wikipedia paragraphs and the sentence that holds the answer; XQuAD comes from its "
            "validation split, so only the training split may be trained on",
            languages=("en",),
            licence="CC BY-SA 4.0",
            url=_HUB + "rajpurkar/squad",
            citation="Rajpurkar et al. 2016, arXiv 1606.05250",
            size="87,599 questions",
            hub=HubTable(
                "rajpurkar/squad",
                columns={
                    "id": "id",
                    "query": "question",
                    "passage": "context",
                    "answer": "answers.answer_start.0",
                },
                configs={"en": "plain_text"},
            ),
        ),
        Source(
            name="hub:tydi-qa",
            summary="TyDi QA GoldP: questions by native speakers and the sentence of Wikipedia that holds the answer; "
            "Mr. TyDi, MIRACL and XOR-TyDi ask the same questions",
            languages=tuple(_TYDI_QA.values()),
            licence="Apache-2.0",
            url=_HUB + "google-research-datasets/tydiqa",
            citation="Clark et al. 2020, arXiv 2003.05002",
            size="49,881 questions",
            hub=HubTable(
                "google-research-datasets/tydiqa",
                columns={
                    "id": "id",
                    "language": "id",
                    "query": "question",
                    "passage": "context",
                    "answer": "answers.answer_start.0",
                },
                configs={"*": "secondary_task"},
                language_names=_TYDI_QA,
            ),
        ),
        Source(
            name="hub:mr-tydi",
            summary="questions by native speakers, a Wikipedia passage that answers and one that does not; MIRACL "
            "asks the same questions",
            languages=_MR_TYDI,
            licence="Apache-2.0",
            url=_HUB + "sentence-transformers/mr-tydi",
            citation="Zhang et al. 2021, arXiv 2108.08787",
            size="about 49,000 questions, 3,547 of them English",
            hub=HubTable(
                "sentence-transformers/mr-tydi",
                columns={"id": "anchor", "query": "anchor", "passage": "positive", "negatives": "negative"},
                configs={language: f"{language}-triplet" for language in _MR_TYDI},
            ),
        ),
        Source(
            name="hub:wiki-qa",
            summary="questions asked of a search engine and the Wikipedia sentence that answers each",
            languages=("en",),
            licence='Microsoft\'s own terms, "other" on the hub: research use, taken here as non-commercial',
            url=_HUB + "microsoft/wiki_qa",
            citation="Yang, Yih and Meek 2015, WikiQA, doi 10.18653/v1/D15-1237",
            size="about 900 answered questions among 20,360 rows",
            non_commercial=True,
            hub=HubTable(
                "microsoft/wiki_qa",
                columns={"id": "question_id", "query": "question", "passage": "answer"},
                configs={"en": None},
                keep={"label": "1"},
            ),
        ),
        Source(
            name="hub:duorc",
            summary="questions on the plots of films and the first sentence of the plot that holds the answer",
            languages=("en",),
            licence="MIT",
            url=_HUB + "ibm-research/duorc",
            citation="Saha et al. 2018, arXiv 1804.07927",
            size="60,721 questions, those whose answer stands in the plot are read",
            hub=HubTable(
                "ibm-research/duorc",
                columns={"id": "question_id", "query": "question", "passage": "plot", "answer": "answers.0"},
                configs={"en": "SelfRC"},
            ),
        ),
        Source(
            name="hub:news-qa",
            summary="questions on news stories and the first sentence of the story that holds the answer; as "
            "selected for MRQA 2019",
            languages=("en",),
            licence="none stated on the hub, the stories are their publisher's: taken here as non-commercial",
            url=_HUB + "lucadiliello/newsqa",
            citation="Trischler et al. 2017, arXiv 1611.09830",
            size="74,160 questions",
            non_commercial=True,
            hub=HubTable(
                "lucadiliello/newsqa",
                columns={"id": "key", "query": "question", "passage": "context", "answer": "answers.0"},
                configs={"en": None},
            ),
        ),
        Source(
            name="hub:yahoo-answers",
            summary="questions of a question-and-answer site and the answer that the asker found best",
            languages=("en",),
            licence="none stated on the hub; the texts are their authors'",
            url=_HUB + "sentence-transformers/yahoo-answers",
            citation="Yahoo Answers",
            size="681,000 pairs",
            hub=HubTable(
                "sentence-transformers/yahoo-answers",
                columns={"query": "question", "passage": "answer"},
                configs={"en": "question-answer-pair"},
            ),
        ),
        Source(
            name="hub:ms-marco",
            summary="questions asked of a search engine, a passage that answers and one that does not; the English "
            "of mMARCO",
            languages=("en",),
            licence="MS MARCO's terms: non-commercial research only",
            url=_HUB + "sentence-transformers/msmarco-msmarco-distilbert-base-tas-b",
            citation="Bajaj et al. 2016, arXiv 1611.09268",
            size="502,939 pairs",
            non_commercial=True,
            hub=HubTable(
                "sentence-transformers/msmarco-msmarco-distilbert-base-tas-b",
                columns={"query": "query", "passage": "positive", "negatives": "negative"},
                configs={"en": "triplet"},
            ),
        ),
        Source(
            name="hub:talks",
            summary="sentences of talks with their translations: an alignment set, sentence to sentence",
            languages=("en", *_TALKS),
            licence="CC BY-NC-ND 4.0 for the transcripts, by the talks' publisher: non-commercial",
            url=_HUB + "sentence-transformers/parallel-sentences-talks",
            citation="Reimers and Gurevych 2020, arXiv 2004.09813",
            size="up to some 400,000 sentences a language",
            non_commercial=True,
            hub=_parallel_sentences("sentence-transformers/parallel-sentences-talks", _TALKS),
        ),
        Source(
            name="hub:tatoeba",
            summary="short sentences translated by volunteers: an alignment set, sentence to sentence; the Tatoeba "
            "benchmark has sentences of the same collection",
            languages=("en", *_TATOEBA),
            licence="CC BY 2.0 FR",
            url=_HUB + "sentence-transformers/parallel-sentences-tatoeba",
            citation="Tatoeba, https://tatoeba.org; Tiedemann 2012, Parallel data, tools and interfaces in OPUS",
            size="from a few hundred to some 300,000 sentences a language",
            hub=_parallel_sentences("sentence-transformers/parallel-sentences-tatoeba", _TATOEBA),
        ),
        Source(
            name="hub:opus-100",
            summary="sentences of many corpora with their translations, noisy: an alignment set, sentence to sentence",
            languages=("en", *_OPUS),
            licence="unknown: that of each corpus in OPUS it was drawn from",
            url=_HUB + "Helsinki-NLP/opus-100",
            citation="Zhang et al. 2020, arXiv 2004.11867; Tiedemann 2012",
            size="up to 1,000,000 sentences a language",
            hub=HubTable(
                "Helsinki-NLP/opus-100",
                columns={"id": "translation.en"},
                texts={"en": "translation.en", "*": "translation.*"},
                configs={language: "-".join(sorted(("en", language))) for language in _OPUS},
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
