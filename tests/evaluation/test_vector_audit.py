"""The audit from vectors is the audit of the model that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from isoglot.common.errors import InputError
from isoglot.evaluation import vectors as module
from isoglot.evaluation.audit import audit
from isoglot.evaluation.results import Results
from isoglot.evaluation.vectors import audit_vectors
from isoglot.models.debiasing import debias
from isoglot.models.embed import embed
from isoglot.pairs import ParallelPairs
from isoglot.vectors.columns import Columns
from isoglot.vectors.mapping import apply_map, debias_vectors
from isoglot.vectors.provenance import Provenance, write_manifest
from isoglot.vectors.rows import VectorRows


def save(path: Path, vectors: np.ndarray, **columns: Any) -> Path:
    np.save(path, vectors)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def vectors_of(model: SentenceTransformer, pairs: ParallelPairs, folder: Path) -> tuple[Path, Path]:
    """Vectors of passages and queries, as a user would have them."""
    rows = list(pairs.rows())
    described = {"id": [row["id"] for row in rows], "language": [row["language"] for row in rows]}
    made = {}
    for role in ("passage", "query"):
        texts = [row[role] for row in rows]
        made[role] = save(folder / f"{role}.npy", embed(model, texts, role), text=texts, **described)
    return made["passage"], made["query"]


def toy(folder: Path, **more: Any) -> tuple[Path, Path, dict[str, Any]]:
    rng = np.random.default_rng(0)
    tags = ["de", "en", "sw"] * 10
    x = rng.normal(size=(2, 10, 1, 8)) * 0.3 + rng.normal(size=(10, 1, 8)) + 0.9 * rng.normal(size=(3, 8))
    rows = {"id": [f"e{n // 3}" for n in range(30)], "language": tags, **more}
    p, q = x.reshape(2, 30, 8).astype(np.float32)
    return save(folder / "p.npy", p, **rows), save(folder / "q.npy", q, **rows), {"p": p, "q": q, **rows}


def without_vectors(results: Results) -> dict[str, Any]:
    return {key: value for key, value in results.summary.items() if key not in ("model", "notes", "seconds")}


def test_vectors_give_what_their_model_gives(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    few = pairs.sample(20, seed=0)
    by_model = audit(tiny_encoder, few)
    by_vectors = audit_vectors(*vectors_of(tiny_encoder, few, tmp_path))
    assert by_vectors.per_query.equals(by_model.per_query)
    assert without_vectors(by_vectors) == without_vectors(by_model)
    assert by_vectors.top is not None
    assert by_vectors.top.drop_columns("score").equals(by_model.top.drop_columns("score"))
    assert by_vectors.summary["notes"] == [
        "Scored by cosine, assumed, as nothing says otherwise. "
        "All vectors are of unit length: cosine and dot rank alike."
    ]


def test_mapped_vectors_are_those_of_the_model_with_its_layer(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path
) -> None:
    debiased = debias(tiny_encoder, pairs)
    passages, queries = vectors_of(tiny_encoder, pairs, tmp_path)
    debias_vectors(passages, tmp_path / "passages", query_vectors=queries)
    apply_map(tmp_path / "passages" / "map.npz", queries, tmp_path / "queries")
    for role, folder in (("passage", "passages"), ("query", "queries")):
        mapped = np.load(tmp_path / folder / f"{role}.npy")
        expected = embed(debiased, [row[role] for row in pairs.rows()], role)
        assert np.abs(mapped - expected).max() < 1e-5
    mapped_audit = audit_vectors(tmp_path / "passages", tmp_path / "queries")
    assert mapped_audit.bias("rank_distance") == audit(debiased, pairs).bias("rank_distance")
    with pytest.raises(InputError, match=r"one side has the map .* applied, the other no map"):
        audit_vectors(tmp_path / "passages", queries)


def test_a_corpus_that_is_not_held_is_ranked_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages, queries, _ = toy(tmp_path)
    held = audit_vectors(passages, queries)
    monkeypatch.setattr(module, "HELD_BYTES", 0)
    monkeypatch.setattr(VectorRows, "part_rows", 7)
    streamed = audit_vectors(passages, queries)
    ranked = ("monolingual", "cross_lingual", "multilingual")  # what goes by ranks alone
    rows = ([row for row in each.per_query.to_pylist() if row["setting"] in ranked] for each in (streamed, held))
    columns = ("query", "setting", "corpus_language", "map", "rank_distance", "best_rank", "worst_rank")
    of_streamed, of_held = ([tuple(row[name] for name in columns) for row in each] for each in rows)
    assert of_streamed == of_held
    assert streamed.summary["alignment"] == {}


def test_lengths_matter_to_dot_and_not_to_cosine_and_it_is_said(tmp_path: Path) -> None:
    passages, queries, rows = toy(tmp_path)
    scale = np.array([4.0, 1.6, 1.0] * 10)[:, None]
    long = save(tmp_path / "long.npy", rows["p"] * scale, id=rows["id"], language=rows["language"])
    by_cosine, by_dot = (audit_vectors(long, queries, similarity=name) for name in (None, "dot"))  # type: ignore[arg-type]
    assert by_cosine.per_query.equals(audit_vectors(passages, queries).per_query)
    assert not by_dot.per_query.equals(by_cosine.per_query)
    assert "cosine, assumed" in by_cosine.summary["notes"][0]
    assert "--similarity dot may rank otherwise" in by_cosine.summary["notes"][0]
    assert by_dot.summary["notes"][0].startswith("Scored by dot, as asked. Vectors are not of unit length")
    for name in (passages, queries):
        folder = tmp_path / name.stem
        folder.mkdir()
        save(folder / name.name, np.load(name), id=rows["id"], language=rows["language"])
        write_manifest(folder, Provenance(model="m", fingerprint="f", similarity="dot"), files={name.name: 30})
    known = audit_vectors(tmp_path / "p", tmp_path / "q")
    assert known.summary["notes"][0].startswith("Scored by dot, as the manifest says")
    assert (known.summary["model"]["name"], known.summary["model"]["fingerprint"]) == ("m", "f")


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_precision_changes_no_order_and_large_numbers_do_not_overflow(dtype: Any, tmp_path: Path) -> None:
    passages, queries, rows = toy(tmp_path)
    factor = 1e200 if dtype == np.float64 else 200
    for name in ("p", "q"):
        wide = rows[name].astype(np.float16).astype(dtype)
        save(tmp_path / f"{name}.npy", wide, id=rows["id"], language=rows["language"])
        small = min(factor, 1e150)
        save(
            tmp_path / f"{name}-large.npy",
            (wide * dtype(small)).astype(dtype),
            id=rows["id"],
            language=rows["language"],
        )
    large = audit_vectors(tmp_path / "p-large.npy", tmp_path / "q-large.npy")
    assert large.per_query.select(["map", "query"]).equals(
        audit_vectors(passages, queries).per_query.select(["map", "query"])
    )


def test_numbers_beyond_single_precision_are_refused_for_inner_products(tmp_path: Path) -> None:
    _, queries, rows = toy(tmp_path)
    large = save(tmp_path / "large.npy", rows["p"].astype(np.float64) * 1e60, id=rows["id"], language=rows["language"])
    with pytest.raises(InputError, match=r"large\.npy: numbers too large for float32"):
        audit_vectors(large, queries, similarity="dot")


def test_judgements_go_by_key_and_groups_by_group(tmp_path: Path) -> None:
    passages, queries, rows = toy(tmp_path)
    by_group = audit_vectors(passages, queries)
    tags, ids = rows["language"], rows["id"]
    own = {"id": [f"d{n}" for n in range(30)], "language": tags, "document": ids}
    keyed = save(tmp_path / "keyed.npy", rows["p"], **own)
    asked = save(tmp_path / "asked.npy", rows["q"], **{**own, "id": [f"q{n}" for n in range(30)]})
    same = audit_vectors(keyed, asked)
    columns = ["map", "rank_distance", "example", "setting"]
    assert same.per_query.select(columns).equals(by_group.per_query.select(columns))
    lone = [None, None, None, *ids[3:]]  # rows without a group go by their ids, so they have no translations
    few = [save(tmp_path / f"{key}.npy", rows[key], **{**own, "document": lone}) for key in ("p", "q")]
    assert audit_vectors(*few).per_query.num_rows < same.per_query.num_rows
    save(tmp_path / "p.npy", rows["p"], id=ids, language=tags)
    save(tmp_path / "q.npy", rows["q"], id=ids, language=tags)
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("".join(f"q{q}\td{p}\t1\n" for q in range(30) for p in range(30) if ids[q] == ids[p]))
    judged = audit_vectors(keyed, asked, qrels=qrels)
    assert judged.per_query.select(columns).equals(by_group.per_query.select(columns))
    qrels.write_text("".join(f"e{n} 0 e{n}@{tag} 1\n" for n in range(10) for tag in ("de", "en", "sw")))
    shared = audit_vectors(passages, queries, qrels=qrels)
    assert shared.per_query.select(columns).equals(by_group.per_query.select(columns))
    qrels.write_text("q0\td0\t1\nq1\td99\t1\n")
    with pytest.raises(InputError, match=r"qrels\.tsv line 2: names the passage 'd99', which is not in .*keyed\.npy"):
        audit_vectors(keyed, asked, qrels=qrels)
    with pytest.raises(InputError, match="no query has the id or group of a passage"):
        audit_vectors(keyed, asked, columns=Columns(group="id"))


@pytest.mark.parametrize("with_text", [False, True])
def test_a_row_does_not_find_itself(with_text: bool, tmp_path: Path) -> None:
    passages, queries, rows = toy(tmp_path)
    texts = {"text": [f"t{n}" for n in range(30)]} if with_text else {}
    described = {"id": rows["id"], "language": rows["language"], **texts}
    one, other = (
        save(tmp_path / name, rows["p" if not with_text else key], **described)
        for name, key in (("a.npy", "p"), ("b.npy", "q"))
    )
    results = audit_vectors(one, other)
    pooled = results.per_query.filter(np.array(results.per_query["setting"].to_pylist()) == "multilingual")
    assert pooled.num_rows == 30
    assert "monolingual" not in results.per_query["setting"].to_pylist()
    assert "monolingual" in audit_vectors(passages, queries).per_query["setting"].to_pylist()


def test_rows_left_out_are_in_no_figure(tmp_path: Path) -> None:
    _, queries, rows = toy(tmp_path)
    bad = rows["p"].copy()
    bad[[4, 5]] = 0
    holed = save(tmp_path / "holed.npy", bad, id=rows["id"], language=rows["language"])
    with pytest.raises(InputError, match=r"holed\.npy row 5 \(id e1, en\): the vector is all zeros; 2 rows"):
        audit_vectors(holed, queries)
    for file in (holed, queries):
        with pytest.raises(InputError, match="which is read or written"):
            audit_vectors(holed, queries, skip_bad=file)
    results = audit_vectors(holed, queries, skip_bad=tmp_path / "bad.jsonl")
    good = np.delete(np.arange(30), [4, 5])
    whole = {name: [rows[name][n] for n in good] for name in ("id", "language")}
    expected = audit_vectors(save(tmp_path / "good.npy", rows["p"][good], **whole), queries)
    assert without_vectors(results) == without_vectors(expected)
    assert "2 of 30 rows left out" in results.summary["notes"][1]
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("".join(f"{one} 0 {one} 1\n" for one in dict.fromkeys(rows["id"])) + "e0 0 misspelt 1\n")
    judged = audit_vectors(holed, queries, qrels=qrels, skip_bad=tmp_path / "bad.jsonl")
    assert any("1 of 11 judgements are left out" in note for note in judged.summary["notes"])


def test_figures_are_those_of_plain_numpy(tmp_path: Path) -> None:
    """Rank distance and pooled mAP by sorting, as anybody would."""
    passages, queries, rows = toy(tmp_path)
    p, q = (rows[name] / np.linalg.norm(rows[name], axis=1, keepdims=True) for name in ("p", "q"))
    order = np.argsort(-(q @ p.T), axis=1)
    right = np.array(rows["id"])[order] == np.array(rows["id"])[:, None]
    places = np.nonzero(right)[1].reshape(30, 3) + 1
    results = audit_vectors(passages, queries)
    assert results.bias("rank_distance") == pytest.approx((places[:, 2] - places[:, 0]).mean())
    assert results.setting("multilingual") == pytest.approx((np.arange(1, 4) / places).mean(), abs=1e-6)


def test_similarities_have_names() -> None:
    with pytest.raises(InputError, match="similarity 'l2' is unknown; use one of cosine, dot"):
        audit_vectors("p", "q", similarity="l2")  # type: ignore[arg-type]
