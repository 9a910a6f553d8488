"""Where the bytes to be judged come from: memory, or ranges of a staged object."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """`size` bytes, of which `read(start, length)` gives a range, shorter at the end."""

    read: Callable[[int, int], Awaitable[bytes]]
    size: int


def in_memory(content: bytes) -> Source:
    """A source of bytes at hand."""

    async def read(start: int, length: int) -> bytes:
        return content[start : start + length]

    return Source(read, len(content))
