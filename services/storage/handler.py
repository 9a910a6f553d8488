"""Decides → applies → finishes: the only place where an accepted mutation ends (design §2).

Every step may be repeated by anyone: decide is a compare-and-set, what apply writes is void the second time, finish is
a compare-and-set again, and an ended mutation is only announced once more.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import structlog

from services.storage.decider import Decider
from services.storage.decision import Decision, failure, place_name
from services.storage.erasure import Erasure
from services.storage.ports import Blobs, Decided, Ledger, Publisher
from services.storage.together import together
from services.storage.work import Order, Work, of_event, steps
from shared.crash_points import crash_point
from shared.errors import DependencyUnavailable
from shared.events import Environment, FetchTimes, FileError, MutationFetched, Place, StagedObject
from shared.ledger import ACCEPTED, APPLYING, Document
from shared.metrics import MUTATION_SECONDS, count_failures
from shared.observability import EVENTS_UNKNOWN, LATE_WRITES, OUTCOMES
from shared.outbox import completed_event

log = structlog.get_logger()
NO_TRACES: Final[Mapping[str, str]] = MappingProxyType({})
WAVES: Final = 10  # of one batch: what a long queue behind one record may hold up others


class StorageHandler:
    """Works off batches of `mutation.fetched.v1`, and ends what the sweeper or a bug condemns."""

    def __init__(self, ledger: Ledger, blobs: Blobs, decider: Decider, erasure: Erasure, publisher: Publisher) -> None:
        self._ledger, self._blobs, self._publisher = ledger, blobs, publisher
        self._decider, self._erasure = decider, erasure

    async def handle(self, events: Sequence[MutationFetched], traces: Mapping[str, str] = NO_TRACES) -> None:
        """Work off a batch, each mutation in its trace, by its id.

        Raises DependencyUnavailable: then the whole batch is worked off again.
        """
        for environment in sorted({event.environment for event in events}):
            mine = {event.mutation_id: event for event in events if event.environment == environment}
            documents = await self._ledger.read(environment, mine)
            EVENTS_UNKNOWN.inc(len(mine) - len(documents))
            works = [of_event(documents[name], mine[name], traces.get(name, "")) for name in documents]
            await self._work_off(environment, works)

    async def end(self, environment: Environment, ids: Iterable[str], code: str) -> None:
        """End these mutations as failed, from `accepted` only: what is applying goes to the end it decided."""
        documents = await self._ledger.read(environment, ids)
        works = [Work(document, failure=code) for document in documents.values() if document["status"] == ACCEPTED]
        ended = await self._end(environment, works)
        try:
            await self._work_off(environment, await Order(self._ledger, environment).successors(ended, set()))
        except DependencyUnavailable:
            raise
        except Exception:
            # Not the fault of what has ended: the relay brings a successor back by itself, and its own fate is decided.
            log.exception("successors.failed", after=[work.id for work in ended])

    async def _work_off(self, environment: Environment, works: list[Work]) -> None:
        order = Order(self._ledger, environment)
        for _ in range(WAVES):
            if not works:
                return
            works = await self._wave(environment, order, works)
        if works:
            # Others wait for this batch. What has its turn comes back behind them, the rest waits for its
            # predecessor; a kill before this leaves it all to the relay.
            ready = await self._park_early(environment, order, works)
            await self._publisher.fetched((_again(environment, work), work.traceparent) for work in ready)

    async def _park_early(self, environment: Environment, order: Order, works: list[Work]) -> list[Work]:
        """Park what is early; what is left has its turn.

        Then look again, for a predecessor may have ended in between and have found nothing parked. A kill after parking
        leaves it to the predecessor or the relay.
        """
        ready, early = await order.split(works)
        if not early:
            return ready
        await self._ledger.park(environment, {work.id: work.parcel() for work in early})
        crash_point("storage.parked")
        return ready + (await order.split(early, anew=True))[0]

    async def _wave(self, environment: Environment, order: Order, works: list[Work]) -> list[Work]:
        """End everything whose turn has come; return what may have its turn now."""
        over = [work for work in works if work.ended]
        ready, early = await order.split([work for work in works if not work.ended])
        if early and not ready and not over:  # nothing in hand can move
            ready, early = await self._park_early(environment, order, early), []
        await self._announce(environment, over)
        ended = over + await self._end(environment, ready)
        crash_point("storage.announced")
        return early + await order.successors(ended, {work.id for work in early})

    async def _end(self, environment: Environment, works: list[Work]) -> list[Work]:
        """Decide, apply and finish; the works that have ended now (also by somebody else)."""
        if not works:
            return []
        decided = [(work, _recorded(work.mutation)) for work in works if work.mutation["status"] == APPLYING]
        fresh, over = await self._decide(environment, [w for w in works if w.mutation["status"] != APPLYING])
        decided += fresh
        with steps("end", environment, [work for work, _ in decided]) as traces:
            await self._apply(environment, [(work.mutation, made) for work, made in decided])
        for work, made in decided:
            work.mutation |= {"status": made.status, "outcome": made.outcome, "owed": True}
            work.came = traces.get(work.id, work.came)
            _tell_end(environment, work, made)
        ended = [work for work, _ in decided] + over
        await self._announce(environment, ended)
        return ended

    async def _decide(
        self, environment: Environment, works: list[Work]
    ) -> tuple[list[tuple[Work, Decision]], list[Work]]:
        """Make and record decisions; (works with the decision that holds, works that others have ended already)."""
        with steps("decide", environment, works):
            made = await self._decider.make(environment, works)
            crash_point("storage.stored")
            for work in works:
                if work.id in made:
                    made[work.id].times = work.times | {"decided": datetime.now(UTC)}
            won = await self._ledger.decide(environment, made) if made else set()
            crash_point("storage.decided")
        lost = made.keys() - won
        LATE_WRITES.labels("decision").inc(len(lost))
        documents = await self._ledger.read(environment, lost) if lost else {}
        held: list[tuple[Work, Decision]] = []
        over = []
        for work in works:
            if work.id in won:
                held.append((work, made[work.id]))
            elif work.id in documents:
                work.mutation = documents[work.id]
                winner = _recorded(work.mutation) if work.mutation["status"] == APPLYING else None
                await self._blobs.delete(_leftovers(work.mutation, made[work.id], winner))
                held += [(work, winner)] if winner else []
                over += [work] if work.ended else []
        return held, over

    async def _apply(self, environment: Environment, decided: list[Decided]) -> None:
        """Tombstones, then objects, then everything else and the end.

        A kill anywhere in here leaves `applying` with the whole decision: it is taken up again and ends the same way.
        """
        deleting = [(mutation, made) for mutation, made in decided if made.candidates or made.assigned or made.erase]
        if deleting:
            await self._ledger.apply_documents(environment, deleting)
            crash_point("storage.tombstoned")
            await self._delete(environment, [made for _, made in deleting])
            erased = [place_name(m["tenant"], m["record"]) for m, made in deleting if made.erase]
            await together(self._erasure.clear(environment, place) for place in erased)
        await self._ledger.finish(environment, decided)
        crash_point("storage.finished")

    async def _delete(self, environment: Environment, decisions: list[Decision]) -> None:
        """What lost its last owner, in whoever's turn: both find the tombstone, which stays. What was copied goes."""
        candidates = {name: key for made in decisions for name, key in made.candidates.items()}
        living = await self._ledger.attachments(environment, candidates) if candidates else {}
        keys = [key for name, key in candidates.items() if name not in living]
        keys += [key for made in decisions for key in made.assigned.values()]
        if keys:
            await self._blobs.delete(keys)

    async def _announce(self, environment: Environment, ended: list[Work]) -> None:
        """Publish the outcomes that are owed and delete what the mutations had staged.

        A kill before this leaves `owed` set: the sweeper, or the redelivered event, announces it.
        """
        owed = [work for work in ended if work.mutation.get("owed")]
        await self._publisher.completed(
            (completed_event(environment, each.mutation), each.traceparent) for each in owed
        )
        staged = sorted({key for work in ended for key in _staged_keys(work)})
        if staged:
            await self._blobs.delete(staged)


def _tell_end(environment: Environment, work: Work, made: Decision) -> None:
    OUTCOMES.labels(environment, work.mutation["kind"], made.status).inc()
    count_failures(made.outcome)
    MUTATION_SECONDS.labels(environment).observe((datetime.now(UTC) - work.mutation["createdAt"]).total_seconds())
    log.info("mutation.ended", mutation=work.id, status=made.status, tenant=work.mutation["tenant"])


def _recorded(mutation: Document) -> Decision:
    return Decision(**{name: value for name, value in mutation["decision"].items() if name != "by"})


def _leftovers(mutation: Document, made: Decision, winner: Decision | None) -> list[str]:
    """What the loser has put under other keys than the decided ones; after the end the outcome tells those.

    Never of an assign: another one may have taken the upload over since, and its key is the same.
    """
    if mutation["kind"] == "assign":
        return []
    files = winner.outcome["attachments"] if winner else (mutation.get("outcome") or {}).get("attachments") or []
    stored = tuple(f"/{file['id']}/{file['sha256']}" for file in files if file["sha256"])
    return sorted(key for key in made.keys if not key.endswith(stored))


def _again(environment: Environment, work: Work) -> MutationFetched:
    return MutationFetched(
        mutation_id=work.id,
        tenant=work.mutation["tenant"],
        environment=environment,
        kind=work.mutation["kind"],
        places=tuple(Place(**place) for place in work.mutation["places"]),
        files=work.brought,
        error=FileError(**failure(work.failure)) if work.failure else None,
        times=FetchTimes(**work.times) if work.times else None,
        deadline=work.mutation["deadline"],
    )


def _staged_keys(work: Work) -> set[str]:
    own = {entry["staged"]["key"] for entry in (work.mutation.get("files") or {}).values() if "staged" in entry}
    parked = ((work.mutation.get("parked") or {}).get("files") or {}).values()
    kept = {file["key"] for file in parked if "key" in file}
    return own | kept | {file.key for file in work.brought.values() if isinstance(file, StagedObject)}
