"""multipart/form-data (RFC 7578) as it streams: pieces of bytes in, beginnings, bytes and ends of parts out."""

import logging
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NoReturn
from urllib.parse import unquote

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from services.ingest.problems import Problem
from shared import limits

OVERHEAD: Final = limits.readable(limits.UPLOAD_OVERHEAD_BYTES)
HEADERS: Final = 8  # of a part
HEADER_BYTES: Final = 4 * limits.KIB
BOUNDARY: Final = re.compile(r"[!-~]{1,70}")  # RFC 2046, 5.1.1, and what else clients make up
# A quoted value may hold escaped quotes and backslashes; a lone backslash is part of a Windows path.
PARAMETER: Final = re.compile(r';[ \t]*([\w!#$%&*+.^`|~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))[ \t]*', re.S)
ESCAPED: Final = re.compile(r'\\(["\\])')
# What browsers write instead of a quote, CR and LF in a name, and nothing else (HTML, 4.10.21.8).
QUOTED: Final = re.compile(r"%(?:22|0[AaDd])")
EXTENDED: Final = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.*)", re.IGNORECASE | re.DOTALL)  # RFC 8187
IDENTITIES: Final = frozenset({"", "binary", "8bit", "7bit"})

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a client's mistake is no warning of ours


@dataclass(frozen=True, slots=True)
class Part:
    """The head of a part; `filename` as its sender gave it, None for a field that is no file."""

    name: str
    filename: str | None
    declared: str | None


class Mark(Enum):
    """What else happens in a stream."""

    END = auto()  # of a part


Event = Part | bytes | Mark


class Multipart:
    """Feed it the pieces of one body; `finish` after the last. Raises Problem."""

    def __init__(self, content_type: str) -> None:
        self._events: list[Event] = []
        self._headers: dict[str, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._fed = self._content = 0
        self._ended = False
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_head,
                "on_part_data": self._on_content,
                "on_part_end": lambda: self._events.append(Mark.END),
                "on_end": self._on_end,
            },
            max_header_count=HEADERS,
            max_header_size=HEADER_BYTES,
        )

    def feed(self, piece: bytes) -> list[Event]:
        """What the piece brings, in order."""
        if not self._fed and not piece.startswith(b"-") and piece:
            _malformed("The body must begin with the boundary that Content-Type names.")
        self._fed += len(piece)
        self._events = []
        try:
            self._parser.write(piece)
        except FormParserError:
            _malformed("The body is not well-formed multipart/form-data.")
        if self._fed - self._content > limits.UPLOAD_OVERHEAD_BYTES:
            raise Problem("payload_too_large", f"Beside files, a body may have {OVERHEAD}.")
        return self._events

    def finish(self) -> None:
        """The body is over; it must have ended with its closing boundary."""
        if not self._ended:
            _malformed("The body ends before its closing boundary.")

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        name = self._name.decode("latin-1").lower()
        if name in self._headers:
            _malformed("A part has two headers of the same name.")
        self._headers[name] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _on_head(self) -> None:
        try:
            headers = {name: value.decode().strip() for name, value in self._headers.items()}
        except UnicodeDecodeError:
            _malformed("Send names of fields and files in UTF-8.")
        if headers.get("content-transfer-encoding", "").lower() not in IDENTITIES:
            _malformed("Send files as they are, without Content-Transfer-Encoding.")
        kind, given = _parameters(headers.get("content-disposition", ""))
        if kind != "form-data" or "name" not in given:
            _malformed("Every part needs Content-Disposition: form-data with a name.")
        self._events.append(Part(_plain(given["name"]), _filename(given), headers.get("content-type")))

    def _on_content(self, data: bytes, start: int, end: int) -> None:
        self._content += end - start
        self._events.append(data[start:end])

    def _on_end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> bytes:
    media_type, given = _parameters(content_type)
    if media_type != "multipart/form-data":
        raise Problem("unsupported_media_type", "Send the files as multipart/form-data.", field="Content-Type")
    boundary = given.get("boundary", "")
    if not BOUNDARY.fullmatch(boundary):
        raise Problem("malformed_request", "Name a boundary of 1 to 70 characters.", field="Content-Type")
    return boundary.encode()


def _parameters(value: str) -> tuple[str, dict[str, str]]:
    """The word before the first semicolon, and the parameters behind it; none may come twice."""
    word, _, _ = value.partition(";")
    given: dict[str, str] = {}
    place, end = len(word), len(value.rstrip("; \t"))
    while place < end:
        found = PARAMETER.match(value, place)
        if found is None or found[1].lower() in given:
            _malformed("The parameters of a header are not well-formed.")
        given[found[1].lower()] = found[3] if found[2] is None else ESCAPED.sub(r"\1", found[2])
        place = found.end()
    return word.strip().lower(), given


def _filename(given: dict[str, str]) -> str | None:
    """The extended form where there is one: RFC 7578 forbids it, but some clients write nothing else in full."""
    if extended := EXTENDED.fullmatch(given.get("filename*", "")):
        try:
            return unquote(extended[2], encoding=extended[1].lower(), errors="strict")
        except UnicodeDecodeError:
            _malformed("Send names of fields and files in UTF-8.")
    return _plain(given["filename"]) if "filename" in given else None


def _plain(text: str) -> str:
    return QUOTED.sub(lambda found: unquote(found[0]), text)


def _malformed(detail: str) -> NoReturn:
    raise Problem("malformed_request", detail)
