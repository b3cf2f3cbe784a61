"""Rows gain translations, bad ones stay outside with their reason, and a killed run goes on where it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from engines import Habit, backwards

import isoglot.enrich.translation.translating as translating
from isoglot.common.errors import InputError
from isoglot.enrich.translation import translate
from isoglot.enrich.translation.translating import PROVENANCE, translate_texts
from isoglot.enrich.translation.work import WorkFile
from isoglot.pairs import read_pairs

WORDS = ["river", "stone", "bread", "water", "cloud", "house", "under", "seven"]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_rows(count: int, language: str = "en") -> list[dict[str, Any]]:
    return [
        {
            "id": f"e{number}",
            "language": language,
            "query": f"Where is the {WORDS[number % 8]} {number}?",
            "passage": f"The {WORDS[number % 8]} is under `stone {number}`. See https://e.org/{number}, too.",
            "dataset": "toy",
        }
        for number in range(count)
    ]


@pytest.fixture
def pairs_path(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "pairs.jsonl", make_rows(10))


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_every_row_gains_a_translation_under_its_id(pairs_path: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"all{suffix}"
    report = translate(pairs_path, to=["de", "deu_Latn", "es"], engine=Habit(backwards), out=out)
    before, after = read_pairs(pairs_path), read_pairs(out)
    assert (report.rows, report.kept, report.dropped, report.reasons) == (20, 20, 0, {})
    assert report.rows_per_second > 0
    assert after.languages == ("de", "en", "es")
    assert list(after.example_ids) == list(before.example_ids)
    assert list(after.filter_languages(["en"]).rows()) == list(before.rows())
    german = after.filter_languages(["de"])
    assert german.texts("query")[3] == "erehW si eht retaw 3?"
    assert german.texts("passage")[3] == "ehT retaw si rednu `stone 3`. eeS https://e.org/3, oot."
    assert german.datasets == ("toy",)
    assert {path.name for path in tmp_path.iterdir()} == {"pairs.jsonl", out.name, "all.translations.jsonl"}


def test_translated_rows_say_where_they_are_from(pairs_path: Path, tmp_path: Path) -> None:
    report = translate(pairs_path, to=["de"], engine=Habit(backwards), out=tmp_path / "all.jsonl")
    original, translated = read_lines(report.out)[:10], read_lines(report.out)[10:]
    assert not any(set(PROVENANCE) & set(row) for row in original)
    for row in translated:
        assert (row["engine"], row["model"], row["direction"]) == ("habit", "1", "en-de")
        assert time.strptime(row["date"], "%Y-%m-%d")


def test_what_is_there_is_not_translated_again(tmp_path: Path) -> None:
    rows = make_rows(4)
    rows += [{**rows[1], "language": "de", "query": "Wo?", "passage": "Da."}]
    rows += [{**rows[2], "id": "only-german", "language": "de"}]
    source = write_rows(tmp_path / "pairs.jsonl", rows)
    report = translate(source, to=["de"], engine=Habit(backwards), out=tmp_path / "all.jsonl")
    german = [row for row in read_lines(report.out) if row["language"] == "de"]
    assert sorted(row["id"] for row in german) == ["e0", "e1", "e2", "e3", "only-german"]
    assert next(row for row in german if row["id"] == "e1")["passage"] == "Da."


def test_the_source_may_be_chosen_and_each_row_is_told_its_own_language(tmp_path: Path) -> None:
    rows = [row for english in make_rows(3) for row in ({**english, "language": "fr"}, english)]
    source = write_rows(tmp_path / "pairs.jsonl", rows)
    first = translate(source, to=["de"], engine=Habit(backwards), out=tmp_path / "first.jsonl")
    chosen = translate(source, to=["de"], engine=Habit(backwards), out=tmp_path / "chosen.jsonl", source_language="eng")
    assert {row.get("direction") for row in read_lines(first.out)} == {None, "fr-de"}
    assert {row.get("direction") for row in read_lines(chosen.out)} == {None, "en-de"}


def test_a_candidate_without_a_query_stays_one(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "pairs.jsonl", [{**make_rows(1)[0], "query": None}])
    engine = Habit(backwards)
    report = translate(source, to=["de"], engine=engine, out=tmp_path / "all.jsonl")
    assert read_lines(report.out)[1]["query"] is None
    assert "" not in engine.seen


def test_dropped_rows_are_in_the_sidecar_with_the_reason(pairs_path: Path, tmp_path: Path) -> None:
    def forgetful(text: str) -> str:
        if "bread" in text:
            return ""
        return text if "water" in text else backwards(text)

    report = translate(pairs_path, to=["de"], engine=Habit(forgetful), out=tmp_path / "all.jsonl")
    sidecar = read_lines(report.sidecar)[1:]
    assert [row["id"] for row in sidecar] == [f"e{number}" for number in range(10)]
    dropped = {row["id"]: row["reasons"] for row in sidecar if row["reasons"]}
    assert dropped == {"e2": ["query: empty", "passage: empty"], "e3": ["query: untranslated"]}
    assert report.kept == 8 == sum(row["language"] == "de" for row in read_lines(report.out))
    assert report.reasons == {"empty": 1, "untranslated": 1}


ODD = {"bread": "\u200b", "water": "da\0", "cloud": "da \ud800"}


def oddly(text: str) -> str:
    return next((odd for word, odd in ODD.items() if word in text), backwards(text))


@pytest.fixture
def odd_path(tmp_path: Path) -> Path:
    rows = [{"id": word, "language": "en", "query": f"Where is {word}?", "passage": "Here it is."} for word in WORDS]
    return write_rows(tmp_path / "odd.jsonl", rows)


def test_an_answer_that_pairs_cannot_hold_is_left_out(odd_path: Path, tmp_path: Path) -> None:
    report = translate(odd_path, to=["de"], engine=Habit(oddly), out=tmp_path / "all.jsonl")
    assert (report.kept, report.reasons) == (5, {"characters": 2, "empty": 1})
    left = [row for row in read_lines(report.sidecar)[1:] if row["reasons"]]
    assert {row["id"]: row["query"] for row in left} == ODD
    assert len(read_pairs(report.out)) == 13


def test_a_work_file_from_before_that_was_a_fault_is_finished(odd_path: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delitem(ODD, "cloud")  # could not be written
    with monkeypatch.context() as patch:
        patch.setattr(translating, "faults", lambda *_: ())
        patch.setattr(translating, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            translate(odd_path, to=["de"], engine=Habit(oddly), out=tmp_path / "all.jsonl")
    report = translate(odd_path, to=["de"], engine=Habit(oddly), out=tmp_path / "all.jsonl")
    assert (report.kept, report.reasons, report.rows_per_second) == (6, {"empty": 1, "characters": 1}, 0)


def test_an_engine_that_does_nothing_gives_no_pairs_but_says_why(pairs_path: Path, tmp_path: Path) -> None:
    report = translate(pairs_path, to=["ru"], engine=Habit(lambda text: text), out=tmp_path / "all.jsonl")
    assert (report.kept, report.dropped) == (0, 10)
    assert report.reasons["untranslated"] == 10
    assert read_pairs(report.out).languages == ("en",)


def test_long_texts_go_in_sentences_and_come_back_in_order() -> None:
    engine = Habit(backwards)
    text = "One house. Two trees!\n\n- three stones\n- four (4) birds: " + "red, green and blue " * 40
    ((translation, repaired),) = translate_texts([text.strip()], engine, "en", "de")
    assert not repaired
    assert translation == backwards(text.strip())
    assert max(map(len, engine.seen)) <= 400
    assert len(engine.seen) > 5


def run(pairs: Path, out: Path, seconds: float) -> subprocess.Popen[bytes]:
    script = Path(__file__).parent / "run_slowly.py"
    return subprocess.Popen([sys.executable, str(script), str(pairs), str(out), str(seconds)])


def without_dates(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "date"} for row in read_lines(path)]


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "pairs.jsonl", make_rows(150))
    whole = translate(source, to=["de", "es"], engine=Habit(backwards), out=tmp_path / "whole.jsonl")
    out, work = tmp_path / "killed.jsonl", tmp_path / ".killed.translations.partial.jsonl"
    process = run(source, out, 0.002)
    limit = time.monotonic() + 120
    while not (work.exists() and work.read_bytes().count(b"\n") > 64) and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    done = work.read_bytes().count(b"\n") - 1
    assert 64 <= done < 300
    with work.open("ab") as file:  # as if it had been killed while it wrote
        file.write(b'{"id": "e1')
    engine = Habit(backwards)
    report = translate(source, to=["de", "es"], engine=engine, out=out)
    assert engine.calls == -(-(300 - done) // 64) + (1 if done < 150 and (150 - done) % 64 else 0)
    assert (report.rows, report.kept) == (whole.rows, whole.kept)
    assert without_dates(out) == without_dates(whole.out)
    assert without_dates(report.sidecar) == without_dates(whole.sidecar)
    assert not work.exists()


def test_a_run_killed_at_its_last_step_is_finished(pairs_path: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "all.jsonl"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            translate(pairs_path, to=["de"], engine=Habit(backwards), out=out)
    engine = Habit(backwards)
    report = translate(pairs_path, to=["de"], engine=engine, out=out)
    assert engine.calls == 0
    assert (report.kept, report.rows_per_second) == (10, 0)
    assert len(read_pairs(out)) == 20


def test_an_unfinished_run_takes_no_other_settings(pairs_path: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "all.jsonl"
    broken = Habit(backwards)
    broken.translate = lambda *_: (_ for _ in ()).throw(InputError("down"))  # type: ignore[method-assign]
    with pytest.raises(InputError, match="down"):
        translate(pairs_path, to=["de"], engine=broken, out=out)
    other = Habit(backwards)
    other.model = "2"
    with pytest.raises(
        InputError, match=r"an unfinished run with another to and model; give what it was begun with, or"
    ):
        translate(pairs_path, to=["es"], engine=other, out=out)
    assert translate(pairs_path, to=["de"], engine=Habit(backwards), out=out).kept == 10


@pytest.mark.parametrize("rest", [b"", b'{"id"', b'{"id": "\xc3'])
def test_the_work_file_is_whole_lines_whatever_a_crash_left(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "work.jsonl"
    first = WorkFile(path, {"to": ["de"]})
    first.append([{"n": 1}, {"n": 2}])
    first.close()
    with path.open("ab") as file:
        file.write(rest)
    again = WorkFile(path, {"to": ["de"]})
    assert again.done == 2
    again.append([{"n": 3}])
    assert [record["n"] for record in again.records()] == [1, 2, 3]
    again.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"to": []}, "no language to translate to"),
        ({"to": ["klingonisch"]}, 'unknown language "klingonisch"'),
        ({"to": ["fr"]}, "habit: does not translate en to fr; from en it does de, es, ru; there are no more"),
        ({"to": ["en"]}, "nothing to translate; every example it could start from has en"),
        ({"to": ["de", "eng"], "source_language": "en"}, '"en" is the source and a target; leave it out'),
        ({"to": ["es"], "source_language": "de"}, 'no rows in "de" to translate from; there are en'),
        ({"spec": "empty.jsonl"}, "holds no pairs"),
        ({"spec": "nothing.jsonl"}, "nothing.jsonl: no such file or folder in "),
        ({"out": "out.txt"}, r"cannot tell the format; name it \.jsonl or \.parquet"),
        ({"out": "there.jsonl"}, r"there\.jsonl: exists already; choose another file"),
        ({"out": "beside.jsonl"}, r"beside\.translations\.jsonl: exists already"),
        ({"engine": "babelfish"}, 'no engine "babelfish"; there are apertium'),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    pairs_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(pairs_path.parent)
    for name in ("empty.jsonl", "there.jsonl", "beside.translations.jsonl"):
        Path(name).touch()
    before = sorted(Path().iterdir())
    settings: dict[str, Any] = {"spec": pairs_path, "to": ["de"], "engine": Habit(backwards), "out": "all.jsonl"}
    settings |= change
    with pytest.raises(InputError, match=message) as caught:
        translate(settings.pop("spec"), **settings)
    assert "\n" not in str(caught.value)
    assert sorted(Path().iterdir()) == before


def test_an_unknown_source_language_names_itself(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "pairs.jsonl", make_rows(2, "sw"))
    with pytest.raises(InputError, match="habit: does not translate sw to de; it does not know sw"):
        translate(source, to=["de"], engine=Habit(backwards), out=tmp_path / "all.jsonl")


def test_chunks_change_nothing(pairs_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = translate(pairs_path, to=["de", "es"], engine=Habit(backwards), out=tmp_path / "one.jsonl")
    monkeypatch.setattr(translating, "_ROWS_AT_A_TIME", 3)
    other = translate(pairs_path, to=["de", "es"], engine=Habit(backwards), out=tmp_path / "other.jsonl")
    assert without_dates(one.out) == without_dates(other.out)
