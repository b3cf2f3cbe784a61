import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.sources import SOURCES, gimp, gnome, libreoffice, load_pairs
from isoglot.sources.catalogues import plain
from isoglot.sources.documentation import Manual, Section, section_rows, text_rows
from isoglot.sources.packages import PACKAGED, load_packaged, pairs_of_archives

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are unpacked by dpkg-deb")


def package(folder: Path, name: str, files: Mapping[str, str | bytes]) -> Path:
    """A Debian package with these files, as far as it is looked at."""
    root = folder / "tree" / name
    for path, content in {"DEBIAN/control": f"Package: {name}\n{CONTROL}", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    archive = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, archive], check=True, capture_output=True)
    return archive


CONTROL = "Version: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: a\n"
ENGLISH = "Choose the menu Insert and then Table to put a table in."
GERMAN = "Mit dem Menü Einfügen und dann Tabelle fügen Sie eine Tabelle ein."


def help_page(body: str) -> str:
    return (
        '<html><head><script src="x.js"></script></head><body><p>Contents</p>'
        f'<div id="DisplayArea">{body}</div>\n<div id="SearchFrame"></div><p id="bm_system">debug</p></body></html>'
    )


def help_package(folder: Path, code: str, heading: str, text: str) -> Path:
    page = help_page(f'<h1 id="hd_id1">{heading}</h1><p id="par_id1">{text}</p>')
    return package(folder, f"libreoffice-help-{code}", {f"usr/share/libreoffice/help/{code}/text/a/b.html": page})


def test_of_libreoffices_page_only_what_a_reader_sees_is_read() -> None:
    page = help_page(
        '<p id="par_id0">Before any heading.</p>'
        '<h1 id="hd_id1"><a name="x"></a>Tables</h1>'
        '<p id="par_id1">Press <span class="switchinline"><span hidden="true" id="MACx" class="MAC">Command</span>'
        '<span hidden="true" id="defaultx">Ctrl</span></span>\n  and T.</p>'
        '<p class="howtogetheader">To access this command...</p>'
        '<div class="bascode"><pre><code>Sub Main</code></pre></div><p id="par_id2" class="code">DIM a</p>'
        '<div class="noteicon"><p>icon</p></div><div class="notetext"><p>A note.</p></div>'
        "<h2>No id</h2><p>Of nobody.</p>"
        '<h2 id="hd_id2">Rows</h2><ul><li><p id="par_id3">One row.</p></li></ul>'
        '<div class="relatedtopics"><p id="par_id4">See also</p></div>'
    )
    manual = libreoffice.read_page(page.encode(), "text/a.html")
    assert manual.sections == {
        "text/a.html#hd_id1": Section("Tables", ["Press Ctrl and T.", "A note."]),
        "text/a.html#hd_id2": Section("Rows", ["One row."]),
    }
    assert manual.texts == {
        "text/a.html#par_id0": "Before any heading.",
        "text/a.html#par_id1": "Press Ctrl and T.",
        "text/a.html#par_id3": "One row.",
    }
    assert libreoffice.read_page(b"<html><p>moved</p></html>", "text/b.html") == Manual()


def test_of_a_mallard_page_the_description_begins_the_text() -> None:
    page = """<page xmlns="http://projectmallard.org/1.0/" id="a"><info><desc>In short.</desc>
      <credit><name>Somebody</name></credit></info><title>Bounce keys</title><p>Turn <gui>them</gui>
      on.</p><note><title>Tip</title><p>In a note.</p></note><media><p>A picture of keys.</p></media>
      <section id="s"><title>Speed</title><steps><item><p>Drag it.</p></item></steps></section>
      <section><title>Nameless</title><p>Of nobody.</p></section></page>"""
    assert gnome.read_page(page.encode(), "gnome-help/a").sections == {
        "gnome-help/a": Section("Bounce keys", ["In short.", "Turn them on.", "In a note."]),
        "gnome-help/a#s": Section("Speed", ["Drag it."]),
    }


def test_of_gimps_page_a_section_with_a_number_belongs_to_the_named_one_before() -> None:
    page = """<html><body><div class="navheader"><p>Next</p></div>
      <h3 class="title"><a id="gimp-blur"></a>3.3. Blur</h3><p>It blurs.</p>
      <h4 class="title"><a id="idm35378"></a>3.3.1. Options</h4><div class="figure"><p class="title">Figure 1</p></div>
      <dl><dt>Radius</dt><dd><p>How much.</p></dd></dl>
      <h6 class="title"><a id="gimp-noise"></a>Appendix A. Noise 1.5</h6><p>It adds noise.</p></body></html>"""
    assert gimp.read_page(page.encode(), "blur").sections == {
        "blur#gimp-blur": Section("Blur", ["It blurs.", "Radius", "How much."]),
        "blur#gimp-noise": Section("Noise 1.5", ["It adds noise."]),
    }


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("He <i>ran <b>away</b></i> &amp; hid.", "He ran away & hid."),
        ("female^The old\nqueen sat.\n\n\nShe rose.", "The old queen sat.\nShe rose."),
        ("?unit:A ship that sails.", "A ship that sails."),
        ("<header>text='The War'</header>\n\nIt began.", "The War\nIt began."),
        ("<color_red>Do not</color> eat it.", "Do not eat it."),
        ("<p>One.</p><p>Two.</p>", "One.\nTwo."),
        ("Half of it, 50% of all, is gone.", "Half of it, 50% of all, is gone."),
        ("The %s fell.", ""),
        ("The %1$s fell.", ""),
        ("Hail, $name|!", ""),
        ("Hail, <npcname>!", ""),
        ("Take {count} of them.", ""),
    ],
)
def test_messages_lose_their_markup_and_those_with_placeholders_go(message: str, text: str) -> None:
    assert plain(message) == text


@given(st.text(alphabet="ab <>/=i'\n&;%$", max_size=40))
def test_what_is_left_of_a_message_has_no_tags_and_single_spaces(message: str) -> None:
    text = plain(message)
    assert "<i>" not in text
    assert text == "\n".join(" ".join(line.split()) for line in text.split("\n"))


def sections(**found: tuple[str, list[str]]) -> Manual:
    return Manual({key: Section(*section) for key, section in found.items()})


def test_translations_with_english_in_them_are_left_out() -> None:
    short = "Enter 1."
    manuals = {
        "en": sections(a=("Tables", [ENGLISH, short])),
        "de": sections(a=("Tabellen", [GERMAN, short])),  # a short paragraph may be the same in both
        "fr": sections(a=("Tables", [GERMAN, short])),  # heading
        "it": sections(a=("Tabelle", [ENGLISH, "Inserire 1."])),  # paragraph
        "nl": sections(a=("Tabellen", [])),
        "pl": sections(),
    }
    assert {row["language"]: row["query"] for row in section_rows("x", manuals)} == {"en": "Tables", "de": "Tabellen"}
    assert {row["id"] for row in section_rows("x", manuals)} == {"x/a"}


def test_headings_of_many_sections_are_left_out_one_shown_on_many_pages_is_not() -> None:
    example = {f"p{page}#hd{page}": Section("Example", [ENGLISH]) for page in range(4)}
    shown = {f"p{page}#hd9": Section("Tables", [ENGLISH]) for page in range(4)}
    assert {row["query"] for row in section_rows("x", {"en": Manual({**example, **shown})})} == {"Tables"}


def test_texts_are_aligned_where_two_languages_have_them() -> None:
    manuals = {
        "en": Manual(texts={"a": ENGLISH, "b": ENGLISH + " So.", "c": "Too short."}),
        "de": Manual(texts={"a": GERMAN, "b": ENGLISH + " So.", "c": GERMAN}),
    }
    rows = list(text_rows("x", manuals))
    assert [(row["id"], row["language"]) for row in rows] == [("x/a", "en"), ("x/a", "de")]
    assert all(row["query"] == row["passage"] for row in rows)


@needs_dpkg
def test_packages_of_one_manual_join_by_page_and_heading(tmp_path: Path) -> None:
    archives = [
        help_package(tmp_path, "de", "Tabelle einfügen", GERMAN),
        help_package(tmp_path, "en-GB", "Insert a table", ENGLISH.replace("Insert", "Put")),
        help_package(tmp_path, "en-US", "Insert a table", ENGLISH),
        help_package(tmp_path, "pt-BR", "Inserir uma tabela", "O menu Inserir, item Tabela, insere uma tabela."),
    ]
    pairs = pairs_of_archives("libreoffice-help", archives)
    assert pairs.languages == ("de", "en", "pt-BR")
    assert pairs.example_ids[0] == "libreoffice-help/text/a/b.html#hd_id1"
    assert pairs.datasets == ("libreoffice-help",)
    paragraphs = pairs_of_archives("libreoffice-help-paragraphs", archives)
    assert paragraphs.example_ids[0] == "libreoffice-help-paragraphs/text/a/b.html#par_id1"


def catalogue(messages: Mapping[str, str]) -> bytes:
    """A MO file, as `msgfmt` writes it."""
    texts = [[text.encode() for text in side] for side in ([*messages], [*messages.values()])]
    tables, data, start = b"", b"", 28 + 16 * len(messages)
    for text in (*texts[0], *texts[1]):
        tables += struct.pack("<2I", len(text), start + len(data))
        data += text + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(messages), 28, 28 + 8 * len(messages), 0, 0)
    return head + tables + data


@needs_dpkg
def test_catalogues_join_on_their_source_text(tmp_path: Path) -> None:
    story, said = "The old king rode out to the hills, and did not return.", "Der alte König ritt fort und blieb fort."
    header = {"": "PO-Revision-Date: 2022-01-01 12:00 UTC\nPlural-Forms: nplurals=INTEGER;\n"}  # as some are left
    plural = {"\0".join([story + " Once.", story + " Often."]): "\0".join([said + " Eins.", said + " Zwei."])}
    locale = "usr/share/locale/{}/LC_MESSAGES/freeciv.mo"
    files = {
        locale.format("de"): catalogue({**header, story: said, "Quit": "Ende", **plural}),
        locale.format("es_ES"): catalogue({f"a context\x04{story}": "El viejo rey se fue y no volvió."}),
        locale.format("es_AR"): catalogue({story: "otro"}),
        locale.format("en_GB"): catalogue({story: "another"}),
        locale.format("de@hebrew"): catalogue({story: "another"}),
        locale.format("it"): catalogue({story: ""}),
    }
    pairs = pairs_of_archives("gettext", [package(tmp_path, "freeciv-data", files)])
    assert {(row["language"], row["passage"]) for row in pairs.rows()} == {
        ("en", story),
        ("de", said),
        ("es", "El viejo rey se fue y no volvió."),
    }
    assert pairs.example_count == 2  # with a context it is another message
    assert pairs.example_ids[0].startswith("gettext/freeciv/")


@needs_dpkg
def test_a_broken_package_or_one_without_english_is_an_error(tmp_path: Path) -> None:
    whole = help_package(tmp_path, "de", "Tabelle einfügen", GERMAN)
    with pytest.raises(InputError, match="libreoffice-help: no English text among 1 packages; name other pairs"):
        pairs_of_archives("libreoffice-help", [whole])
    broken = tmp_path / "broken.deb"
    broken.write_bytes(whole.read_bytes()[:100])
    with pytest.raises(InputError, match=r"broken\.deb: cannot be unpacked .*; fetch it again"):
        pairs_of_archives("libreoffice-help", [broken])


def fake_apt(folder: Path, monkeypatch: pytest.MonkeyPatch, names: str, script: str) -> None:
    """Put an `apt-get` and an `apt-cache` first on the path: the one runs the script, the other names packages."""
    programs = {"apt-get": f'if [ "$1" = download ]; then {script}\nfi', "apt-cache": f"echo {names}"}
    (folder / "bin").mkdir()
    for name, content in programs.items():
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{content}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@needs_dpkg
def test_packages_are_fetched_once_and_kept_with_their_licence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    help_package(tmp_path, "de", "Tabelle einfügen", GERMAN)
    help_package(tmp_path, "en-US", "Insert a table", ENGLISH)
    names = "libreoffice-help-de libreoffice-help-en-us libreoffice-help-common bash"
    fake_apt(tmp_path, monkeypatch, names, f"[ $# = 4 ] && cp $(ls {tmp_path}/*.deb | grep -i /$4_) .")
    first = load_pairs("libreoffice-help", cache_dir=tmp_path / "cache")
    assert (first.example_count, first.languages) == (1, ("de", "en"))
    licence = (tmp_path / "cache" / "libreoffice-help" / "LICENCE.txt").read_text()
    assert licence == SOURCES["libreoffice-help"].licence + "\n"
    monkeypatch.setenv("PATH", "")
    again = load_pairs("libreoffice-help", languages=["de"], cache_dir=tmp_path / "cache")
    assert again.languages == ("de",)


@needs_dpkg
def test_packages_are_not_kept_where_a_list_of_them_did_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    help_package(tmp_path, "de", "Tabelle einfügen", GERMAN)
    help_package(tmp_path, "en-US", "Insert a table", ENGLISH)
    failed = "E: Failed to fetch http://main/dists/stable/main/binary-all/Packages.xz  Timeout"
    script = f"cp $(ls {tmp_path}/*.deb | grep -i /$4_) .\nelse echo '{failed}'"
    fake_apt(tmp_path, monkeypatch, "libreoffice-help-de libreoffice-help-en-us", script)
    assert load_packaged("libreoffice-help", cache_dir=tmp_path / "cache").languages == ("de", "en")
    assert f"the next call tries again: {failed}" in " ".join(capsys.readouterr().err.split()).replace("xz T", "xz  T")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("names", "script", "message"),
    [
        ("bash", "true", r"gnome-help: apt could not fetch \(no package source has packages named gnome-user-docs\)"),
        ("gnome-user-docs", "true", r"\(0 of 1 packages came\); check the network, or name other pairs"),
        ("gnome-user-docs", "echo 'E: Failed to fetch it'", r"\(Failed to fetch it\); check the network"),
        ("gnome-user-docs", "exec sleep 20", "gnome-help: fetching took over 0.5 seconds; allow more, or"),
    ],
)
def test_a_fetch_that_fails_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, script: str, message: str
) -> None:
    fake_apt(tmp_path, monkeypatch, names, script)
    with pytest.raises(InputError, match=message) as caught:
        load_packaged("gnome-help", cache_dir=tmp_path / "cache", timeout=0.5 if "sleep" in script else 30)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_without_apt_or_the_extra_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="gettext: this machine has no apt-get to fetch with; name other pairs"):
        load_packaged("gettext", cache_dir=tmp_path)
    monkeypatch.setitem(sys.modules, "lxml.html", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'isoglot\[formats\]'"):
        load_packaged("gnome-help", cache_dir=tmp_path)


def test_every_packaged_source_is_registered() -> None:
    assert set(PACKAGED) < set(SOURCES)


@pytest.mark.network
@pytest.mark.skipif(
    shutil.which("apt-get") is None, reason="packages come by apt-get, which only Debian and its kin have"
)
def test_the_real_help_of_gnome_is_translated(tmp_path: Path) -> None:
    pairs = load_packaged("gnome-help", cache_dir=tmp_path)
    assert pairs.example_count > 300
    assert {"en", "de", "es", "ko", "ru", "uk"} <= set(pairs.languages)
    assert any(name.startswith("gnome-help/gnome-help/a11y") for name in pairs.example_ids)
