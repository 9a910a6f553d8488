"""Base64 as one text for one value: standard alphabet, padding, no white space, no stray bits; and data URIs of it."""

import re
from typing import Final

import pybase64

HEADER_BYTES: Final = 200  # of a data URI: the comma must come this early, so that megabytes are never scanned for it
DEFAULT_MEDIA_TYPE: Final = "text/plain"  # RFC 2397, section 2
_NAME: Final = r"[a-z0-9!#$&^_.+-]{1,127}"  # RFC 6838, section 4.2
_MEDIA_TYPE: Final = re.compile(f"{_NAME}/{_NAME}")


def decoded_size(text: bytes | memoryview) -> int:
    """Bytes that canonical base64 text stands for, from its length and padding alone."""
    padding = sum(character == b"=" for character in (bytes(text[-1:]), bytes(text[-2:-1])))
    return max(0, len(text) // 4 * 3 - padding)


def decode(text: bytes | memoryview) -> bytes:
    """The bytes; raises ValueError with a reason for a client unless encoding them again gives this very text."""
    if len(text) % 4:
        raise ValueError("its length is no multiple of 4: padding is missing, or characters were lost or added")
    try:
        decoded = pybase64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error is one
        raise ValueError(
            "it holds characters that are not of the standard alphabet, white space, or padding inside"
        ) from None
    # All but the last quantum is canonical once alphabet and length are right.
    tail = (len(decoded) - 1) // 3 * 3 if decoded else 0
    if pybase64.b64encode(decoded[tail:]) != bytes(text[-4:]):
        raise ValueError("its last characters hold bits or padding that encode nothing")
    return decoded


def split_data_uri(text: bytes) -> tuple[str, memoryview]:
    """(media type in lower case without parameters, base64 text, not copied) of a data URI (RFC 2397).

    Raises ValueError with a reason for a client. The base64 text itself is not looked at.
    """
    header, comma, _ = text[:HEADER_BYTES].partition(b",")
    if header[:5].lower() != b"data:":
        raise ValueError('it does not start with "data:"')
    if not comma:
        raise ValueError(f"it has no comma in its first {HEADER_BYTES} characters")
    media_type, *parameters = header[5:].decode("ascii", errors="replace").lower().split(";")
    if not parameters or parameters[-1] != "base64":
        raise ValueError('it is not marked as base64: ";base64" must stand before the comma')
    if media_type and not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError("its media type is not of the form type/subtype")
    return media_type or DEFAULT_MEDIA_TYPE, memoryview(text)[len(header) + 1 :]
