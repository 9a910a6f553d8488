"""Whether bytes that begin like a BMP, TIFF or ICO hold together: their signatures are too short to be believed."""

import struct
from typing import Final

from shared.content.source import Source

BMP, TIFF, ICO = "image/bmp", "image/tiff", "image/vnd.microsoft.icon"
TYPES: Final = frozenset({BMP, TIFF, ICO})
BMP_HEADER: Final = struct.Struct("<2s8xII")  # signature; where the points begin; length of the header that follows
BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
BMP_DEPTHS: Final = frozenset({1, 2, 4, 8, 16, 24, 32})
TIFF_ENTRY_BYTES: Final = 12  # TIFF 6.0, section 2
TIFF_ENTRIES: Final = 512
TIFF_NEEDED: Final = {256, 257}  # width, length
ICO_ENTRY: Final = struct.Struct("<8xII")  # length and place of an image
ICO_ENTRIES: Final = 255
PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
DIB_HEADER: Final = struct.pack("<I", 40)


async def plausible(source: Source, head: bytes) -> bool:
    """Whether it is worth asking libmagic which of TYPES this is. Short reads of the source, for TIFF and ICO only."""
    try:
        if head.startswith(b"BM"):
            return _is_bmp(head, source.size)
        if head.startswith((b"II*\0", b"MM\0*")):
            return await _is_tiff(source, head)
        return head.startswith(b"\0\0\1\0") and await _is_ico(source, head)
    except struct.error:  # cut off
        return False


def _is_bmp(head: bytes, size: int) -> bool:
    _, points, length = BMP_HEADER.unpack_from(head)
    planes, depth = struct.unpack_from("<HH", head, 22 if length == 12 else 26)
    return length in BMP_HEADERS and 14 + length <= points < size and planes == 1 and depth in BMP_DEPTHS


async def _is_tiff(source: Source, head: bytes) -> bool:
    """Its first directory is there, in ascending order as it must be, and tells of a picture."""
    order = "<" if head.startswith(b"II") else ">"
    (place,) = struct.unpack_from(f"{order}I", head, 4)
    directory = await source.read(place, 2 + TIFF_ENTRIES * TIFF_ENTRY_BYTES)
    (count,) = struct.unpack_from(f"{order}H", directory)
    if not place >= 8 or not 0 < count <= TIFF_ENTRIES:
        return False
    tags = [struct.unpack_from(f"{order}H10x", directory, 2 + n * TIFF_ENTRY_BYTES)[0] for n in range(count)]
    return tags == sorted(tags) and set(tags) >= TIFF_NEEDED


async def _is_ico(source: Source, head: bytes) -> bool:
    """Every image lies in the file, behind the directory, and the first is a PNG or a bitmap."""
    (count,) = struct.unpack_from("<H", head, 4)
    if not 0 < count <= ICO_ENTRIES:
        return False
    directory = 6 + count * 16
    images = [ICO_ENTRY.unpack_from(head, 6 + n * 16) for n in range(count)]
    if any(place < directory or not length or place + length > source.size for length, place in images):
        return False
    return (await source.read(images[0][1], 8)).startswith((PNG_SIGNATURE, DIB_HEADER))
