"""Works commands off: the same acceptance as over HTTP, in their order where they share a record or a key."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from services.ingest.commands import TYPE, Command, Read, read
from services.ingest.drafts import Write
from services.ingest.intake import Intake
from services.ingest.operations import prepare
from services.ingest.problems import FieldError, Problem, invalid
from services.ingest.rejections import Rejections, Understood
from shared import limits, topics
from shared.addresses import EgressPolicy
from shared.errors import OUTCOME_CODES, DependencyUnavailable
from shared.observability import next_traceparent
from shared.tracing import processing

log = structlog.get_logger()
BYTES_AT_ONCE: Final = 4 * limits.COMMAND_BYTES  # of commands that are worked on together
OURS: Final = 503  # a dependency is away: no fault of the command


@dataclass(frozen=True, slots=True)
class Received:
    """A record of a tenant's command topic: `kind` is its ce_type, empty when it has none."""

    tenant: str
    value: bytes
    kind: str
    traceparent: str  # as it came, or what goes on from it
    dead_letter: Callable[[str], Awaitable[None]]  # keeps the raw record with a reason; raises DependencyUnavailable
    at: datetime | None = None  # when it was produced


class CommandHandler:
    """Brings every command into the ledger, accepted or rejected; doing so again is void."""

    def __init__(self, intake: Intake, rejections: Rejections, policy: EgressPolicy) -> None:
        self._intake, self._rejections, self._policy = intake, rejections, policy
        # One after the other: three large ones at once are more than may wait in the producer, however often they try.
        self._letter = asyncio.Lock()

    async def handle(self, batch: Iterable[Received]) -> None:
        """Returns when the ledger holds all of them. Raises DependencyUnavailable; what is done by then stays done."""
        for together in _slices(batch):
            await self._work_off([(each, await self._read(each)) for each in together])

    async def give_up(self, received: Received) -> None:
        """Reject a command that meets a bug of ours. Raises DependencyUnavailable.

        If what was understood of it is what meets the bug, it is rejected without: else it would come again for ever,
        and the commands of every tenant behind it would wait.
        """
        received = replace(received, traceparent=next_traceparent(received.traceparent))
        why = Problem("internal_error", OUTCOME_CODES["internal_error"].advice)
        try:
            await self._reject(received, (await self._read(received)).understood, why)
        except DependencyUnavailable:
            raise
        except Exception:
            log.exception("command.not_understood", tenant=received.tenant)
            await self._reject(received, Understood(), why)
        await self._bury(received, why)

    async def _read(self, received: Received) -> Read:
        if received.kind not in ("", TYPE):
            return Read(Understood(), refusal=Problem("malformed_request", f"Send commands of the type {TYPE}."))
        return await read(received.value, self._policy)

    async def _work_off(self, commands: list[tuple[Received, Read]]) -> None:
        """All at once, but each after the ones before it that share a name with it."""
        last: dict[str, asyncio.Task[None]] = {}
        tasks = []
        for received, command in commands:
            names = {f"{received.tenant} {name}" for name in command.names}
            before = {last[name] for name in names & last.keys()}
            tasks.append(asyncio.create_task(self._one(received, command, before)))
            last |= dict.fromkeys(names, tasks[-1])
        errors = [error for error in await asyncio.gather(*tasks, return_exceptions=True) if error]
        # Hold before anything else: what met a bug is looked at again, one by one, when all our servers are there.
        for error in sorted(errors, key=lambda error: not isinstance(error, DependencyUnavailable)):
            raise error

    async def _one(self, received: Received, command: Read, before: Iterable[asyncio.Task[None]]) -> None:
        for earlier in before:
            await earlier
        what = {"engine.tenant": received.tenant}
        with processing(topics.commands(received.tenant), received.traceparent, what) as step:
            traceparent = step.traceparent or next_traceparent(received.traceparent)
            await self._settle(replace(received, traceparent=traceparent), command)

    async def _settle(self, received: Received, command: Read) -> None:
        try:
            if command.refusal:
                raise command.refusal
            if command.command:
                await self._accept(received, command.command)
        except Problem as why:
            if why.status == OURS:
                raise DependencyUnavailable("mongodb or the object store", why.code) from why
            await self._refuse(received, command.understood, why)

    async def _accept(self, received: Received, command: Command) -> None:
        errors: list[FieldError] = []
        prepared = await prepare(len(received.value), command.asked(), self._policy, errors)
        if prepared is None or errors:
            raise invalid(FieldError(f"/payload{each.field}", each.code, each.message) for each in errors)
        url = command.callback_url
        digest = prepared.fingerprint(None, url)
        environment = "sandbox" if command.sandbox else "live"
        key, trace = command.idempotency_key, received.traceparent
        write = Write(environment, received.tenant, key, digest, url, trace, by_topic=True, asked_at=received.at)
        await prepared.accept(self._intake, write)

    async def _refuse(self, received: Received, understood: Understood, why: Problem) -> None:
        # A kill in between: the command comes again, its rejection is there already, and the dead letter follows.
        await self._reject(received, understood, why)
        await self._bury(received, why)

    async def _reject(self, received: Received, understood: Understood, why: Problem) -> None:
        await self._rejections.reject(received.tenant, received.value, received.traceparent, understood, why)

    async def _bury(self, received: Received, why: Problem) -> None:
        async with self._letter:
            await received.dead_letter(f"{why.code}: {why.detail}")


def _slices(batch: Iterable[Received]) -> Iterator[list[Received]]:
    """In their order, so many at a time as memory is meant for."""
    together: list[Received] = []
    for each in batch:
        if together and sum(len(one.value) for one in together) + len(each.value) > BYTES_AT_ONCE:
            yield together
            together = []
        together.append(each)
    if together:
        yield together
