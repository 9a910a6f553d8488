"""Real, small stand-ins for outside systems: what the ports promise, in memory."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO

from shared.errors import BlobMissing, DependencyUnavailable


class InMemoryBlobs:
    """The object store as a dictionary: key → (bytes, content type, time of the last write)."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str | None, datetime]] = {}

    async def ensure_bucket(self) -> None:
        """There is one already."""

    async def put(self, key: str, body: bytes | BinaryIO, size: int, content_type: str | None = None) -> None:
        content = body if isinstance(body, bytes) else os.pread(body.fileno(), size, 0)
        self.objects[key] = (content, content_type, datetime.now(UTC))

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if key not in self.objects:
            raise BlobMissing(key)
        return self.objects[key][0][start:][:length]

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        yield await self.get(key)

    async def copy(self, source: str, target: str) -> None:
        if source not in self.objects:
            raise BlobMissing(source)
        content, content_type, _ = self.objects[source]
        self.objects[target] = (content, content_type, datetime.now(UTC))

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    async def head(self, key: str) -> int | None:
        return len(self.objects[key][0]) if key in self.objects else None

    async def list(self, prefix: str) -> AsyncIterator[tuple[str, int, datetime]]:
        for key, (content, _, modified) in sorted(self.objects.items()):
            if key.startswith(prefix):
                yield key, len(content), modified

    async def presign_get(self, key: str, seconds: int, filename: str, content_type: str) -> str:
        return f"memory:///{key}?seconds={seconds}"


class Mortal:
    """Passes calls on to what it stands before, and dies in one of them: before it, or just behind it."""

    def __init__(self, target: Any, dies_at: int, after: bool) -> None:
        self._target, self._left, self._after = target, dies_at, after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._target, name)
        if name == "list":
            return method  # type: ignore[no-any-return]
        return partial(self._call, method)

    async def _call(self, method: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise DependencyUnavailable("process")
        answer = await method(*arguments)
        if self._left == 0:
            raise DependencyUnavailable("process")
        return answer
