"""Plays the commands of docs/http.md against a running installation and writes down the answers.

`python -m tests.e2e.examples .run/stack.json FOLDER` fills the page; the test fails when it says something else. It has
blocks `sh` with one curl each, and after each the answer: `json 202`, `text 200` or, without a body, `text 204`.
Comments steer: `<!-- keep NAME=data.id -->` keeps a part of an answer as a variable, `<!-- after KEY -->` waits until a
mutation has ended and its callback was delivered, `<!-- part data.email -->` shows only this part of the answer.
"""

import asyncio
import json
import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from deploy.admin.documents import DOCS
from deploy.demo.site import Site, open_site
from tests.retry import eventually

PAGE: Final = DOCS / "http.md"
WIDTH: Final = 100
PARTS: Final = re.compile(
    r"^```sh\n(?P<command>.*?)^```\n|^```(?:json|text) \d+\n.*?^```\n"
    r"|^<!-- (?P<verb>keep|after|part) (?P<rest>.*?) -->\n",
    re.MULTILINE | re.DOTALL,
)
PDF: Final = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
PRELUDE: Final = 'curl() { command curl -sS -o body -w "%{http_code}" "$@"; }\n'
TENANT: Final = "acme"


@dataclass
class Masks:
    """Replaces what differs from run to run by what looks alike; the same id always by the same."""

    texts: dict[str, str]
    ids: dict[str, str] = field(default_factory=dict)

    def masked(self, value: Any, name: str = "") -> Any:
        """The value as the page shows it."""
        if isinstance(value, dict):
            return {key: self.masked(part, key) for key, part in value.items()}
        if isinstance(value, list):
            return [self.masked(part) for part in value]
        if name == "ms" and isinstance(value, int):
            return 12
        if name == "nextCursor" and isinstance(value, str):
            return "…"
        return self._text(value) if isinstance(value, str) else value

    def _text(self, value: str) -> str:
        for found, shown in self.texts.items():
            value = value.replace(found, shown)
        value = re.sub(rf"\b{TENANT}-[0-9a-f]{{8}}", TENANT, value)
        value = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda match: self._id(match[0]), value)
        value = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-03-01T12:00:00Z", value)
        value = re.sub(r"(?<=me_[0-9a-f]{16}_)[\w-]{43}", "…", value)
        value = re.sub(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", lambda match: self._public_id(match[0]), value)
        value = re.sub(r"whsec_[\w+/=]+", "whsec_…", value)
        return re.sub(r"^https?://\S+X-Amz-\S+$", "https://objects.example.com/…?X-Amz-Signature=…", value)

    def _public_id(self, found: str) -> str:
        return self.ids.setdefault(found, f"{0x5F0C3A9BE2D10000 + len(self.ids) * 0x1B3:016x}")

    def _id(self, found: str) -> str:
        return self.ids.setdefault(found, f"019c9d2e-6a00-7000-8000-{len(self.ids) + 1:012x}")


@dataclass
class Player:
    """Runs a page's commands in order as a tenant that was made for it, in a folder with a few small files."""

    handle: dict[str, Any]
    folder: Path
    site: Site
    session: aiohttp.ClientSession
    variables: dict[str, str] = field(default_factory=dict)
    tenant: str = field(default_factory=lambda: f"{TENANT}-{secrets.token_hex(4)}")

    async def begin(self) -> Masks:
        """Make the tenant; what to mask."""
        (self.folder / "cv.pdf").write_bytes(PDF)
        (self.folder / "logo.gif").write_bytes(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")
        self.site.origin.files["certificate.pdf"] = PDF.replace(b"Catalog", b"Catalog /V 1")
        admin = str(self.handle["admin"]["apiKey"])
        await self._administer(admin, "", {"name": self.tenant})
        key = (await self._administer(admin, f"/{self.tenant}/keys"))["key"]
        await self._administer(admin, f"/{self.tenant}/secrets")
        hook, file = self.site.hook_url("examples"), self.site.file_url("certificate.pdf")
        known = {"API": self.handle["http"], "ADMIN": admin, "KEY": key, "HOOK": hook, "FILE_URL": file}
        self.variables |= known
        return Masks({hook: "https://hooks.example.com/engine", file: "https://files.example.com/cv.pdf"})

    async def filled(self, page: str) -> str:
        """The page with the answers of now."""
        masks, written, position, answer, part = await self.begin(), "", 0, None, ""
        for match in PARTS.finditer(page):
            written += page[position : match.start()]
            position, text = match.end(), match[0]
            if match["command"]:
                answer, part = await self._run(match["command"]), ""
            elif match["verb"] == "after":
                await self._ended(match["rest"])
            elif match["verb"] == "part":
                part = match["rest"]
            elif match["verb"] == "keep":
                name, _, path = match["rest"].partition("=")
                assert answer, text
                self.variables[name] = str(_at(answer[1], path))
            else:
                assert answer, text
                text = _block(answer[0], masks.masked(answer[1]), part)
            written += text
        return written + page[position:]

    async def _run(self, command: str) -> tuple[int, Any]:
        (self.folder / "body").unlink(missing_ok=True)
        script = PRELUDE + command.replace(TENANT, self.tenant)
        process = await asyncio.create_subprocess_exec(
            "bash", "-euc", script, cwd=self.folder, env=os.environ | self.variables,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        status, complaints = await process.communicate()
        assert process.returncode == 0, f"{command}{complaints.decode()}"
        body = (self.folder / "body").read_text() if (self.folder / "body").exists() else ""
        return int(status), json.loads(body) if body.startswith(("{", "[")) else body

    async def _ended(self, key: str) -> None:
        headers = {"x-api-key": self.variables["KEY"]}

        async def ended() -> None:
            async with self.session.get(f"{self.variables['API']}/mutations/{key}", headers=headers) as answer:
                data = (await answer.json())["data"]
            for one in data.get("members", [data]):
                assert one["status"] not in ("accepted", "applying")
                assert not one["callback"] or any(each["status"] == "delivered" for each in one["deliveries"])

        await eventually(ended, 60)

    async def _administer(self, key: str, path: str, body: Any = None) -> Any:
        url = f"{self.handle['http']}/admin/tenants{path}"
        async with self.session.post(url, json=body, headers={"x-api-key": key}) as answer:
            assert answer.status == 201, await answer.text()
            return (await answer.json())["data"]


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _block(status: int, body: Any, part: str) -> str:
    if isinstance(body, str):
        return f"```text {status}\n{body.strip()}\n```\n" if body.strip() else f"```text {status}\n```\n"
    return f"```json {status}\n{pretty(_at(body, part) if part else body)}\n```\n"


def pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON that puts on one line what fits on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent + before <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, list):
        rows = [inner + pretty(each, indent + 2, 1) for each in value]
        return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"
    rows = [f"{inner}{json.dumps(key)}: {pretty(each, indent + 2, len(key) + 5)}" for key, each in value.items()]
    return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"


async def fill(handle: dict[str, Any], page: str, folder: Path) -> str:
    """The page with the answers that this installation gives."""
    async with open_site() as site, aiohttp.ClientSession() as session:
        return await Player(handle, folder, site, session).filled(page)


def main() -> None:
    """Fill docs/http.md."""
    handle, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    PAGE.write_text(asyncio.run(fill(handle, PAGE.read_text(), folder)))


if __name__ == "__main__":
    main()
