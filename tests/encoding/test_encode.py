"""A corpus becomes shards, of which what is there is not made again, whatever happens between."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from counting import CountingEncoder, rows_of, some_rows, vector_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot import ShardsEncoder, encode_corpus
from isoglot.common.errors import InputError
from isoglot.encoding import encode
from isoglot.vectors.probes import probe_fingerprint
from isoglot.vectors.provenance import read_manifest
from isoglot.vectors.rows import open_vectors

Write = Callable[..., Path]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_rows_come_out_in_order_with_their_columns_and_vectors(write, encoder, tmp_path):
    done = encode_corpus(write(some_rows()), encoder, tmp_path / "v", shard_rows=7)
    rows = rows_of(tmp_path / "v")
    expected = [{**row, "group": None, "vector": vector_of(row["text"]).tolist()} for row in some_rows()]
    assert rows == expected
    assert (done.rows, done.left_out, done.encoded, done.languages) == (20, 0, 20, {"de": 10, "en": 10})
    manifest = read_manifest(tmp_path / "v")
    assert [each["rows"] for each in manifest["files"].values()] == [7, 7, 6]
    assert manifest["provenance"] == encoder.provenance("passage").as_dict()
    assert (manifest["rows"], manifest["left_out"], manifest["dimensions"]) == (20, 0, 8)
    assert sorted(each.name for each in (tmp_path / "v").iterdir()) == [*["manifest.json"], *manifest["files"]]
    opened = open_vectors(tmp_path / "v")
    assert (len(opened), opened.dimensions, opened.provenance) == (20, 8, encoder.provenance("passage"))


def test_the_same_again_encodes_nothing_and_changes_nothing(write, encoder, tmp_path):
    corpus = write(some_rows())
    encode_corpus(corpus, encoder, tmp_path / "v", shard_rows=7)
    before, encoder.seen = shards(tmp_path / "v"), []
    done = encode_corpus(corpus, encoder, tmp_path / "v", shard_rows=7)
    assert (encoder.seen, done.encoded, shards(tmp_path / "v")) == ([], 0, before)


@pytest.mark.parametrize("pattern", ["", "**/*.*"])
def test_what_was_written_inside_the_corpus_is_no_part_of_it(pattern, write, encoder):
    corpus = write(some_rows(6), "corpus/a.jsonl").parent
    for folder in ("v", "v", "other", "v"):  # as it was, and beside what another call wrote
        assert encode_corpus(corpus / pattern, encoder, corpus / folder).rows == 6
    (corpus / "v" / "manifest.json").unlink()  # as a kill leaves it
    assert encode_corpus(corpus / pattern, encoder, corpus / "v").rows == 6
    (corpus / "other" / "manifest.json").write_text("{}")  # now another's folder
    with pytest.raises(InputError, match="twice"):
        encode_corpus(corpus / pattern, encoder, corpus / "v")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.lists(st.integers(0, 9), unique=True, min_size=1),
    second=st.lists(st.integers(0, 12), unique=True, min_size=1),
)
def test_only_texts_that_are_new_are_encoded(first, second, tmp_path_factory):
    folder, encoder = tmp_path_factory.mktemp("changing"), CountingEncoder()
    for picks in (first, second):
        rows = some_rows(13)
        (folder / "c.jsonl").write_text("".join(json.dumps(rows[pick]) + "\n" for pick in picks))
        before, encoder.seen = set(encoder.seen), []
        encode_corpus(folder / "c.jsonl", encoder, folder / "v", shard_rows=3)
        assert set(encoder.seen) == {f"text {pick}" for pick in picks} - before
        assert [(row["id"], row["vector"]) for row in rows_of(folder / "v")] == [
            (f"d{pick}", vector_of(f"text {pick}").tolist()) for pick in picks
        ]
        assert len(list((folder / "v").glob("*"))) == -(-len(picks) // 3) + 1


def test_a_change_is_seen_by_content_not_by_size_or_time(write, encoder, tmp_path):
    corpus = write(some_rows())
    encode_corpus(corpus, encoder, tmp_path / "v")
    status, encoder.seen = corpus.stat(), []
    corpus.write_text(corpus.read_text().replace("text 7", "tint 7"))
    os.utime(corpus, ns=(status.st_atime_ns, status.st_mtime_ns))
    encode_corpus(corpus, encoder, tmp_path / "v")
    assert encoder.seen == ["tint 7"]


def test_another_column_changes_the_shard_and_encodes_nothing(write, encoder, tmp_path):
    rows = some_rows()
    encode_corpus(write(rows), encoder, tmp_path / "v")
    encoder.seen, rows[3]["url"] = [], "/moved"
    encode_corpus(write(rows), encoder, tmp_path / "v")
    assert encoder.seen == []
    assert rows_of(tmp_path / "v")[3]["url"] == "/moved"


class Stop(BaseException):
    pass


@pytest.mark.parametrize("after", range(1, 4))
def test_a_run_that_was_stopped_goes_on(write, encoder, tmp_path, monkeypatch, after):
    corpus, calls = write(some_rows()), []

    def stopping(texts, role):
        calls.append(texts)
        if len(calls) == after:
            raise Stop
        return CountingEncoder.encode(encoder, texts, role)

    monkeypatch.setattr(encoder, "encode", stopping)
    with pytest.raises(Stop):
        encode_corpus(corpus, encoder, tmp_path / "v", shard_rows=7)
    assert not (tmp_path / "v" / "manifest.json").exists()
    assert not shards(tmp_path / "v")
    monkeypatch.undo()
    encode_corpus(corpus, encoder, tmp_path / "v", shard_rows=7)
    assert sorted(encoder.seen) == sorted(row["text"] for row in some_rows())
    encode_corpus(corpus, CountingEncoder(), tmp_path / "other", shard_rows=7)
    assert shards(tmp_path / "v") == shards(tmp_path / "other")


def test_a_damaged_shard_of_an_unfinished_run_is_taken_away_before_it_is_made_again(write, encoder, tmp_path):
    """A worker takes a shard that is there for one that was written before it was lost."""
    corpus = write(some_rows(7))

    class Elsewhere:
        def run(self, missing, encoder, role, advance):
            assert [shard.target.exists() for shard in missing] == [False]
            raise Stop

    encode_corpus(corpus, encoder, tmp_path / "whole")
    (name,) = shards(tmp_path / "whole")
    (tmp_path / "v" / ".encoding").mkdir(parents=True)
    (tmp_path / "v" / ".encoding" / name).write_bytes(shards(tmp_path / "whole")[name][:-50])
    with pytest.raises(Stop):
        encode_corpus(corpus, encoder, tmp_path / "v", engine=Elsewhere())


def test_a_shard_has_rows(write, encoder, tmp_path):
    with pytest.raises(InputError, match="shard_rows is 0"):
        encode_corpus(write(some_rows()), encoder, tmp_path / "v", shard_rows=0)


@pytest.mark.parametrize("listed", [True, False])
def test_a_damaged_shard_is_made_again(write, encoder, tmp_path, listed):
    corpus = write(some_rows())
    encode_corpus(corpus, encoder, tmp_path / "v", shard_rows=7)
    before, encoder.seen = shards(tmp_path / "v"), []
    path = tmp_path / "v" / list(before)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    if not listed:
        (tmp_path / "v" / "manifest.json").unlink()
    encode_corpus(corpus, encoder, tmp_path / "v", shard_rows=7)
    assert shards(tmp_path / "v") == before
    assert sorted(encoder.seen) == sorted(f"text {n}" for n in range(7, 14))


def test_another_encoder_or_role_is_refused_and_nothing_changes(write, encoder, tmp_path):
    corpus = write(some_rows())
    encode_corpus(corpus, encoder, tmp_path / "v")
    before = shards(tmp_path / "v")
    with pytest.raises(InputError, match=r'holds vectors of counting.*fingerprint "w" in place of "x".*another folder'):
        encode_corpus(corpus, CountingEncoder("x"), tmp_path / "v")
    with pytest.raises(InputError, match='role "passage" in place of "query"'):
        encode_corpus(corpus, encoder, tmp_path / "v", role="query")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.png").touch()
    with pytest.raises(InputError, match=r"there is something else here \(photo.png\)"):
        encode_corpus(corpus, encoder, tmp_path / "full")
    assert shards(tmp_path / "v") == before


def test_a_server_whose_vectors_move_a_little_goes_on(write, encoder, tmp_path):
    """The fingerprint of a model behind an API is made of vectors, and compared with room."""
    day = probe_fingerprint("m", np.eye(4, 64, dtype="f"))
    next_day = f"{day[0]}{int(day[1:3], 16) ^ 1:02x}{day[3:]}"
    encode_corpus(write(some_rows(10)), CountingEncoder(day), tmp_path / "v")
    later = CountingEncoder(next_day)
    encode_corpus(write(some_rows(12)), later, tmp_path / "v")
    assert later.seen == ["text 10", "text 11"]
    assert read_manifest(tmp_path / "v")["provenance"]["fingerprint"] == day


def test_vectors_of_other_folders_are_taken_where_the_text_is_the_same(write, encoder, tmp_path):
    encode_corpus(write(some_rows(10)), encoder, tmp_path / "old")
    encoder.seen = []
    encode_corpus(write(some_rows(12)), encoder, tmp_path / "new", reuse=[tmp_path / "old"])
    assert encoder.seen == ["text 10", "text 11"]
    (tmp_path / "empty").mkdir()
    for folder, message in (("nowhere", "not a folder of shards"), ("empty", "not a folder"), ("old", "fingerprint")):
        with pytest.raises(InputError, match=rf"{folder}: .*{message}"):
            encode_corpus(write(some_rows(10)), CountingEncoder("x"), tmp_path / "x", reuse=[tmp_path / folder])
        assert not (tmp_path / "x").exists()


def test_vectors_of_a_server_that_move_a_little_are_taken(write, tmp_path):
    day = probe_fingerprint("m", np.eye(4, 64, dtype="f"))
    later = CountingEncoder(f"{day[0]}{int(day[1:3], 16) ^ 1:02x}{day[3:]}")
    encode_corpus(write(some_rows(10)), CountingEncoder(day), tmp_path / "old")
    encode_corpus(write(some_rows(12)), later, tmp_path / "new", reuse=[tmp_path / "old"])
    assert later.seen == ["text 10", "text 11"]


def test_large_rows_end_a_shard_early(write, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(encode, "_LARGEST_SHARD", 1 << 16)
    rows = [{"id": n, "text": f"{n} " * 200} for n in range(3000)]
    encode_corpus(write(rows), encoder, tmp_path / "v")
    assert len(shards(tmp_path / "v")) > 1
    assert [row["id"] for row in rows_of(tmp_path / "v")] == [str(n) for n in range(3000)]


def test_two_at_once_do_not_write_into_one_folder(write, encoder, tmp_path, monkeypatch):
    corpus = write(some_rows())

    def second(texts, role):
        with pytest.raises(InputError, match="another process is encoding into this folder"):
            encode_corpus(corpus, CountingEncoder(), tmp_path / "v")
        return CountingEncoder.encode(encoder, texts, role)

    monkeypatch.setattr(encoder, "encode", second)
    encode_corpus(corpus, encoder, tmp_path / "v")
    assert len(rows_of(tmp_path / "v")) == 20


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN or infinite"), (None, r"form \(20, 3\); it must be \(20, 8\)")]
)
def test_vectors_of_the_wrong_form_are_refused(write, encoder, tmp_path, monkeypatch, value, message):
    wrong = np.zeros((20, 3), np.float32) if value is None else np.full((20, 8), value, np.float32)
    monkeypatch.setattr(encoder, "encode", lambda texts, role: wrong)
    with pytest.raises(InputError, match=message):
        encode_corpus(write(some_rows()), encoder, tmp_path / "v")


def test_an_encoder_over_shards_encodes_what_is_not_there_and_queries(write, encoder, tmp_path):
    encode_corpus(write(some_rows(5)), encoder, tmp_path / "v", shard_rows=2)
    encoder.seen, over = [], ShardsEncoder(encoder, tmp_path / "v")
    texts = ["text 3", "new", "text 0", "text 3"]
    assert over.encode(texts, "passage").tolist() == [vector_of(text).tolist() for text in texts]
    assert (encoder.seen, over.taken) == (["new"], 3)
    assert over.encode(["text 3"], "query").tolist() == [vector_of("text 3", "query").tolist()]
    assert encoder.seen == ["new", "text 3"]


def test_shards_of_another_model_do_not_answer_for_this_one(write, encoder, tmp_path):
    encode_corpus(write(some_rows()), CountingEncoder("other"), tmp_path / "v")
    with pytest.raises(InputError, match="fingerprint"):
        ShardsEncoder(encoder, tmp_path / "v")
    with pytest.raises(InputError, match="isoglot encode"):
        ShardsEncoder(encoder, tmp_path)
