"""The egress guard's HTTP client: httpx2's API over a session that dials only what the policy permits.

The verdict falls when a socket is about to be opened (dialler.py), so neither a redirect nor a name that changes its
address gets past it; TLS, SNI, Host and pooling stay those of the real host name.
"""

import logging
import ssl
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx2
from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    DummyCookieJar,
    ServerDisconnectedError,
)
from httpx_aiohttp.httpx2 import AiohttpTransport
from yarl import URL

from shared.addresses import EgressPolicy
from shared.dialler import OUR_SHORTAGES, Exchange, Lookup, exchange, guarded_connector
from shared.lookups import DNS_THREADS, ThreadedLookup
from shared.metrics import EGRESS_REFUSED
from shared.urls import ParsedUrl, UrlRefused, check_url, loggable

__all__ = [
    "EgressBusy",
    "EgressPolicy",
    "EgressRefused",
    "EgressStarved",
    "ParsedUrl",
    "UrlRefused",
    "check_url",
    "count_refusal",
    "loggable",
    "open_egress_client",
]

READ_BUFFER_BYTES: Final = 16 * 1024


class EgressRefused(httpx2.ConnectError):
    """The guard refused to dial; count it, but never let a client of ours tell it from an unreachable host."""

    code = "address_not_allowed"


class EgressStarved(httpx2.ConnectError):
    """This machine has no socket or memory left to dial: our own outage, nothing that the other side did."""


class EgressBusy(EgressStarved):
    """No thread came free to look the name up: worth another try later."""


async def _send_exactly(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send the URL as it came: quoting it anew, as the session does, breaks signed ones."""
    mine = exchange.get()
    request.url = mine.url
    try:
        response = await handler(request)
    except (ClientOSError, ServerDisconnectedError) as error:
        if mine.dialled and not isinstance(error, ClientConnectorError):
            # The session would send a GET again; that is right only where a kept connection had gone stale.
            raise ClientConnectionError("the connection broke") from error
        raise
    # The transport encodes the phrase, which holds surrogates where it was not UTF-8.
    response.reason = (response.reason or "").encode("ascii", "replace").decode()
    if response.connection and response.connection.transport:
        mine.connection = response.connection.transport.get_extra_info("socket")
    return response


class _GuardedTransport(AiohttpTransport):
    """Gives the guard's verdict its own exception, and a response the extension `socket` while it has one."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        mine = Exchange(URL(str(request.url).partition("#")[0], encoded=True))
        token = exchange.set(mine)
        try:
            response = await super().handle_async_request(request)
        except (httpx2.TransportError, ClientError, OSError) as error:
            raise _translated(error, mine) from error.__cause__
        finally:
            exchange.reset(token)
        response.extensions["socket"] = mine.connection
        return response


def _translated(error: Exception, mine: Exchange) -> httpx2.TransportError:
    if mine.refused:
        refused = EgressRefused("refused by the egress policy")
        refused.code = mine.refused
        return refused
    if mine.busy:
        return EgressBusy("no look-up came free")
    if mine.starved or getattr(error.__cause__ or error, "errno", None) in OUR_SHORTAGES:
        return EgressStarved("no socket to dial with")
    if isinstance(error, httpx2.ConnectTimeout) and not isinstance(error.__cause__, TimeoutError):
        # The transport below calls all of these time-outs.
        kind = httpx2.ConnectError if isinstance(error.__cause__, ClientConnectorError) else httpx2.ReadError
        return kind("no connection" if kind is httpx2.ConnectError else "the connection broke")
    return error if isinstance(error, httpx2.TransportError) else httpx2.RemoteProtocolError(type(error).__name__)


def count_refusal(error: Exception) -> None:
    """Count what the guard refused, by its code; a redirect to something that is no URL at all is `invalid_url`."""
    EGRESS_REFUSED.labels(error.code if isinstance(error, (EgressRefused, UrlRefused)) else "invalid_url").inc()


@asynccontextmanager
async def open_egress_client(
    policy: EgressPolicy,
    *,
    user_agent: str,
    connect_seconds: float = 5.0,
    read_seconds: float = 15.0,
    limits: httpx2.Limits | None = None,
    resolver: Lookup | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client for hostile URLs: guarded, no redirects, cookies, proxies or environment; call `check_url` first.

    `resolver` gives a name's addresses (tests); `tls` replaces the system's trust store (tests, private partners).
    A refusal at connect raises EgressRefused. The time-outs here hold for single operations; put one around all.
    """
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs whole URLs, which may be signed
    limits = limits or httpx2.Limits(max_connections=100, keepalive_expiry=15.0)
    context = tls or ssl.create_default_context()  # once a client: it reads the trust store from disk
    executor = ThreadPoolExecutor(DNS_THREADS, thread_name_prefix="dns")
    session = ClientSession(
        connector=guarded_connector(
            policy,
            resolver or ThreadedLookup(executor),
            context,
            connections=limits.max_connections or 0,
            keepalive_seconds=limits.keepalive_expiry,
        ),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        read_bufsize=READ_BUFFER_BYTES,
        middlewares=(_send_exactly,),
    )
    try:
        async with httpx2.AsyncClient(
            transport=_GuardedTransport(client=session, verify=context),
            timeout=httpx2.Timeout(read_seconds, connect=connect_seconds, pool=None),
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity", "Accept": "*/*"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
        ) as client:
            yield client
    finally:
        await session.close()
        executor.shutdown(wait=False, cancel_futures=True)
