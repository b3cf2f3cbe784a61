"""Engines find what the exact search finds, hold what the index holds, and say what they cannot do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from test_searcher import MIXES, WORDS, rows
from toy_index import ToyEncoder, keys, row, write

from isoglot import InputError, MissingExtraError, build_index, delete_rows, open_index
from isoglot.common.errors import UnavailableError
from isoglot.search import committing, opening
from isoglot.search.edge import EdgeIndex
from isoglot.search.qdrant import QdrantIndex
from isoglot.search.store import Store

edge = pytest.importorskip("qdrant_edge")
qdrant_client = pytest.importorskip("qdrant_client")
URL = "http://localhost:6333/passages"


@pytest.fixture
def corpus(tmp_path):
    return write(tmp_path / "corpus.jsonl", rows())


@pytest.fixture
def client(monkeypatch):
    """A server where the environment names one, such as http://localhost:6333; else the client's imitation of one."""
    server = os.environ.get("ISOGLOT_TEST_QDRANT")
    client = qdrant_client.QdrantClient(url=server) if server else qdrant_client.QdrantClient(":memory:")
    monkeypatch.setattr(client, "close", lambda: None)
    for module in (committing, opening):
        monkeypatch.setattr(module, "QdrantIndex", lambda url, **options: QdrantIndex(url, client=client, **options))
    yield client
    for collection in client.get_collections().collections:
        client.delete_collection(collection.name)


def lists(searcher):
    """Many kinds of lists that an index gives."""
    return {
        (word, mix, collapse, tags): [
            (hit.id, hit.language, round(hit.score, 4), hit.text, hit.fields, len(hit.translations))
            for hit in searcher.search(word, mix=mix, collapse=collapse, languages=tags, language="de", limit=15).hits
        ]
        for word in WORDS[:2]
        for mix in MIXES
        for collapse in (False, True)
        for tags in (None, ("sw",), ("en", "de"), ("fi",))
    }


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_edge_finds_what_exact_finds(tmp_path, corpus, similarity):
    encoder = ToyEncoder(similarity=similarity)
    build_index(corpus, encoder, tmp_path / "exact")
    build_index(corpus, encoder, tmp_path / "edge", engine="edge")
    searcher = open_index(tmp_path / "edge", encoder)
    assert searcher.note is None
    assert lists(searcher) == lists(open_index(tmp_path / "exact", encoder))
    searcher.close()


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")
def test_a_collection_finds_what_exact_finds_from_folder_and_url(tmp_path, corpus, client):
    encoder = ToyEncoder()
    build_index(corpus, encoder, tmp_path / "exact")
    build_index(corpus, encoder, tmp_path / "index", engine="qdrant", url=URL)
    expected = lists(open_index(tmp_path / "exact", encoder))
    for target in (tmp_path / "index", URL):
        searcher = open_index(target, encoder)
        assert len(searcher) == len(Store.open(tmp_path / "index").numbers)
        assert lists(searcher) == expected
        with pytest.raises(InputError, match="other weights"):
            open_index(target, ToyEncoder(weights="two"))
    delete_rows(tmp_path / "index", ["d0", "d1"])
    assert client.count("passages").count == len(open_index(URL)) == len(Store.open(tmp_path / "index").numbers)
    with pytest.raises(InputError, match="another index"):
        build_index(corpus, encoder, tmp_path / "other", engine="qdrant", url=URL)
    client.create_collection("foreign", qdrant_client.models.VectorParams(size=3, distance="Cosine"))
    with pytest.raises(InputError, match="a collection that isoglot did not write"):
        open_index("http://localhost:6333/foreign")


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")
def test_an_engine_that_is_behind_is_not_asked_and_the_next_call_brings_it_up(tmp_path, corpus, client):
    encoder, more = ToyEncoder(), write(tmp_path / "more.jsonl", [row("new", "en", "tree tree")])
    for engine, url in (("edge", None), ("qdrant", URL)):
        index = tmp_path / engine
        build_index(corpus, encoder, index, engine=engine, url=url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("isoglot.search.building.follow", lambda store, named: None)  # as a kill behind the swap
            build_index(more, encoder, index)
        searcher = open_index(index, encoder)
        assert "searched without it" in str(searcher.note)
        assert ("new", "en") in keys(searcher.search("tree tree", limit=50))
        searcher.close()
        build_index(more, encoder, index)
        searcher = open_index(index, encoder)
        assert searcher.note is None
        assert ("new", "en") in keys(searcher.search("tree tree", limit=50))
        searcher.close()


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")
def test_a_row_that_goes_while_a_collection_is_asked_is_said(tmp_path, corpus, client):
    build_index(corpus, ToyEncoder(), tmp_path / "index", engine="qdrant", url=URL)
    searcher = open_index(URL, ToyEncoder())
    found = searcher._index.nearest(ToyEncoder().encode(["tree"], "query"), 5, [None])[0][0].numbers
    client.delete("passages", [int(found[0])])
    for look in (lambda: searcher._rows.rows(found, ["id"]), lambda: searcher._rows.vectors(found)):
        with pytest.raises(InputError, match="is being changed; ask again"):
            look()


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode", "ignore:Api key")
def test_the_key_goes_to_a_server_that_somebody_named(tmp_path, corpus, client, monkeypatch):
    index, encoder = tmp_path / "index", ToyEncoder()
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    build_index(corpus, encoder, index, engine="qdrant", url=URL)
    assert open_index(URL, encoder).note is None
    before = (index / "manifest.json").read_bytes()
    for call in (open_index, delete_rows):
        with pytest.raises(InputError, match=r"if you trust it, set QDRANT_URL=http://localhost:6333$"):
            call(index)
    assert (index / "manifest.json").read_bytes() == before
    assert build_index(corpus, encoder, index, url=URL).added == 0
    monkeypatch.setenv("QDRANT_URL", "http://localhost:6333/")
    assert open_index(index, encoder).note is None


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")
def test_a_collection_of_a_copy_that_was_changed_is_not_asked_and_is_sent_anew(tmp_path, corpus, client):
    encoder = ToyEncoder()
    one, other = tmp_path / "one", tmp_path / "other"
    build_index(corpus, encoder, one, engine="qdrant", url=URL)
    shutil.copytree(one, other)
    build_index(write(tmp_path / "a.jsonl", [row("a", "en", "stone")]), encoder, one)
    build_index(write(tmp_path / "b.jsonl", [row("b", "en", "river river")]), encoder, other)
    for index, text, key in ((other, "river river", "b"), (one, "stone", "a")):
        exact = Store.open(index)
        if index == one:
            assert "searched without it" in str(open_index(index, encoder).note)
            build_index(tmp_path / "a.jsonl", encoder, index)
        searcher = open_index(index, encoder)
        assert searcher.note is None
        found = searcher.search(text, limit=1).hits[0]
        assert (found.id, round(found.score, 3)) == (key, 1.0)
        assert client.count("passages").count == len(exact.numbers)
    client.delete_collection("passages")
    build_index(corpus, encoder, tmp_path / "third", engine="qdrant", url=URL)
    assert "searched without it" in str(open_index(one, encoder).note)


@pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")
def test_a_collection_whose_rows_are_not_known_is_sent_anew(tmp_path, corpus, client):
    encoder, index = ToyEncoder(), tmp_path / "index"
    build_index(corpus, encoder, index, engine="qdrant", url=URL)
    said = client.get_collection("passages").config.metadata["isoglot"]
    client.update_collection("passages", metadata={"isoglot": {**said, "token": ""}})
    manifest = index / "manifest.json"
    manifest.write_text(manifest.read_text().replace(said["token"], ""))
    store = Store.open(index)
    of_a_copy = qdrant_client.models.PointVectors(id=0, vector=[1.0] * 12)
    client.update_vectors("passages", [of_a_copy])
    delete_rows(index, [each["id"] for each in store.rows(store.numbers[-1:], ["id"])])
    (vector,) = QdrantIndex(URL, client=client).vectors([0])
    assert np.allclose(vector, store.vectors([0])[0], atol=1e-6)


def test_rows_that_came_since_an_index_was_opened_are_not_mistaken(tmp_path, corpus):
    build_index(corpus, ToyEncoder(), tmp_path / "index")
    store = Store.open(tmp_path / "index")
    for number in (-1, int(store.numbers[-1]) + 1):
        with pytest.raises(UnavailableError, match="was changed since it was opened; open it again"):
            store.rows([number], ["id"])


def test_a_second_process_is_told_that_edge_is_for_one(tmp_path, corpus):
    build_index(corpus, ToyEncoder(), tmp_path / "index", engine="edge")
    searcher = open_index(tmp_path / "index", ToyEncoder())
    script = f"""if True:
        from isoglot import InputError, open_index
        try:
            open_index({str(tmp_path / "index")!r})
        except InputError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "in use; an edge index is for one process at a time" in done.stdout
    before = (tmp_path / "index" / "manifest.json").read_bytes()
    changing = script.replace("open_index", "delete_rows")
    done = subprocess.run([sys.executable, "-c", changing], capture_output=True, text=True, check=True)
    assert "in use; an edge index is for one process at a time" in done.stdout  # before anything is changed
    assert (tmp_path / "index" / "manifest.json").read_bytes() == before
    searcher.close()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_a_damaged_edge_is_named(tmp_path, corpus):
    build_index(corpus, ToyEncoder(), tmp_path / "index", engine="edge")
    for path in (tmp_path / "index" / "edge").rglob("*.json"):
        path.write_text("{")
    with pytest.raises(InputError, match=r"edge: cannot be opened .* delete it and index again, nothing is lost"):
        EdgeIndex(Store.open(tmp_path / "index"))


def test_extras_that_are_missing_are_named(tmp_path, corpus, monkeypatch):
    for module in ("qdrant_edge", "qdrant_client"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"isoglot\[edge\]"):
        build_index(corpus, ToyEncoder(), tmp_path / "edge", engine="edge")
    assert not (tmp_path / "edge").exists()
    with pytest.raises(MissingExtraError, match=r"isoglot\[qdrant\]"):
        open_index(URL)


def test_a_server_that_is_not_there_and_an_address_that_is_none_are_named():
    with pytest.raises(InputError, match=r"http://localhost:1/passages: "):
        open_index("http://localhost:1/passages")
    for url in (
        "http://localhost:6333",
        "http://key@localhost:6333/passages",
        "http://:key@localhost:6333/passages",
        "http:///passages",
        "http://localhost:63x33/passages",
        "http://localhost:99999/passages",
        "http://[::1/passages",
    ):
        with pytest.raises(InputError, match="is named like http"):
            open_index(url)
