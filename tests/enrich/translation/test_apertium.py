"""The real apertium where it is installed, and a false one that fails in every way."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.enrich.translation import load_engine, translate
from isoglot.enrich.translation.apertium_engine import ApertiumEngine, from_stream, to_stream
from isoglot.enrich.translation.protecting import Protector
from isoglot.pairs import read_pairs


def _modes() -> list[str]:
    command = shutil.which("apertium")
    return (
        subprocess.run([command, "-l"], capture_output=True, text=True, check=False).stdout.split() if command else []
    )


needs_apertium = pytest.mark.skipif("eng-spa" not in _modes(), reason="needs apt-get install apertium apertium-eng-spa")

FALSE = r"""#!/bin/sh
case "$*" in
  -l) printf '  eng-spa\n  eng-cat_valencia\n  zz-zz\n'; exit 0;;
  -V) echo 'Apertium 0'; exit 0;;
esac
"""


@pytest.fixture
def false(tmp_path: Path):
    """Makes a false command whose translating is this line of shell."""

    def make(line: str) -> ApertiumEngine:
        command = tmp_path / "apertium"
        command.write_text(FALSE + line + "\n")
        command.chmod(0o755)
        return ApertiumEngine(str(command), timeout=5)

    return make


@given(text=st.text(st.sampled_from("ab []{}^$/\\@<>\n\t*é") | st.characters(codec="utf-8", exclude_characters="\0")))
def test_the_stream_format_takes_every_text(text: str) -> None:
    stream = to_stream(text)
    assert stream.endswith("[]\0")
    assert stream.count("\0") == 1
    assert from_stream(stream[:-1]) == text


def test_the_false_one_translates_when_it_copies(false) -> None:
    engine = false("cat")
    assert engine.targets("en") == ["es", "ca-valencia"]
    assert engine.targets("de") == []
    assert engine.model == "Apertium 0"
    texts = ["one [x]", "", "two\nthree", "https://e.org/^$"]
    assert engine.translate(texts, "en", "es") == texts
    assert engine.translate([], "en", "es") == []
    with pytest.raises(InputError, match="no mode from en to de"):
        engine.translate(["one"], "en", "de")


def test_nulls_that_some_versions_add_at_the_end_are_no_translations(false) -> None:
    assert false(r"cat; printf '\0\0\0'").translate(["one", "two"], "en", "es") == ["one", "two"]


def test_a_text_that_breaks_the_pipeline_takes_no_other_with_it(false) -> None:
    engine = false(r"""sed -z '/poison/,$ s/.*//'""")
    texts = ["a", "b", "poison", "c", "d", "e", "poison", "f"]
    assert engine.translate(texts, "en", "es") == ["" if text == "poison" else text for text in texts]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "echo 'lt-proc: no dictionary' >&2; exit 3",
            r"eng-spa: failed with code 3 \(lt-proc: no dictionary\); see if",
        ),
        ("exit 1", r"failed with code 1 \(it gave no reason\)"),
        ("cat > /dev/null", "translates nothing"),
        (r"cat > /dev/null; printf '\377'", "the answer is not UTF-8"),
    ],
)
def test_failures_are_one_line(false, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        false(line).translate(["one", "two"], "en", "es")
    assert "\n" not in str(caught.value)


def test_one_that_hangs_is_stopped(tmp_path: Path) -> None:
    command = tmp_path / "apertium"
    command.write_text(FALSE + "exec sleep 60\n")
    command.chmod(0o755)
    with pytest.raises(InputError, match="no answer within 1 seconds; raise the timeout"):
        ApertiumEngine(str(command), timeout=1).translate(["one"], "en", "es")


def test_none_installed_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="apt-get install apertium and a language pair such as apertium-eng-spa"):
        load_engine("apertium")


def test_no_language_pair_says_how_to_find_one(tmp_path: Path) -> None:
    command = tmp_path / "apertium"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    with pytest.raises(InputError, match="no language pair is installed; apt-cache search"):
        ApertiumEngine(str(command))


@needs_apertium
def test_the_real_one_translates() -> None:
    engine = load_engine("apertium")
    assert "es" in engine.targets("en")
    assert engine.translate(["The house is red.", "big houses"], "en", "es") == ["La casa es roja.", "Casas grandes"]
    assert engine.model.startswith("Apertium 3")


@needs_apertium
@settings(max_examples=8, deadline=None)
@given(
    texts=st.lists(
        st.text(st.sampled_from("the house [x] {y} ^z$ /a\\ <b> @ *\n") | st.characters(codec="utf-8"), max_size=40),
        max_size=6,
    )
)
def test_the_real_one_gives_one_translation_per_text_whatever_is_in_it(texts: list[str]) -> None:
    texts = [*texts, "the house"]
    translations = ApertiumEngine().translate(texts, "en", "es")
    assert len(translations) == len(texts)
    assert translations[-1].lower() == "la casa"


@needs_apertium
def test_the_real_one_lets_masks_through() -> None:
    sentence = "The program `grep -r` reads <b>all</b> files of /usr/share/doc and sends {count} to me@example.org."
    translation, repaired = Protector(ApertiumEngine(), "en", "es").translate([sentence])[sentence]
    assert not repaired
    for part in ("`grep -r`", "<b>", "</b>", "/usr/share/doc", "{count}", "me@example.org"):
        assert part in translation
    assert "programa" in translation


@needs_apertium
def test_the_real_one_makes_parallel_pairs(tmp_path: Path) -> None:
    english = {
        "id": "1",
        "language": "en",
        "query": "Where is the house?",
        "passage": "The house is red.\nRun `ls -l`.",
    }
    (tmp_path / "pairs.jsonl").write_text(json.dumps(english))
    report = translate(tmp_path / "pairs.jsonl", to=["es"], engine="apertium", out=tmp_path / "all.jsonl")
    assert (report.kept, report.dropped) == (1, 0)
    spanish = read_pairs(report.out).filter_languages(["es"])
    (passage,) = spanish.texts("passage")
    assert str(passage).startswith("La casa es roja.\n")
    assert "`ls -l`" in str(passage)
