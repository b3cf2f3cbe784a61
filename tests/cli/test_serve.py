"""`isoglot serve`, as a process that is started, asked and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import isoglot
from command import run

pytest.importorskip("uvicorn", reason="serving needs an extra")


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "isoglot", "serve", *map(str, arguments), "--port", "0"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = process.stdout.readline()
            found = re.match(r"Serving at (http://127\.0\.0\.1:\d+/)", line)
            assert found, line + process.stderr.read()
            yield process, found[1]
        finally:
            process.kill()


def ask(address: str, body: dict, **headers: str) -> dict:
    request = urllib.request.Request(
        address, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_model_alone_is_served(
    tiny_encoder_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apps = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: apps.append(server.config.app))
    assert run(monkeypatch, "serve", "--model", tiny_encoder_folder, "--port", 0) == 0
    assert "Serving at http://127.0.0.1:" in capsys.readouterr().out
    assert {route.path for route in apps[0].routes} >= {"/v1/embeddings", "/v1/models"}


def test_an_index_is_served_with_its_own_model_until_interrupted(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    corpus, keys = tmp_path / "corpus.jsonl", tmp_path / "keys"
    corpus.write_text('{"id": "a", "language": "de", "text": "rotes haus"}\n', encoding="utf-8")
    isoglot.build_index(corpus, isoglot.load_text_encoder(tiny_encoder_folder), tmp_path / "index")
    keys.write_text("a-secret-of-letters\n")
    with started(tmp_path / "index", "--key-file", keys, "--name", "mine") as (process, address):
        found = ask(f"{address}search", {"query": "red house"}, Authorization="Bearer a-secret-of-letters")
        assert [hit["text"] for hit in found["hits"]] == ["rotes haus"]
        assert "1 of 10 hits" in found["note"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--model"),
        (("no-such-folder",), "no-such-folder"),
        (("--model", "x", "--map", "map.npz"), "--map goes with an index"),
        (("--model", "TINY", "--host", "0.0.0.0"), "--key-file"),
        (("--model", "TINY", "--key-file", "no-such-keys"), "no-such-keys"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(
    tiny_encoder_folder: Path,
    arguments: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = (tiny_encoder_folder if each == "TINY" else each for each in arguments)
    assert run(monkeypatch, "serve", *given) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("isoglot:")]
    assert words in line
