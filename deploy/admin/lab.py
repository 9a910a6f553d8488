"""`mutation-engine lab`: origins and receivers that misbehave, so that anybody can rehearse each outcome."""

import asyncio
import contextlib
import importlib.util
import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.admin.terminal import FAILED, CommandFailed, Json, note, print_json, say

if TYPE_CHECKING:
    from deploy.lab.site import Lab

Host = Annotated[str, typer.Option(help="Where to listen; anything but loopback is open to others.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")]
TlsPort = Annotated[int, typer.Option(min=0, max=65535, help="Of the same with wrong TLS; 0: any free one.")]


def main(host: Host = "127.0.0.1", port: Port = 8099, tls_port: TlsPort = 0, as_json: Json = False) -> None:
    """Be a hostile origin of files and a rude receiver of callbacks, one behaviour a path, until Ctrl-C.

    Use its addresses as url of a file, or as callbackUrl; the index page says what to expect of the engine. A gateway
    takes them where ENGINE_EGRESS_ALLOW holds this address: mutation-engine up --allow-loopback.

    mutation-engine lab

    mutation-engine lab --port 0 --json | head -1 | jq -r '.behaviours[].url'
    """
    if not importlib.util.find_spec("deploy.lab"):
        raise CommandFailed(FAILED, "The lab is not part of this installation; it is in the repository.")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(host, port, tls_port, as_json))


async def _serve(host: str, port: int, tls_port: int, as_json: bool) -> None:
    from deploy.lab.site import open_lab

    def told(path: str) -> None:
        now = datetime.now().astimezone()
        try:
            print_json({"at": now, "path": path}) if as_json else say(f"{now:%H:%M:%S}  {path}")
        except BrokenPipeError:  # whoever wanted the first line alone has gone: go on, and tell nobody
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    try:
        async with open_lab(host, port, tls_port, told) as lab:
            print_json({"url": lab.url, "behaviours": lab.table()}) if as_json else _show(lab)
            await asyncio.Event().wait()
    except BrokenPipeError:  # nobody reads the list, which says nothing of the address
        raise
    except (OSError, OverflowError) as error:
        raise CommandFailed(FAILED, f"The lab can't listen at {host}:{port}: {error}.") from None


def _show(lab: "Lab") -> None:
    from deploy.lab.site import meaning

    width = max(len(each["url"]) for each in lab.table())
    for each in lab.table():
        expect = f"file: {each['file']:<21}  callback: {meaning(each['callback']):<21}"
        say(f"{each['url']:<{width}}  {expect}  {each['does']}")
    note(f"The same at {lab.url}/ and /index.json. Stop with Ctrl-C.")
