"""encode, as a shell calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from command import run
from isoglot.cli.shared import say
from isoglot.search.exact import ExactIndex


def test_from_a_corpus_to_an_audit_of_its_shards(
    pairs_file: Path,
    tiny_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for role in ("passage", "query"):
        words = ["encode", pairs_file, "--model", tiny_encoder_folder, "--out", tmp_path / role, "--role", role]
        assert run(monkeypatch, *words, "--shard-rows", 50) == 0
    said = capsys.readouterr().out
    assert "Rows by language: de 60, en 60, es 60." in said
    assert "Rows: 180 in, 180 out, 0 left out. Vectors: 180 made, 0 there already." in said
    table = pq.read_table(sorted((tmp_path / "passage").glob("*.parquet"))[0])
    model = SentenceTransformer(str(tiny_encoder_folder), device="cpu")
    expected = model.encode_document(table["text"].to_pylist())
    assert abs(expected - [row.as_py() for row in table["vector"]]).max() < 1e-5
    words = ["audit", "--vectors", tmp_path / "passage", "--query-vectors", tmp_path / "query", "--out", tmp_path / "r"]
    assert run(monkeypatch, *words) == 0
    assert "assumed" not in capsys.readouterr().out
    of_vectors = json.loads((tmp_path / "r" / "results.json").read_text())
    assert run(monkeypatch, "audit", tiny_encoder_folder, "--pairs", pairs_file, "--out", tmp_path / "m") == 0
    of_model = json.loads((tmp_path / "m" / "results.json").read_text())
    for name in ("monolingual", "cross_lingual", "multilingual"):
        assert of_vectors["settings"][name] == pytest.approx(of_model["settings"][name])


def test_an_index_may_not_send_questions_to_a_server_that_nobody_named(
    pairs_file: Path,
    tiny_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index = tmp_path / "index"
    assert run(monkeypatch, "index", pairs_file, "--model", tiny_encoder_folder, "--out", index) == 0
    manifest = index / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(tiny_encoder_folder), "api:http://127.0.0.1:9#m"))
    monkeypatch.setenv("ISOGLOT_API_KEY", "secret")
    asked: list[object] = []
    monkeypatch.setattr("isoglot.load_text_encoder", lambda *args, **more: asked.append(args))
    for command in (["search", index, "question"], ["serve", index]):
        assert run(monkeypatch, *command) == 2
        assert "its vectors come from api:http://127.0.0.1:9#m; if you trust that" in capsys.readouterr().err
    assert not asked


def test_ids_to_delete_beside_a_corpus_are_told_of(
    pairs_file: Path,
    tiny_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["index", pairs_file, "--model", tiny_encoder_folder, "--out", tmp_path / "index"]
    assert run(monkeypatch, *command) == 0
    assert run(monkeypatch, *command, "--delete", "typo") == 0
    assert "1 of the ids to delete are not in the index: typo." in capsys.readouterr().out
    assert run(monkeypatch, "index", "--out", tmp_path / "index", "--delete", "x" * 300) == 0
    (tmp_path / "ids").write_bytes(b"\xff\n")
    assert run(monkeypatch, "index", "--out", tmp_path / "index", "--delete", tmp_path / "ids") == 2
    assert "ids line 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2"], "--workers goes with --engine ray"),
        (["--worker-cpus", "2"], "--worker-cpus goes with --engine ray"),
        (["--engine", "spark"], "'spark' is not one of 'local', 'ray'"),
        (["--role", "title"], "'title' is not one of"),
        (["--language-column", "tongue"], 'no column "tongue"; it has id, language, query, passage'),
    ],
)
def test_options_that_cannot_be_are_refused(
    words: list[str],
    message: str,
    pairs_file: Path,
    tiny_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["encode", pairs_file, "--model", tiny_encoder_folder, "--out", tmp_path / "v"]
    assert run(monkeypatch, *command, *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--delete", "a", "--model", "m"], "--model goes with a CORPUS"),
        (["--delete", "a", "--text-column", "t"], "--text-column goes with a CORPUS"),
        (["--delete", "a", "--skip-bad", "f"], "--skip-bad goes with a CORPUS"),
        ([], "name a CORPUS to index"),
    ],
)
def test_what_an_index_has_no_use_for_is_refused(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "index", *words, "--out", tmp_path / "index") == 2
    assert message in capsys.readouterr().err


def test_a_hit_is_a_line_and_all_that_is_to_be_said_is_in_the_json(
    tiny_encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, index = tmp_path / "c.jsonl", tmp_path / "index"
    corpus.write_text('{"id": "a\\n  1  fake", "language": "de", "text": "rotes\\u001b[31m haus"}\n')
    assert run(monkeypatch, "index", corpus, "--model", tiny_encoder_folder, "--out", index) == 0
    monkeypatch.setattr("isoglot.search.opening.open_engine", lambda store: (ExactIndex(store), "It is behind."))
    capsys.readouterr()
    assert run(monkeypatch, "search", index, "red house") == 0
    hit, *notes = capsys.readouterr().out.splitlines()
    assert hit.endswith("de  a   1  fake  rotes [31m haus")
    assert notes == ["It is behind.", "1 of 10 hits: the index has no more rows."]
    assert run(monkeypatch, "search", index, "red house", "--json") == 0
    assert json.loads(capsys.readouterr().out)["note"] == " ".join(notes)


def test_what_a_terminal_obeys_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    say("red \x1b[31m \x9b31m title \x1b]0;t\x07 \u200cok\n")
    assert not {"\x1b", "\x9b", "\x07"} & set(said := capsys.readouterr().out)
    assert "\u200cok\n" in said


def test_nor_is_it_in_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "search", tmp_path / "no\x1b[31mindex", "question") == 2
    assert "\x1b" not in capsys.readouterr().err
