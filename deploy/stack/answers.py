"""Probes: does a server on loopback answer?"""

import asyncio
from contextlib import suppress

from deploy.stack.ports import LOOPBACK

PROBE_SECONDS = 2.0


async def accepts(port: int) -> bool:
    """Whether it accepts a TCP connection."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            return True
    return False


async def says_ok(port: int, path: str) -> bool:
    """Whether an HTTP GET is answered with 200."""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
            status = await reader.readuntil(b"\r\n")
            writer.close()
            return status.split(b" ")[1:2] == [b"200"]
    return False
