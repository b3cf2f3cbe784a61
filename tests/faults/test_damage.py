"""Files that are not as they were written: made again where that is right, else one clear line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import Job, state
from sentence_transformers import SentenceTransformer

from isoglot.common.atomic import write_whole_folder
from isoglot.common.errors import InputError
from isoglot.enrich import negatives as negatives_module
from isoglot.enrich.negatives import mine_negatives
from isoglot.enrich.translation.work import WorkFile
from isoglot.models.embed import embed
from isoglot.models.encoders import load_encoder
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore
from isoglot.training.trainer import last_checkpoint

KEYS = [bytes([number]) * 32 for number in range(4)]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
CUT = "cut"


def damage(path: Path, place: float, bit: int | str) -> None:
    """Flip a bit of a file at a share of its length, or cut it there."""
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if bit == CUT:
        path.write_bytes(content[:at])
    else:
        content[at] ^= 1 << int(bit)
        path.write_bytes(content)


DAMAGE = st.tuples(st.floats(0, 1, exclude_max=True), st.one_of(st.integers(0, 7), st.just(CUT)))


@settings(deadline=None, max_examples=150)
@given(name=st.sampled_from(["keys.npy", "vectors.npy", "crc32"]), how=DAMAGE)
def test_no_bit_of_a_stored_vector_changes_unseen(
    tmp_path_factory: pytest.TempPathFactory, name: str, how: tuple[float, int | str]
) -> None:
    store = EmbeddingStore(tmp_path_factory.mktemp("store"))
    store.write("space", KEYS, VECTORS)
    (file,) = store.folder.rglob(name)
    damage(file, *how)
    assert store.read("space", KEYS) == {}
    assert not file.parent.exists()
    store.write("space", KEYS, VECTORS)
    assert {key: vector.tolist() for key, vector in store.read("space", KEYS).items()} == dict(
        zip(KEYS, VECTORS.tolist(), strict=True)
    )


def test_shards_of_versions_without_checksums_are_read(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    store.write("space", KEYS, VECTORS)
    next(tmp_path.rglob("crc32")).unlink()
    assert sorted(store.read("space", KEYS)) == sorted(KEYS)


def test_reading_leaves_alone_what_another_process_is_writing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    with write_whole_folder(tmp_path / "space" / "shard") as target:
        np.save(target / "keys.npy", np.frombuffer(b"".join(KEYS), np.uint8).reshape(4, 32))
        assert store.read("space", KEYS) == {}
        np.save(target / "vectors.npy", VECTORS)
    assert sorted(store.read("space", KEYS)) == sorted(KEYS)


def test_two_processes_may_write_the_same_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, original = EmbeddingStore(tmp_path), Path.rename

    def late(path: Path, target: Path) -> Path:
        monkeypatch.undo()
        EmbeddingStore(tmp_path).write("space", KEYS, VECTORS)  # the other one, just before this one is done
        return original(path, target)

    monkeypatch.setattr(Path, "rename", late)
    store.write("space", KEYS, VECTORS)
    assert sorted(store.read("space", KEYS)) == sorted(KEYS)
    assert len(list((tmp_path / "space").iterdir())) == 1


@settings(deadline=None, max_examples=40)
@given(how=DAMAGE)
def test_no_bit_of_a_mined_part_changes_unseen(
    tmp_path_factory: pytest.TempPathFactory, how: tuple[float, int | str]
) -> None:
    part = tmp_path_factory.mktemp("part") / "rows-0000000000.npy"
    wanted = np.arange(6).reshape(3, 2)
    assert negatives_module._kept(part, lambda: wanted).tolist() == wanted.tolist()
    whole = part.read_bytes()
    damage(part, *how)
    assert negatives_module._kept(part, lambda: wanted).tolist() == wanted.tolist()
    assert part.read_bytes() == whole
    assert negatives_module._kept(part, lambda: 1 / 0).tolist() == wanted.tolist()  # type: ignore[arg-type, return-value]


def test_a_remedy_fitted_over_a_damaged_cache_is_the_same(
    tmp_path: Path, pairs_file: Path, tiny_encoder_folder: Path
) -> None:
    words = ["debias", str(tiny_encoder_folder), "--pairs", str(pairs_file), "--directions", "2", "--out"]
    first = Job(tmp_path / "work", [*words, "first"])
    assert first.run() == 0, first.said
    for number, file in enumerate(sorted(first.folder.rglob("*.npy"))):
        damage(file, 0.9, CUT if number % 2 else 3)
    assert replace(first, words=[*words, "second"]).run() == 0, first.said
    assert state(first.folder / "first") == state(first.folder / "second")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("model.safetensors", (0.5, CUT)),
        ("model.safetensors", (0.0, 6)),
        ("tokenizer.json", (0.5, CUT)),
        ("config.json", (0.5, CUT)),
        ("modules.json", (0.5, CUT)),
        ("1_Pooling/config.json", (0.5, CUT)),
    ],
)
def test_a_damaged_model_is_one_clear_line(
    name: str, how: tuple[float, int | str], tiny_encoder_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_encoder_folder, folder)
    damage(folder / name, *how)
    with pytest.raises(InputError, match=r"cannot load the model '.*/model': \S") as caught:
        load_encoder(str(folder))
    assert "\n" not in str(caught.value)


def test_a_damaged_work_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    work = WorkFile(path, {"to": ["de"]})
    work.append({"n": number} for number in range(3))
    work.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"n": 1}', b'{"n": 1]'))
    with pytest.raises(InputError, match=r"work.jsonl line 3: damaged; cut the file before it to go on from there"):
        WorkFile(path, {"to": ["de"]})
    assert len(path.read_bytes()) == len(content)
    path.write_bytes(content[: content.index(b'{"n": 1}')])
    assert WorkFile(path, {"to": ["de"]}).done == 1


def test_a_work_file_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "work.jsonl"
    first = WorkFile(path, {})
    first.append([{"n": 1}])
    with pytest.raises(InputError, match=r"work.jsonl: another process is at work on it; wait for its end"):
        WorkFile(path, {})
    first.append([{"n": 2}])
    assert [record["n"] for record in first.records()] == [1, 2]
    first.close()
    WorkFile(path, {}).close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json", "complete"])
def test_a_damaged_checkpoint_is_passed_over(name: str, training: dict[str, Any], tmp_path: Path) -> None:
    training |= {"steps": 12, "validation": {"examples": 0}, "checkpoint_every": 4}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(training))
    whole = Job(tmp_path / "whole", ["train", str(config)])
    assert whole.run() == 0, whole.said
    broken = replace(whole, folder=tmp_path / "broken", values={"isoglot.training.run._finish": None})
    assert broken.run() == 1  # all steps taken, no model written
    checkpoints = broken.folder / "run" / "checkpoints"
    found = last_checkpoint(checkpoints)
    assert found is not None
    assert found.name == "checkpoint-12"
    damage(found / name, 0.7, 2)
    again = last_checkpoint(checkpoints)
    assert again is not None
    assert again.name == "checkpoint-8"
    resumed = replace(whole, folder=broken.folder, words=[*whole.words, "--resume"])
    assert resumed.run() == 0, resumed.said
    assert state(resumed.folder) == state(whole.folder)


def test_vectors_of_a_damaged_store_are_those_of_the_model(tiny_encoder: SentenceTransformer, tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    texts = [f"rot {number}" for number in range(8)]
    wanted = embed(tiny_encoder, texts, "query", store=store)
    for file in list(tmp_path.rglob("vectors.npy")):
        damage(file, 0.8, 5)
    assert np.array_equal(embed(tiny_encoder, texts, "query", store=store), wanted)


def test_negatives_mined_over_damaged_parts_are_the_same(
    tiny_encoder: SentenceTransformer, pairs: ParallelPairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negatives_module, "_CHUNK_ROWS", 50)
    wanted = mine_negatives(pairs, tiny_encoder, work_dir=tmp_path)
    for file in list(tmp_path.rglob("*.npy")):
        damage(file, 0.6, 1)
    again = mine_negatives(pairs, tiny_encoder, work_dir=tmp_path)
    assert again.fingerprint == wanted.fingerprint
