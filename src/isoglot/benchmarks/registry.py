"""Benchmarks by name, with what a reader must know before quoting a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from isoglot.benchmarks import belebele, miracl, mmarco
from isoglot.benchmarks.beir import HUB_SETS, load_beir, load_beir_from_hub
from isoglot.benchmarks.mkqa import load_mkqa, load_mkqa_passages
from isoglot.benchmarks.parallel import load_bitext, retrieval_set_of
from isoglot.benchmarks.retrieval_set import RetrievalSet
from isoglot.benchmarks.xquad_r import Candidate, load_xquad_r
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.pairs import read_pairs


@dataclass(frozen=True)
class Benchmark:
    """A registry entry.

    Attributes:
        name: what `--benchmark` takes.
        summary: one line on what is asked.
        languages: language tags, or a remark where the data decides.
        licence: of the data; it says where use is for non-commercial purposes only.
        citation: where it comes from.
        data: what `--data` must name.
        load: makes the retrieval set from that path; takes `languages`, and None for the path where there is a hub id.
        hub_id: where it comes from if no data is named; empty if it must be.
        measure: the measure that it is usually reported by.
    """

    name: str
    summary: str
    languages: str
    licence: str
    citation: str
    data: str
    load: Callable[..., RetrievalSet]
    hub_id: str = ""
    measure: str = "map"


def _load_parallel(path: Path, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    whole = retrieval_set_of(read_pairs(path), path.stem)
    return whole if languages is None else whole.in_languages(languages)


def _load_beir(path: Path | None, *, languages: Iterable[str] | None = None, dataset: str = "") -> RetrievalSet:
    """A folder is in the language that is asked for, or in English; the sets of the hub are English."""
    tags = sorted({normalize_language(tag) for tag in languages or ["en"]})
    name = f"beir:{dataset}" if dataset else None
    if len(tags) > 1:
        raise InputError(f"{name or 'beir'}: a BEIR folder is in one language; say which, not {', '.join(tags)}")
    if path is not None:
        return load_beir(path, name=name, language=tags[0])
    if tags != ["en"]:
        raise InputError(f"{name}: no language {tags[0]!r}; there are en")
    return load_beir_from_hub(dataset)


_LAREQA = "Roy et al. 2020, LAReQA: Language-Agnostic Answer Retrieval from a Multilingual Pool, arXiv 2004.05484"
_MKQA = "Longpre et al. 2021, MKQA: A Linguistically Diverse Benchmark, arXiv 2007.15207"
_SQUAD_FOLDER = "a folder of SQuAD JSON files with sentence breaks, one per language"
_MKQA_FOLDER = "a folder with mkqa.jsonl, or JSON lines per language such as mkqa-de.jsonl"
_MKQA_LANGUAGES = "ar da de en es fi fr he hu it ja km ko ms nl no pl pt ru sv th tr vi zh-CN zh-HK zh-TW"

BENCHMARKS = {
    entry.name: entry
    for entry in (
        Benchmark(
            "xquad-r",
            "1,190 parallel questions a language; find the answering sentence among 13,014 of Wikipedia",
            "ar de el en es hi ru th tr vi zh",
            "CC BY-SA 4.0",
            _LAREQA,
            _SQUAD_FOLDER,
            load_xquad_r,
        ),
        Benchmark(
            "mlqa-r",
            "questions parallel in 2 to 4 languages; find the answering sentence of Wikipedia",
            "ar de en es hi vi zh",
            "CC BY-SA 3.0",
            _LAREQA,
            _SQUAD_FOLDER,
            partial(load_xquad_r, name="mlqa-r"),
        ),
        Benchmark(
            "mkqa",
            "10,000 parallel questions; find a question's translations among the questions of all languages",
            _MKQA_LANGUAGES,
            "CC BY-SA 3.0",
            _MKQA,
            _MKQA_FOLDER,
            load_mkqa,
        ),
        Benchmark(
            "mkqa-passages",
            "questions in 26 languages over 2.7 million English passages; relevant is what holds an answer",
            _MKQA_LANGUAGES,
            "CC BY-SA 3.0 (questions), CC BY-SA 4.0 (passages)",
            f"{_MKQA}; Chen et al. 2024, BGE M3-Embedding, arXiv 2402.03216 for the protocol",
            f"{_MKQA_FOLDER}; passages in corpus.jsonl beside them, else BeIR/nq is fetched from the hub",
            load_mkqa_passages,
            measure="answer_recall@100",
        ),
        Benchmark(
            "miracl",
            "13,495 questions asked in 18 languages, each over its language's Wikipedia; 106 million passages in all",
            " ".join(miracl.LANGUAGES),
            "Apache-2.0 (judgements), CC BY-SA 4.0 (Wikipedia's text)",
            "Zhang et al. 2023, MIRACL: A Multilingual Retrieval Dataset Covering 18 Languages, arXiv 2210.09984",
            "a folder with miracl-v1.0-LANGUAGE (topics, qrels) and miracl-corpus-v1.0-LANGUAGE (docs-0.jsonl.gz, ...)",
            miracl.load_miracl,
            miracl.HUB_ID,
            "ndcg@10",
        ),
        Benchmark(
            "beir",
            "any retrieval collection in BEIR's format; beir:scifact and the like take that set from the hub",
            "en, or the one language asked for",
            "that of the set; MS MARCO and SciFact among others are for non-commercial use only",
            "Thakur et al. 2021, BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation, arXiv 2104.08663",
            "a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv",
            _load_beir,
            measure="ndcg@10",
        ),
        Benchmark(
            "mmarco",
            "6,980 parallel search queries over 8.8 million parallel passages, translated by machine",
            " ".join(mmarco.LANGUAGES),
            "Apache-2.0 (translations); MS MARCO's terms: non-commercial research use only",
            "Bonifacio et al. 2021, mMARCO: A Multilingual Version of MS MARCO, arXiv 2108.13897",
            "the release's folder data/google with collections, queries/dev and qrels.dev.small.tsv in it or beside it",
            mmarco.load_mmarco,
            mmarco.HUB_ID,
            "mrr@10",
        ),
        Benchmark(
            "belebele",
            "900 parallel questions in 122 languages; find the passage that each is about among 488 of every language",
            "122, from acm to zu",
            "CC BY-SA 4.0",
            "Bandarkar et al. 2023, The Belebele Benchmark, arXiv 2308.16884",
            "a folder of JSON lines per language such as deu_Latn.jsonl",
            belebele.load_belebele,
            belebele.HUB_ID,
            "ndcg@10",
        ),
        Benchmark(
            "bitext",
            "aligned sentences, such as FLORES-200; find a sentence's translations among those of all languages",
            "those of the folder",
            "that of the sentences; FLORES-200 and NTREX-128: CC BY-SA 4.0",
            "FLORES-200: NLLB Team 2022, No Language Left Behind, arXiv 2207.04672",
            "a folder with one text file per language such as deu_Latn.txt; line n of each is the same sentence",
            load_bitext,
            measure="recall@1",
        ),
        Benchmark(
            "parallel",
            "your own parallel pairs: every translation of a passage answers every translation of its query",
            "those of the file",
            "that of the file",
            "",
            "a parallel JSONL, CSV or Parquet file",
            _load_parallel,
        ),
    )
}


def find_benchmark(name: str) -> Benchmark:
    """The entry of a name; `beir:NAME` has that of `beir`.

    Raises:
        InputError: if there is none.
    """
    base, _, dataset = name.partition(":")
    if base not in BENCHMARKS or (":" in name and (base != "beir" or not dataset)):
        raise InputError(f"benchmark {name!r} is unknown; use one of {', '.join(sorted(BENCHMARKS))} or beir:NAME")
    return BENCHMARKS[base]


def load_benchmark(
    name: str,
    data: str | Path | None = None,
    *,
    candidate: Candidate = "sentence",
    languages: Iterable[str] | None = None,
) -> RetrievalSet:
    """Load a benchmark by name.

    Args:
        name: a key of `BENCHMARKS`, or `beir:NAME` for one of BEIR's sets.
        data: the path that the entry's `data` describes; None takes the benchmark from the hub, where it is there.
        candidate: what is encoded for a passage, where the benchmark leaves the choice.
        languages: read these only; None takes all. A BEIR folder is taken to be in the one language given here.

    Raises:
        InputError: if the name is unknown, the benchmark lacks a language, or the data cannot be read.
    """
    entry = find_benchmark(name)
    dataset = name.partition(":")[2]
    if candidate != "sentence" and entry.name not in ("xquad-r", "mlqa-r"):
        raise InputError(f"candidate {candidate!r} is for xquad-r and mlqa-r; {name} has no context")
    if data is None and not (entry.hub_id or dataset):
        on_hub = ", ".join(sorted(other.name for other in BENCHMARKS.values() if other.hub_id))
        raise InputError(f"{name} needs data: {entry.data}; the hub has {on_hub} and beir:{{{','.join(HUB_SETS)}}}")
    if data is not None and not Path(data).exists():
        raise InputError(f"{data}: not there; benchmark {name} needs {entry.data}")
    options: dict[str, str] = {"candidate": candidate} if candidate != "sentence" else {}
    if dataset:
        options["dataset"] = dataset
    return entry.load(None if data is None else Path(data), languages=languages, **options)
