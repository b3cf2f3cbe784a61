"""A disk with no more room: one clear line, exit code 2, the work so far kept, and the way on once there is room.

Files that may not grow beyond a size stand for the disk; real writers meet that limit as they meet a full disk.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from killing import Job, state
from libre import libre

from isoglot.common import atomic
from isoglot.common.atomic import write_whole, write_whole_folder
from isoglot.common.errors import InputError


def fails_in_one_line(job: Job) -> str:
    assert job.run() == 2, job.said
    (line,) = [line for line in job.said if line.startswith("isoglot: ")]
    assert job.said[-1] == line
    assert not [line for line in job.said if "Traceback" in line]
    assert not list(job.folder.rglob(".*.writing*"))
    return line


class Small(NamedTuple):
    """A command, the size that none of its files may exceed, and what it then says."""

    words: str
    limit: int
    says: str


CASES = {
    "fetch": Small("data fetch PAIRS --out all.jsonl", 5_000, "all.jsonl: File too large"),
    "fetch-parquet": Small("data fetch PAIRS --out all.parquet", 1_000, "all.parquet: "),
    "negatives": Small("data negatives PAIRS --model MODEL --out mined.csv --work-dir work", 4_000, "work/embeddings/"),
    "evaluate": Small("evaluate MODEL --benchmark parallel --data PAIRS --out results", 9_000, "per_query.parquet: "),
    "debias": Small("debias MODEL --pairs PAIRS --directions 2 --out debiased", 90_000, "debiased: File too large"),
}
SHARDS = {"isoglot.runtime.store.SHARD_TEXTS": 32, "isoglot.enrich.negatives._CHUNK_ROWS": 16}


@pytest.mark.parametrize("name", CASES)
def test_a_command_says_in_one_line_that_it_cannot_write_and_goes_on_later(
    name: str, tmp_path: Path, pairs_file: Path, tiny_encoder_folder: Path
) -> None:
    words, limit, says = CASES[name]
    places = {"PAIRS": str(pairs_file), "MODEL": str(tiny_encoder_folder)}
    small = Job(tmp_path / "small", [places.get(word, word) for word in words.split()], SHARDS, file_limit=limit)
    assert says in fails_in_one_line(small)
    roomy = replace(small, file_limit=None)
    assert roomy.run() == 0, roomy.said
    undisturbed = replace(roomy, folder=tmp_path / "undisturbed")
    assert undisturbed.run() == 0, undisturbed.said
    assert state(small.folder) == state(undisturbed.folder)


def test_translations_made_before_the_disk_was_full_are_kept(tmp_path: Path, english_file: Path) -> None:
    with libre() as server:
        words = ["data", "translate", str(english_file), "--to", "de", "--engine", "http", "--url", server.address]
        at_a_time = {"isoglot.enrich.translation.translating._ROWS_AT_A_TIME": 10}
        small = Job(tmp_path / "small", [*words, "--out", "all.jsonl"], at_a_time, file_limit=10_000)
        line = fails_in_one_line(small)
        assert ".all.translations.partial.jsonl: File too large; make room, then go on" in line
        work = (small.folder / ".all.translations.partial.jsonl").read_bytes()
        kept = work.count(b"\n") - 1
        assert 10 <= kept < 60
        server.texts.clear()
        roomy = replace(small, file_limit=None)
        assert roomy.run() == 0, roomy.said
        assert sum(text.startswith("Where") for text in server.texts) == 60 - kept
        undisturbed = replace(roomy, folder=tmp_path / "undisturbed")
        assert undisturbed.run() == 0, undisturbed.said
    assert state(small.folder) == state(undisturbed.folder)


def test_a_run_that_cannot_write_a_checkpoint_resumes_later(tmp_path: Path, training: dict[str, Any]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(training))
    job = Job(tmp_path / "small", ["train", str(config)], file_limit=60_000)
    line = fails_in_one_line(job)
    assert "cannot write the checkpoint of step 4" in line
    assert "then continue with --resume" in line
    roomy = replace(job, words=[*job.words, "--resume"], file_limit=None)
    assert roomy.run() == 0, roomy.said
    undisturbed = replace(job, folder=tmp_path / "undisturbed", file_limit=None)
    assert undisturbed.run() == 0, undisturbed.said
    assert state(job.folder) == state(undisturbed.folder)


@pytest.mark.parametrize("whole", [write_whole, write_whole_folder])
def test_a_writer_that_fails_without_a_reason_is_told_that_the_disk_is_full(
    whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill() -> None:
        with whole(tmp_path / "array.npy"):
            raise RuntimeError("4096 requested and 512 written")

    with pytest.raises(RuntimeError):  # there is room, so that is not why
        fill()
    monkeypatch.setattr(atomic, "_FULL_BELOW", 1 << 60)
    with pytest.raises(OSError, match="No space left on device") as caught:
        fill()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "array.npy")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_not_taken_for_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_FULL_BELOW", 1 << 60)
    with pytest.raises(InputError, match="the passage id"), write_whole(tmp_path / "corpus.arrow"):
        raise InputError("the passage id 7 occurs twice")
