"""The one address that the services of `hostile_urls` may dial: it redirects to hostile places, and is rude itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from deploy.lab.behaviours import behaviours
from deploy.lab.raw import Source, moved, open_source

ORIGIN: Final = "127.77.0.1"
PUBLIC_PORTS: Final = (8443, 8080)  # that the gateway lets through, and no privilege is needed for
UNREACHABLE: Final = "source_unreachable"


BEHAVIOURS: Final = {each.path: each for each in behaviours()}
# What a rude origin answers, by the code of it; as a receiver, each is a failed attempt.
PLAYED: Final = ("/login", "/half", "/bomb", "/circle", "/hints", "/noise", "/nothing")
RUDE: Final = {path: BEHAVIOURS[path].file for path in PLAYED}


@asynccontextmanager
async def leading_to(targets: list[str]) -> AsyncIterator[Source]:
    """The origin: redirects under /to/, a good file, rude answers, a receiver; on a port that the gateway permits."""
    redirects = {f"/to/{n}": moved(url) for n, url in enumerate(targets)}

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        if path in redirects:
            writer.write(redirects[path])
        else:
            await BEHAVIOURS.get(path, BEHAVIOURS["/404"]).answer(path, writer)  # relative redirects lead here

    for port in PUBLIC_PORTS:
        try:
            async with open_source(answer, at=ORIGIN, port=port) as source:
                yield source
                return
        except OSError:
            continue
    raise OSError(f"none of {PUBLIC_PORTS} is free at {ORIGIN}")
