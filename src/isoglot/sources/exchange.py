"""Aligned sentences in the formats of translation tools: TMX, XLIFF 1.2 and 2, gettext's PO and MO.

XML is read unit by unit, so that a memory of gigabytes can pass through; nothing that a file names is fetched, and
entities of its own are refused. What is not translated is left out.
"""

from __future__ import annotations

import io
import re
import struct
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from isoglot.common.errors import InputError
from isoglot.common.extras import library
from isoglot.common.files import Row
from isoglot.common.languages import is_language, language_at, normalize_language
from isoglot.pairs import ParallelPairs
from isoglot.pairs.files import stem_of, suffix_of
from isoglot.sources.catalogues import mo_entries

_UNITS = ("tu", "trans-unit", "segment")  # of TMX, XLIFF 1.2 and XLIFF 2
_MARKUP = frozenset({"bpt", "ept", "ph", "it", "ut", "x", "bx", "ex", "sc", "ec", "cp", "sub"})  # hold no text of it
_UNTRANSLATED = frozenset({"new", "needs-translation", "initial"})  # states whose target is a copy or a guess
_HEADERS = frozenset({"content-type", "language", "plural-forms"})  # what is read of a PO or MO file's header
_PO_STRING = re.compile(rb'[^"]*"(?:[^"\\]|\\.)*"\s*')
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

Unit = tuple[str, dict[str, str]]
"""What is the same in all files that translate one text, and the sentences by the files' language codes."""


def is_exchange(path: Path) -> bool:
    """Whether a file's name says that it is in one of these formats."""
    return suffix_of(path) in _READERS


def load_exchange(files: list[Path], name: str) -> ParallelPairs:
    """Pairs of TMX, XLIFF, PO and MO files; each sentence is its own query and passage.

    A unit is an example. Units of PO and MO files with one source text and context are translations of each other,
    over all files. Units in fewer than two languages are left out, as are fuzzy and untranslated ones and further
    versions in one language. Text of inline markup is left out, the text around it kept.

    Args:
        files: to be read as one data set.
        name: of the data set; ids begin with it.

    Raises:
        InputError: if a file is not of its format, or does not say its languages.
        MissingExtraError: if the libraries that read these formats are not installed.
    """
    numbers = count(1)
    merged: dict[str, dict[str, str]] = {}

    def rows() -> Iterator[Row]:
        for path in files:
            for key, texts in _READERS[suffix_of(path)](path):
                if key:
                    merged.setdefault(key, {}).update({tag: texts[tag] for tag in texts if tag not in merged[key]})
                else:
                    yield from _rows(f"{name}/{next(numbers)}", texts)
        for texts in merged.values():
            yield from _rows(f"{name}/{next(numbers)}", texts)

    return ParallelPairs.from_rows(rows(), dataset=name)


def _rows(key: str, texts: dict[str, str]) -> Iterator[Row]:
    said = {tag: text for tag, text in texts.items() if text.strip()}
    if len(said) > 1:
        yield from ({"id": key, "language": tag, "query": text, "passage": text} for tag, text in said.items())


def _extra(module: str) -> Any:
    return library(module, "formats", "reading TMX, XLIFF, PO and MO files")


def _opened(path: Path) -> BinaryIO:
    return io.BufferedReader(pa.input_stream(path, "detect"))  # by its name


def _xml_units(path: Path) -> Iterator[Unit]:
    etree = _extra("lxml.etree")
    with _opened(path) as file:
        try:
            events = etree.iterparse(
                file, tag=[f"{{*}}{name}" for name in _UNITS], resolve_entities=False, no_network=True, load_dtd=False
            )
            for _, unit in events:
                where = f"{path} line {unit.sourceline}"
                texts: dict[str, str] = {}
                versions = _translations if _name(unit) == "tu" else _source_and_target
                for code, text in versions(unit, where):
                    texts.setdefault(language_at(where, code), text)
                yield "", texts
                _forget(unit)
            if (root := _name(events.root)) not in ("tmx", "xliff"):
                raise InputError(f"{path}: holds <{root}>; a TMX or XLIFF file begins with <tmx> or <xliff>")
        except etree.XMLSyntaxError as error:
            place = f" line {error.lineno}" if error.lineno else ""
            raise InputError(f"{path}{place}: not XML ({error.msg}); export the file again") from None
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: cannot be unpacked ({error}); fetch the file again") from error


def _forget(unit: Any) -> None:
    """Take a unit that was read, and all that stands before it, out of the tree that grows while a file is read."""
    unit.clear()
    for element in (unit, *unit.iterancestors()):
        while element.getprevious() is not None:
            del element.getparent()[0]


def _translations(unit: Any, where: str) -> Iterator[tuple[str, str]]:
    """Language code and text of each version in a TMX unit."""
    for version in unit.iterchildren("{*}tuv"):
        code = version.get(_XML_LANGUAGE) or version.get("lang")
        if not code:
            raise InputError(f"{where}: a <tuv> without xml:lang; it must say its language")
        yield code, _text(version.find("{*}seg"), where)


def _source_and_target(unit: Any, where: str) -> list[tuple[str, str]]:
    """Language code and text of an XLIFF unit's source and target."""
    source, target = unit.find("{*}source"), unit.find("{*}target")
    state = (unit.get("state") or target.get("state") or "") if target is not None else ""
    above = reversed([unit, *unit.iterancestors()])  # the nearest that says something decides
    said = {name: value for element in above for name, value in element.attrib.items()}
    if source is None or target is None or state in _UNTRANSLATED or said.get("translate") == "no":
        return []
    codes = [said.get("source-language") or said.get("srcLang"), said.get("target-language") or said.get("trgLang")]
    if not all(codes):
        raise InputError(f"{where}: the file does not say its two languages; add source-language and target-language")
    return [(str(codes[0]), _text(source, where)), (str(codes[1]), _text(target, where))]


def _text(element: Any, where: str) -> str:
    """The text of an element, that of marked-up parts included and that of the markup itself not."""
    if element is None:
        return ""
    pieces = [element.text or ""]
    for child in element:
        if callable(child.tag):  # a comment or an instruction, which say nothing, or an entity
            if child.text and child.text.startswith("&"):
                wrong = f"{child.text} is an entity of the file's own, which is not read"
                raise InputError(f"{where}: {wrong}; write it out")
        elif _name(child) not in _MARKUP:
            pieces.append(_text(child, where))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _gettext_units(path: Path) -> Iterator[Unit]:
    """Messages of a PO or MO file and their translations; the source text of gettext is English."""
    pofile, catalog = _extra("babel.messages.pofile"), _catalog()
    try:
        with _opened(path) as file:
            content = file.read().removeprefix(BOM_UTF8)
        if suffix_of(path) == ".mo":
            _read_mo(content, catalog)
        else:
            _refuse_open_quotes(content, path)
            pofile.PoFileParser(catalog, abort_invalid=True).parse(BytesIO(content))
    except pofile.PoFileError as error:
        reason = " ".join(error.args[0].split())  # it may quote a message of several lines
        raise InputError(f"{path} line {error.lineno + 1}: not PO ({reason}); correct the line") from None
    except InputError:
        raise
    except (ValueError, LookupError, OSError, EOFError, struct.error) as error:
        raise InputError(f"{path}: not readable ({error}); save it again, with its charset in the header") from None
    folder = path.parent.parent.name if path.parent.name == "LC_MESSAGES" else ""
    codes = (catalog.locale_identifier or "", folder, *reversed(stem_of(path).split(".")))
    language = next((normalize_language(code) for code in codes if code and is_language(code)), None)
    if language is None:
        raise InputError(f"{path}: does not say its language; add Language to the header, or name the file like de.po")
    for message in catalog:
        for source, target in _versions(message):
            yield f"{message.context or ''}\x04{source}", {"en": source, language: target}


def _catalog() -> Any:
    """An empty catalogue of babel's, which passes over headers that are not needed, and those that it cannot read."""
    base = _extra("babel.messages.catalog").Catalog

    def read(catalog: Any, headers: Iterable[tuple[str, str]]) -> None:
        for name, value in headers:
            if name.lower() in _HEADERS:
                with suppress(ValueError):  # as of the "nplurals=INTEGER" that a template has
                    base.mime_headers.fset(catalog, [(name, value)])

    return type("Catalog", (base,), {"mime_headers": property(base.mime_headers.fget, read)})()


def _read_mo(content: bytes, catalog: Any) -> None:
    """Put the messages of a MO file into a catalogue; babel's own reader makes a catalogue itself."""
    for entry in mo_entries(content):
        source, said = (text.decode(catalog.charset) for text in entry)  # as the first entry, the header, says
        context, _, text = source.rpartition("\x04")
        both = [tuple(side.split("\0")) if "\0" in text else side for side in (text, said)]
        catalog.add(*both, context=context or None)


def _refuse_open_quotes(content: bytes, path: Path) -> None:
    """Babel would take the last character of a string for its closing quote."""
    for number, line in enumerate(content.splitlines(), start=1):
        if line.count(b'"') and not line.lstrip().startswith(b"#") and not _PO_STRING.fullmatch(line):
            wrong = "a quote is left open, or stands within a string without a \\ before"
            raise InputError(f"{path} line {number}: {wrong}")


def _versions(message: Any) -> Iterator[tuple[str, str]]:
    """Source and translation of a message, in the singular and the plural where it has both."""
    if not message.id or message.fuzzy:
        return
    if isinstance(message.id, str):
        yield message.id, message.string or ""
        return
    strings = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
    if len(strings) > 1:  # else the language has one form, which says the plural
        yield message.id[0], strings[0] or ""
    yield message.id[1], strings[-1] or ""


_READERS: dict[str, Callable[[Path], Iterator[Unit]]] = {
    ".tmx": _xml_units,
    ".xlf": _xml_units,
    ".xliff": _xml_units,
    ".po": _gettext_units,
    ".mo": _gettext_units,
}
