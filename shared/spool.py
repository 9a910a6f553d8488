"""Bytes on their way: hashed as they come, small ones in memory, larger ones in an unlinked temporary file."""

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import BinaryIO, Final, cast

from shared.errors import DependencyUnavailable
from shared.limits import KIB

# Far below limits.SPOOL_MEMORY_BYTES, because hundreds of downloads run at once.
BUFFER_BYTES: Final = 128 * KIB


class Spool:
    """Takes chunks of any size; `size` in bytes. Hashing and writing of larger bodies happen in a thread."""

    def __init__(self, directory: Path | None = None) -> None:
        self.size = 0
        self._directory = directory
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._file: BinaryIO | None = None

    async def write(self, chunk: bytes) -> None:
        """Append; raises DependencyUnavailable when the disk refuses."""
        self.size += len(chunk)
        self._buffer += chunk
        if len(self._buffer) >= BUFFER_BYTES:
            await asyncio.to_thread(self._flush)

    async def finish(self) -> bytes | BinaryIO:
        """The whole body: bytes, or the file at its beginning, which the caller closes."""
        if self._file is None:
            self._digest.update(self._buffer)
            return bytes(self._buffer)
        await asyncio.to_thread(self._flush)
        self._file.seek(0)
        return self._file

    def sha256(self) -> str:
        """The digest in hex, after `finish`."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Give the bytes up."""
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        self._digest.update(buffer)
        try:
            if self._file is None:
                self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=self._directory))  # noqa: SIM115
            self._file.write(buffer)
            self._file.flush()
        except OSError as error:
            raise DependencyUnavailable("spool", type(error).__name__) from error
