"""Builds pictures in the forms that cameras, scanners and drawing programs write them, and pictures that lie."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from PIL import Image

from tests.corpus import patched


def encoded(kind: str, mode: str = "RGB", side: int = 16, **options: Any) -> bytes:
    """A square picture of one colour, written by Pillow with these options."""
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind: str, frames: int = 3) -> bytes:
    """An APNG, GIF or WebP that moves, or a TIFF of several pages."""
    buffer = io.BytesIO()
    pictures = [Image.new("RGB", (16, 16), (80 * n, 0, 0)) for n in range(frames)]
    pictures[0].save(buffer, kind, save_all=True, append_images=pictures[1:])
    return buffer.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header tells of so many points, all checksums right, and one row of them."""
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(49))) + _chunk(b"IEND")


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def gif_of(width: int, height: int) -> bytes:
    """A GIF whose logical screen is so large."""
    return b"GIF89a" + struct.pack("<2H", width, height) + encoded("GIF")[10:]


def webp_of(width: int, height: int) -> bytes:
    """An extended WebP whose canvas is so large."""
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBP" + b"VP8X" + struct.pack("<II", 10, 0x10) + canvas + encoded("WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp_of(width: int, height: int) -> bytes:
    """A BMP that tells of so many points; a height below zero means that the first row comes first."""
    return patched(encoded("BMP"), (18, width & 0xFFFFFFFF), (22, height & 0xFFFFFFFF))


def boxes(*parts: tuple[bytes, bytes]) -> bytes:
    """Boxes of the ISO base media file format, of (type, content)."""
    return b"".join(struct.pack(">I", 8 + len(content)) + kind + content for kind, content in parts)


def heif(brand: bytes, compatible: Iterable[bytes] = (), meta_first: bool = True) -> bytes:
    """A still picture of HEIF: `ftyp`, `meta` and `mdat` as telephones write them, or with the data first."""
    meta = (b"meta", bytes(4) + boxes((b"hdlr", bytes(8) + b"pict" + bytes(13))))
    rest = [meta, (b"mdat", bytes(64))]
    return boxes((b"ftyp", brand + bytes(4) + b"".join(compatible)), *(rest if meta_first else rest[::-1]))
