"""Connections that break: work so far is kept, and what cannot be fetched is one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError
from killing import ENVIRONMENT, Job, state
from libre import libre

from isoglot.common.errors import InputError
from isoglot.enrich.translation import translate
from isoglot.enrich.translation.http_engine import HttpEngine
from isoglot.models import encoders
from isoglot.sources import load_pairs
from isoglot.sources.hub_tables import fetch_file


def test_a_server_that_hangs_up_in_the_middle_of_an_answer_costs_one_chunk(tmp_path: Path, english_file: Path) -> None:
    with libre() as server:
        words = ["data", "translate", str(english_file), "--to", "de,es", "--engine", "http", "--url", server.address]
        job = Job(
            tmp_path / "broken",
            [*words, "--out", "all.jsonl"],
            {
                "isoglot.enrich.translation.translating._ROWS_AT_A_TIME": 8,
                "isoglot.enrich.translation.http_engine._LONGEST_WAIT": 0.01,
            },
        )
        server.good = 5
        assert job.run() == 2
        (line,) = job.said
        assert line.startswith(f"isoglot: {server.address}/translate: IncompleteRead")
        assert line.endswith("5 times; see if the server runs, then go on")
        kept = (job.folder / ".all.translations.partial.jsonl").read_bytes().count(b"\n") - 1
        assert kept > 0
        assert kept % 8 == 0
        server.good = None
        assert job.run() == 0, job.said
        undisturbed = replace(job, folder=tmp_path / "undisturbed")
        assert undisturbed.run() == 0, undisturbed.said
    assert state(job.folder) == state(undisturbed.folder)


def test_a_server_that_hangs_up_now_and_then_is_asked_again(tmp_path: Path, english_file: Path) -> None:
    with libre() as server:
        server.good = 2
        engine = HttpEngine(server.address, first_wait=0.01, texts_per_request=8)
        answer = engine._ask

        def bad_day(path: str, message: Any) -> Any:
            if server.good is not None and server.good < 0:
                server.good = 2
            return answer(path, message)

        engine._ask = bad_day  # type: ignore[method-assign]
        engine.targets("en")
        threading.Timer(0.05, lambda: setattr(server, "good", None)).start()
        report = translate(english_file, to=["de"], engine=engine, out=tmp_path / "all.jsonl")
    assert (report.rows, report.kept) == (60, 60)


class _Hub(BaseHTTPRequestHandler):
    """Says that it has every file, and hangs up in the middle of each."""

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._say(b"")

    def do_GET(self) -> None:
        self._say(b"{ " * 100)

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        commit = "a" * 40
        if "/resolve/" not in self.path:
            body = json.dumps({"id": "some/thing", "sha": commit, "siblings": [{"rfilename": "modules.json"}]}).encode()
        length = len(body) if "/resolve/" not in self.path else 1000
        for name, value in {"X-Repo-Commit": commit, "ETag": '"1"', "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def broken_hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


COMMANDS = {
    "model": "evaluate some/model --benchmark parallel --data PAIRS --out results",
    "data": "data fetch hub:some/data?de=x.de&en=x.en --out all.jsonl",
    "benchmark": "evaluate run:nothing --benchmark belebele --languages de,en --out results",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("there", [True, False], ids=["hangs-up", "not-there"])
def test_a_hub_that_cannot_be_read_is_one_clear_line(
    name: str, there: bool, broken_hub: str, tmp_path: Path, pairs_file: Path
) -> None:
    """In an interpreter of its own: the hub's client reads its address when it is imported."""
    own = {
        "HF_ENDPOINT": broken_hub if there else "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "0",
    }
    words = [{"PAIRS": str(pairs_file)}.get(word, word) for word in COMMANDS[name].split()]
    done = subprocess.run(
        [sys.executable, "-m", "isoglot", *words],
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("isoglot: ")]
    assert done.stderr.splitlines()[-1] == line
    assert "cannot load the model 'some/model'" in line if name == "model" else "cannot be read (" in line
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "all.jsonl").exists()


READERS: dict[str, Callable[[], Any]] = {
    "model": lambda: encoders.load_encoder("some/model"),
    "data": lambda: load_pairs("hub:some/data?de=x.de&en=x.en"),
    "file": lambda: fetch_file("some/data", "file.tsv"),
}


@pytest.mark.parametrize("what", READERS)
def test_a_connection_lost_amid_an_answer_is_an_error_of_the_input(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client has an error of its own for that, which is no `OSError`."""
    kind = next(base for base in HfHubHTTPError.__bases__ if not issubclass(base, OSError))

    def broken(*_: Any, **__: Any) -> Any:
        raise kind("peer closed connection")

    monkeypatch.setattr(encoders, "SentenceTransformer", broken)
    monkeypatch.setattr(datasets, "load_dataset", broken)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(InputError, match="peer closed connection") as caught:
        READERS[what]()
    assert "\n" not in str(caught.value)
