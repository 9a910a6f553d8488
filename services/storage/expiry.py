"""Temporary uploads that nobody assigned in time."""

from datetime import UTC, datetime

import structlog

from services.storage.ports import Blobs, Uploads
from shared.events import Environment

log = structlog.get_logger()


class Expiry:
    """Ends uploads past both of their times; a claim holds one, until its holder has ended without deciding for it."""

    def __init__(self, uploads: Uploads, blobs: Blobs) -> None:
        self._uploads, self._blobs = uploads, blobs

    async def end_expired(self, environment: Environment) -> None:
        """One round; what has expired ends whatever becomes of the claims."""
        try:
            await self._uploads.release_abandoned(environment)
        except Exception:
            await self._expire(environment)
            raise
        await self._expire(environment)

    async def _expire(self, environment: Environment) -> None:
        keys = await self._uploads.expire(environment, datetime.now(UTC))
        if keys:
            # Objects go after their tombstones: nobody can assign what has no bytes.
            log.info("uploads.expired", count=len(keys))
            await self._blobs.delete(keys)
