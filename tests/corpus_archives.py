"""Builds archives in the forms that programs write them, and archives that lie about themselves."""

import io
import random
import struct
import zipfile

from shared.limits import KIB, MIB, OOXML
from tests.corpus import archive, listing, ooxml

LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
# Offsets: APPNOTE 4.3.7, 4.3.12, 4.3.16
LOCAL_CRC, CENTRAL_SIZE, END_LENGTH, END_OFFSET = 14, 24, 12, 16


class _Pipe(io.BytesIO):
    """Takes bytes and can't go back, so that sizes follow the data instead of preceding it."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise OSError("a pipe")

    def tell(self) -> int:
        raise OSError("a pipe")


def _entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def streamed(kind: str) -> bytes:
    """An OOXML document written to a pipe: general purpose bit 3, data descriptors."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in _entries(ooxml(kind)).items():
            packed.writestr(name, content)
    return pipe.getvalue()


def with_zip64(kind: str) -> bytes:
    """An OOXML document whose local headers have the extra field of ZIP64, as streaming writers put it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in _entries(ooxml(kind)).items():
            with packed.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    return buffer.getvalue()


def listing_last(kind: str) -> bytes:
    """An OOXML document whose listing is its last entry."""
    return archive(dict(reversed(_entries(ooxml(kind)).items())))


def prefixed(kind: str) -> bytes:
    """An OOXML document whose listing uses a namespace prefix and single quotes."""
    entries = _entries(ooxml(kind))
    named = entries["[Content_Types].xml"].replace(b"<Override", b"<ct:Override").replace(b'"', b"'")
    return archive(entries | {"[Content_Types].xml": named})


def lying_size(size: int) -> bytes:
    """A docx whose directory says that its last entry unpacks to so many bytes."""
    content = bytearray(ooxml("docx"))
    struct.pack_into("<I", content, content.rindex(CENTRAL) + CENTRAL_SIZE, size)
    return bytes(content)


def lying_zip64(size: int) -> bytes:
    """The same in the extra field of ZIP64, which may say more than 4 GiB."""
    content = lying_size(0xFFFFFFFF)
    place, end = content.rindex(CENTRAL), content.rindex(END)
    extra = struct.pack("<HHQ", 1, 8, size)
    entry = content[place : place + 30] + struct.pack("<H", len(extra)) + content[place + 32 : end] + extra
    (length,) = struct.unpack_from("<I", content, end + END_LENGTH)
    changed = bytearray(content[:place] + entry + content[end:])
    struct.pack_into("<I", changed, end + len(extra) + END_LENGTH, length + len(extra))
    return bytes(changed)


def two_directories() -> bytes:
    """A docx with a second directory before its own, to which its end record points: readers see one or the other."""
    plain = ooxml("docx")
    directory, end = plain.index(CENTRAL), plain.rindex(END)
    content = bytearray(plain[:end] + plain[directory:])
    struct.pack_into("<I", content, len(content) - 22 + END_OFFSET, directory)
    return bytes(content)


def stuffed(filling: str) -> bytes:
    """A docx of a few KiB whose listing is nearly as long as it may be: this, again and again, before the main part."""
    honest = listing(("word/document.xml", f"{OOXML}.wordprocessingml.document.main+xml"))
    types = honest.replace("<Default", filling * ((MIB - 2 * KIB) // len(filling)) + "<Default")
    return archive(
        {"[Content_Types].xml": types, "word/document.xml": "<x/>", "word/a.png": random.Random(1).randbytes(16 * KIB)}
    )


def wrong_checksum() -> bytes:
    """A docx in which no checksum of an entry is right."""
    content = bytearray(ooxml("docx"))
    for signature, at in ((LOCAL, LOCAL_CRC), (CENTRAL, LOCAL_CRC + 2)):
        place = content.find(signature)
        while place >= 0:
            content[place + at] ^= 0xFF
            place = content.find(signature, place + 4)
    return bytes(content)


def listed(*overrides: tuple[str, str]) -> bytes:
    """An archive of a listing with these overrides and of the parts that it names."""
    return archive({"[Content_Types].xml": listing(*overrides)} | {part: "<x/>" for part, _ in overrides})
