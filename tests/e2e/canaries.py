"""What must never be told, planted through every door of a running stack, and where to look for it afterwards."""

import asyncio
import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from deploy.stack.services import SERVICES
from shared.ledger import open_client
from tests.e2e.client import Answer, Client, Json, inline
from tests.e2e.upstream import Upstream, command
from tests.retry import eventually

CLOSED = "http://127.0.0.1:9"  # nobody listens there


def _word(kind: str) -> str:
    return f"canary{kind}{secrets.token_hex(6)}"


@dataclass
class Canaries:
    """Words of one person, one file and one signed URL that occur nowhere else."""

    first: str = field(default_factory=lambda: _word("first"))
    last: str = field(default_factory=lambda: _word("last"))
    mail: str = field(default_factory=lambda: _word("mail"))
    content: str = field(default_factory=lambda: _word("content"))
    filename: str = field(default_factory=lambda: _word("name"))
    query: str = field(default_factory=lambda: _word("query"))

    @property
    def email(self) -> str:
        return f"{self.mail}@example.test"

    def person(self, **members: Any) -> Json:
        """A candidate who is named like no other."""
        return {"firstName": self.first, "lastName": self.last, "email": self.email} | members

    def file(self, **members: Any) -> Json:
        """A file with a person's name in its own."""
        return {"filename": f"{self.filename}.pdf"} | members

    def inline(self) -> Json:
        """A small text, as base64."""
        return inline(f"{self.filename}.txt", self.content.encode(), "text/plain")

    def signed(self, url: str) -> str:
        """A URL that whoever has it may use."""
        return f"{url}?X-Amz-Signature={self.query}&token={self.query}"

    def words(self) -> list[str]:
        """All of them; the file's content also as it was sent."""
        encoded = base64.b64encode(self.content.encode()).decode().rstrip("=")
        return [self.first, self.last, self.mail, self.content, encoded[:-1], self.filename, self.query]


async def plant_in_writes(client: Client, canaries: Canaries) -> list[Answer]:
    """Mutations that end well and badly; each has ended, and each callback has been tried."""
    name = f"{canaries.filename}.txt"
    client.site.origin.files[name] = canaries.content.encode()
    good = canaries.file(filename=name, url=canaries.signed(client.site.file_url(name)))
    bad = [
        canaries.file(url=canaries.signed(client.site.file_url(f"absent-{canaries.filename}"))),
        canaries.file(url=canaries.signed(f"{CLOSED}/{canaries.filename}")),
        canaries.file(url=canaries.signed(client.site.file_url(name))),  # no PDF
    ]
    hooks = [client.callback_url, canaries.signed(client.callback_url), canaries.signed(f"{CLOSED}/{canaries.mail}")]
    body = canaries.person(curriculumVitae=[good, canaries.inline()], otherAttachments=bad)
    created = [await client.call("POST", "/candidates", body | {"callbackUrl": hook}) for hook in hooks]
    record = f"/candidates/{created[0].mutation['record']['id']}"
    changed = await client.call("PATCH", record, {"lastName": canaries.last, "callbackUrl": hooks[-1]})
    await asyncio.gather(*(tried(client, answer) for answer in [*created, changed]))
    return [*created, changed]


async def tried(client: Client, answer: Answer) -> None:
    """Wait for the end of a mutation and for the first attempt of its callback."""
    assert answer.status == 202, answer.body

    async def ended() -> None:
        view = (await client.call("GET", f"/mutations/{answer.body['data']['idempotencyKey']}")).body["data"]
        assert view["status"] not in {"accepted", "applying"}
        assert any(delivery["attempts"] for delivery in view["deliveries"]), view

    await eventually(ended)


async def plant_in_commands(upstream: Upstream, canaries: Canaries) -> None:
    """Commands that are rejected for what they hold, and one that can't be read at all."""
    wrong: list[Json | bytes] = [
        command(payload=canaries.person(email=f"{canaries.mail} at home", phone=canaries.last)),
        command(payload=canaries.person(curriculumVitae=[canaries.file(data=f"data:;base64,{canaries.content}!")])),
        command(payload=canaries.person(), callbackUrl=canaries.signed(f"http://{canaries.mail}@[")),
        command(operation=canaries.first, payload=canaries.person()),
        f'{{"payload": "{canaries.email} {canaries.first}'.encode(),
    ]
    for one in wrong:
        letter = await upstream.dead_letter(await upstream.send(one))
        told = [word for word in canaries.words() if word in repr(letter)]
        assert told == [], "in the headers of a dead letter, which say why"


async def refusals(client: Client, canaries: Canaries) -> list[Answer]:
    """Requests of every odd kind, each refused. Words are planted as values: names of members are told on purpose."""
    unknown = f"me_{secrets.token_hex(8)}_{canaries.query.ljust(43, 'x')[:43]}"
    bodies: list[Any] = [
        canaries.person(email=f"{canaries.mail} at home"),
        canaries.person(phone=canaries.last),
        canaries.person(tags=[{"name": canaries.first}]),
        canaries.person(curriculumVitae=[canaries.file(url=canaries.signed(f"http://{canaries.mail}@["))]),
        canaries.person(curriculumVitae=[canaries.file(data=f"data:text/plain;base64,{canaries.content}!")]),
        canaries.person(callbackUrl=canaries.signed(f"ftp://{canaries.mail}.example.test")),
        canaries.person(idempotencyKey=f"{canaries.email} {canaries.first}"),
        [canaries.person(email=canaries.last)],
        canaries.email,
    ]
    answers = [await client.call("POST", "/candidates", body) for body in bodies]
    for headers in ({"x_api_key": unknown}, {"if_match": canaries.query}, {"x_api_sandbox": canaries.query}):
        answers.append(await client.call("PATCH", f"/candidates/{canaries.first}", canaries.person(), **headers))
    paths = (
        f"/candidates?cursor={canaries.query}",
        f"/candidates/find?email={canaries.mail}",
        f"/candidates/find?phone={canaries.last}",
        f"/attachments?candidateId={canaries.first}",
    )
    answers += [await client.call("GET", path) for path in paths]
    assert all(answer.status < 500 for answer in answers), [answer.status for answer in answers]
    refused = [answer for answer in answers if answer.status >= 400]
    assert len(refused) >= len(bodies) + 3
    return refused


async def raw_refusals(handle: Json, canaries: Canaries) -> list[bytes]:
    """Answers to bytes that are hardly HTTP, or hardly JSON."""
    address = urlsplit(handle["http"])
    key, words = handle["tenants"]["demo"]["apiKey"], f"{canaries.email} {canaries.first} {canaries.content}"
    head = f"POST /candidates HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\nConnection: close\r\n"
    form = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{canaries.filename}"\r\n\r\n'
    upload = head.replace("/candidates", "/attachments/temporary") + "Content-Type: multipart/form-data; boundary=b\r\n"
    sent = [
        f"{head}Content-Type: application/json\r\nContent-Length: {len(words) + 2}\r\n\r\n{{{words}}}",
        f"{head}Content-Type: {quote(words)}\r\nContent-Length: 2\r\n\r\n{{}}",
        f"{upload}Content-Length: {len(form) + len(words) + 7}\r\n\r\n{form}{words}\r\n--b--",
        f"GET /candidates HTTP/1.1\r\nHost: x\r\nx-api-key: {key}\r\n{words}\r\n\r\n",
        f"{words}\r\n\r\n",
    ]
    return [await _answer(address.hostname or "", address.port or 0, one.encode()) for one in sent]


async def _answer(host: str, port: int, content: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(content)
    try:
        async with asyncio.timeout(20):
            return await reader.read(65536)
    finally:
        writer.close()


def logged(handle: Json) -> dict[str, str]:
    """All logs by file, the servers' too."""
    return {log.name: log.read_text(errors="replace") for log in Path(handle["logs"]).glob("*.log*")}


async def measured(client: Client) -> dict[str, str]:
    """The metrics of every service."""
    ports = json.loads((Path(client.handle["logs"]).parent / "ports.json").read_text())
    found = {}
    for service in SERVICES:
        port = ports["http"] if service == "ingest" else ports[f"{service}.health"]
        async with client.session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            assert answer.status == 200
            found[service] = await answer.text()
    return found


async def dumped(handle: Json) -> dict[str, str]:
    """Every document of every collection, as text; bytes also as text."""
    found = {}
    async with open_client(handle["mongodb"]) as client:
        for name in await client.list_database_names():
            for collection in await client[name].list_collection_names():
                documents = await client[name][collection].find().to_list()
                found[f"{name}.{collection}"] = repr(documents)
    return found


def told(places: dict[str, str], words: list[str]) -> list[tuple[str, str]]:
    """(place, word) of all that was told."""
    return [(place, word) for place, text in places.items() for word in words if word in text]
