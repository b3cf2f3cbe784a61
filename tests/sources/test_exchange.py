"""The formats of translation tools, made with their own libraries, and what is wrong with them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoglot.common.errors import InputError
from isoglot.sources import load_pairs

etree = pytest.importorskip("lxml.etree", reason="TMX and XLIFF need lxml")
babel = pytest.importorskip("babel.messages", reason="PO and MO need babel")

TMX = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4"><header srclang="en" datatype="plaintext"/><body>
<tu tuid="a"><prop type="x">p</prop><tuv xml:lang="en-US"><seg>Press <bpt i="1">&lt;b&gt;</bpt>Save<ept i="1"/>
 &amp; go</seg></tuv><tuv xml:lang="DE"><seg>Taste <hi>Sichern</hi><!-- no text --></seg></tuv>
<tuv xml:lang="de"><seg>anders</seg></tuv></tu>
<tu><tuv lang="en-US"><seg>alone</seg></tuv><tuv lang="de"><seg> </seg></tuv></tu>
</body></tmx>"""

XLIFF_1 = """<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file source-language="en" target-language="fr" original="a" datatype="x"><body><group>
<trans-unit id="1"><source>Hello <g id="1">world</g><x id="2"/></source><target state="final">Bonjour</target>
<alt-trans><target>Salut</target></alt-trans></trans-unit>
<trans-unit id="2"><source>no</source></trans-unit>
<trans-unit id="3"><source>copy</source><target state="new">copy</target></trans-unit></group></body></file>
<file source-language="en" target-language="es" original="b" datatype="x"><body>
<trans-unit id="1"><source>Hello</source><target>Hola</target></trans-unit></body></file></xliff>"""

XLIFF_2 = """<xliff version="2.0" srcLang="en" trgLang="ja" xmlns="urn:oasis:names:tc:xliff:document:2.0"><file id="f">
<unit id="1"><segment state="translated"><source>One <pc id="1">two</pc></source><target>一二</target></segment>
<ignorable><source> </source></ignorable><segment><source>Three</source><target>三</target></segment></unit>
<unit id="2"><segment state="initial"><source>Four</source><target>Four</target></segment></unit></file></xliff>"""

PO = r"""
msgid ""
msgstr "Language: de\nContent-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"

msgid "Open \"file\"\n"
msgstr "„Datei“ öffnen\n"

msgctxt "menu"
msgid "Open"
msgstr "Öffnen"

#, fuzzy
msgid "guess"
msgstr "geraten"

msgid "untranslated"
msgstr ""

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

#~ msgid "old"
#~ msgstr "alt"
"""


def texts(path: Path) -> list[dict[str, str]]:
    """Language to sentence of each example."""
    found: dict[str, dict[str, str]] = {}
    for row in load_pairs(path).rows():
        assert row["query"] == row["passage"]
        found.setdefault(row["id"], {})[row["language"]] = row["query"]
    return list(found.values())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tmx_is_read_in_any_encoding_without_its_markup(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "memory.tmx"
    path.write_text(TMX.replace("UTF-8", encoding.upper().removesuffix("-SIG")), encoding=encoding)
    assert texts(path) == [{"en-US": "Press Save\n & go", "de": "Taste Sichern"}]
    (tmp_path / "memory.tmx.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert texts(tmp_path / "memory.tmx.gz") == texts(path)


def test_xliff_gives_what_is_translated(tmp_path: Path) -> None:
    (tmp_path / "one.xlf").write_text(XLIFF_1, encoding="utf-8")
    assert texts(tmp_path / "one.xlf") == [{"en": "Hello world", "fr": "Bonjour"}, {"en": "Hello", "es": "Hola"}]
    (tmp_path / "two.xliff").write_text(XLIFF_2, encoding="utf-8")
    assert texts(tmp_path / "two.xliff") == [{"en": "One two", "ja": "一二"}, {"en": "Three", "ja": "三"}]


def test_xliff_leaves_out_what_is_not_to_be_translated(tmp_path: Path) -> None:
    unit, file = '<unit id="1"', '<file id="f"'
    (tmp_path / "unit.xliff").write_text(XLIFF_2.replace(unit, f'{unit} translate="no"'), encoding="utf-8")
    with pytest.raises(InputError, match="holds no pairs"):
        load_pairs(tmp_path / "unit.xliff")
    nearer = XLIFF_2.replace(file, f'{file} translate="no"').replace(unit, f'{unit} translate="yes"')
    (tmp_path / "nearer.xliff").write_text(nearer, encoding="utf-8")
    assert len(texts(tmp_path / "nearer.xliff")) == 2
    group = XLIFF_1.replace("<group>", '<group translate="no">')
    (tmp_path / "group.xlf").write_text(group, encoding="utf-8")
    assert texts(tmp_path / "group.xlf") == [{"en": "Hello", "es": "Hola"}]


def test_po_gives_contexts_and_plurals_and_no_guesses(tmp_path: Path) -> None:
    (tmp_path / "app.po").write_text(PO, encoding="utf-8-sig")
    assert texts(tmp_path / "app.po") == [
        {"en": 'Open "file"\n', "de": "„Datei“ öffnen\n"},
        {"en": "Open", "de": "Öffnen"},
        {"en": "%d file", "de": "%d Datei"},
        {"en": "%d files", "de": "%d Dateien"},
    ]


def test_po_and_mo_files_of_a_folder_are_translations_of_each_other(tmp_path: Path) -> None:
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import write_po

    for language, word in {"de": "Öffnen", "ja": "開く"}.items():
        catalog = Catalog(locale=language)
        catalog.add("Open", word)
        folder = tmp_path / "locale" / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        with (folder / f"app.{'po' if language == 'de' else 'mo'}").open("wb") as file:
            write_po(file, catalog) if language == "de" else write_mo(file, catalog)
    assert texts(tmp_path / "locale") == [{"en": "Open", "de": "Öffnen", "ja": "開く"}]
    path = tmp_path / "pt_BR.po"
    path.write_text('msgid "Open"\nmsgstr "Abrir"\n')
    assert texts(path) == [{"en": "Open", "pt-BR": "Abrir"}]


@pytest.mark.parametrize(
    "line",
    [
        "Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;",
        "PO-Revision-Date: 2020-01-01",
        "PO-Revision-Date: ",
        "POT-Creation-Date: 2020-01-01 10:20:30+0100",
        "POT-Creation-Date: 2020-01-01 10:20+9999",
        "Language: xx_invalid_zz",
        "Language: ",
    ],
)
def test_headers_that_are_not_needed_may_say_anything(tmp_path: Path, line: str) -> None:
    header = {"": f"{line}\nContent-Type: text/plain; charset=UTF-8\n"}
    messages = {**header, "Open": "Öffnen", "menu\x04Open": "Auf", "%d file\0%d files": "%d Datei\0%d Dateien"}
    (tmp_path / "de.mo").write_bytes(mo(messages))
    escaped = header[""].replace("\n", "\\n")
    po = (
        f'msgid ""\nmsgstr "{escaped}"\n\nmsgid "Open"\nmsgstr "Öffnen"\n\nmsgctxt "menu"\nmsgid "Open"\nmsgstr "Auf"\n'
    )
    po += '\nmsgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d Datei"\nmsgstr[1] "%d Dateien"\n'
    (tmp_path / "de.po").write_text(po, encoding="utf-8")
    for name in ("de.po", "de.mo"):
        assert texts(tmp_path / name) == [
            {"en": "Open", "de": "Öffnen"},
            {"en": "Open", "de": "Auf"},
            {"en": "%d file", "de": "%d Datei"},
            {"en": "%d files", "de": "%d Dateien"},
        ]


def mo(messages: dict[str, str]) -> bytes:
    """A MO file of the other byte order than most are in."""
    sides = [[text.encode() for text in side] for side in (messages, messages.values())]
    tables, data, start = b"", b"", 28 + 16 * len(messages)
    for text in (*sides[0], *sides[1]):
        tables += struct.pack(">2I", len(text), start + len(data))
        data += text + b"\0"
    return struct.pack(">7I", 0x950412DE, 0, len(messages), 28, 28 + 8 * len(messages), 0, 0) + tables + data


# What XML can hold, parsers give back but for the line ends, which they make line feeds.
sentence = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\"'<>&\u2028\u202e"),
    min_size=1,
    max_size=20,
).filter(lambda text: bool(text.strip("\u200b\ufeff \t\n\u2028\u202e")) and any(sign.isalnum() for sign in text))


@given(st.lists(st.tuples(sentence, sentence), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_of_a_text_is_lost(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    root = etree.Element("tmx", version="1.4")
    body = etree.SubElement(root, "body")
    for both in pairs:
        unit = etree.SubElement(body, "tu")
        for language, text in zip(("en", "ar"), both, strict=True):
            version = etree.SubElement(unit, "tuv", {"{http://www.w3.org/XML/1998/namespace}lang": language})
            etree.SubElement(version, "seg").text = text
    etree.ElementTree(root).write(str(tmp_path / "nasty.tmx"), encoding="utf-8", xml_declaration=True)
    assert texts(tmp_path / "nasty.tmx") == [{"en": english, "ar": arabic} for english, arabic in pairs]


def test_nothing_outside_a_file_is_read_and_entities_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    outside = f'<!DOCTYPE tmx [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    laughs = '<!DOCTYPE tmx [<!ENTITY a "ha"><!ENTITY e "&a;&a;&a;">]>'
    for head in (outside, laughs):
        (tmp_path / "bad.tmx").write_text(
            f'{head}<tmx><body>\n<tu><tuv xml:lang="en"><seg>&e;</seg></tuv></tu></body></tmx>'
        )
        with pytest.raises(InputError, match=r"bad\.tmx line 2: &e; is an entity of the file's own, which is not read"):
            load_pairs(tmp_path / "bad.tmx")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tmx", "<tmx>\n<body><tu>", r"a\.tmx line 2: not XML \(.*\); export the file again"),
        ("a.tmx", "", r"a\.tmx.*: not XML"),
        ("a.tmx", "<html></html>", "holds <html>; a TMX or XLIFF file begins with <tmx> or <xliff>"),
        ("a.tmx", "<tmx><body><tu><tuv><seg>x</seg></tuv></tu></body></tmx>", "line 1: a <tuv> without xml:lang"),
        ("a.tmx", '<tmx><tu><tuv lang="zz"><seg>x</seg></tuv></tu></tmx>', 'line 1: unknown language "zz"'),
        ("a.xlf", XLIFF_1.replace('target-language="fr"', ""), "line 3: the file does not say its two languages"),
        ("de.po", 'msgid "x"\nmsgstr "y\n', r"de\.po line 2: a quote is left open"),
        ("de.po", 'msgid "x"\nmsgstr "y" z"\n', r"de\.po line 2: a quote is left open, or stands within"),
        ("de.po", 'msgid "x"\nnonsense\nmsgstr "y"\n', r"de\.po line 2: not PO \(Unknown or misformatted keyword"),
        ("de.po", 'msgid "x\\ny"\n', r"de\.po line 1: not PO \(missing msgstr for msgid 'x y'"),
        ("b.a.po", 'msgid "x"\nmsgstr "y"\n', "does not say its language; add Language to the header"),
        ("de.po", 'msgid "x"\nmsgid_plural "y"\nmsgstr[a] "z"\n', r"de\.po: not readable \(invalid literal"),
        ("de.po", 'msgid ""\nmsgid_plural "y"\nmsgstr[0] "z"\n', r"de\.po: holds no pairs"),
        ("a.mo", "no", r"a\.mo: not readable \(does not begin as MO files do\)"),
        ("a.mo", mo({"a": "b"})[:-4], r"a\.mo: not readable \(cut short\)"),
        ("a.mo", mo({"a": "b"})[:12], r"a\.mo: not readable"),
        ("a.tmx.gz", "no", r"a\.tmx\.gz: cannot be unpacked"),
        ("a.tmx", "<tmx></tmx>", "holds no pairs"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        load_pairs(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_memory_of_any_size_passes_through(tmp_path: Path) -> None:
    """What was read is let go: memory does not grow with the file."""
    import tracemalloc

    from isoglot.sources.exchange import _xml_units

    unit = '<tu><tuv xml:lang="en"><seg>{0} of</seg></tuv><tuv xml:lang="de"><seg>{0} von</seg></tuv></tu>'
    (tmp_path / "big.tmx").write_text(f"<tmx><body>{''.join(unit.format(n) for n in range(20_000))}</body></tmx>")
    tracemalloc.start()
    assert sum(1 for _ in _xml_units(tmp_path / "big.tmx")) == 20_000
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()
