"""Whether bytes are text, and which: UTF-8 or marked UTF-16 to the end, and nothing that a browser would run.

XML may also be in one of the old western encodings, if it says so in its first line (XML 1.0, 4.3.3).
"""

import codecs
import re
from collections.abc import Sequence
from typing import Final

from pydantic_core import from_json

from shared.content.media_types import HTML, JSON, MARKDOWN, PLAIN, SVG, TEXTS, XML
from shared.content.source import Source
from shared.limits import KIB, MIB

SCANNED_CHARACTERS: Final = 64 * KIB
PIECE_BYTES: Final = 1 * MIB
PARSED_BYTES: Final = 128 * KIB  # larger JSON is judged by how it begins and ends: parsing it holds up all else
# C0 without tab, line feed, vertical tab, form feed, carriage return, DOS end of file and escape.
CONTROLS: Final = bytes(set(range(0x20)) - {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1A, 0x1B})
# Searched in lower case: a pattern that begins with one literal is found fifty times as fast as one that ignores case.
MARKUP: Final = re.compile(r"<(?:!doctype\s+(html|svg)|\?(php)|(?:[a-z0-9]+:)?(html|script|iframe|frameset|svg)[\s/>])")
# A fragment of a page; in Markdown and XML such elements may well come first.
FRAGMENT: Final = re.compile(
    r"\s*(?:<!--.*?-->\s*)?<(?:head|body|title|meta|link|base|style|h[1-6]|div|p|a|img|table|form|center|font|br)[\s/>]",
    re.DOTALL,
)
NAMESPACES: Final = {"http://www.w3.org/2000/svg": SVG, "http://www.w3.org/1999/xhtml": HTML}
PROGRAMS: Final = ("#!", "%!ps", "@echo")  # scripts of shells and printers
XML_START: Final = re.compile(r"\s*<(?:\?xml\s|!--|!DOCTYPE\s|[A-Za-z_])")
# Every byte that means something in a tag means the same in these as in UTF-8, so what is scanned is what is read.
ENCODED: Final = re.compile(
    rb"<\?xml\s[^<>]{0,80}?\bencoding\s*=\s*[\"'](us-ascii|iso-8859-1|iso-8859-15|windows-1252)[\"']", re.IGNORECASE
)
ENTITY: Final = re.compile(r"<!ENTITY\s")


class DangerousText(Exception):
    """The text is built to harm its reader; the message says how."""


async def look(source: Source, claims: Sequence[str]) -> str | None:
    """The text's type: a claimed one if the bytes agree, text/html or image/svg+xml whatever is claimed; None: no text.

    Raises DangerousText.
    """
    start = await _beginning(source)
    if start is None:
        return None
    if JSON in claims and await _is_json(source):
        return JSON  # markup inside its strings is harmless
    if active := _active_markup(start.lower()):
        return active
    if not {XML, MARKDOWN}.intersection(claims) and FRAGMENT.match(start.lower()):
        return HTML
    for claim in sorted(TEXTS.intersection(claims), key=lambda claim: (claim == PLAIN, claims.index(claim))):
        return _agreed(claim, start)
    return XML if start.startswith("<?xml ") else PLAIN


def _active_markup(start: str) -> str | None:
    """The type of what a browser would run: by element, or by namespace under whatever prefix."""
    if found := MARKUP.search(start):
        return SVG if "svg" in found.groups() else HTML
    return next((kind for name, kind in NAMESPACES.items() if f'"{name}"' in start or f"'{name}'" in start), None)


def _agreed(claim: str, start: str) -> str:
    """The claim where the text can be that, else plain text; JSON it was not."""
    if claim == JSON:
        return PLAIN
    if claim == XML:
        if ENTITY.search(start):
            raise DangerousText("it declares entities, which can be made to grow without end")
        return XML if XML_START.match(start) else PLAIN
    return claim


async def _beginning(source: Source) -> str | None:
    """Decode all of it piece by piece; its first 64 Ki characters, or None when it is no text."""
    start, decoder = "", None
    for offset in range(0, source.size, PIECE_BYTES):
        piece = await source.read(offset, PIECE_BYTES)
        if decoder is None:
            decoder = codecs.getincrementaldecoder(_encoding(piece))()
        try:
            text = decoder.decode(piece, final=offset + PIECE_BYTES >= source.size)
            plain = text.encode()
        except UnicodeError:
            return None
        if len(plain.translate(None, CONTROLS)) != len(plain):
            return None
        start = start or text[:SCANNED_CHARACTERS]
    return None if start.lower().startswith(PROGRAMS) else start


def _encoding(piece: bytes) -> str:
    if piece.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    said = ENCODED.match(piece)
    return said[1].decode() if said else "utf-8-sig"


async def _is_json(source: Source) -> bool:
    if source.size > PARSED_BYTES:
        first, last = await source.read(0, KIB), await source.read(source.size - KIB, KIB)
        return (first.lstrip()[:1], last.rstrip()[-1:]) in {(b"{", b"}"), (b"[", b"]")}
    try:
        from_json((await source.read(0, source.size)).removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError:
        return False
    return True
