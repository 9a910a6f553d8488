"""Dead letters as operators see them: read without a group, replayed as they came. Nothing is edited, nothing deleted.

A letter stays on its topic until the broker drops it, also after a replay. To replay one twice is harmless: events are
de-duplicated by what the ledger says, commands by their key, and what still can't be read is a dead letter again.
"""

import asyncio
import hashlib
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition

from services.ingest.kafka import PatientKafka
from shared.broker import Record
from shared.consume import written_at
from shared.dead_letters import HEADERS_PREFIX
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.limits import DEAD_LETTER_SECONDS, DEAD_LETTERS_READ
from shared.peek import Peek

TOPIC: Final = re.compile(r"^mutations\.(?:accepted|fetched|completed|commands\.[a-z0-9-]{1,40})\.dlq$")
SUFFIX: Final = ".dlq"
GROUPS: Final = 100  # reasons of a topic that are shown, the most frequent ones
EXCERPT: Final = 300  # bytes of a letter: enough to know it again
FOUND_SECONDS: Final = 8.0  # for learning where the letters lie; a broker that takes longer is away
Spans = dict[TopicPartition, tuple[int, int]]
Part = tuple[int, int, int]  # partition, first offset, the one behind the last


class Chosen(NamedTuple):
    """Which letters of a topic; None: any."""

    reason: str | None = None
    places: Collection[tuple[int, int]] | None = None  # (partition, offset)
    parts: Collection[Part] | None = None

    def takes(self, record: Record) -> bool:
        """Whether this is one of them."""
        if self.reason is not None and _said(record, "reason") != self.reason:
            return False
        if self.places is not None and (record.partition, record.offset) not in self.places:
            return False
        return self.parts is None or any(
            partition == record.partition and first <= record.offset < end for partition, first, end in self.parts
        )


@dataclass(slots=True)
class Replayed:
    """How many records were replayed so far, or would be; `left`: what was not looked at within time and number."""

    letters: int = 0
    left: list[Part] = field(default_factory=list)


class KafkaLetters:
    """One reader at a time, bounded in time and number. Raises DependencyUnavailable."""

    def __init__(
        self,
        kafka: PatientKafka,
        opened: Callable[[], AbstractAsyncContextManager[Peek]],
        found_seconds: float = FOUND_SECONDS,
    ) -> None:
        self._kafka, self._opened, self._reading = kafka, opened, asyncio.Lock()
        self._found_seconds = found_seconds
        self._listed: tuple[float, list[dict[str, Any]]] | None = None  # when it was begun, and what was found
        self._away_at = 0.0  # when somebody last learnt that the broker does not answer

    async def topics(self) -> list[dict[str, Any]]:
        """Every topic that holds letters, with its letters by reason; `read` tells how many were looked at.

        All who have waited for their turn share one look: many consoles must not keep an operator from a replay.
        """
        async with self._turn() as asked:
            if self._listed is None or self._listed[0] < asked:
                self._listed = asyncio.get_running_loop().time(), await self._topics()
            return self._listed[1]

    async def _topics(self) -> list[dict[str, Any]]:
        async with self._found(TOPIC) as (peek, all_spans):
            found = {each.topic: _Topic(each.topic) for each in all_spans}
            for partition, (first, end) in all_spans.items():
                found[partition.topic].total += end - first
            share = max(DEAD_LETTERS_READ // max(sum(1 for each in found.values() if each.total), 1), 1)
            async for records in peek.read(_newest(all_spans, share), DEAD_LETTER_SECONDS):
                for record in records:
                    found[record.topic].count(record)
        return [found[name].shown() for name in sorted(found) if found[name].total]

    async def letters(self, topic: str, reason: str | None, most: int) -> list[dict[str, Any]] | None:
        """The newest letters of a topic first; None when there is no such topic."""
        if not TOPIC.fullmatch(topic):
            return None
        chosen = Chosen(reason)
        async with self._turn(), self._found(_only(topic)) as (peek, spans):
            if not spans:
                return None
            kept: deque[dict[str, Any]] = deque(maxlen=most)  # never their bytes: one may have megabytes
            async for records in peek.read(_newest(spans, DEAD_LETTERS_READ), DEAD_LETTER_SECONDS):
                kept.extend(_letter(record) for record in records if chosen.takes(record))
        return list(reversed(kept))

    async def replay(self, topic: str, chosen: Chosen, dry_run: bool, done: Replayed) -> bool:
        """Publish letters to the topic they came from, key, bytes and headers as they were; False without such a topic.

        The oldest first. A kill in between, or a broker that goes away, leaves some replayed and some not, which `done`
        has counted: repeat it. Letters of one record are replayed as one, or their number would double whenever a
        replay was in vain.
        """
        if not TOPIC.fullmatch(topic):
            return False
        same = set[bytes]()
        async with self._turn(), self._found(_only(topic)) as (peek, spans):
            if not spans:
                return False
            wanted = _cut(spans, chosen.parts)
            if chosen.places is not None:
                wanted = _cut(wanted, [(partition, offset, offset + 1) for partition, offset in chosen.places])
            read = _oldest(wanted, DEAD_LETTERS_READ)
            async for records in peek.read(read, DEAD_LETTER_SECONDS):
                for record in _others(filter(chosen.takes, records), same):
                    if not dry_run:
                        await self._kafka.send(target_of(topic), record.key, record.value, _own_headers(record))
                    done.letters += 1
            reached = {each: end for each, (_, end) in read.items()} | {each: at for each, (at, _) in peek.left.items()}
            rest = ((each.partition, reached[each], end) for each, (_, end) in wanted.items())
            done.left = [part for part in rest if part[1] < part[2]]
            return True

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[float]:
        """The time when it was asked for. Who waited while the broker did not answer is not kept waiting once more."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        async with self._reading:
            if self._away_at > asked:
                raise DependencyUnavailable("kafka", "it did not answer who asked before")
            try:
                yield asked
            except DependencyUnavailable:
                self._away_at = clock()
                raise

    @asynccontextmanager
    async def _found(self, pattern: re.Pattern[str]) -> AsyncIterator[tuple[Peek, Spans]]:
        """A reader, and where the letters of these topics lie."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._found_seconds):
                    peek = await stack.enter_async_context(self._opened())
                    spans = await self._spans(pattern)
            except TimeoutError as error:
                DEPENDENCIES.failed("kafka")
                raise DependencyUnavailable("kafka", "it does not answer") from error
            yield peek, spans

    async def _spans(self, pattern: re.Pattern[str]) -> Spans:
        ends = await self._kafka.offsets.ends(pattern)
        starts = await self._kafka.offsets.starts(ends) if ends else {}
        return {each: (starts[each], max(ends[each], starts[each])) for each in sorted(ends)}


def target_of(topic: str) -> str:
    """Where letters of this topic came from."""
    return topic.removesuffix(SUFFIX)


def _only(topic: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(topic)}$")


class _Topic:
    """Counts the letters of a topic by reason."""

    def __init__(self, name: str) -> None:
        self._name, self.total, self._read = name, 0, 0
        self._groups: dict[str, dict[str, Any]] = {}

    def count(self, record: Record) -> None:
        self._read += 1
        reason, at = _said(record, "reason"), written_at(record)
        group = self._groups.setdefault(reason, {"reason": reason, "count": 0, "oldest": at, "newest": at})
        group["count"] += 1
        if at:
            group["oldest"] = min(group["oldest"] or at, at)
            group["newest"] = max(group["newest"] or at, at)

    def shown(self) -> dict[str, Any]:
        groups = sorted(self._groups.values(), key=lambda group: -int(group["count"]))[:GROUPS]
        return {"topic": self._name, "total": self.total, "read": self._read, "groups": groups}


def _newest(spans: Spans, most: int) -> Spans:
    return {each: (max(first, end - most), end) for each, (first, end) in spans.items()}


def _oldest(spans: Spans, most: int) -> Spans:
    return {each: (first, min(first + most, end)) for each, (first, end) in spans.items()}


def _cut(spans: Spans, parts: Collection[Part] | None) -> Spans:
    """What has to be read of each partition to meet these parts; None: all."""
    if parts is None:
        return spans
    met: Spans = {}
    for each, (first, end) in spans.items():
        ours = [(max(a, first), min(b, end)) for partition, a, b in parts if partition == each.partition]
        kept = [(a, b) for a, b in ours if a < b]
        if kept:
            met[each] = min(a for a, _ in kept), max(b for _, b in kept)
    return met


def _letter(record: Record) -> dict[str, Any]:
    tries, at = _said(record, "attempts"), written_at(record)
    origin: dict[str, Any] = {"partition": record.partition, "offset": record.offset, "at": at}
    return origin | {
        "reason": _said(record, "reason"),
        "tries": int(tries) if tries.isdecimal() and len(tries) < 10 else None,
        "sourceTopic": _said(record, "topic") or None,
        "key": record.key.decode("utf-8", "replace")[:EXCERPT] if record.key is not None else None,
        "bytes": len(record.value or b""),
        "excerpt": (record.value or b"")[:EXCERPT].decode("utf-8", "replace"),
    }


def _said(record: Record, name: str) -> str:
    """What we wrote on the letter: behind the record's own headers, so the last one counts."""
    found = [value for known, value in record.headers if known == HEADERS_PREFIX + name]
    return (found[-1] or b"").decode("utf-8", "replace") if found else ""


def _others(records: Iterable[Record], same: set[bytes]) -> Iterator[Record]:
    """Those that are none of the `same`, which then holds them, too: by key, bytes and own headers."""
    for record in records:
        name = hashlib.sha256(repr((record.key, _own_headers(record))).encode() + (record.value or b"")).digest()
        if name not in same:
            same.add(name)
            yield record


def _own_headers(record: Record) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in record.headers if not name.startswith(HEADERS_PREFIX)]
