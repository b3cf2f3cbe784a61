from pathlib import Path

import pytest

from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.sources import SOURCES, find_source, load_pairs


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    folder.mkdir()
    (folder / "deu_Latn.txt").write_text("Hallo.\n\nZeile\u2028eins.\n", encoding="utf-8")
    (folder / "zho-CN.txt").write_text("你好。\n\n第一行。", encoding="utf-8")
    (folder / "README.md").write_text("no sentences")
    (folder / ".de.txt.part").write_text("left over")
    return folder


def test_line_n_of_every_file_is_one_example(sentences: Path) -> None:
    pairs = load_pairs(str(sentences))
    assert [{name: row[name] for name in ("id", "language", "query")} for row in pairs.rows()] == [
        {"id": "news/1", "language": "de", "query": "Hallo."},
        {"id": "news/1", "language": "zh-CN", "query": "你好。"},
        {"id": "news/3", "language": "de", "query": "Zeile\u2028eins."},
        {"id": "news/3", "language": "zh-CN", "query": "第一行。"},
    ]
    assert pairs.texts("query") == pairs.texts("passage")
    assert pairs.datasets == ("news",)
    assert pairs.translations().identical.all()


def test_only_the_wanted_languages_are_kept(sentences: Path) -> None:
    assert load_pairs(sentences, languages=["zh_cn"]).languages == ("zh-CN",)
    with pytest.raises(InputError, match='no rows in "fr"; there are de, zh-CN'):
        load_pairs(sentences, languages=["fr"])


def test_files_of_different_length_are_named(sentences: Path) -> None:
    (sentences / "fr.txt").write_text("Bonjour.\n")
    with pytest.raises(InputError, match="news: 1 lines in fr and 3 in de; line n of every file must be the same"):
        load_pairs(sentences)


def test_a_line_that_only_one_language_lacks_is_named(sentences: Path) -> None:
    (sentences / "fr.txt").write_text("Bonjour.\n\n \n")
    with pytest.raises(InputError, match="news line 3: empty in fr only"):
        load_pairs(sentences)


def test_one_file_per_language(sentences: Path) -> None:
    (sentences / "de.txt").write_text("Hallo.\n\nJa.\n")
    with pytest.raises(InputError, match=r'deu_Latn.txt: "de" is already in de.txt; keep one file per language'):
        load_pairs(sentences)


def test_a_folder_of_one_language_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("Hallo.")
    with pytest.raises(InputError, match=r"1 files named by a language, 2 are the least; name files like deu.txt"):
        load_pairs(tmp_path)


def test_a_line_in_another_encoding_is_named(sentences: Path) -> None:
    (sentences / "fr.txt").write_bytes(b"Bonjour.\n\nl\xe9ger\n")
    with pytest.raises(InputError, match=r"fr.txt line 3: not UTF-8; save the file as UTF-8"):
        load_pairs(sentences)


def test_a_file_is_read_and_filtered(tmp_path: Path) -> None:
    rows = [{"id": "1", "language": tag, "query": "q", "passage": "p"} for tag in ("de", "en")]
    write_pairs(ParallelPairs.from_rows(rows), tmp_path / "own.csv")
    assert load_pairs(tmp_path / "own.csv", languages=["EN"]).languages == ("en",)


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match='no file, folder or data set "debain"; named data sets are debian, hub:'):
        load_pairs("debain")
    with pytest.raises(InputError, match='unknown data set "mmarco"; known are debian'):
        find_source("mmarco")


def test_every_named_source_states_its_terms() -> None:
    for name, source in SOURCES.items():
        assert source.name == name
        assert all([source.summary, source.languages, source.licence, source.citation])
        assert source.hub is None or source.url.startswith("https://")
