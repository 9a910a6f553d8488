"""A gateway whose clients wait for mutations: what they wait for comes, changes and is looked at as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.ingest.watches import Pace, Watches
from tests.factories import mutation
from tests.fakes_ingest import IngestStand
from tests.retry import eventually

Json = dict[str, Any]


class WatchStand(IngestStand):
    """A gateway that looks when the test says so; mutations come and end likewise."""

    def __init__(self, total: int = 512, alive: float = 10.0, stream: float = 300.0) -> None:
        super().__init__(watches=lambda ledger: Watches(ledger, total, Pace(0.005, alive, stream)))

    def has(self, key: str, tenant: str = "acme", environment: str = "live", **given: Any) -> str:
        """An accepted mutation; its id."""
        document: Any = mutation(key=key, tenant=tenant, **given)
        self.ledger.documents[environment][document["_id"]] = document
        return str(document["_id"])

    def becomes(self, status: str, *ids: str, environment: str = "live") -> None:
        """Somebody else brings mutations there."""
        for one in ids or list(self.ledger.documents[environment]):
            self.ledger.documents[environment][one]["status"] = status

    async def watched(self, number: int = 1) -> None:
        """So many clients wait."""

        async def waiting() -> None:
            assert len(self.watches) == number

        await eventually(waiting)

    async def look(self) -> None:
        """One look; whoever it wakes goes on."""
        await self.watches.look()
        for _ in range(10):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """It looks by itself."""
        job = asyncio.create_task(self.watches.run())
        try:
            yield
        finally:
            job.cancel()

    async def get(self, path: str, key: str = "key-of-acme", **headers: str) -> Any:
        async with self.client(key, **headers) as client:
            return await client.get(path)

    def asks(self, path: str, key: str = "key-of-acme", **headers: str) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.get(path, key, **headers))


def events(answer: Any) -> list[tuple[str, Json]]:
    """(id, data) of each event of a stream that has ended."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = []
    for block in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            assert lines["event"] == "state"
            told.append((lines["id"], json.loads(lines["data"])))
    return told


def states(answer: Any) -> list[tuple[str, str]]:
    """(id, status) of each event."""
    return [(number, data["status"]) for number, data in events(answer)]


def code(answer: Any) -> tuple[int, str, str]:
    """Status, field and code of a refusal."""
    [error] = answer.json()["errors"]
    return answer.status_code, error["field"], error["code"]
