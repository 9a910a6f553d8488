"""What several unit tests of ingest begin with."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.fakes_ingest import IngestStand


@pytest.fixture
def stand() -> IngestStand:
    """The application over in-memory ports."""
    return IngestStand()


@pytest.fixture
async def admin(stand: IngestStand) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it with an admin key."""
    async with stand.client("key-of-admin") as client:
        yield client
