"""The road of the demo: create with two files, be called back, read, download, remove one, be called back again."""

import asyncio
import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp

from deploy.demo.receiver import Callback
from deploy.demo.samples import curriculum_vitae, photograph
from deploy.demo.screen import Screen, Unexpected, expect
from deploy.demo.verification import verified

CALLBACK_SECONDS = 30.0
FIELDS = {"curriculumVitae": "cv.pdf", "otherAttachments": "photo.png"}


@dataclass(frozen=True, slots=True)
class Target:
    """A running installation: its gateway, credentials, and the demo site as the services and as we reach it."""

    api: str
    api_key: str
    webhook_secret: str
    site_for_services: str
    site_for_us: str
    logs: str


@dataclass
class Road:
    """One walk along the road; each method is one step."""

    target: Target
    screen: Screen
    session: aiohttp.ClientSession
    files: dict[str, bytes] = field(default_factory=lambda: {"cv.pdf": curriculum_vitae(), "photo.png": photograph()})
    hook: str = ""
    candidate: str = ""
    attachments: dict[str, str] = field(default_factory=dict)  # file name to attachment id

    async def walk(self) -> None:
        """All steps in order; raises StepFailed at the first that does not hold."""
        with self.screen.step("put a PDF on a web server"):
            await self._publish_file()
        with self.screen.step("POST /candidates: the PDF by URL, a PNG as base64"):
            mutation = await self._create()
        with self.screen.step("callback received, its signature verified"):
            await self._outcome(mutation, dict.fromkeys(self.files, "stored"))
        with self.screen.step("GET the candidate"):
            await self._read()
        for name in self.files:
            with self.screen.step(f"download {name}: its SHA-256 is the same"):
                await self._download(name)
        with self.screen.step("DELETE photo.png from the candidate"):
            mutation = await self._remove("photo.png")
        with self.screen.step("callback received, its signature verified"):
            await self._outcome(mutation, {"photo.png": "removed"})
        with self.screen.step("photo.png is gone, cv.pdf is still there"):
            await self._gone("photo.png")
            await self._download("cv.pdf")

    async def look_again(self) -> None:
        """What an earlier walk has left must still be there; raises StepFailed."""
        with self.screen.step("GET the candidate of before"):
            await self._read()
        with self.screen.step("download its cv.pdf: its SHA-256 is the same"):
            await self._download("cv.pdf")
        with self.screen.step("its photo.png is still gone"):
            await self._gone("photo.png")

    async def _publish_file(self) -> None:
        body = self.files["cv.pdf"]
        self.hook = hashlib.sha256(body).hexdigest()[:16]  # the PDF is unique, so the path is, too
        async with self.session.put(f"{self.target.site_for_us}/files/{self.hook}.pdf", data=body) as answer:
            expect(201, answer.status, "status")
        self.screen.detail = f"{len(body)} bytes"

    async def _create(self) -> str:
        encoded = base64.b64encode(self.files["photo.png"]).decode()
        body = {
            "firstName": "Test",
            "lastName": "Person",
            "email": "test.person@example.test",
            "callbackUrl": f"{self.target.site_for_services}/hooks/{self.hook}",
            "curriculumVitae": [
                {"filename": "cv.pdf", "url": f"{self.target.site_for_services}/files/{self.hook}.pdf"}
            ],
            "otherAttachments": [{"filename": "photo.png", "data": f"data:image/png;base64,{encoded}"}],
        }
        data = await self._call("POST", "/candidates", 202, body)
        accepted = data["data"]["mutations"][0]
        self.candidate = accepted["record"]["id"]
        self.attachments = {entry["filename"]: entry["id"] for entry in accepted["attachments"]}
        expect(set(self.files), set(self.attachments), "attachments")
        self.screen.detail = f"202, mutation {accepted['mutationId']}"
        return str(accepted["mutationId"])

    async def _outcome(self, mutation: str, files: dict[str, str]) -> None:
        data = (await self._callback(mutation))["data"]
        expect("completed", data["status"], "status")
        expect(self.candidate, data["record"]["id"], "record")
        seen = {entry["filename"]: entry["status"] for entry in data["attachments"] if entry["filename"] in files}
        expect(files, seen, "attachments")
        self.screen.detail = f"{data['status']}, sequence {data['sequence']}"

    async def _callback(self, mutation: str) -> dict[str, Any]:
        async with asyncio.timeout(CALLBACK_SECONDS):
            while True:
                async with self.session.get(f"{self.target.site_for_us}/hooks/{self.hook}") as answer:
                    for one in await answer.json():
                        body = verified(Callback(**one), self.target.webhook_secret)
                        if body["data"]["mutationId"] == mutation:
                            return body
                await asyncio.sleep(0.02)

    async def _read(self) -> None:
        record = await self._call("GET", f"/candidates/{self.candidate}", 200)
        data = record.get("data", record)
        expect("Person", data["lastName"], "lastName")
        self.screen.detail = f"{data['firstName']} {data['lastName']}, {self.candidate}"

    async def _download(self, name: str) -> None:
        path = f"/attachments/{self.attachments[name]}/content"
        key = {"x-api-key": self.target.api_key}
        async with self.session.get(self.target.api + path, headers=key, allow_redirects=False) as answer:
            expect(307, answer.status, "status")
            location = urljoin(self.target.api + path, answer.headers["location"])
        async with self.session.get(location) as answer:  # the store must not see the key
            expect(200, answer.status, "status")
            seen = hashlib.sha256(await answer.read()).hexdigest()
        expect(hashlib.sha256(self.files[name]).hexdigest(), seen, "SHA-256")
        self.screen.detail = seen[:16]

    async def _remove(self, name: str) -> str:
        body = {
            "attachmentIds": [self.attachments[name]],
            "callbackUrl": f"{self.target.site_for_services}/hooks/{self.hook}",
        }
        data = await self._call("DELETE", f"/candidates/{self.candidate}/attachments", 202, body)
        return str(data["data"]["mutationId"])

    async def _gone(self, name: str) -> None:
        await self._call("GET", f"/attachments/{self.attachments[name]}", 404)

    async def _call(self, method: str, path: str, status: int, body: object = None) -> dict[str, Any]:
        headers = {"x-api-key": self.target.api_key}
        async with self.session.request(method, self.target.api + path, json=body, headers=headers) as answer:
            if answer.status != status:
                raise Unexpected(f"status {status}", f"{answer.status} {(await answer.text())[:300]}")
            result: dict[str, Any] = await answer.json(content_type=None)
            return result
