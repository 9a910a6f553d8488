"""Clients of the session's stack."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.client import Client, open_client


@pytest.fixture
async def client(stack: dict[str, Any]) -> AsyncIterator[Client]:
    """A client of the tenant `demo`."""
    async with open_client(stack) as opened:
        yield opened


@pytest.fixture
async def stranger(stack: dict[str, Any]) -> AsyncIterator[Client]:
    """A client of another tenant."""
    async with open_client(stack, "other") as opened:
        yield opened
