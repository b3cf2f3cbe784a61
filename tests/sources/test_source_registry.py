"""Every registered set states its terms, and reads from a folder with exactly the hub's columns."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.pairs import ParallelPairs
from isoglot.sources import SOURCES, Source, load_pairs
from isoglot.sources import hub as hub_module

ON_HUB = [source for source in SOURCES.values() if source.hub is not None]
TABLES = [source for source in ON_HUB if source.name != "hub:mmarco"]
SENTENCES = {"en": "It began in 1901. The red house is old.", "de": "Es begann 1901. Das rote Haus ist alt."}
SQUAD = {
    "id": "q1",
    "question": "What is old?",
    "context": SENTENCES["en"],
    "answers": {"text": ["red house"], "answer_start": [22]},
}
ROWS: Mapping[str, list[dict[str, Any]]] = {
    "hub:natural-questions": [{"query": "what is old", "answer": "The red house is old."}],
    "hub:squad": [SQUAD],
    "hub:tydi-qa": [{**SQUAD, "id": "english-123-1"}, {**SQUAD, "id": "swahili--45-0", "question": "Nini?"}],
    "hub:mr-tydi": [{"anchor": "What is old?", "positive": "The red house is old.", "negative": "It began in 1901."}],
    "hub:wiki-qa": [
        {"question_id": "Q1", "question": "what is old", "document_title": "House", "answer": "No.", "label": 0},
        {
            "question_id": "Q1",
            "question": "what is old",
            "document_title": "House",
            "answer": "The red house is old.",
            "label": 1,
        },
    ],
    "hub:duorc": [
        {
            "question_id": "1",
            "question": "What is old?",
            "plot": SENTENCES["en"],
            "answers": ["red house"],
            "no_answer": False,
        },
        {"question_id": "2", "question": "What is new?", "plot": SENTENCES["en"], "answers": [], "no_answer": True},
    ],
    "hub:news-qa": [
        {"key": "k", "question": "What is old?", "context": SENTENCES["en"], "answers": ["red house", "house"]}
    ],
    "hub:yahoo-answers": [{"question": "What is old?", "answer": "The red house is old."}],
    "hub:ms-marco": [{"query": "what is old", "positive": "The red house is old.", "negative": "It began in 1901."}],
    "hub:mfaq": [
        {"id": 1, "domain": "x", "qa_pairs": [{"question": "What is old?", "answer": "The red house is old."}]},
        {"id": 2, "domain": "y", "qa_pairs": []},
    ],
    "hub:talks": [{"english": SENTENCES["en"], "non_english": SENTENCES["de"]}],
    "hub:tatoeba": [{"english": SENTENCES["en"], "non_english": SENTENCES["de"]}],
    "hub:opus-100": [{"translation": SENTENCES}],
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))
def test_every_set_states_its_terms(source: Source) -> None:
    assert all([source.summary, source.licence, source.citation, source.size])
    assert source.url.startswith("https://") if source.hub or source.missing else not source.url
    assert source.languages
    assert len(set(source.languages)) == len(source.languages)
    assert [normalize_language(tag) for tag in source.languages] == list(source.languages)
    assert source.non_commercial == ("non-commercial" in source.licence)


@pytest.mark.parametrize("source", ON_HUB, ids=lambda source: source.name)
def test_what_is_read_is_what_is_promised(source: Source) -> None:
    assert source.hub is not None
    assert source.hub.split == "train"
    spoken = {*source.hub.configs, *source.hub.texts, *source.hub.language_names.values()} - {"*"}
    assert spoken == set(source.languages)


def test_no_evaluation_set_is_registered_for_training() -> None:
    ids = " ".join(source.hub.hub_id for source in ON_HUB if source.hub).lower()
    for name in ("xquad", "mlqa", "miracl", "mkqa", "belebele", "flores", "squadshifts"):
        assert name not in ids


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Reads a registered set from a folder with these rows in the first of its configurations."""

    def from_folder(source: Source, language: str) -> ParallelPairs:
        assert source.hub is not None
        folder = tmp_path / "set"
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(ROWS[source.name]), folder / "train.parquet")
        (folder / "data" / "en").mkdir(parents=True)
        lines = (json.dumps(row) + "\n" for row in ROWS[source.name])
        (folder / "data" / "en" / "train.jsonl").write_text("".join(lines))
        name = source.hub.configs.get(language) or source.hub.configs.get("*") or "default"
        head = {"configs": [{"config_name": name, "data_files": [{"split": "train", "path": "train.parquet"}]}]}
        (folder / "README.md").write_text(f"---\n{json.dumps(head)}\n---\n")
        here = replace(source, hub=replace(source.hub, hub_id=str(folder)))
        monkeypatch.setattr(hub_module, "SOURCES", {**SOURCES, source.name: here})
        return load_pairs(source.name, languages=["en", language], cache_dir=tmp_path / "cache")

    return from_folder


def test_a_set_that_cannot_be_read_says_why() -> None:
    with pytest.raises(InputError, match="hub:entity-questions: its release has questions and answers and no passages"):
        load_pairs("hub:entity-questions")


@pytest.mark.parametrize("source", TABLES, ids=lambda source: source.name)
def test_a_folder_in_the_hubs_format_is_read(source: Source, read: Any) -> None:
    assert source.hub is not None
    sentences = bool(source.hub.texts)
    other = "de" if sentences else "sw" if source.name == "hub:tydi-qa" else "en"
    if source.name == "hub:mfaq":
        source = replace(source, hub=replace(source.hub, configs={"en": "en"}))
    if source.name == "hub:mr-tydi":
        source = replace(source, hub=replace(source.hub, configs={"en": "en-triplet"}))
    elif sentences:
        source = replace(source, hub=replace(source.hub, configs={"de": source.hub.configs["de"]}))
    rows = list(read(source, other).rows())
    if sentences:
        assert {row["language"]: row["passage"] for row in rows} == SENTENCES
        assert len({row["id"] for row in rows}) == 1
        return
    assert {row["language"] for row in rows} == {"en", other}
    assert {row["passage"] for row in rows} == {"The red house is old."}
    assert len(rows) == len({row["id"] for row in rows})
    negatives = [["It began in 1901."]] if "negatives" in source.hub.columns else [None]  # type: ignore[union-attr]
    assert [row["negatives"] for row in rows] == negatives * len(rows)
