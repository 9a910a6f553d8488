"""The guard's place at connect time: an aiohttp connector whose socket factory and resolver ask the egress policy."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from aiohappyeyeballs import AddrInfoType
from aiohttp import TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.addresses import EgressPolicy
from shared.framing import MeteredConnector
from shared.lookups import DNS_SECONDS, QUEUE_SECONDS, LookupsBusy

ADDRESSES: Final = 16
SOCKET_BUFFER_BYTES: Final = 128 * 1024  # bounds what a source can push at us before anyone has looked at it

OUR_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Lookup = Callable[[str], Awaitable[Sequence[str]]]


@dataclass(slots=True)
class Exchange:
    """What httpx's interface does not carry between the client and its dialler, for one request."""

    url: URL
    refused: str = ""  # what for: a code of ours
    busy: bool = False  # no thread came free to look the name up
    starved: bool = False  # this machine had no socket, or no memory for one
    dialled: bool = False  # over a connection of its own
    connection: socket.socket | None = None  # None also once the body has been read


exchange: ContextVar[Exchange] = ContextVar("egress_exchange")


def _refusal(code: str, reason: str) -> OSError:
    if mine := exchange.get(None):
        mine.refused = code
    return PermissionError(reason)


@dataclass(frozen=True, slots=True)
class SocketFactory:
    """The gate: called with every address that is about to be dialled, literal or resolved."""

    policy: EgressPolicy

    def __call__(self, info: AddrInfoType) -> socket.socket:
        """A socket for this address; raises PermissionError, and nothing is sent."""
        family, kind, protocol, _, address = info
        if not self.policy.permits(str(address[0]), int(address[1])) or any(address[2:]):
            raise _refusal("address_not_allowed", "address or port not allowed")
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError as error:
            if (mine := exchange.get(None)) and error.errno in OUR_SHORTAGES:
                mine.starved = True
            raise
        if mine := exchange.get(None):
            mine.dialled = True
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        return opened


class GuardedResolver(AbstractResolver):
    """Refuses a name if any of its addresses is refused; bounded in time and in the number of addresses."""

    def __init__(self, policy: EgressPolicy, lookup: Lookup) -> None:
        self._policy = policy
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name; raises OSError for a refused, unknown or slow one."""
        try:
            async with asyncio.timeout(QUEUE_SECONDS + DNS_SECONDS):
                addresses = await self._lookup(host)
        except LookupsBusy:
            if mine := exchange.get(None):
                mine.busy = True
            raise
        except TimeoutError:
            raise OSError("name resolution timed out") from None
        if not addresses:
            raise OSError("no address")
        permitted = [address for address in addresses if self._policy.permits(address, port)]
        # `localhost` may be allowed for one address family only; for any other name one bad address spoils all.
        if not permitted or (len(permitted) < len(addresses) and host.removesuffix(".") != "localhost"):
            raise _refusal("name_not_allowed", "a name with an address that is not allowed")
        return [_result(host, port, address) for address in permitted[:ADDRESSES]]

    async def close(self) -> None:
        """Nothing to close: whoever opened the client owns the executor."""


def _result(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": flags}


def guarded_connector(
    policy: EgressPolicy, lookup: Lookup, tls: ssl.SSLContext, *, connections: int, keepalive_seconds: float | None
) -> TCPConnector:
    """A connector that dials only what the policy permits; without a DNS cache, so that each dial is judged anew."""
    return MeteredConnector(
        socket_factory=SocketFactory(policy),
        resolver=GuardedResolver(policy, lookup),
        use_dns_cache=False,
        ssl=tls,
        limit=connections,
        keepalive_timeout=keepalive_seconds,
    )
