"""Every hostile URL in every place where a URL may stand: no connection, one look-up at most, one stable answer.

Downloader, sender and dialler are the real ones; connects and look-ups are counted by Python's audit events.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import httpx2
import pytest

from deploy.lab.raw import Source, open_source
from services.fetcher.downloader import HttpDownloader
from services.notifier.sender import HttpSender
from shared import limits
from shared.addresses import EgressPolicy
from shared.egress import open_egress_client
from shared.errors import OUTCOME_CODES
from shared.events import FileError
from shared.lookups import ThreadedLookup
from shared.urls import UrlRefused, check_url
from tests.fence import Seen, TrapNames, fenced
from tests.hostile_urls import AS_REFERENCES, HOSTILE, HOSTILE_URLS, TRAPS

ORIGIN = "127.77.0.1"  # the only permitted address: a redirect has to come from somewhere
POLICY = EgressPolicy.from_settings([f"{ORIGIN}/32"])
PUBLIC = EgressPolicy()
UNREACHABLE = FileError(code="source_unreachable", message=OUTCOME_CODES["source_unreachable"].advice)


@pytest.fixture
def seen() -> Iterator[Seen]:
    with fenced() as found:
        yield found


@pytest.fixture
def names() -> TrapNames:
    return TrapNames(ORIGIN, silent_seconds=0.0)


@asynccontextmanager
async def guarded(names: TrapNames, policy: EgressPolicy = POLICY) -> AsyncIterator[httpx2.AsyncClient]:
    with ThreadPoolExecutor() as executor:
        lookup = ThreadedLookup(executor, look_up=names)
        async with open_egress_client(policy, user_agent="t", resolver=lookup) as client:
            yield client


def downloader(client: httpx2.AsyncClient, policy: EgressPolicy = POLICY) -> HttpDownloader:
    return HttpDownloader(client, policy, pauses=(0.0, 0.0))


def test_the_list_is_long_labelled_and_without_repetition() -> None:
    assert len(HOSTILE_URLS) == len(set(HOSTILE_URLS)) >= 200
    assert len({trap.host for trap in TRAPS}) == len(TRAPS) >= 40
    assert len({each.reason for each in HOSTILE}) >= 30


def test_each_is_refused_for_its_spelling_with_its_code() -> None:
    found: dict[str, str] = {}
    for each in HOSTILE:
        with pytest.raises(UrlRefused) as refused:
            check_url(each.url, PUBLIC)
        found[each.url] = refused.value.code
    assert found == {each.url: each.code for each in HOSTILE}


def test_the_traps_are_spelt_well_so_only_their_look_up_shows_them() -> None:
    assert all(check_url(trap.url(), PUBLIC) for trap in TRAPS)


async def test_as_a_file_none_is_dialled_or_looked_up(seen: Seen, names: TrapNames) -> None:
    async with guarded(names, PUBLIC) as client:
        download = downloader(client, PUBLIC).download
        found = {url: await download(url) for url in HOSTILE_URLS}
    assert {url: result for url, result in found.items() if result != UNREACHABLE} == {}
    assert (seen.connects, seen.look_ups, names.asked) == ([], [], {})


async def test_as_a_callback_none_is_dialled_or_looked_up(seen: Seen, names: TrapNames) -> None:
    async with guarded(names, PUBLIC) as client:
        sender = HttpSender(client, PUBLIC)
        found = {url: await sender.send(url, {}, b"{}") for url in HOSTILE_URLS}
    told = {url: (answer.status, answer.error, answer.text) for url, answer in found.items()}
    assert told == dict.fromkeys(HOSTILE_URLS, (None, "unreachable", ""))
    assert (seen.connects, seen.look_ups, names.asked) == ([], [], {})


@asynccontextmanager
async def leading_to(*urls: str) -> AsyncIterator[tuple[Source, dict[str, str]]]:
    """An origin, and at it a URL that leads to each of these."""

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        number = path.removeprefix("/to/")
        status, more = ("302 X", b"Location: " + urls[int(number)].encode()) if number.isdigit() else ("404 X", b"A: b")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n".encode() + more + b"\r\n\r\n")

    async with open_source(answer, at=ORIGIN) as source:
        yield source, {url: source.url(f"/to/{number}", ORIGIN) for number, url in enumerate(urls)}


async def test_as_the_target_of_a_redirect_none_is_dialled(seen: Seen, names: TrapNames) -> None:
    found, asked = {}, {}
    async with leading_to(*HOSTILE_URLS) as (source, ways), guarded(names) as client:
        for url, way in ways.items():
            names.asked.clear()
            found[url] = await downloader(client).download(way)
            asked[url] = names.asked.total()
    codes = {url: result.code for url, result in found.items() if isinstance(result, FileError)}
    assert codes == dict.fromkeys(HOSTILE_URLS, "source_unreachable") | AS_REFERENCES
    assert set(seen.connects) == {(ORIGIN, source.port)}
    assert seen.look_ups == []
    assert {url: count for url, count in asked.items() if count > 1} == {}


@pytest.mark.parametrize("way", ["file", "redirect"])
async def test_a_trap_is_seen_by_one_look_up_and_not_dialled(way: str, seen: Seen, names: TrapNames) -> None:
    async with leading_to(*(trap.url() for trap in TRAPS)) as (source, ways), guarded(names) as client:
        download = downloader(client).download
        found = {trap.host: await download(ways[trap.url()] if way == "redirect" else trap.url()) for trap in TRAPS}
    assert found == dict.fromkeys(found, UNREACHABLE)
    assert {host for host, _ in seen.connects} <= {ORIGIN}
    assert names.asked == {trap.host: trap.look_ups(limits.DOWNLOAD_TRIES) for trap in TRAPS}
    # Only the name that was good at first was dialled, at its good address, and never again.
    assert [place for place in seen.connects if place[1] != source.port] == [(ORIGIN, 80)]


async def test_a_trap_is_no_receiver(seen: Seen, names: TrapNames) -> None:
    async with guarded(names) as client:
        sender = HttpSender(client, POLICY)
        found = {trap.host: await sender.send(trap.url(), {}, b"{}") for trap in TRAPS}
        assert {(answer.status, answer.error, answer.text) for answer in found.values()} == {(None, "unreachable", "")}
        assert names.asked == dict.fromkeys(found, 1)
        again = await sender.send("http://rebinds.traps.example/", {}, b"{}")
    assert (again.status, again.error) == (None, "unreachable")
    assert seen.connects == [(ORIGIN, 80)]


async def test_the_fence_sees_what_is_dialled_and_lets_nothing_out(seen: Seen, names: TrapNames) -> None:
    async with leading_to() as (source, _), guarded(names) as client:
        assert (await client.get(source.url("/", ORIGIN))).status_code == 404
    assert seen.connects == [(ORIGIN, source.port)]
    async with guarded(names, EgressPolicy.from_settings(["192.0.2.0/24"])) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://192.0.2.1/")
    assert seen.connects[1:] == [("192.0.2.1", 80)]
