"""The lab as a program: every behaviour under its path, an index page, and a second port with wrong TLS."""

import asyncio
import html
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from deploy.lab.behaviours import Behaviour, behaviours
from deploy.lab.certificates import tls_pair
from deploy.lab.raw import Answer, answered, open_source

INDEX: Final = ("/", "/index.json")
WRONG_NAME: Final = "wrong.example"
TLS: Final = {"does": "an expired certificate for another name, signed by nobody", "file": "source_unreachable",
              "callback": "unreachable"}  # fmt: skip
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab: where it is, and where the same speaks TLS as it should not."""

    url: str
    tls_url: str

    def table(self) -> list[dict[str, Any]]:
        """What the index page shows: each address with what it does, and what the engine makes of it."""
        rows: list[dict[str, Any]] = [
            {"url": self.url + each.path, "does": each.does, "file": each.file, "callback": each.callback}
            for each in behaviours()
        ]
        return [*rows, {"url": f"{self.tls_url}/good"} | TLS]


def page(lab: Lab) -> bytes:
    """The index page."""
    rows = (
        f"<tr><td><code>{html.escape(each['url'])}</code><td>{html.escape(each['does'])}"
        f"<td><code>{each['file']}</code><td>{html.escape(meaning(each['callback']))}</tr>"
        for each in lab.table()
    )
    return (
        "<!doctype html><meta charset=utf-8><title>Lab</title><style>body{font:16px sans-serif;margin:2em}"
        "td,th{text-align:left;padding:.2em 1em .2em 0}</style><h1>Lab</h1>"
        "<p>Use an address as <code>url</code> of a file, or as <code>callbackUrl</code>."
        "<table><tr><th>address<th>does<th>outcome of a file<th>attempt to call back</tr>" + "".join(rows) + "</table>"
    ).encode()


def meaning(callback: int | str) -> str:
    """What an attempt to call back comes to."""
    if not isinstance(callback, int):
        return f"{callback}: tried again"
    ends = {200: "delivered", 410: "gone for good"}
    return f"{callback}: {ends.get(callback, 'tried again')}"


def answers(lab: Lab, known: list[Behaviour], told: Told) -> Answer:
    """The function that answers every path; an unknown one gets 404."""
    by_path = {each.path: each.answer for each in known}

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        told(path)
        bare = path.partition("?")[0]
        if bare in by_path:
            await by_path[bare](path, writer)
        elif bare == INDEX[0]:
            writer.write(answered(b"200 OK", page(lab), b"Content-Type: text/html; charset=utf-8"))
        elif bare == INDEX[1]:
            writer.write(answered(b"200 OK", orjson.dumps(lab.table()), b"Content-Type: application/json"))
        else:
            writer.write(answered(b"404 X", b"See / for what there is.\n", b"Content-Type: text/plain"))

    return answer


@asynccontextmanager
async def open_lab(
    host: str = "127.0.0.1", port: int = 0, tls_port: int = 0, told: Told = lambda _: None
) -> AsyncIterator[Lab]:
    """A running lab; `told` hears of every path that is asked for. Raises OSError for a port that is taken."""
    known: dict[str, Answer] = {}

    async def dispatch(path: str, writer: asyncio.StreamWriter) -> None:
        await known["answer"](path, writer)

    async with (
        open_source(dispatch, at=host, port=port) as plain,
        open_source(dispatch, _wrong_tls(), at=host, port=tls_port) as encrypted,
    ):
        shown = f"[{host}]" if ":" in host else host
        lab = Lab(f"http://{shown}:{plain.port}", f"https://{shown}:{encrypted.port}")
        known["answer"] = answers(lab, behaviours(), told)
        yield lab


def _wrong_tls() -> ssl.SSLContext:
    with tempfile.TemporaryDirectory() as folder:
        return tls_pair(WRONG_NAME, Path(folder), days=-1)[0]
