"""Pairs in other tools' formats: what is written is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.common.text import is_blank
from isoglot.pairs import ParallelPairs
from isoglot.sources import load_pairs
from isoglot.sources.exporting import export_pairs

letters = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")) | st.sampled_from(list("<>&\"'\\\t"))
lines = st.text(letters, min_size=1, max_size=12).map(str.strip)
texts = lines.filter(lambda text: text != "" and not is_blank(pa.array([text]))[0].as_py())
LANGUAGES = ("de", "en", "zh-CN")
ANY = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def aligned(*sentences: tuple[str, ...]) -> ParallelPairs:
    return ParallelPairs.from_rows(
        {"id": str(number), "language": tag, "query": text, "passage": text}
        for number, versions in enumerate(sentences)
        for tag, text in zip(LANGUAGES, versions, strict=False)
    )


def said(pairs: ParallelPairs, *columns: str) -> list[list[tuple[Any, ...]]]:
    """Rows by example, whatever the ids."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in pairs.rows():
        found.setdefault(row["id"], []).append(tuple(row[name] for name in ("language", *columns)))
    return sorted(sorted(rows) for rows in found.values())


@ANY
@given(sentences=st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=4))
def test_aligned_sentences_go_through_tmx_and_folders(tmp_path: Path, sentences: list[tuple[str, ...]]) -> None:
    pairs = aligned(*sentences)
    folder = tmp_path / f"folder-{len(list(tmp_path.iterdir()))}"
    for target in (export_pairs(pairs, tmp_path / "a.tmx"), export_pairs(pairs, folder, "sentences")):
        assert said(load_pairs(target), "query", "passage") == said(pairs, "query", "passage")


@ANY
@given(
    found=st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.sampled_from(LANGUAGES)),
        st.tuples(texts, texts, st.lists(texts, max_size=2, unique=True)),
        min_size=1,
    )
)
def test_pairs_with_negatives_go_through_beir(
    tmp_path: Path, found: dict[tuple[str, str], tuple[str, str, list[str]]]
) -> None:
    pairs = ParallelPairs.from_rows(
        {
            "id": key,
            "language": tag,
            "query": query,
            "passage": passage,
            "negatives": [n for n in wrong if n != passage],
        }
        for (key, tag), (query, passage, wrong) in found.items()
    )
    folder = export_pairs(pairs, tmp_path / f"beir-{len(list(tmp_path.iterdir()))}", "beir")
    back = load_pairs(folder, languages=pairs.languages)
    assert said(back, "query", "passage") == said(pairs, "query", "passage")
    assert [
        row["negatives"] or [] for row in sorted(back.rows(), key=lambda row: (row["id"][-1], row["language"]))
    ] == [row["negatives"] for row in sorted(pairs.rows(), key=lambda row: (row["id"], row["language"]))]


def test_a_passage_that_only_is_a_candidate_stays_in_the_corpus(tmp_path: Path) -> None:
    rows = [{"id": "1", "language": "en", "query": "q", "passage": "p"}, {"id": "2", "language": "en", "passage": "c"}]
    export_pairs(ParallelPairs.from_rows({"query": None, **row} for row in rows), tmp_path / "beir", "beir")
    assert '"c"' in (tmp_path / "beir" / "corpus.jsonl").read_text()
    keys = {json.loads(line)["_id"] for line in (tmp_path / "beir" / "corpus.jsonl").read_text().splitlines()}
    assert not any(key.isdigit() for key in keys)  # a passage with the id of a query would be left out of its ranking
    assert said(load_pairs(tmp_path / "beir"), "passage") == [[("en", "p")]]


@pytest.mark.parametrize(
    ("pairs", "target", "form", "wrong"),
    [
        (aligned(("a", "b")), "x.txt", None, "cannot tell the format"),
        (aligned(("a", "b")), "x", "xml", "format 'xml' is unknown; use one of beir, sentences"),
        (aligned(("a", "b"), ("c",)), "x", "sentences", "id '1' is not in en"),
        (aligned(("a\nb", "b")), "x", "sentences", "id '0' has a line break in de"),
        (aligned(("a\x01", "b")), "x.tmx", None, r"id '0' has the character '\\x01' in de"),
        (aligned(("a", "b")), ".", "sentences", "exists already"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    pairs: ParallelPairs, target: str, form: str | None, wrong: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=wrong):
        export_pairs(pairs, tmp_path / target, form)
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_xml_cannot_hold_is_refused(tmp_path: Path) -> None:
    rows = ({"id": "a\x01", "language": tag, "query": "x", "passage": "x"} for tag in LANGUAGES)
    with pytest.raises(InputError, match=r"id 'a\\x01' has the character '\\x01', which XML cannot hold; take it out"):
        export_pairs(ParallelPairs.from_rows(rows), tmp_path / "x.tmx")
    assert list(tmp_path.iterdir()) == []


def test_a_table_without_rows_is_written_to_tmx_too(tmp_path: Path) -> None:
    path = export_pairs(ParallelPairs.from_rows([]), tmp_path / "none.tmx")
    assert '"*all*"' in path.read_text()


def test_pairs_of_two_texts_are_no_aligned_sentences(pairs: ParallelPairs, tmp_path: Path) -> None:
    for target, form in (("x.tmx", None), ("x", "sentences")):
        with pytest.raises(InputError, match="id 'e0' has a query and a passage of its own in en"):
            export_pairs(pairs, tmp_path / target, form)
    tabbed = ParallelPairs.from_rows([{"id": "a\tb", "language": "en", "query": "q", "passage": "p"}])
    with pytest.raises(InputError, match="has a tab or a line break"):
        export_pairs(tabbed, tmp_path / "x", "beir")
    assert list(tmp_path.iterdir()) == []
