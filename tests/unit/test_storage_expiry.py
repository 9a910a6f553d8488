"""Expired uploads end whatever becomes of abandoned claims."""

from collections.abc import Iterable
from datetime import datetime

import pytest

from services.storage.expiry import Expiry
from shared.errors import DependencyUnavailable
from shared.events import Environment
from shared.ledger import Document
from tests.fakes import InMemoryBlobs


class OvertaxedUploads:
    """Reading what is claimed takes too long; what has expired is found."""

    def __init__(self, *expired: str) -> None:
        self._expired = list(expired)

    async def claim(self, environment: Environment, mutations: Iterable[Document]) -> dict[str, Document]:
        raise DependencyUnavailable("mongodb")

    async def release_abandoned(self, environment: Environment) -> None:
        raise DependencyUnavailable("mongodb", "NetworkTimeout")

    async def expire(self, environment: Environment, now: datetime) -> list[str]:
        expired, self._expired = self._expired, []
        return expired


async def test_expired_uploads_end_though_abandoned_claims_could_not_be_released_and_the_failure_is_told() -> None:
    blobs = InMemoryBlobs()
    for key in ("expired", "alive"):
        await blobs.put(key, b"x", 1)

    with pytest.raises(DependencyUnavailable):
        await Expiry(OvertaxedUploads("expired"), blobs).end_expired("live")

    assert set(blobs.objects) == {"alive"}
