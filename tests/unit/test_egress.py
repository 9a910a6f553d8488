"""The guarded client against a server on loopback: what may not be dialled is never dialled."""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from aiohttp import web

from shared.addresses import EgressPolicy
from shared.dialler import ADDRESSES, GuardedResolver, Lookup, SocketFactory
from shared.egress import EgressBusy, EgressRefused, open_egress_client
from shared.lookups import PER_PARENT, LookupsBusy, ThreadedLookup
from tests.hostile_urls import HOSTILE_URLS

# One address of loopback stands for what is permitted, another for what is not: nothing ever leaves the machine.
ONE_ADDRESS = EgressPolicy(EgressPolicy.from_settings(["127.0.0.1/32"]).networks, frozenset())
DECOY = "127.0.0.2"


class Server:
    """Counts connections and requests; answers with the target as it came."""

    def __init__(self) -> None:
        self.connections = 0
        self.targets: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.targets.append(request.raw_path)
        self.headers.append(dict(request.headers))
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        return web.Response(text="hello", headers={"Set-Cookie": "session=1; Path=/"})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    runner = web.ServerRunner(web.Server(found.handle))  # type: ignore[arg-type]
    await runner.setup()
    listening = await asyncio.get_running_loop().create_server(lambda: counted(found, runner), "127.0.0.1", 0)
    found.port = listening.sockets[0].getsockname()[1]
    yield found
    listening.close()
    await runner.cleanup()


def counted(server: Server, runner: web.ServerRunner) -> asyncio.Protocol:
    server.connections += 1
    assert runner.server is not None
    return runner.server()


def names(**table: Sequence[str]) -> Lookup:
    async def lookup(host: str) -> Sequence[str]:
        return table[host.removesuffix(".example")]

    return lookup


async def test_permitted_name_is_reached_under_its_own_host_header(server: Server) -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="test/1", resolver=names(good=["127.0.0.1"])) as client:
        response = await client.get(f"http://good.example:{server.port}/")
    assert response.text == "hello"
    assert server.headers[0]["Host"] == f"good.example:{server.port}"
    assert server.headers[0]["User-Agent"] == "test/1"
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "addresses", [[DECOY], ["127.0.0.1", DECOY], [DECOY, "127.0.0.1"], ["127.0.0.1", "::1%1"], ["garbage"]]
)
async def test_name_with_any_refused_address_is_refused(server: Server, addresses: list[str]) -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names(bad=addresses)) as client:
        with pytest.raises(EgressRefused):
            await client.get(f"http://bad.example:{server.port}/")
    assert server.connections == 0


async def test_each_refusal_has_a_code_for_those_who_run_the_service() -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names(bad=[DECOY])) as client:
        for url, code in (("http://bad.example/", "name_not_allowed"), (f"http://{DECOY}/", "address_not_allowed")):
            with pytest.raises(EgressRefused) as refused:
                await client.get(url)
            assert refused.value.code == code


async def test_name_that_changes_its_address_is_refused_at_the_next_dial(server: Server) -> None:
    answers = iter([["127.0.0.1"], [DECOY]])

    async def rebinding(host: str) -> Sequence[str]:
        return next(answers)

    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=rebinding) as client:
        url = f"http://rebinding.example:{server.port}/"
        assert (await client.get(url, headers={"Connection": "close"})).status_code == 200
        with pytest.raises(EgressRefused):
            await client.get(url)
    assert server.connections == 1


@pytest.mark.parametrize("host", [DECOY, "[::1]", f"[::ffff:{DECOY}]", "[::127.0.0.1]", "[::1%25lo]"])
async def test_literal_skips_the_resolver_and_is_refused_by_the_dialler(server: Server, host: str) -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names()) as client:
        with pytest.raises(EgressRefused):
            await client.get(f"http://{host}:{server.port}/")


def aimed_at(url: str, port: int) -> str:
    """The same spelling of a host, with the server's port."""
    return re.sub(r"^(https?://[^/?#]*?)(:\d+)?/", rf"\1:{port}/", url, flags=re.IGNORECASE)


async def test_no_hostile_url_reaches_loopback_even_without_the_static_checks(server: Server) -> None:
    async def everything_is_here(host: str) -> Sequence[str]:
        return ["127.0.0.1", "::1"]

    nothing_here = EgressPolicy((), frozenset({server.port}))
    async with open_egress_client(nothing_here, user_agent="t", resolver=everything_is_here) as client:
        for url in HOSTILE_URLS:
            with pytest.raises((httpx2.HTTPError, httpx2.InvalidURL, ValueError)):
                await client.get(aimed_at(url, server.port))
    assert server.connections == 0


async def test_the_same_urls_do_reach_loopback_where_it_is_allowed(server: Server) -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names()) as client:
        assert (await client.get(aimed_at("http://127.0.0.1/", server.port))).status_code == 200


def test_odd_port_of_a_public_address_gets_no_socket() -> None:
    factory = SocketFactory(EgressPolicy())
    factory((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("9.9.9.9", 443))).close()
    with pytest.raises(PermissionError):
        factory((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("9.9.9.9", 22)))


def test_address_with_a_scope_gets_no_socket() -> None:
    with pytest.raises(PermissionError):
        SocketFactory(EgressPolicy())((socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("2000::9", 443, 0, 1)))


async def test_url_is_sent_as_it_came(server: Server) -> None:
    target = "/a%2Fb%7Ec?sig=a%2Fb%2Bc%3D%3D&x=%7e"
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names(good=["127.0.0.1"])) as client:
        await client.get(f"http://good.example:{server.port}{target}#fragment")
    assert server.targets == [target]


async def test_neither_redirects_are_followed_nor_cookies_kept(server: Server) -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names(good=["127.0.0.1"])) as client:
        moved = await client.get(f"http://good.example:{server.port}/moved")
        for _ in range(2):
            await client.get(f"http://good.example:{server.port}/")
    assert moved.status_code == 302
    assert server.targets == ["/moved", "/", "/"]
    assert not any("Cookie" in headers for headers in server.headers)


async def test_proxies_of_the_environment_are_ignored(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{server.port}")
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names(bad=[DECOY])) as client:
        with pytest.raises(EgressRefused):
            await client.get(f"http://bad.example:{server.port}/")
    assert server.connections == 0


async def test_closed_port_is_a_connect_error_and_no_refusal(unused_port: int) -> None:
    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names()) as client:
        with pytest.raises(httpx2.ConnectError) as caught:
            await client.get(f"http://127.0.0.1:{unused_port}/")
    assert not isinstance(caught.value, EgressRefused)


async def test_connection_that_breaks_is_no_time_out() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        await asyncio.start_server(hang_up, "127.0.0.1", 0) as listening,
        open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names()) as client,
    ):
        with pytest.raises(httpx2.ReadError):
            await client.post(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/", content=b"x")


async def test_certificate_is_verified(server: Server) -> None:
    async with (
        await asyncio.start_server(
            lambda *_: None, "127.0.0.1", 0, ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ) as listening,
        open_egress_client(ONE_ADDRESS, user_agent="t", resolver=names(good=["127.0.0.1"])) as client,
    ):
        with pytest.raises(httpx2.ConnectError):
            await client.get(f"https://good.example:{listening.sockets[0].getsockname()[1]}/")


async def test_at_most_sixteen_addresses_are_kept_but_all_are_judged() -> None:
    many = [f"9.9.9.{n}" for n in range(1, 101)]
    assert len(await GuardedResolver(EgressPolicy(), names(many=many)).resolve("many.example", 80)) == ADDRESSES
    with pytest.raises(OSError, match="not allowed"):
        await GuardedResolver(EgressPolicy(), names(many=[*many, DECOY])).resolve("many.example", 80)


async def test_localhost_may_be_allowed_in_one_address_family() -> None:
    async def both(host: str) -> Sequence[str]:
        return ["::1", "127.0.0.1"]

    found = await GuardedResolver(ONE_ADDRESS, both).resolve("localhost", 80)
    assert [result["host"] for result in found] == ["127.0.0.1"]
    with pytest.raises(OSError, match="not allowed"):
        await GuardedResolver(ONE_ADDRESS, both).resolve("other.example", 80)


@pytest.fixture
def unused_port(unused_tcp_port: int) -> int:
    return unused_tcp_port


async def test_slow_names_of_one_domain_leave_threads_for_others() -> None:
    ended = threading.Event()

    def look_up(host: str) -> list[str]:
        if host.endswith("slow.example"):
            ended.wait(30)
        return ["127.0.0.1"]

    with ThreadPoolExecutor(PER_PARENT + 1) as executor:
        lookup = ThreadedLookup(executor, PER_PARENT + 1, look_up, queue_seconds=0.3, seconds=0.2)
        try:
            slow = [lookup(f"h{n}.slow.example") for n in range(3 * PER_PARENT)]
            found = await asyncio.gather(*slow, return_exceptions=True)
            assert [type(each) for each in found].count(LookupsBusy) == 2 * PER_PARENT
            assert await lookup("quick.other.test") == ["127.0.0.1"]
        finally:
            ended.set()


async def test_no_thread_for_a_look_up_is_told_from_an_unknown_name() -> None:
    async def busy(host: str) -> Sequence[str]:
        raise LookupsBusy

    async with open_egress_client(ONE_ADDRESS, user_agent="t", resolver=busy) as client:
        with pytest.raises(EgressBusy):
            await client.get("http://good.example:8080/")
