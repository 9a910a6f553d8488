"""Where the bytes to be judged come from: memory, a file at hand, or ranges of a staged object."""

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Source:
    """`size` bytes, of which `read(start, length)` gives a range, shorter at the end; `file` where they are in one."""

    read: Callable[[int, int], Awaitable[bytes]]
    size: int
    file: BinaryIO | None = None

    async def whole(self) -> BinaryIO:
        """All of it for a parser that seeks: the file itself, so that a large one is never in memory, or a copy."""
        return self.file or io.BytesIO(await self.read(0, self.size))


def in_memory(content: bytes) -> Source:
    """A source of bytes at hand."""

    async def read(start: int, length: int) -> bytes:
        return content[start : start + length]

    return Source(read, len(content))


def in_file(file: BinaryIO, size: int) -> Source:
    """A source of bytes in a file of the operating system, flushed; where the file stands does not matter."""

    async def read(start: int, length: int) -> bytes:
        return await asyncio.to_thread(os.pread, file.fileno(), length, start)

    return Source(read, size, file)
