"""An index holds what was put into it, by key, and nothing is lost, doubled or mixed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy_index import ToyEncoder, keys, row, write

import isoglot
from isoglot import InputError, build_index, delete_rows, open_index
from isoglot.search.store import Store
from isoglot.vectors.provenance import Provenance, write_manifest

ENGINES = ("exact", "edge")
FIRST = [row("a", "en", "black tree"), row("b", "de", "roter baum"), row("c", "en", "white stone")]


def everything(folder, encoder=None):
    """All rows: key to text and vector."""
    store = Store.open(folder)
    rows = store.rows(store.numbers, ["id", "language", "text"])
    return {
        (each["id"], each["language"]): (each["text"], tuple(x))
        for each, x in zip(rows, store.vectors(store.numbers), strict=True)
    }


def texts(folder):
    return {key: text for key, (text, _) in everything(folder).items()}


@pytest.fixture
def corpus(tmp_path):
    return write(tmp_path / "corpus.jsonl", FIRST)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_replaces_that_of_its_key_and_twice_changes_nothing(tmp_path, corpus, engine):
    index, encoder = tmp_path / "index", ToyEncoder()
    assert build_index(corpus, encoder, index, engine=engine).added == 3
    second = write(tmp_path / "second.jsonl", [row("c", "en", "fire"), row("d", "es", "arbol negro")])
    done = build_index(second, encoder, index)
    assert (done.added, done.replaced, done.unchanged, done.rows) == (1, 1, 0, 4)
    manifest = (index / "manifest.json").read_bytes()
    again = build_index(second, encoder, index)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 2)
    assert (index / "manifest.json").read_bytes() == manifest
    assert "2 rows of the index are not in second.jsonl" in " ".join(again.sentences())
    searcher = open_index(index, encoder)
    assert searcher.note is None
    assert len(keys(searcher.search("white stone", limit=20))) == len(searcher) == 4
    assert searcher.search("fire", limit=1).hits[0].text == "fire"
    assert searcher.languages == {"de": 1, "en": 2, "es": 1}
    searcher.close()


def test_a_file_with_one_id_for_all_translations_keeps_them_all_and_so_do_files_one_after_the_other(tmp_path):
    together, apart = tmp_path / "together", tmp_path / "apart"
    rows = [row("e1", tag, f"text {tag}") for tag in ("en", "de", "es")]
    build_index(write(tmp_path / "all.jsonl", rows), ToyEncoder(), together)
    for each in rows:
        build_index(write(tmp_path / "one.jsonl", [each]), ToyEncoder(), apart)
    assert everything(together) == everything(apart)
    assert len(texts(apart)) == 3


def test_a_translation_of_the_same_text_stays_and_what_is_relabelled_goes_with_sync(tmp_path, corpus):
    index = tmp_path / "index"
    build_index(corpus, ToyEncoder(), index)
    done = build_index(write(tmp_path / "other.jsonl", [row("a", "nl", "black tree")]), ToyEncoder(), index)
    assert (done.added, done.replaced, done.deleted) == (1, 0, 0)
    assert set(texts(index)) == {("a", "en"), ("a", "nl"), ("b", "de"), ("c", "en")}
    done = build_index(tmp_path / "other.jsonl", ToyEncoder(), index, sync=True)
    assert (done.added, done.replaced, done.deleted) == (0, 0, 3)
    assert set(texts(index)) == {("a", "nl")}


def test_ids_are_kept_to_the_byte(tmp_path):
    ids = ["7", "07", "e\u0301", "\u00e9", "x" * 300, "a@de", "a b", "123e4567-e89b-12d3-a456-426614174000"]
    index = tmp_path / "index"
    build_index(
        write(tmp_path / "c.jsonl", [row(each, "de", f"text {n}") for n, each in enumerate(ids)]), ToyEncoder(), index
    )
    assert {key for key, _ in texts(index)} == set(ids)
    assert delete_rows(index, ["7", "e\u0301"]).deleted == 2
    assert {key for key, _ in texts(index)} == set(ids) - {"7", "e\u0301"}


def test_rows_are_deleted_by_id_or_by_key_and_what_is_not_there_is_said(tmp_path):
    index = tmp_path / "index"
    rows = [row("a", "en", "tree"), row("a", "de", "baum"), row("b", "en", "stone"), row("c", None, "pietra")]
    build_index(write(tmp_path / "c.jsonl", rows), ToyEncoder(), index)
    done = delete_rows(index, ["b@en", "zz"])
    assert done.deleted == 1
    assert done.notes == ("1 of the ids to delete are not in the index: zz.",)
    delete_rows(index, ["a"])
    assert set(texts(index)) == {("c", None)}
    assert delete_rows(index, ["c@"]).rows == 0
    assert open_index(index, ToyEncoder()).search("tree").note == "0 of 10 hits: the index has no more rows."
    assert build_index(tmp_path / "c.jsonl", ToyEncoder(), index).rows == 4


def test_an_id_that_looks_like_a_key_is_an_id(tmp_path):
    rows = [row("a", "de", "baum"), row("a@de", "en", "tree"), row("b", "de", "stein")]
    build_index(write(tmp_path / "c.jsonl", rows), ToyEncoder(), tmp_path / "index")
    assert delete_rows(tmp_path / "index", ["a@de", "b@de"]).deleted == 2
    assert set(texts(tmp_path / "index")) == {("a", "de")}


class Partial(ToyEncoder):
    """Knows no text in which nothing but signs stands."""

    def encode(self, texts, role):
        return super().encode([" ".join(word for word in text.split() if word.isalpha()) for text in texts], role)


def test_a_text_without_a_vector_is_named_or_left_out(tmp_path):
    index, encoder, bad = tmp_path / "index", Partial(), tmp_path / "bad.jsonl"
    corpus = write(tmp_path / "c.jsonl", [row("a", "en", "tree"), row("b", "en", "--"), row("c", "de", "stein")])
    with pytest.raises(
        InputError, match=r"c\.jsonl line 2 .id b, en.: the model gives no usable vector .* --skip-bad FILE"
    ):
        build_index(corpus, encoder, index)
    with pytest.raises(InputError, match="which is read or written"):
        build_index(corpus, encoder, index, skip_bad=corpus)
    done = build_index(corpus, encoder, index, skip_bad=bad)
    assert (done.read, done.left_out, done.added, done.rows) == (3, 1, 2, 2)
    assert [json.loads(line)["id"] for line in bad.read_text().splitlines()] == ["b"]
    # A row in the place of which nothing can stand is kept, as where its text is empty.
    write(corpus, [row("a", "en", "++"), row("c", "de", "fels")])
    done = build_index(corpus, encoder, index, skip_bad=bad)
    assert (done.left_out, done.replaced, done.unchanged, done.rows) == (1, 1, 0, 2)
    assert texts(index) == {("a", "en"): "tree", ("c", "de"): "fels"}
    write(corpus, [row("a", "en", "++")])
    assert build_index(corpus, encoder, index, skip_bad=bad).left_out == 1
    assert texts(index) == {("a", "en"): "tree", ("c", "de"): "fels"}


def test_what_another_encoder_left_does_not_stand_in_the_way(tmp_path, corpus):
    index = tmp_path / "index"
    with pytest.raises(InputError):
        build_index(write(tmp_path / "b.jsonl", [row("b", "en", "tree"), row("c", "en", "--")]), Partial(), index)
    assert (index / "encoding").exists()
    assert build_index(corpus, ToyEncoder(name="other", weights="two"), index).rows == 3


def test_an_index_inside_the_corpus_is_no_part_of_it(tmp_path):
    (folder := tmp_path / "corpus").mkdir()
    write(folder / "c.jsonl", FIRST)
    for _ in range(2):
        assert build_index(folder, ToyEncoder(), folder / "index").rows == 3
    write(folder / "d.jsonl", [row("d", "en", "fire")])
    assert build_index(folder, ToyEncoder(), folder / "index").rows == 4


def test_a_folder_that_is_no_index_keeps_what_it_holds(tmp_path):
    (tmp_path / "mine" / "segments").mkdir(parents=True)
    (tmp_path / "mine" / "segments" / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match="no index here"):
        delete_rows(tmp_path / "mine", ["a"])
    assert (tmp_path / "mine" / "segments" / "notes.txt").read_text() == "precious"


def test_sync_takes_away_what_is_gone_from_the_corpus(tmp_path, corpus):
    index = tmp_path / "index"
    build_index(corpus, ToyEncoder(), index)
    done = build_index(write(tmp_path / "less.jsonl", FIRST[1:]), ToyEncoder(), index, sync=True)
    assert (done.deleted, done.unchanged, done.rows) == (1, 2, 2)
    assert set(texts(index)) == {("b", "de"), ("c", "en")}


def test_sync_takes_away_what_is_left_out_of_the_corpus(tmp_path, corpus):
    index = tmp_path / "index"
    build_index(corpus, ToyEncoder(), index)
    write(corpus, [*FIRST[1:], row("a", "en", " ")])
    assert build_index(corpus, ToyEncoder(), index, skip_bad=tmp_path / "bad").deleted == 0
    assert build_index(corpus, ToyEncoder(), index, skip_bad=tmp_path / "bad", sync=True).deleted == 1
    assert set(texts(index)) == {("b", "de"), ("c", "en")}


def test_many_changes_end_in_few_segments_and_the_rows_that_one_change_gives(tmp_path):
    index, encoder = tmp_path / "index", ToyEncoder()
    rows = {}
    for step in range(40):
        for n in range(step % 3, 9, 3):
            rows[f"r{n}"] = row(f"r{n}", "en", f"step {step} row {n}")
        build_index(write(tmp_path / "c.jsonl", list(rows.values())), encoder, index)
    build_index(tmp_path / "c.jsonl", encoder, tmp_path / "once")
    assert everything(index) == everything(tmp_path / "once")
    assert len(Store.open(index).state.segments) <= 16
    numbers = Store.open(index).numbers
    assert (np.diff(numbers) > 0).all()


def test_one_id_twice_in_a_language_is_refused_and_the_index_is_as_it_was(tmp_path, corpus):
    index = tmp_path / "index"
    build_index(corpus, ToyEncoder(), index)
    before = {path: path.read_bytes() for path in index.rglob("*") if path.is_file()}
    twice = write(tmp_path / "twice.jsonl", [row("k", "en", "one"), row("l", "en", "two"), row("k", "en", "three")])
    with pytest.raises(InputError, match=r"twice.jsonl line 3 \(id k, en\).*line 1"):
        build_index(twice, ToyEncoder(), index)
    assert {path: path.read_bytes() for path in index.rglob("*") if path.is_file()} == before
    with pytest.raises(InputError, match="twice"):
        build_index(twice, ToyEncoder(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (ToyEncoder("other", weights="two"), "other weights"),
        (ToyEncoder(prompt="passage: "), "another prompt"),
        (ToyEncoder(max_tokens=9), "another token limit"),
        (ToyEncoder(similarity="dot"), "another similarity"),
        (ToyEncoder(dimensions=5), "12 numbers, and these have 5"),
    ],
)
def test_another_encoder_is_refused_and_both_are_named(tmp_path, corpus, other, said):
    index, encoder = tmp_path / "index", ToyEncoder(max_tokens=8)
    build_index(corpus, encoder, index)
    with pytest.raises(InputError, match=said) as refused:
        build_index(corpus, other, index)
    if other.name == "other":
        assert "toy (one)" in str(refused.value)
        assert "other (two)" in str(refused.value)
        with pytest.raises(InputError, match="other weights"):
            open_index(index, other)
    assert open_index(index, ToyEncoder(prompt="query: ", max_tokens=8)).search("tree").hits  # queries have their own


def shards(folder, encoder, rows, **provenance):
    """A folder of vectors with a manifest."""
    folder.mkdir()
    vectors = encoder.encode([each["text"] for each in rows], "passage")
    columns = {name: [each.get(name) for each in rows] for name in rows[0]}
    kind = pa.list_(pa.float32(), encoder.dimensions)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=kind)
    pq.write_table(pa.table({**columns, "vector": flat}), folder / "part-0.parquet")
    made = {**encoder.provenance("passage").as_dict(), **provenance}
    write_manifest(folder, Provenance.of(made), files={"part-0.parquet": {"rows": len(rows)}})
    return folder


def test_vectors_give_the_index_that_their_corpus_gives(tmp_path, corpus):
    encoder = ToyEncoder()
    isoglot.encode_corpus(corpus, encoder, tmp_path / "shards")
    build_index(tmp_path / "shards", None, tmp_path / "one")
    build_index(corpus, encoder, tmp_path / "other")
    assert everything(tmp_path / "one") == everything(tmp_path / "other")
    assert Store.open(tmp_path / "one").state.provenance == Store.open(tmp_path / "other").state.provenance
    parallel = write(tmp_path / "p.jsonl", [row("e", tag, tag) for tag in ("de", "en")])
    isoglot.encode_corpus(parallel, encoder, tmp_path / "parallel")
    build_index(tmp_path / "parallel", None, tmp_path / "third")
    assert set(texts(tmp_path / "third")) == {("e", "de"), ("e", "en")}
    rows = [row(f"e{n}", tag, f"word{n} {tag}") for n in range(20) for tag in ("de", "en")]
    isoglot.encode_corpus(write(tmp_path / "more.jsonl", rows), encoder, tmp_path / "more")
    isoglot.debias_vectors(tmp_path / "more", tmp_path / "fair", directions=1)
    build_index(tmp_path / "fair", None, tmp_path / "fourth")
    assert set(texts(tmp_path / "fourth")) == {(f"e{n}", tag) for n in range(20) for tag in ("de", "en")}


def test_a_map_goes_over_both_sides_or_none(tmp_path):
    encoder = ToyEncoder()
    rows = [row(f"r{n}", tag, f"word{n} {tag}") for n in range(20) for tag in ("de", "en")]
    plain = shards(tmp_path / "plain", encoder, rows)
    mapped = isoglot.debias_vectors(plain, tmp_path / "mapped", directions=1)
    given, beside = tmp_path / "given", tmp_path / "beside"
    build_index(plain, None, given, mapping=mapped.map)
    build_index(tmp_path / "mapped", None, beside)  # map.npz stands beside the vectors
    for (_, one), (_, other) in zip(everything(given).values(), everything(beside).values(), strict=True):
        assert np.allclose(one, other, atol=1e-6)
    question = mapped.map.apply(encoder.encode(["word3 de"], "query"))
    question /= np.linalg.norm(question)
    for index in (given, beside):
        hit = open_index(index, encoder).search("word3 de", limit=1).hits[0]
        vector = np.array(everything(index)[hit.id, hit.language][1])
        assert hit.score == pytest.approx(float(vector @ question[0]), abs=1e-6)
    # A corpus that comes later goes through the map that is there.
    build_index(write(tmp_path / "more.jsonl", [row("new", "de", "word3 de")]), encoder, given)
    assert open_index(given, encoder).search("word3 de", limit=1).hits[0].score == pytest.approx(1, abs=1e-6)
    (tmp_path / "mapped" / "map.npz").unlink()
    with pytest.raises(InputError, match="name it with --map"):
        build_index(tmp_path / "mapped", None, tmp_path / "new")
    build_index(plain, None, tmp_path / "unmapped")
    with pytest.raises(InputError, match="no map was applied"):
        build_index(plain, None, tmp_path / "unmapped", mapping=mapped.map)
    with pytest.raises(InputError, match=r"no map was applied|name it with --map"):
        build_index(tmp_path / "mapped", None, tmp_path / "unmapped")
    with pytest.raises(InputError, match="went through no map"):  # the questions alone would
        open_index(tmp_path / "unmapped", encoder, mapping=mapped.map)
    assert len(open_index(given, encoder, mapping=mapped.map)) == len(rows) + 1
    with pytest.raises(InputError, match="languages are found out when texts are encoded"):
        build_index(plain, None, tmp_path / "new", identify_languages=True)


def test_a_map_that_leaves_nothing_of_a_vector_is_said(tmp_path):
    encoder = ToyEncoder()
    rows = [row(f"r{n}", tag, f"word{n} {tag}") for n in range(20) for tag in ("de", "en")]
    mapping = isoglot.debias_vectors(shards(tmp_path / "plain", encoder, rows), tmp_path / "mapped", directions=1).map
    nothing = replace(mapping, weight=np.zeros_like(mapping.weight), bias=np.zeros_like(mapping.bias))
    with pytest.raises(InputError, match=r'takes all of the vector of "r\d+" away'):
        build_index(tmp_path / "plain", None, tmp_path / "index", mapping=nothing)


def test_what_the_mapped_file_has_lost_is_made_again_from_parquet(tmp_path, corpus):
    index = tmp_path / "index"
    build_index(corpus, ToyEncoder(), index)
    before = everything(index)
    for path in index.rglob("rows.arrow"):
        path.unlink()
    assert everything(index) == before
    for path in index.rglob("rows.arrow"):
        path.write_bytes(path.read_bytes()[:100])
    assert everything(index) == before
    for path in [*index.rglob("rows.arrow"), *index.rglob("rows.parquet")]:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"rows.parquet: not readable"):
        everything(index)


def test_an_index_changes_its_engine(tmp_path, corpus):
    index, encoder = tmp_path / "index", ToyEncoder()
    build_index(corpus, encoder, index)
    exact = keys(open_index(index, encoder).search("black tree"))
    delete_rows(index, engine="edge")
    searcher = open_index(index, encoder)
    assert keys(searcher.search("black tree")) == exact
    assert searcher.note is None
    searcher.close()
    delete_rows(index, engine="exact")
    assert not (index / "edge").exists()
    for wrong in ({"engine": "fast"}, {"engine": "qdrant"}, {"engine": "edge", "url": "http://localhost/x"}):
        with pytest.raises(InputError, match=r"no engine 'fast'|go together"):
            delete_rows(index, **wrong)


def test_a_folder_with_something_else_is_left_alone(tmp_path, corpus):
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    for path in (other, corpus):
        with pytest.raises(InputError, match="holds no index"):
            build_index(corpus, ToyEncoder(), path)
    with pytest.raises(InputError, match="no index here"):
        open_index(tmp_path / "nothing", ToyEncoder())
    with pytest.raises(InputError, match="no index here"):
        delete_rows(tmp_path / "nothing", ["a"])
    assert not (tmp_path / "nothing").exists()


def test_two_processes_do_not_change_one_index(tmp_path, corpus):
    from isoglot.search.store import changing

    with changing(tmp_path / "index"), pytest.raises(InputError, match="another process is changing this index"):
        build_index(corpus, ToyEncoder(), tmp_path / "index")
