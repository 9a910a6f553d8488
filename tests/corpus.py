"""Builds files of every kind, honest and hostile, small and whole; nothing is read from disk."""

import io
import struct
import zipfile
from collections.abc import Mapping

from fpdf import FPDF
from PIL import Image

from shared.limits import KIB, OOXML

OOXML_PARTS = {
    "docx": ("word/document.xml", "wordprocessingml.document"),
    "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet"),
    "pptx": ("ppt/presentation.xml", "presentationml.presentation"),
}
SECTOR = 512
FREE, END_OF_CHAIN, FAT_SECTOR = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def pdf(size: int = 0) -> bytes:
    """A document of one page; at least so many bytes."""
    document = FPDF()
    document.set_compression(False)
    document.add_page()
    document.set_font("helvetica", size=12)
    document.multi_cell(0, text="Curriculum vitae\n" + "Line of a long life. " * (size // 20))
    return bytes(document.output())


def image(kind: str) -> bytes:
    """PNG, JPEG, GIF, WEBP, BMP, TIFF or ICO of 16 by 16 points."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 30)).save(buffer, kind)
    return buffer.getvalue()


def icon(image: bytes, place: int = 22, length: int | None = None) -> bytes:
    """An ICO of one image, said to lie there and to have so many bytes."""
    entry = struct.pack("<4B2H2I", 16, 16, 0, 0, 1, 32, len(image) if length is None else length, place)
    return struct.pack("<3H", 0, 1, 1) + entry + image


def svg(*inside: str, before: str = '<?xml version="1.0"?>') -> bytes:
    """An SVG document."""
    return f'{before}<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">{"".join(inside)}</svg>'.encode()


def isobmff(brand: bytes, *compatible: bytes) -> bytes:
    """The first boxes of HEIC, HEIF, AVIF or MP4."""
    ftyp = brand + bytes(4) + b"".join(compatible)
    return struct.pack(">I4s", 8 + len(ftyp), b"ftyp") + ftyp + struct.pack(">I4s", 16, b"mdat") + bytes(8)


def archive(entries: Mapping[str, bytes | str], stored: bool = False, comment: bytes = b"") -> bytes:
    """A ZIP of these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
        packed.comment = comment
    return buffer.getvalue()


def listing(*overrides: tuple[str, str]) -> str:
    """`[Content_Types].xml` with (part, content type) overrides."""
    parts = "".join(f'<Override PartName="/{part}" ContentType="{kind}"/>' for part, kind in overrides)
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Default Extension="xml" ContentType="application/xml"/>{parts}</Types>'
    )


def ooxml(
    kind: str, extra: Mapping[str, bytes | str] | None = None, comment: bytes = b"", stored: bool = False
) -> bytes:
    """A docx, xlsx or pptx, with more entries if wanted."""
    part, name = OOXML_PARTS[kind]
    types = listing((part, f"{OOXML}.{name}.main+xml"))
    entries = {"[Content_Types].xml": types, "_rels/.rels": "<R/>", part: "<x/>"} | dict(extra or {})
    return archive(entries, stored, comment)


def odf(kind: str = "text", extra: Mapping[str, bytes | str] | None = None) -> bytes:
    """An OpenDocument file, its `mimetype` first and stored."""
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    entries = {"mimetype": media_type, "content.xml": "<x/>", "META-INF/manifest.xml": "<x/>"} | dict(extra or {})
    return archive(entries, stored=True)


def ole(*streams: str) -> bytes:
    """A compound file (MS-CFB) with one FAT sector and an empty stream of each name under its root."""
    names = ["Root Entry", *streams]
    directory = b"".join(_directory_entry(n, name, len(names)) for n, name in enumerate(names))
    directory += bytes(-len(directory) % SECTOR)
    count = len(directory) // SECTOR
    chain = [FAT_SECTOR, *range(2, count + 1), END_OF_CHAIN]
    fat = struct.pack("<128I", *chain, *[FREE] * (128 - len(chain)))
    header = struct.pack(
        "<8s16x5H6x9I", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6,
        0, 1, 1, 0, 4096, END_OF_CHAIN, 0, END_OF_CHAIN, 0,
    )  # fmt: skip
    return header + struct.pack("<109I", 0, *[FREE] * 108) + fat + directory


def _directory_entry(number: int, name: str, count: int) -> bytes:
    """Streams hang on each other's right side, the first one under the root."""
    encoded = name.encode("utf-16-le") + b"\0\0"
    right = number + 1 if 0 < number < count - 1 else FREE
    child = 1 if number == 0 and count > 1 else FREE
    kind = 5 if number == 0 else 2
    return encoded.ljust(64, b"\0") + struct.pack(
        "<HBB3I16x4x8x8xIQ", len(encoded), kind, 1, FREE, right, child, END_OF_CHAIN, 0
    )


def bomb(megabytes: int) -> bytes:
    """A docx that unpacks to so many MiB of zeros."""
    return ooxml("docx", {"word/media/zeros.xml": bytes(megabytes * 1024 * 1024)})


def overlapping() -> bytes:
    """A docx of which two directory entries share the bytes of one (CVE-2024-0450)."""
    plain = ooxml("docx", {"word/a.xml": "a" * 50, "word/b.xml": "b" * 50})
    with zipfile.ZipFile(io.BytesIO(plain)) as packed:
        first, second = packed.getinfo("word/a.xml").header_offset, packed.getinfo("word/b.xml").header_offset
    directory = plain.index(b"PK\1\2")
    place = plain.index(struct.pack("<I", second) + b"word/b.xml", directory)
    return plain[:place] + struct.pack("<I", first) + plain[place + 4 :]


def contradictory() -> bytes:
    """A docx whose first local header bears another name than the directory says."""
    return ooxml("docx").replace(b"[Content_Types].xml", b"[Content_Types].exe", 1)


def twice() -> bytes:
    """A docx with two main parts of the same name."""
    return ooxml("docx", {"word/documenu.xml": "<y/>"}).replace(b"word/documenu.xml", b"word/document.xml")


def encrypted_archive() -> bytes:
    """A docx whose entries are all marked as encrypted."""
    content = bytearray(ooxml("docx"))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(signature, place + 4)
    return bytes(content)


def program() -> bytes:
    """The head of a Windows program."""
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0\x64\x86" + bytes(200)


def patched(content: bytes, *changes: tuple[int, int]) -> bytes:
    """The same with 32-bit numbers put at offsets."""
    changed = bytearray(content)
    for offset, number in changes:
        struct.pack_into("<I", changed, offset, number)
    return bytes(changed)


def endless_difat() -> bytes:
    """A compound file of 3 KB whose DIFAT sector names itself as the next, millions of times."""
    plain = ole("WordDocument")
    plain += bytes(3 * KIB - len(plain))
    count = 33_000_000
    return patched(plain, (44, 109 + 127 * count), (68, 2), (72, count), (3 * SECTOR + 508, 2))


def endless_directory(sectors: int) -> bytes:
    """A compound file of so many sectors whose directory goes round in one of them."""
    plain = patched(ole("WordDocument"), (44, 9), *((76 + 4 * n, 0) for n in range(9)), (SECTOR + 4, 1))
    return plain + bytes(SECTOR * sectors - len(plain))


def commented(comment: bytes, entries: int = 1) -> bytes:
    """A docx with entries of which each bears a comment in the directory."""
    written = io.BytesIO(ooxml("docx"))
    with zipfile.ZipFile(written, "a") as whole:
        for number in range(entries):
            entry = zipfile.ZipInfo(f"word/{number}.xml")
            entry.comment = comment
            whole.writestr(entry, b"")
    return written.getvalue()
