"""The audit of a mixed corpus: what a ranking blind to language would show is the corpus' own mix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.encoding import identification
from isoglot.evaluation import corpus as corpus_audit
from isoglot.evaluation.audit import verdict
from isoglot.evaluation.corpus import audit_corpus
from toy_pairs import parallel_rows

SENTENCES = {
    "en": "The weather was very cold this winter. Nobody went out of the house before noon number {}.",
    "de": "Das Wetter war in diesem Winter sehr kalt. Vor Mittag ging niemand aus dem Haus Nummer {}.",
}


def documents(shares: dict[str, int]) -> list[dict[str, str]]:
    """So many documents in each language, each with two sentences."""
    rows = {tag: [row for row in parallel_rows(80) if row["language"] == tag] for tag in shares}
    return [
        {
            "id": f"{tag}{n}",
            "language": tag,
            "text": f"{row['query'].capitalize()} words. {row['passage'].capitalize()}",
        }
        for tag, count in shares.items()
        for n, row in enumerate(rows[tag][:count])
    ]


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_fair_share_is_the_corpus_without_the_query_s_document(
    tiny_encoder: SentenceTransformer, tmp_path: Path
) -> None:
    shares = {"en": 60, "de": 30, "es": 10}
    results = audit_corpus(tiny_encoder, written(tmp_path, documents(shares)))
    rows = [row for row in results.per_query.to_pylist() if row["setting"] == "multilingual"]
    assert {row["query_language"] for row in rows} == set(shares)
    for row in rows:
        found = row["recall@10"]
        mix = (shares[row["query_language"]] - 1) / (sum(shares.values()) - 1)
        assert row["fair_share@10"] == pytest.approx((found + (10 - found) * mix) / 10)
    assert results.summary["corpus"] == {"rows": 100, "documents": dict(sorted(shares.items()))}
    assert np.mean([row["same_language_share@10"] for row in rows]) > 0
    said = " ".join(verdict(results))
    assert "are in the query's language" in said
    assert "What this cannot show" in said
    assert "nan" not in said


def test_a_sample_is_drawn_and_said(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    results = audit_corpus(tiny_encoder, written(tmp_path, documents({"en": 60, "de": 60})), documents=50)
    assert results.summary["passages"] == 50
    assert "50 of 120 documents are searched, drawn at random." in results.summary["notes"]


def test_each_language_asks_as_often_and_headings_ask_nothing(
    tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_audit, "QUERIES", 20)
    rows = documents({"en": 60, "de": 20})
    heading = "Allgemeine Hinweise.\nHaus und Baum Nummer"
    rows += [{"id": f"h{n}", "language": "de", "text": f"{heading} {n}."} for n in (1, 2)]
    results = audit_corpus(tiny_encoder, written(tmp_path, rows))
    assert {tag: row["queries"] for tag, row in results.summary["by_query_language"].items()} == {"de": 10, "en": 10}
    assert not any(text.startswith("Allgemeine") for text in results.top["query_text"].to_pylist())
    strays = [{"id": f"s{tag}", "language": tag, "text": f"{tag} stray."} for tag in ("fi", "fr", "it", "ja", "pl")]
    with_strays = audit_corpus(tiny_encoder, written(tmp_path, rows + strays)).summary["by_query_language"]
    assert {tag: row["queries"] for tag, row in with_strays.items()} == {"de": 10, "en": 10}


def test_missing_languages_are_found_out(
    tiny_encoder: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": f"{tag}{n}", "text": f"{n} {text}".format(n)} for tag, text in SENTENCES.items() for n in range(6)]
    path = written(tmp_path, rows)
    with monkeypatch.context() as patch:
        patch.setattr(identification, "library", _missing)
        identification._identifier.cache_clear()
        with pytest.raises(MissingExtraError, match="identify"):
            audit_corpus(tiny_encoder, path)
    pytest.importorskip("py3langid", reason="the extra identify is not installed")
    assert audit_corpus(tiny_encoder, path).summary["corpus"]["documents"] == {"de": 6, "en": 6}


def _missing(*_: str) -> None:
    raise MissingExtraError("pip install 'isoglot[identify]'")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (documents({"en": 20}), r"documents in en alone; an audit takes two or more"),
        ([{**row, "text": "one sentence"} for row in documents({"en": 9, "de": 9})], r"have a second sentence"),
    ],
)
def test_what_shows_nothing_is_refused(
    tiny_encoder: SentenceTransformer, tmp_path: Path, rows: list[dict[str, str]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        audit_corpus(tiny_encoder, written(tmp_path, rows))
