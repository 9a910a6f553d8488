"""A person is forgotten: with writes before, around and behind the erasure, and with a kill in the middle of it."""

import asyncio
import base64
import os
import secrets
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import bson
import pytest

from deploy.demo.samples import padded_pdf
from shared import ledger
from shared.blobs import open_blobs
from tests.e2e.client import Answer, Client, Json, inline, person
from tests.e2e.stores import settings_of
from tests.e2e.test_kill import processes
from tests.retry import eventually

BEFORE = 6
BEHIND = 6
LARGE = 300_000  # base64 that ingest decodes and stages


class Erased(AssertionError):
    """The record is gone, so the write is refused."""


@dataclass
class Person:
    """A candidate of whom everything holds the canary."""

    client: Client
    canary: str
    id: str = ""
    before: list[Answer] = field(default_factory=list)
    behind: list[Answer] = field(default_factory=list)

    async def created(self) -> None:
        """Written, with files by every road."""
        created = await self._write("POST", "/candidates", self._members() | {"otherAttachments": self._files()})
        self.id = created.mutation["record"]["id"]
        self.before = [created]
        self.before += [await self._append(f"{n}-{self.canary}") for n in range(BEFORE)]
        upload = await self._upload()
        assign = {"attachments": [{"id": upload, "type": "cv", "name": f"{self.canary}.pdf"}], "candidateId": self.id}
        self.before.append(await self._write("POST", "/attachments/temporary/assign", assign))

    async def more_behind(self) -> None:
        """What comes when the erasure is on its way."""
        for n in range(BEHIND):
            self.behind.append(await self._append(f"late-{n}-{self.canary}"))
            self.behind.append(await self._write("PATCH", f"/candidates/{self.id}", {"lastName": self.canary}))

    async def erased(self) -> Answer:
        """The 202 of the erasure."""
        answer = await self.client.call("DELETE", f"/candidates/{self.id}?callbackUrl={self.client.callback_url}")
        assert answer.status == 202, answer.body
        return answer

    async def _write(self, method: str, path: str, body: Json) -> Answer:
        answer = await self.client.call(
            method, path, body | {"callbackUrl": f"{self.client.callback_url}?for={self.canary}"}
        )
        if answer.status == 404:
            raise Erased(answer.body)
        assert answer.status == 202, answer.body
        return answer

    async def _append(self, name: str) -> Answer:
        return await self._write("POST", f"/candidates/{self.id}/attachments", {"otherAttachments": self._files(name)})

    def _members(self) -> Json:
        custom = {"note": self.canary, self.canary: "x"}
        return person(
            lastName=self.canary, email=f"{self.canary}@example.test", tags=[self.canary], customFields=custom
        )

    def _content(self) -> bytes:
        head, tail = padded_pdf(20_000)
        return head + self.canary.encode() + tail

    def _files(self, name: str = "cv") -> list[Json]:
        """Inline, staged, and by URL; the origin's gate keeps what is by URL under way."""
        url_name = f"{secrets.token_hex(4)}-{self.canary}.pdf"
        self.client.site.origin.files[url_name] = self._content()
        small, large = self.canary.encode(), (self.canary.encode() + b" ") * (LARGE // len(self.canary))
        return [
            inline(f"{name}-{self.canary}.txt", small, "text/plain"),
            inline(f"{name}-{self.canary}-large.txt", large, "text/plain"),
            {"filename": f"{name}-{self.canary}.pdf", "url": self.client.site.file_url(url_name)},
        ]

    async def _upload(self) -> str:
        [uploaded] = await self.client.upload((f"{self.canary}.pdf", self._content(), "application/pdf"))
        return str(uploaded["attachmentId"])


def spellings(canary: str) -> list[bytes]:
    """The canary as it would stand in documents: plain, and inside base64 at each of its three alignments."""
    inside = [base64.b64encode(b"x" * n + canary.encode() + b"xxx")[4:-8] for n in range(3)]
    return [canary.encode(), *inside]


async def traces(handle: Json, canary: str) -> list[str]:
    """Where the canary still is: in which collections' documents, under which keys or in which objects."""
    found: list[str] = []
    async with ledger.open_client(handle["mongodb"]) as client:
        for name in (*ledger.DATABASES.values(), ledger.CONTROL_DATABASE):
            database = client.get_database(name)
            for collection in await database.list_collection_names():
                async for document in database[collection].find({}):
                    found += _in_document(f"{name}.{collection}", document, canary)
    async with open_blobs(settings_of(handle)) as blobs:
        async for key, _, _ in blobs.list(""):
            if canary in key or canary.encode() in await blobs.get(key):
                found.append(key)
    return found


def _in_document(where: str, document: Any, canary: str) -> list[str]:
    raw = bson.encode(document)
    members = [name for name, value in document.items() if canary in str(value)]
    return [f"{where} {document['_id']}: {members}"] if any(one in raw for one in spellings(canary)) else []


async def kill_while_applying(client: Client, mutation: str) -> bool:
    """SIGKILL storage as soon as the erasure is being applied; whether it was."""
    async with ledger.open_client(client.handle["mongodb"]) as mongo:
        mutations = ledger.databases(mongo)["live"].mutations
        pid = processes(client.handle)["storage"]
        while True:
            document = await mutations.find_one({"_id": mutation}, {"status": 1})
            if document and document["status"] != ledger.ACCEPTED:
                os.kill(pid, signal.SIGKILL)
                again = await mutations.find_one({"_id": mutation}, {"status": 1})
                return bool(again and again["status"] == ledger.APPLYING)


async def settled(someone: Person, erasure: Answer) -> Json:
    """The outcome of the erasure, when all have ended as they must."""
    client = someone.client
    ids = [one.mutation["mutationId"] for one in (*someone.before, erasure, *someone.behind)]
    outcomes = await client.outcomes(ids, seconds=120)
    for one in someone.before:
        assert outcomes[one.mutation["mutationId"]]["status"] == "completed"
    for one in someone.behind:
        outcome = outcomes[one.mutation["mutationId"]]
        assert (outcome["status"], outcome["error"]["code"]) == ("failed", "record_erased")
    assert (await client.call("GET", f"/candidates/{someone.id}")).status == 404
    return outcomes[erasure.mutation["mutationId"]]


async def nothing_left(handle: Json, canary: str) -> None:
    async def clean() -> None:
        assert await traces(handle, canary) == []

    await eventually(clean, seconds=60)


@pytest.mark.timeout(300)
async def test_nothing_of_an_erased_person_is_left_with_writes_before_and_behind(client: Client) -> None:
    someone = Person(client, f"canary{secrets.token_hex(8)}")
    client.site.origin.gate.clear()  # the files by URL are under way until it opens
    try:
        await someone.created()
        erasure = await someone.erased()
        await someone.more_behind()
        assert await traces(client.handle, someone.canary), "the canary was nowhere: the test shows nothing"
    finally:
        client.site.origin.gate.set()
    outcome = await settled(someone, erasure)
    assert outcome["status"] == "completed"
    assert outcome["removed"]["attachments"] == 3 * (BEFORE + 1) + 1
    assert outcome["removed"]["objects"] >= outcome["removed"]["attachments"]
    assert outcome["removed"]["bytes"] > BEFORE * LARGE
    await nothing_left(client.handle, someone.canary)


@pytest.mark.timeout(300)
async def test_nothing_of_an_erased_person_is_left_after_a_kill_in_the_middle(client: Client) -> None:
    processes(client.handle)  # skips where nobody starts a service again
    for _ in range(5):
        someone = Person(client, f"canary{secrets.token_hex(8)}")
        await someone.created()
        await client.outcomes([one.mutation["mutationId"] for one in someone.before], seconds=120)
        erasure = await someone.erased()
        killing = asyncio.create_task(kill_while_applying(client, erasure.mutation["mutationId"]))
        with suppress(Erased):  # it may be quicker than what comes behind
            await someone.more_behind()
        in_the_middle = await killing
        outcome = await settled(someone, erasure)
        assert outcome["removed"]["attachments"] == 3 * (BEFORE + 1) + 1
        await nothing_left(client.handle, someone.canary)
        if in_the_middle:
            return
    pytest.fail("the erasure had always ended before the kill")
