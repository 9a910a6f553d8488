"""Whether bytes that begin like a picture hold together: a signature alone is too little to be believed."""

import struct
from typing import Final

from shared.content.source import Source
from shared.limits import PICTURE_POINTS

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
PNG_SIZE: Final = struct.Struct(">16xII9x")  # its first chunk is IHDR, all of it (PNG 11.2.1)
GIF_SIZE: Final = struct.Struct("<6xHH3x")
# ISO/IEC 23008-12, annex B; what may follow `ftyp` at the top level of a file
HEIC_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
HEIF_BRANDS: Final = dict.fromkeys(HEIC_BRANDS, "image/heic") | dict.fromkeys((b"mif1", b"msf1"), "image/heif")
BOXES: Final = frozenset({b"meta", b"mdat", b"moov", b"free", b"skip", b"wide", b"uuid", b"pdin", b"idat"})


class TooManyPoints(Exception):
    """A few bytes that would fill a reader's memory; the message says so."""


def told(head: bytes) -> bool:
    """Whether a PNG, GIF or WebP says how large it is, and a JPEG begins; raises TooManyPoints.

    A JPEG says it far behind, and at most 65,535 a side.
    """
    try:
        width, height = _size(head)
    except struct.error:  # cut off
        return False
    _check_points(width * height)
    return width * height > 0 or not head.startswith(PNG_SIGNATURE)


def _check_points(points: int) -> None:
    if points > PICTURE_POINTS:
        raise TooManyPoints(f"it would unpack to more than {PICTURE_POINTS:,} points")


def _size(head: bytes) -> tuple[int, int]:
    if head.startswith(PNG_SIGNATURE):
        width, height = PNG_SIZE.unpack_from(head)
        return width, height
    if head.startswith(b"GIF8"):
        width, height = GIF_SIZE.unpack_from(head)
        return width, height
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    return 0, 0


def heif_type(head: bytes, size: int) -> str | None:
    """image/heic or image/heif by the main brand, if another box follows the one that names it."""
    length = int.from_bytes(head[:4], "big")
    if head[4:8] != b"ftyp" or not 16 <= length <= size - 8 or head[length + 4 : length + 8] not in BOXES:
        return None
    return HEIF_BRANDS.get(head[8:12])


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
    width, height, planes, depth = struct.unpack_from("<HHHH" if length == 12 else "<iiHH", head, 18)
    if length not in BMP_HEADERS or not 14 + length <= points < size or planes != 1 or depth not in BMP_DEPTHS:
        return False
    _check_points(abs(width * height))
    return True


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
