"""File names: what a client calls a file becomes a name that no file system, header or reader can be fooled by."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

from shared.limits import FILENAME_BYTES

SEPARATORS: Final = re.compile(r"[/\\]")
RESERVED_CHARACTERS: Final = re.compile(r'[:*?"<>|]')
# Names that Windows gives to devices, with whatever extension.
RESERVED_NAMES: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\.|\s|$)", re.IGNORECASE
)
EXTENSION_BYTES: Final = 16  # an extension is kept when a name is shortened; what is longer is no extension
# RFC 8187 attr-char, beyond the letters, digits and "_.-~" that quote() keeps anyway.
ATTRIBUTE_CHARACTERS: Final = "!#$&+^`|"
# What is in quotes, and what compatible forms of letters (a full-width "/" or ":") become in ASCII.
TOKEN_FALLBACK: Final = re.compile(r'[^ -~]|["\\%/:*?<>|]')
# Letters and symbols that show nothing, and a joiner that Unicode counts among the accents.
BLANK: Final[dict[int, str | None]] = dict.fromkeys((0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0), " ") | {0x034F: None}


def safe_name(name: str) -> str | None:
    """The name in NFC, last path segment, harmless everywhere, at most 255 bytes of UTF-8; None when nothing is left.

    Control, bidi, zero-width, private and unassigned characters vanish; the characters that some file system reserves
    become "_", and so does the first letter of a device name. Idempotent.
    """
    segments = [segment for segment in SEPARATORS.split(name) if segment.strip()]
    if not segments:
        return None
    # Characters go before NFC: one that vanishes between a letter and its accent would leave them uncomposed.
    clean = unicodedata.normalize("NFC", "".join(map(_visible, segments[-1].translate(BLANK))))
    clean = _trimmed(RESERVED_CHARACTERS.sub("_", clean))
    if RESERVED_NAMES.match(clean):
        clean = "_" + clean
    clean = _shortened(clean)
    return clean if clean.strip("_. ") else None


def content_disposition(name: str) -> str:
    """`attachment` with the name for every client: ASCII fall-back (RFC 6266) and UTF-8 form (RFC 8187)."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    fallback = TOKEN_FALLBACK.sub("_", f"file{ascii_name}" if ascii_name[:1] in {"", "."} else ascii_name)
    if RESERVED_NAMES.match(fallback):
        fallback = "_" + fallback
    plain = f'attachment; filename="{fallback}"'
    return plain if fallback == name else f"{plain}; filename*=UTF-8''{quote(name, safe=ATTRIBUTE_CHARACTERS)}"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Zs", "Zl", "Zp"}:
        return " " if category == "Zs" else ""
    return "" if category[0] == "C" else character


def _trimmed(name: str) -> str:
    return name.strip(". ")


def _shortened(name: str) -> str:
    """Cut the stem on a character's edge, keep the extension."""
    if len(name.encode()) <= FILENAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > EXTENSION_BYTES:
        stem, dot, extension = name, "", ""
    room = FILENAME_BYTES - len((dot + extension).encode())
    return _trimmed(stem.encode()[:room].decode(errors="ignore")) + dot + extension
