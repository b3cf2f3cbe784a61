import gzip
from pathlib import Path

import pytest

from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.sources import find_source, load_pairs


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
    with pytest.raises(InputError, match=r'deu_Latn.txt: "de" is already in de.txt; keep one of them per language'):
        load_pairs(sentences)


@pytest.mark.parametrize("end", ["jsonl", "csv.gz", "json", "parquet"])
def test_a_folder_of_tables_is_no_folder_of_sentences(tmp_path: Path, end: str) -> None:
    for tag in ("de", "en"):
        (tmp_path / f"{tag}.{end}").write_bytes(b"{}")
    with pytest.raises(InputError, match=rf"de\.{end}: holds rows and not a sentence a line; name the file itself"):
        load_pairs(tmp_path)


def test_a_folder_of_one_language_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "de.txt").write_text("Hallo.")
    with pytest.raises(InputError, match=r"fewer than 2 files named by a language; name files like deu\.txt"):
        load_pairs(tmp_path)


def test_a_line_in_another_encoding_is_named(sentences: Path) -> None:
    (sentences / "fr.txt").write_bytes(b"Bonjour.\n\nl\xe9ger\n")
    with pytest.raises(InputError, match=r"fr.txt line 3: byte 2 is not UTF-8; save the file as UTF-8"):
        load_pairs(sentences)


RELEASED = {  # as FLORES-200, NTREX-128, OPUS and others name their files
    "flores": {
        "aka_Latn.devtest": "ak",
        "twi_Latn.devtest": "tw",
        "nob_Latn.devtest": "no",
        "zho_Hant.devtest": "zh-Hant",
    },
    "ntrex": {
        "newstest2019-ref.deu.txt": "de",
        "newstest2019-src.eng.txt": "en",
        "newstest2019-ref.eng-US.txt": "en-US",
        "newstest2019-ref.zho-CN.txt": "zh-CN",
        "newstest2019-ref.spa.txt": "es",
        "newstest2019-ref-2.spa.txt": "",
    },
    "moses": {
        "Tatoeba.en-pt_br.en": "en",
        "Tatoeba.en-pt_br.pt_br": "pt-BR",
        "Tatoeba.en-pt_br.xml": "",
        "LICENSE.txt": "",
    },
    "europarl": {"europarl-v7.en-de.en": "en", "europarl-v7.en-de.de": "de"},
    "tatoeba": {"train.deu-eng.deu": "de", "train.deu-eng.eng": "en", "train.src": "", "train.tgt": ""},
    "multi30k": {"val.de": "de", "val.en": "en", "README.md": ""},
}


@pytest.mark.parametrize("name", RELEASED)
def test_files_are_read_as_they_are_released(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for file in RELEASED[name]:
        (folder / file).write_text(f"one {file}\ntwo {file}\n")
    pairs = load_pairs(folder)
    said = {file: tag for file, tag in RELEASED[name].items() if tag}
    assert sorted(pairs.languages) == sorted(said.values())
    assert {row["language"]: row["query"] for row in pairs.rows() if row["id"] == f"{name}/1"} == {
        tag: f"one {file}" for file, tag in said.items()
    }


def test_several_corpora_in_a_folder_are_several_data_sets(tmp_path: Path) -> None:
    for corpus, count in (("train", 3), ("val", 2)):
        for tag in ("de", "en"):
            (tmp_path / f"{corpus}.{tag}").write_text("".join(f"{tag} {n}\n" for n in range(count)))
    assert load_pairs(tmp_path).describe().datasets == {"train": 3, "val": 2}
    for spec in ("val.de", "val.en", "val"):
        assert [row["id"] for row in load_pairs(tmp_path / spec).rows()] == ["val/1", "val/1", "val/2", "val/2"]
    (tmp_path / "alone.de").write_text("x\n")
    with pytest.raises(InputError, match="cannot tell the format"):
        load_pairs(tmp_path / "alone.de")


def test_a_pair_of_gzipped_files_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.de-en.de.gz").write_bytes(gzip.compress(b"eins\r\nzwei\r\n"))
    (tmp_path / "a.de-en.en.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfone\ntwo"))
    assert load_pairs(tmp_path / "a.de-en.de.gz").texts("query") == ["eins", "one", "zwei", "two"]


def test_a_tsv_named_by_its_languages_needs_no_header(tmp_path: Path) -> None:
    path = tmp_path / "wiki.de-en.tsv"
    path.write_text('"Hallo", sagte er\t"Hello," he said\n\nJa\tYes\n', encoding="utf-8")
    assert [(row["id"], row["language"], row["query"]) for row in load_pairs(path).rows()] == [
        ("wiki.de-en/1", "de", '"Hallo", sagte er'),
        ("wiki.de-en/1", "en", '"Hello," he said'),
        ("wiki.de-en/3", "de", "Ja"),
        ("wiki.de-en/3", "en", "Yes"),
    ]
    path.write_text("Hallo\tHello\nJa\n")
    with pytest.raises(
        InputError, match=r"wiki\.de-en\.tsv line 2: 1 cells; a line holds a sentence in de and one in en"
    ):
        load_pairs(path)


def test_paths_hold_home_and_variables(sentences: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", str(sentences.parent))
    monkeypatch.setenv("HOME", str(sentences.parent))
    assert len(load_pairs("$DATA/news")) == len(load_pairs("~/news")) == 4
    with pytest.raises(InputError, match="the environment variable NO_SUCH is not set"):
        load_pairs("$NO_SUCH/news")


def test_a_file_is_read_and_filtered(tmp_path: Path) -> None:
    rows = [{"id": "1", "language": tag, "query": "q", "passage": "p"} for tag in ("de", "en")]
    write_pairs(ParallelPairs.from_rows(rows), tmp_path / "own.csv")
    assert load_pairs(tmp_path / "own.csv", languages=["EN"]).languages == ("en",)


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError, match='no file, folder or data set "debain"; named data sets are debian, libreoffice-help, '
    ):
        load_pairs("debain")
    with pytest.raises(InputError, match='unknown data set "marco"; known are debian'):
        find_source("marco")
