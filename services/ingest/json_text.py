"""JSON bodies of many megabytes without one big parse: long strings are put aside while the bytes stream in.

What is left, the skeleton, is small and parsed at once; in the result each string that was put aside is a LongText.
"""

import asyncio
import codecs
import hashlib
import re
import secrets
from typing import Any, Final

import jiter

from services.ingest.problems import Problem
from shared import limits

LONG_STRING: Final = 8 * limits.KIB  # 100 files below it still fit into a skeleton
SKELETON_BYTES: Final = 2 * limits.MIB
STRING_BYTES: Final = 9 * limits.MIB  # 5 MiB as base64, "+" and "/" as \uXXXX; of longer ones nothing is kept
PARTS: Final = 100_000  # strings, members and items; a payload of ours has a few thousand
STRINGS_AT_ONCE: Final = 2000
QUOTES_IN_A_STRING: Final = 10_000  # escaped ones, in one piece
PARSED_IN_LOOP: Final = 64 * limits.KIB
REPEATED: Final = re.compile(r'Detected duplicate key ".*"(?= at line)', re.DOTALL)  # the parser repeats the name
_QUOTE, _BACKSLASH = b'"', 0x5C


class LongText:
    """A JSON string of more than LONG_STRING bytes: its UTF-8 (unchecked) and its SHA-256 in hex."""

    __slots__ = ("_bytes", "overlong", "sha256")

    def __init__(self, content: bytearray, sha256: str, overlong: bool = False) -> None:
        self._bytes, self.sha256, self.overlong = content, sha256, overlong

    @property
    def size(self) -> int:
        """How many bytes there are to take."""
        return len(self._bytes)

    def take(self) -> bytearray:
        """The bytes, handed over: memory is needed once only. Empty the second time, or when overlong."""
        taken, self._bytes = self._bytes, bytearray()
        return taken


class JsonText:
    """Feed it the bytes of one JSON text in any pieces, then ask for the value once. Raises Problem."""

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(16)  # a client can't guess it, so no text of its own is taken for a mark
        self._skeleton = bytearray()
        self._long: list[LongText | str] = []
        self._string: int | None = None  # where in the skeleton the present string began
        self._aside: bytearray | None = None  # the present string, once it is long
        self._hash = hashlib.sha256()
        self._overlong = False
        self._odd = 0  # whether the last piece ended with an odd number of backslashes inside a string
        self._strings = 0
        self._head = bytearray()
        self._scanning = False

    def feed(self, piece: bytes, start: int = 0) -> int:
        """Take bytes from `start` on; returns where to go on, so that the loop can serve others after many strings.

        Costs about a microsecond a string, and one search a piece inside a long one.
        """
        if not self._scanning:
            if len(self._head) + len(piece) <= LONG_STRING:
                self._head += piece
                return len(piece)
            self._scanning = True
            self._scan(bytes(self._head), 0, len(self._head))
            self._head.clear()
        return self._scan(piece, start, STRINGS_AT_ONCE)

    def _scan(self, piece: bytes, position: int, strings: int) -> int:
        last = self._strings + strings
        while position < len(piece) and self._strings < last:
            position = self._outside(piece, position) if self._string is None else self._inside(piece, position)
        if self._strings > PARTS:
            raise _too_many()
        return position

    @property
    def skeleton_bytes(self) -> int:
        """How much there is to parse."""
        return len(self._skeleton) + len(self._head)

    def value(self) -> Any:
        """The parsed value. Raises malformed_json: jiter refuses depth, NaN, duplicate members and lone surrogates."""
        text = bytes(self._skeleton) if self._scanning else bytes(self._head)
        if sum(map(text.count, (b",", b"[", b"{"))) > PARTS:
            raise _too_many()
        try:
            if text.startswith(codecs.BOM_UTF8):
                raise ValueError("it begins with a byte order mark; send UTF-8 without one")
            if self._aside is not None:
                raise ValueError("EOF while parsing a string")
            tree = jiter.from_json(text, allow_inf_nan=False, catch_duplicate_keys=True, cache_mode="keys")
        except ValueError as error:
            raise malformed(str(error)) from None
        if not self._long:
            return tree
        marks = {f"{self._nonce}{n}": long for n, long in enumerate(self._long)}
        tree = _with_long(tree, marks)
        if marks:  # one that is left stands where a member's name is
            raise malformed(f"a member's name may have {LONG_STRING} bytes")
        return tree

    def _outside(self, piece: bytes, position: int) -> int:
        found = piece.find(_QUOTE, position)
        end = len(piece) if found < 0 else found + 1
        self._skeleton += piece[position:end]
        if found >= 0:
            self._string = len(self._skeleton)
            self._strings += 1
        if len(self._skeleton) > SKELETON_BYTES:
            raise Problem("payload_too_large", f"Apart from files, a body may have {limits.readable(SKELETON_BYTES)}.")
        return end

    def _inside(self, piece: bytes, position: int) -> int:
        end = self._end_of_string(piece, position)
        stop = len(piece) if end < 0 else end
        self._keep(memoryview(piece)[position:stop])
        if end < 0:
            return stop
        if self._aside is not None:
            self._put_aside()
        self._skeleton += _QUOTE
        self._string = None
        return end + 1

    def _end_of_string(self, piece: bytes, position: int) -> int:
        """Index of the closing quote, or -1; a quote behind an odd number of backslashes does not close."""
        start = position
        for _ in range(QUOTES_IN_A_STRING):
            found = piece.find(_QUOTE, start)
            stop = len(piece) if found < 0 else found
            slashes = _backslashes_before(piece, start, stop)
            reaches_back = start == position and slashes == stop - start
            odd = (slashes + (self._odd if reaches_back else 0)) % 2
            if found < 0 or not odd:
                self._odd = odd if found < 0 else 0
                return found
            start = found + 1
            self._strings += 1  # an escaped quote costs as much as a string
        raise _too_many()

    def _keep(self, part: memoryview) -> None:
        assert self._string is not None  # noqa: S101  for the type checker
        if self._aside is None:
            if len(self._skeleton) - self._string + len(part) <= LONG_STRING:
                self._skeleton += part
                return
            self._aside, self._hash, self._overlong = bytearray(), hashlib.sha256(), False
            begun = self._skeleton[self._string :]
            del self._skeleton[self._string :]
            self._append(begun)
        self._append(part)

    def _append(self, part: bytearray | memoryview) -> None:
        assert self._aside is not None  # noqa: S101  for the type checker
        if len(self._aside) + len(part) > STRING_BYTES:
            self._overlong = True
            self._aside.clear()
        if not self._overlong:
            self._aside += part
            self._hash.update(part)

    def _put_aside(self) -> None:
        assert self._aside is not None  # noqa: S101  for the type checker
        content, self._aside = self._aside, None
        long: LongText | str = LongText(content, self._hash.hexdigest(), self._overlong)
        if _BACKSLASH in content:
            long = _unescaped(content)
        self._skeleton += f"{self._nonce}{len(self._long)}".encode()
        self._long.append(long)


async def fed(text: JsonText, piece: bytes) -> None:
    """Feed a piece and let the loop serve others between strings of a body that is made of many. Raises Problem."""
    position = text.feed(piece)
    while position < len(piece):
        await asyncio.sleep(0)
        position = text.feed(piece, position)


async def parsed(text: JsonText) -> Any:
    """The value; what is large is parsed in a thread. Raises Problem."""
    return text.value() if text.skeleton_bytes <= PARSED_IN_LOOP else await asyncio.to_thread(text.value)


def malformed(reason: str) -> Problem:
    """400 for what is no JSON; the reason names a place, never content: it is logged, too."""
    return Problem("malformed_json", f"The body is not valid JSON: {REPEATED.sub('a member comes twice', reason)}.")


def _too_many() -> Problem:
    return Problem("payload_too_large", f"A body may have {PARTS} strings, members and items.")


def _backslashes_before(piece: bytes, start: int, end: int) -> int:
    if end == start or piece[end - 1] != _BACKSLASH:
        return 0
    part = piece[start:end]
    return len(part) - len(part.rstrip(b"\\"))


def _unescaped(raw: bytearray) -> LongText | str:
    # Some serializers write "+" of base64 as \u002B and "/" as \/; the digest is that of the text they mean.
    try:
        text: str = jiter.from_json(_QUOTE + raw + _QUOTE, cache_mode="none")
    except ValueError:
        raise malformed("a long string has an invalid escape") from None
    content = bytearray(text, "utf-8")
    return text if len(content) <= LONG_STRING else LongText(content, hashlib.sha256(content).hexdigest())


def _with_long(tree: Any, marks: dict[str, LongText | str]) -> Any:
    """The tree with every mark replaced, each once; depth is bounded by the parser."""
    if isinstance(tree, dict):
        return {name: _with_long(member, marks) for name, member in tree.items()}
    if isinstance(tree, list):
        return [_with_long(item, marks) for item in tree]
    return marks.pop(tree, tree) if isinstance(tree, str) else tree
