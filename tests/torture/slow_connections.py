"""Clients that hold connections and give nothing: each is closed in time, and others are served as fast as before.

The slow ones live in a process of their own, so that they cost the one who measures nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Final

from deploy.stack import EmbeddedStack
from tests.e2e.client import Client, Json, open_client, person
from tests.e2e.raw_http import CLOSED_WITHIN, Wire
from tests.e2e.slow_clients import SLOW, drip, never_read
from tests.stacks import PATIENT
from tests.torture.delays import in_ms
from tests.torture.scenario import Findings, Run

UNREAD: Final = "answers that nobody reads"
KINDS: Final = ("slow headers", "slow body", "slow upload", "idle after an answer", UNREAD)
DROP_SECONDS: Final = 1.0  # a line, a byte, a byte
QUESTIONS: Final = 20  # whose answers are more than the buffers on the way hold
EACH: Final = 100  # connections of a kind at once
ARRIVING_SECONDS: Final = 3.0  # all have come before the first one is closed; a crowd at the door is another test
REFUSED: Final = {"slow upload": {503}}  # one tenant has its share of the places for uploads, and no more
ROUNDS: Final = 4
QUIET_SECONDS: Final = 15.0
PER_SECOND: Final = 20.0
TIMES: Final = 2.0


@dataclass(frozen=True, slots=True)
class Held:
    """One slow connection: seconds until it was closed, and whether nothing but what may come came."""

    kind: str
    seconds: float
    fitting: bool = True
    closed: bool = True


def hold(handle: Json, each: int) -> list[Held]:
    """So many connections of each kind, all open together; returns when the last one is closed."""
    return asyncio.run(_hold(handle, each))


async def _hold(handle: Json, each: int) -> list[Held]:
    wire = Wire(handle)

    async def one(kind: str, delay: float) -> Held:
        await asyncio.sleep(delay)
        begun = time.perf_counter()
        try:
            fitting = await (_mute(wire) if kind == UNREAD else _dripping(wire, kind))
        except TimeoutError:
            return Held(kind, time.perf_counter() - begun, closed=False)
        return Held(kind, time.perf_counter() - begun, fitting)

    delays = [number / each * ARRIVING_SECONDS for number in range(each)]
    return list(await asyncio.gather(*(one(kind, delay) for kind in KINDS for delay in delays)))


async def _mute(wire: Wire) -> bool:
    await never_read(wire, QUESTIONS)
    return True


async def _dripping(wire: Wire, kind: str) -> bool:
    first, drop, statuses = SLOW[kind]
    streams = await asyncio.open_connection(wire.host, wire.port)
    try:
        return set((await drip(streams, first(wire), drop, DROP_SECONDS)).statuses) <= statuses | REFUSED.get(
            kind, set()
        )
    finally:
        streams[1].close()


async def _asking(client: Client, until: Awaitable[Any], findings: Findings) -> list[float]:
    """Writes at a steady pace while the other runs; seconds of each."""
    waiting, asked = asyncio.ensure_future(until), set[asyncio.Task[float]]()
    clock = asyncio.get_running_loop().time
    due = clock()

    async def one() -> float:
        begun = time.perf_counter()
        answer = await client.call("POST", "/candidates", person())
        findings.expect(answer.status == 202, f"a client that is not slow got {answer.status}")
        return time.perf_counter() - begun

    while not waiting.done():
        asked.add(asyncio.create_task(one()))
        due += 1 / PER_SECOND
        await asyncio.sleep(due - clock())
    await waiting
    return list(await asyncio.gather(*asked))


def _judge(held: list[Held], run: Run, findings: Findings) -> None:
    for each in held:
        in_time = each.closed and (run.short or each.seconds <= CLOSED_WITHIN)
        findings.expect(in_time, f"{each.kind}: still open after {each.seconds:.1f} s")
        findings.expect(each.fitting, f"{each.kind}: an answer that it should not get")


async def play(run: Run) -> Findings:
    """See the module."""
    findings, each = Findings(), 5 if run.short else EACH
    alone: list[float] = []
    beside: list[float] = []
    held: list[Held] = []
    env = PATIENT if run.short else {}
    stack = EmbeddedStack(run.directory, broker=run.broker, env=env, services=["ingest"])
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
        async with stack, open_client(stack.handle) as client:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(elsewhere, hold, stack.handle, 0)  # it has started
            for _ in range(1 if run.short else ROUNDS):
                if not run.short:
                    alone += await _asking(client, asyncio.sleep(QUIET_SECONDS), findings)
                slow = loop.run_in_executor(elsewhere, hold, stack.handle, each)
                beside += await _asking(client, slow, findings)
                held += slow.result()
    _judge(held, run, findings)
    findings.expect(len(beside) > 0, "nobody else was served")
    if not run.short:
        _report(alone, beside, held, findings)
    return findings


def _report(alone: list[float], beside: list[float], held: list[Held], findings: Findings) -> None:
    usual, seen = in_ms(alone), in_ms(beside)
    longest = {kind: round(max(each.seconds for each in held if each.kind == kind), 1) for kind in KINDS}
    findings.figures |= {
        "connections": dict(Counter(each.kind for each in held)),
        "closed after seconds, at most": longest,
        "a write alone (ms)": usual,
        "a write beside them (ms)": seen,
    }
    ratio = seen["p99"] / usual["p99"]
    findings.figures["p99 beside them, times that alone"] = round(ratio, 2)
    findings.expect(ratio < TIMES, f"others' p99 is {ratio:.2f} times its own: {usual['p99']} → {seen['p99']} ms")
