import hashlib
import shutil
import stat
from pathlib import Path

import pytest

from isoglot.common.errors import InputError
from isoglot.pairs import ParallelPairs, write_pairs
from isoglot.sources.debian import descriptions, load_debian, load_debian_in, pairs_of_lists

LONG = "This sentence is long enough to be noticed when a translator has left it as it was."


def entry(name: str, language: str, short: str, long: str, key: str | None = None) -> str:
    md5 = hashlib.md5((key or name).encode()).hexdigest()
    body = "".join(f" {line or '.'}\n" for line in long.split("\n"))
    return f"Package: {name}\nDescription-md5: {md5}\nDescription-{language}: {short}\n{body}\n"


def write_list(folder: Path, language: str, *entries: str) -> None:
    path = folder / f"example.org_debian_dists_stable_main_i18n_Translation-{language}"
    path.write_text("".join(entries), encoding="utf-8")


def test_lines_are_unwrapped_and_paragraphs_kept() -> None:
    text = entry("a", "en", "a  tool", "It does\nthis:\n * one\n\nAnd that.")
    assert [found[1:] for found in descriptions(text)] == [("a tool", "It does this: * one\n\nAnd that.")]


def test_chinese_and_japanese_lines_join_without_a_space_korean_ones_with() -> None:
    assert (
        next(descriptions(entry("a", "ja", "道具", "これは\n道具\nです with\nEnglish")))[2]
        == "これは道具です with English"
    )
    assert next(descriptions(entry("a", "ko", "도구", "이것은\n도구입니다")))[2] == "이것은 도구입니다"


def test_an_entry_without_a_long_description_is_read() -> None:
    text = entry("a", "en", "short only", "x").replace(" x\n", "") + entry("b", "en", "tool", "It does.")
    assert [found[1:] for found in descriptions(text)] == [("short only", ""), ("tool", "It does.")]


def test_translations_join_on_the_english_description(tmp_path: Path) -> None:
    write_list(tmp_path, "en", entry("a", "en", "tool", "It does this and that."))
    write_list(tmp_path, "pt%5fBR", entry("other-name", "pt_BR", "ferramenta", "Faz isso e aquilo também.", key="a"))
    pairs = pairs_of_lists(tmp_path)
    assert pairs.languages == ("en", "pt-BR")
    assert pairs.example_count == 1
    assert pairs.example_ids[0] == "debian/" + hashlib.md5(b"a").hexdigest()
    assert pairs.datasets == ("debian",)


@pytest.mark.parametrize(
    "translation",
    [
        "It does this and that.\n\n" + LONG,  # as it was
        "Es macht dies und das.\n\n" + LONG,  # a paragraph as it was
        "Siehe oben.",  # a remark
        "Werkzeug",
    ],
)
def test_what_is_no_translation_is_left_out(tmp_path: Path, translation: str) -> None:
    write_list(tmp_path, "en", entry("a", "en", "tool", "It does this and that.\n\n" + LONG))
    write_list(tmp_path, "de", entry("a", "de", "Werkzeug", translation))
    assert pairs_of_lists(tmp_path).languages == ("en",)


def test_lists_without_descriptions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no package descriptions; enable a Debian or Ubuntu source, or name other"):
        pairs_of_lists(tmp_path)


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put an `apt-get` first on the path that runs `script` with the private folder in $folder."""
    program = folder / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nfolder=$(dirname "$3")\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def fetched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_list(folder, "en", entry("a", "en", "tool", "It does this and that."))
    fake_apt(folder, monkeypatch, f'cp {folder}/*Translation-en "$folder/lists/"')


def test_the_result_is_cached_with_its_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(tmp_path, monkeypatch)
    first = load_debian(cache_dir=tmp_path / "cache")
    assert "packaging" in (tmp_path / "cache" / "debian" / "LICENCE.txt").read_text()
    monkeypatch.setenv("PATH", "")
    assert load_debian(cache_dir=tmp_path / "cache").fingerprint == first.fingerprint


def test_a_spoilt_cache_or_a_refresh_fetches_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched(tmp_path, monkeypatch)
    cached = tmp_path / "cache" / "debian" / "pairs.parquet"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half a file")
    good = load_debian(cache_dir=tmp_path / "cache")
    assert len(good) == 1
    other = ParallelPairs.from_rows([{"id": "1", "language": "de", "query": "a", "passage": "b"}])
    write_pairs(other, cached)
    assert load_debian(cache_dir=tmp_path / "cache").fingerprint == other.fingerprint
    assert load_debian(cache_dir=tmp_path / "cache", refresh=True).fingerprint == good.fingerprint


def test_what_apt_did_not_fetch_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_list(tmp_path, "en", entry("a", "en", "tool", "It does this and that."))
    script = f'cp {tmp_path}/*Translation-en "$folder/lists/"; echo "W: Failed to fetch http://main/InRelease  Timeout"'
    fake_apt(tmp_path, monkeypatch, script)
    load_debian(cache_dir=tmp_path / "cache")
    said = " ".join(capsys.readouterr().err.split())
    assert "apt did not fetch everything, so texts may be missing: W: Failed to fetch http://main/InRelease" in said
    assert (tmp_path / "cache" / "debian" / "pairs.parquet").exists()  # it may be of a source without descriptions


def test_what_apt_did_not_fetch_is_fetched_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_list(tmp_path, "en", entry("a", "en", "tool", "It does this and that."))
    write_list(tmp_path, "ja", entry("a", "ja", "道具", "これをします。そして、それもします。いろいろなことをします。"))
    script = f"""cp {tmp_path}/*Translation-en "$folder/lists/"
        if [ -e {tmp_path}/mended ]; then cp {tmp_path}/*Translation-ja "$folder/lists/"
        else echo "W: Failed to fetch http://other/InRelease  Timeout"
        echo "E: Failed to fetch http://main/dists/stable/main/i18n/Translation-ja.xz  Timeout"; fi"""
    fake_apt(tmp_path, monkeypatch, script)
    assert load_debian(cache_dir=tmp_path / "cache").languages == ("en",)
    said = " ".join(capsys.readouterr().err.split())
    assert "so texts are missing, and the next call tries again: E: Failed to fetch http://main/dists/stable" in said
    assert not (tmp_path / "cache").exists()
    (tmp_path / "mended").touch()
    assert load_debian(cache_dir=tmp_path / "cache").languages == ("en", "ja")
    monkeypatch.setenv("PATH", "")
    assert load_debian(cache_dir=tmp_path / "cache").languages == ("en", "ja")


def test_some_languages_are_fetched_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_list(tmp_path, "en", *(entry(each, "en", f"tool {each}", f"It does this and that {each}.") for each in "ab"))
    write_list(tmp_path, "zh%5fCN", entry("a", "zh_CN", "工具", "它做这个和那个，还有更多的事情，真的有很多很多。"))
    fake_apt(tmp_path, monkeypatch, f'cat "$3" > {tmp_path}/conf; cp {tmp_path}/*Translation-* "$folder/lists/"')
    pairs = load_debian_in(["zh", "eng"], cache_dir=tmp_path / "cache")
    assert (pairs.example_count, pairs.languages) == (1, ("en", "zh-CN"))
    assert 'Languages "en,zh_CN"' in (tmp_path / "conf").read_text()
    monkeypatch.setenv("PATH", "")
    assert load_debian_in(["en", "zh-CN"], cache_dir=tmp_path / "cache").fingerprint == pairs.fingerprint
    with pytest.raises(InputError, match="debian: no language 'sw'"):
        load_debian_in(["en", "sw"], cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('echo "W: Failed to fetch: no route to host"', r"could not fetch \(Failed to fetch: no route to host\)"),
        ("exit 0", r"could not fetch \(no package source has descriptions\)"),
        ("exec sleep 20", "took over 0.2 seconds; allow more, or name other pairs"),
    ],
)
def test_a_fetch_that_fails_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    fake_apt(tmp_path, monkeypatch, script)
    with pytest.raises(InputError, match=message) as caught:
        load_debian(cache_dir=tmp_path / "cache", timeout=0.2 if "sleep" in script else 30)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "debian").exists()


def test_without_apt_other_sources_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"no apt-get to fetch with; name other pairs: a \.jsonl, \.csv"):
        load_debian(cache_dir=tmp_path)


@pytest.mark.network
@pytest.mark.skipif(
    shutil.which("apt-get") is None, reason="the descriptions come by apt-get, which only Debian and its kin have"
)
def test_the_real_descriptions_are_many(tmp_path: Path) -> None:
    pairs = load_debian(cache_dir=tmp_path)
    assert pairs.example_count > 20_000
    assert {"en", "da", "it", "fr", "de", "pt-BR"} <= set(pairs.languages)
