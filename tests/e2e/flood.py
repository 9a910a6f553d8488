"""Many creates at once, each with one inline and one URL file, by a client that repeats what got no answer."""

import asyncio
import itertools
import secrets
from dataclasses import dataclass, field

import aiohttp

from deploy.demo.samples import UNIQUE_BYTES, padded_pdf
from tests.e2e.client import Answer, Client, digest, inline, person
from tests.e2e.stores import documents_of, objects_of
from tests.retry import eventually

SENDERS = 16
URL_FILE_SIZE = 20_000


@dataclass
class Flood:
    """`accepted` grows as the 202s come; `digests` holds what each attachment must be in the end."""

    client: Client
    size: int
    accepted: list[Answer] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: secrets.token_hex(6))

    async def send(self) -> None:
        """All creates; returns when each has its 202."""
        numbers = itertools.count()
        head, tail = padded_pdf(URL_FILE_SIZE)

        async def sender() -> None:
            while (number := next(numbers)) < self.size:
                name = f"{self.name}-{number}"
                note, pdf = name.encode(), head + name.encode().ljust(UNIQUE_BYTES, b"-") + tail
                self.client.site.origin.files[f"{name}.pdf"] = pdf
                answer = await self._create(name, note)
                self.accepted.append(answer)
                ids = {entry["filename"]: entry["id"] for entry in answer.mutation["attachments"]}
                self.digests |= {ids["note.txt"]: digest(note), ids["cv.pdf"]: digest(pdf)}

        await asyncio.gather(*(sender() for _ in range(SENDERS)))

    async def _create(self, name: str, note: bytes) -> Answer:
        body = person(
            idempotencyKey=name,
            callbackUrl=self.client.callback_url,
            curriculumVitae=[{"filename": "cv.pdf", "url": self.client.site.file_url(f"{name}.pdf")}],
            otherAttachments=[inline("note.txt", note, "text/plain")],
        )

        async def accepted() -> Answer:
            try:
                answer = await self.client.patient("POST", "/candidates", body)
            except aiohttp.ClientError as error:
                raise AssertionError(f"no answer: {error!r}") from error
            assert answer.status == 202, answer.body
            return answer

        return await eventually(accepted, seconds=180)

    async def completed(self, at_least: int) -> None:
        """Wait until so many were called back."""

        async def enough() -> None:
            assert len(self.client.callbacks()) >= at_least

        await eventually(enough, seconds=60)

    async def all_stored_once(self, seconds: float = 120.0) -> None:
        """Every mutation ends completed under one webhook-id, with one object and one document for each file."""
        outcomes = await self.client.outcomes((one.mutation["mutationId"] for one in self.accepted), seconds)
        assert {outcome["status"] for outcome in outcomes.values()} == {"completed"}
        assert len(outcomes) == self.size
        expected = {attachment: [sha] for attachment, sha in self.digests.items()}
        assert len(expected) == 2 * self.size
        handle, tenant = self.client.handle, self.client.tenant
        assert await objects_of(handle, tenant, expected) == expected
        candidates = [one.mutation["record"]["id"] for one in self.accepted]
        assert await documents_of(handle, tenant, candidates) == expected
