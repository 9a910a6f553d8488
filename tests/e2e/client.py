"""A client of a running stack, as an integrator would write it: sends, is called back, verifies, downloads."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from deploy.demo.site import Site, open_site
from deploy.demo.verification import verified
from tests.retry import eventually

Json = dict[str, Any]
PATIENCE_SECONDS = 120.0  # of one that meets 503 again and again


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and JSON body."""

    status: int
    headers: CIMultiDictProxy[str]
    body: Any

    @property
    def mutations(self) -> list[Json]:
        """Of a 202: one entry for each record."""
        listed: list[Json] = self.body["data"]["mutations"]
        return listed

    @property
    def mutation(self) -> Json:
        """Of a 202 for a single record."""
        (single,) = self.mutations
        return single


@dataclass
class Client:
    """One tenant's client with a web server of its own, on which every callback of this client arrives."""

    handle: Json
    site: Site
    session: aiohttp.ClientSession
    tenant: str = "demo"
    hook: str = field(default_factory=lambda: secrets.token_hex(8))
    _taken: dict[str, list[tuple[str, Json]]] = field(default_factory=dict, init=False)
    _verified: int = field(default=0, init=False)

    @property
    def key(self) -> str:
        """The tenant's API key."""
        return str(self.handle["tenants"][self.tenant]["apiKey"])

    @property
    def secret(self) -> str:
        """The tenant's webhook secret."""
        return str(self.handle["tenants"][self.tenant]["webhookSecret"])

    @property
    def callback_url(self) -> str:
        """Where this client is called back."""
        return self.site.hook_url(self.hook)

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request; underscores in header names become dashes."""
        sent = {"x-api-key": self.key} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, self.handle["http"] + path, json=body, headers=sent, allow_redirects=False
        ) as answer:
            parsed = await answer.json(content_type=None) if "json" in answer.content_type else await answer.text()
            return Answer(answer.status, answer.headers, parsed)

    async def patient(self, method: str, path: str, body: Json, **headers: str) -> Answer:
        """As `call`, for what has a key: after a 503 the same is sent again when it says, as clients do."""
        clock = asyncio.get_running_loop().time
        until = clock() + PATIENCE_SECONDS
        answer = await self.call(method, path, body, **headers)
        while answer.status == 503 and clock() < until:
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await self.call(method, path, body, **headers)
        return answer

    async def upload(self, *files: tuple[str, bytes, str], prefix: str = "") -> list[Json]:
        """Temporary uploads of (name, content, content type) in one request."""
        form = aiohttp.FormData()
        for name, content, content_type in files:
            form.add_field("files", content, filename=name, content_type=content_type)
        url = f"{self.handle['http']}{prefix}/attachments/temporary"
        async with self.session.post(url, data=form, headers={"x-api-key": self.key}) as answer:
            assert answer.status == 200, await answer.text()
            uploaded: list[Json] = await answer.json()
            return uploaded

    async def write(self, method: str, path: str, body: Json, **headers: str) -> Answer:
        """A write that must be accepted, with this client's callback URL."""
        key = {} if "idempotencyKey" in body else {"Idempotency_Key": secrets.token_hex(8)}
        answer = await self.patient(method, path, body | {"callbackUrl": self.callback_url}, **(key | headers))
        assert answer.status == 202, answer.body
        return answer

    def callbacks(self) -> dict[str, list[tuple[str, Json]]]:
        """By mutation id: (webhook-id, body) of every verified callback so far."""
        came = self.site.receiver.callbacks.get(self.hook, [])
        for one in came[self._verified :]:  # once, while they are young enough to be right
            body = verified(one, self.secret)
            self._taken.setdefault(body["data"]["mutationId"], []).append((one.webhook_id, body))
            self._verified += 1
        return self._taken

    async def outcomes(self, mutations: Iterable[str], seconds: float = 60.0) -> dict[str, Json]:
        """`data` of the callback of each mutation, once all have come; all attempts of one have one webhook-id."""
        wanted = set(mutations)

        async def all_came() -> dict[str, Json]:
            taken = self.callbacks()
            missing = wanted - set(taken)
            assert not missing, f"no callback for {len(missing)} of {len(wanted)}: {sorted(missing)[:5]}"
            assert all(len({identity for identity, _ in taken[mutation]}) == 1 for mutation in wanted)
            return {mutation: taken[mutation][-1][1]["data"] for mutation in wanted}

        return await eventually(all_came, seconds)

    async def outcome(self, answer: Answer, seconds: float = 60.0) -> Json:
        """Of a single write."""
        mutation = answer.mutation["mutationId"]
        return (await self.outcomes([mutation], seconds))[mutation]

    async def download(self, attachment: str, prefix: str = "") -> tuple[bytes, CIMultiDictProxy[str]]:
        """Bytes and headers, by the redirect; the store does not see the API key."""
        answer = await self.call("GET", f"{prefix}/attachments/{attachment}/content")
        assert answer.status == 307, answer.body
        async with self.session.get(answer.headers["location"]) as content:
            assert content.status == 200
            return await content.read(), content.headers


@asynccontextmanager
async def open_client(handle: Json, tenant: str = "demo") -> AsyncIterator[Client]:
    """A client and its site."""
    async with open_site() as site, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield Client(handle, site, session, tenant)


def inline(filename: str, content: bytes, content_type: str) -> Json:
    """A file as base64."""
    return {"filename": filename, "data": f"data:{content_type};base64,{base64.b64encode(content).decode()}"}


def person(**members: Any) -> Json:
    """A candidate that does not exist."""
    return {"firstName": "Test", "lastName": "Person", "email": "test.person@example.test"} | members


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
