"""Looks inside ZIP archives without unpacking: names, sizes, and one small listing."""

import asyncio
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from shared.content.media_types import DOCX, EXECUTABLE, PPTX, XLSX, ZIP
from shared.content.source import Source
from shared.limits import KIB, MIB

ENTRIES: Final = 10_000
UNPACKED_BYTES: Final = 64 * MIB
RATIO: Final = 100
TAIL_BYTES: Final = 64 * KIB
DIRECTORY_BYTES: Final = ENTRIES * (46 + 255)  # with names of a usual length
LISTING_BYTES: Final = 1 * MIB
END_RECORD: Final = struct.Struct("<4sHHHHIIH")  # APPNOTE 4.3.16
LOCAL_HEADER: Final = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7: up to the lengths of name and extra field
ENCRYPTED_FLAG: Final = 0x1
ODF_TYPE: Final = re.compile(r"application/vnd\.oasis\.opendocument\.[a-z-]{1,40}")
ODF_MANIFEST: Final = "META-INF/manifest.xml"  # ODF 1.3 part 2, 3.2; it says how entries are encrypted, if they are
CONTENT_TYPES: Final = "[Content_Types].xml"  # ECMA-376 part 2, 7.2.3
OOXML_MAIN: Final = {
    b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml": DOCX,
    b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml": XLSX,
    b"application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml": PPTX,
}
MACRO_NAMES: Final = re.compile(
    r"(?:^|/)(?:vbaProject\.bin$|vbaData\.xml$|macrosheets/)|^(?:Basic|Scripts)/.", re.IGNORECASE
)
MAIN_PARTS: Final = 8  # that a listing may name; an honest one names one
ELEMENT_BYTES: Final = 1 * KIB
_MAIN: Final = re.compile(b"|".join(re.escape(kind) for kind in OOXML_MAIN))
_OVERRIDE: Final = re.compile(rb"<(?:\w+:)?Override\b[^<>]*>")
_ATTRIBUTE: Final = re.compile(rb"\b(PartName|ContentType)\s*=\s*[\"']([^\"']*)[\"']")


class Unsafe(Exception):
    """The document holds macros or is built to harm a reader; the message says how."""


class Encrypted(Exception):
    """Nobody can say what is in it without the password."""


async def zip_type(source: Source) -> str:
    """DOCX, XLSX, PPTX, an OpenDocument type, or application/zip for every other archive.

    Raises Unsafe, Encrypted.
    """
    tail = await _directory(source)
    entries = await asyncio.to_thread(_checked, tail, source.size) if tail else None
    if entries is None:
        return ZIP
    names = [entry.filename for entry in entries]
    if entries[0].filename == "mimetype" and entries[0].compress_type == zipfile.ZIP_STORED:
        return await _odf_type(source, entries)
    listings = [entry for entry in entries if entry.filename == CONTENT_TYPES]
    if len(listings) != 1:
        return ZIP
    return await asyncio.to_thread(_ooxml_type, await _content(source, listings[0]), names)


async def _directory(source: Source) -> bytes | None:
    """The end of the archive from where its central directory begins, or earlier; None when it does not end with one.

    The parser obeys the length of the directory and not the count beside it, so what it would find is counted here.
    """
    tail = await source.read(max(0, source.size - TAIL_BYTES), TAIL_BYTES)
    if len(tail) < END_RECORD.size or not tail[-END_RECORD.size :].startswith(b"PK\5\6"):
        return None  # an archive with a comment or with something behind it is no office document
    _, _, _, _, count, length, _, _ = END_RECORD.unpack(tail[-END_RECORD.size :])
    if count > ENTRIES and count != 0xFFFF:
        raise Unsafe(f"it has more than {ENTRIES} entries")
    if length > DIRECTORY_BYTES and length != 0xFFFFFFFF:
        raise Unsafe("its directory is too long")
    needed = length + END_RECORD.size
    if len(tail) < needed <= source.size and length <= DIRECTORY_BYTES:
        tail = await source.read(source.size - needed, needed)
    if tail.count(b"PK\1\2") > ENTRIES:
        raise Unsafe(f"it has more than {ENTRIES} entries")
    return tail


def _checked(tail: bytes, size: int) -> list[zipfile.ZipInfo] | None:
    """The entries in the order of places, all of them harmless; None when the directory is broken or empty.

    Takes up to 100 ms: call it in a thread. Raises Unsafe, Encrypted.
    """
    try:
        with zipfile.ZipFile(_Tail(tail, size)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error, EOFError):
        return None
    if entries:
        _check_sizes(entries)
        _check_places(entries, size)
        _check_names([entry.filename for entry in entries])
    return entries or None


def _check_sizes(entries: Sequence[zipfile.ZipInfo]) -> None:
    if len(entries) > ENTRIES:
        raise Unsafe(f"it has more than {ENTRIES} entries")
    unpacked, packed = (sum(sizes) for sizes in zip(*((e.file_size, e.compress_size) for e in entries), strict=True))
    if unpacked > UNPACKED_BYTES:
        raise Unsafe("it would unpack to more than 64 MiB")
    if unpacked > MIB and unpacked > RATIO * packed:
        raise Unsafe(f"it would grow more than {RATIO}-fold when unpacked")
    if any(entry.flag_bits & ENCRYPTED_FLAG for entry in entries):
        raise Encrypted


def _check_places(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    """No entry may overlap the next (CVE-2024-0450), and nothing may stand before the first."""
    if entries[0].header_offset != 0:
        raise Unsafe("something stands before its first entry")
    ends = [entry.header_offset + 30 + len(entry.orig_filename) + entry.compress_size for entry in entries]
    starts = [entry.header_offset for entry in entries[1:]] + [size - END_RECORD.size]
    if any(end > start for end, start in zip(ends, starts, strict=True)):
        raise Unsafe("its entries overlap")


def _check_names(names: Sequence[str]) -> None:
    if any(MACRO_NAMES.search(name) for name in names):
        raise Unsafe("it holds macros")
    if any(name.lower().rpartition(".")[2] in EXECUTABLE and "." in name for name in names):
        raise Unsafe("it holds a program")
    if any(name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) for name in names):
        raise Unsafe("its entries point outside of it")
    if len(set(names)) != len(names):
        raise Unsafe("two of its entries have the same name")


def _ooxml_type(listing: bytes, names: Sequence[str]) -> str:
    """The type whose main part is both listed and there.

    Takes up to 30 ms: call it in a thread. Raises Unsafe.
    """
    if b"macroenabled" in listing.lower():
        raise Unsafe("it holds macros")
    parts = {name.lower() for name in names}
    found = set()
    for element in _main_elements(listing):
        attributes = dict(_ATTRIBUTE.findall(element))
        part = attributes.get(b"PartName", b"").decode("utf-8", errors="replace").removeprefix("/").lower()
        if part in parts and (kind := OOXML_MAIN.get(attributes.get(b"ContentType", b""))):
            found.add(kind)
    if len(found) > 1:
        raise Unsafe("it is several kinds of document at once")
    return found.pop() if found else ZIP


def _main_elements(listing: bytes) -> Iterator[bytes]:
    """The overrides around the types of main parts: all others that a listing may hold would take too long to read."""
    for count, kind in enumerate(_MAIN.finditer(listing)):
        if count == MAIN_PARTS:
            raise Unsafe(f"it lists more than {MAIN_PARTS} main parts")
        start = listing.rfind(b"<", max(0, kind.start() - ELEMENT_BYTES), kind.start())
        if start >= 0 and (element := _OVERRIDE.match(listing, start, kind.end() + ELEMENT_BYTES)):
            yield element[0]


async def _odf_type(source: Source, entries: Sequence[zipfile.ZipInfo]) -> str:
    """What the `mimetype` entry says, if that is an OpenDocument type and the rest of one is there."""
    said = (await _content(source, entries[0])).decode("ascii", errors="replace").strip()
    parts = {entry.filename: entry for entry in entries}
    if not ODF_TYPE.fullmatch(said) or ODF_MANIFEST not in parts:
        return ZIP
    if b"encryption-data" in await _content(source, parts[ODF_MANIFEST]):
        raise Encrypted
    return said if "content.xml" in parts else ZIP


async def _content(source: Source, entry: zipfile.ZipInfo) -> bytes:
    """At most 1 MiB of one entry; nothing when its own header disagrees with the directory."""
    window = await source.read(entry.header_offset, TAIL_BYTES)
    if len(window) < LOCAL_HEADER.size:
        return b""
    signature, name_length, extra_length = LOCAL_HEADER.unpack_from(window)
    name = window[LOCAL_HEADER.size : LOCAL_HEADER.size + name_length]
    if signature != b"PK\3\4" or name != entry.filename.encode():
        raise Unsafe("its directory contradicts its entries")
    start, length = LOCAL_HEADER.size + name_length + extra_length, min(entry.compress_size, LISTING_BYTES)
    packed = window[start : start + length]
    if len(packed) < length:
        packed = await source.read(entry.header_offset + start, length)
    if entry.compress_type == zipfile.ZIP_STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, LISTING_BYTES)
    except zlib.error:
        return b""


class _Tail(io.RawIOBase):
    """A file of which only the end is at hand; reading anywhere else finds nothing."""

    def __init__(self, tail: bytes, size: int) -> None:
        self._tail, self._start, self._size, self._position = tail, size - len(tail), size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._position = base + offset
        return self._position

    def read(self, length: int = -1) -> bytes:
        start = self._position - self._start
        piece = b"" if start < 0 else self._tail[start : len(self._tail) if length < 0 else start + length]
        self._position += len(piece)
        return piece
