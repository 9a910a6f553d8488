"""The four services as processes: composed as their main modules do, over the simulated outside."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final, cast

from pymongo.errors import AutoReconnect

from services.fetcher.consumer import FetchConsumer
from services.fetcher.handler import FetchHandler
from services.fetcher.ledger import MongoLedger as FetcherLedger
from services.fetcher.window import Window
from services.ingest.intake import Intake
from services.ingest.kafka import PatientKafka
from services.ingest.keeps import MongoKeeps
from services.ingest.ledger import MongoLedger as IngestLedger
from services.ingest.lost import RELAY_LEASE, LostEvents, watch
from services.ingest.outbox import MongoOutbox
from services.ingest.relay import ENVIRONMENTS, LOOK_LEASE, Relay
from services.notifier.attempts import MongoAttempts
from services.notifier.clock import DatabaseClock
from services.notifier.consumer import CompletedConsumer
from services.notifier.courier import Courier, RetryPolicy, answered
from services.notifier.deliveries import MongoDeliveries
from services.notifier.dispatch import PendingDispatch
from services.notifier.dispatcher import FairDispatcher, Room
from services.notifier.handler import CompletedHandler
from services.notifier.ledger import MongoLedger as NotifierLedger
from services.notifier.outcomes import KafkaOutcomes
from services.notifier.poller import Poller
from services.notifier.recorder import Recorder
from services.storage.consumer import FetchedConsumer
from services.storage.decider import Decider
from services.storage.erasure import Erasure
from services.storage.expiry import Expiry
from services.storage.files import FileStore
from services.storage.handler import StorageHandler
from services.storage.ledger import MongoLedger as StorageLedger
from services.storage.publisher import KafkaPublisher
from services.storage.sweeper import Sweeper, repeat
from services.storage.traces import MongoTraces
from services.storage.uploads import MongoUploads
from shared import ledger, topics
from shared.consume import BatchConsumer, decode
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable
from shared.events import MutationCompleted, MutationFetched
from shared.leases import Leases
from shared.offsets import BrokerOffsets
from shared.process import Lifecycle
from shared.publisher import Publisher
from shared.watchdog import Watchdog
from tests.simulation.clients import ShortLived
from tests.simulation.faults import BLOBS_AWAY, KAFKA_AWAY, MONGO_AWAY, Process, Wire
from tests.simulation.kafka import Member, Offsets, Producer, absent
from tests.simulation.mongo import Client
from tests.simulation.outside import FixedSecrets, Judging, Post, ReadyTopics, Store, Strangers
from tests.simulation.world import World

AGE: Final = timedelta(seconds=300)  # instead of an hour: whatever is under way has ended by then, here too
PAUSES: Final = (0.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0)
MOST: Final = 16  # records in a batch
LEASE: Final = 60.0


class Ports:
    """A process's ways to the outside."""

    def __init__(self, world: World, process: Process) -> None:
        self.world, self.process = world, process
        mongo = self.wire(MONGO_AWAY, lambda: AutoReconnect("simulated"))
        self.kafka = self.wire(KAFKA_AWAY, absent)
        self.client = cast(ledger.Client, Client(world.server, mongo))
        self.databases = ledger.databases(self.client)
        self.blobs: Any = Store(
            world.blobs, self.wire(BLOBS_AWAY, lambda: DependencyUnavailable("s3")), world.object_deleted
        )
        self.offsets = BrokerOffsets(*[Offsets(world.broker, self.kafka)] * 2)
        self.publisher = Publisher(partial(Producer, world.broker, self.kafka), process.kill)
        self.leases = Leases(ledger.open_database(self.client, ledger.CONTROL_DATABASE))

    def wire(self, weather: str, error: Callable[[], Exception]) -> Wire:
        """A way that is cut while the weather is so."""
        return Wire(self.process, self.world.faults, lambda: weather in self.world.weather, error)

    def consume(self, topic: str, consuming: Any) -> None:
        """Join the group of a topic."""
        member = Member(self.world.broker.group(topic), self.process, self.kafka, consuming, MOST)
        self.process.spawn(member.run())
        watched = Watchdog(self.offsets, topic, consuming, self.process.kill, lambda: bool(self.world.weather))
        self.process.spawn(watched.run())


def ingest(world: World, process: Process) -> Intake:
    """Accepts, relays, looks for lost events."""
    ports = Ports(world, process)
    kafka, outbox, leases = PatientKafka(None), MongoOutbox(ports.client), ports.leases  # type: ignore[arg-type]
    kafka._publisher, kafka._offsets = ports.publisher, ports.offsets
    relay = Relay(outbox, kafka, partial(leases.hold, LOOK_LEASE, 12.0))
    keep = partial(leases.hold, RELAY_LEASE, 30.0)
    lost = LostEvents(outbox, partial(kafka.pipeline_passed, keep), relay.publish_again)
    for job in (relay.run, relay.recount, relay.look, partial(watch, lost, keep, ENVIRONMENTS)):
        process.spawn(job())
    keeps, drafter = MongoKeeps(ports.databases), ShortLived(world.faults)
    return Intake(IngestLedger(ports.client), relay, ports.blobs, keeps, drafter)


def fetcher(world: World, process: Process) -> None:
    """Downloads, passes on."""
    ports, lifecycle = Ports(world, process), Lifecycle()
    strangers = Strangers(world.faults, ports.wire("", lambda: DependencyUnavailable("egress")), world.source_busy)
    handler = FetchHandler(strangers, ports.blobs, FetcherLedger(ports.databases), ports.publisher)
    consumer = FetchConsumer(handler, DeadLetters(ports.publisher), Window(64, 256), lifecycle, MOST)
    ports.consume(topics.ACCEPTED, consumer)
    process.spawn(consumer.commit_every(2.0))
    process.spawn(_leave(process, lifecycle))


async def _leave(process: Process, lifecycle: Lifecycle) -> None:
    await lifecycle.stopping.wait()
    process.kill()


class Storage:
    """Decides, applies, finishes; its jobs by name."""

    def __init__(self, world: World, process: Process) -> None:
        ports = self.ports = Ports(world, process)
        ledger, publisher = StorageLedger(ports.client), KafkaPublisher(ports.publisher)
        uploads = MongoUploads(ports.client)
        self.erasure = Erasure(ledger, MongoTraces(ports.client), ports.blobs)
        files = FileStore(ports.blobs, Judging(world.faults, world.bug_injected))
        self.handler = StorageHandler(
            ledger, ports.blobs, Decider(ledger, files, uploads, self.erasure), self.erasure, publisher
        )
        letters = DeadLetters(ports.publisher)
        self._consumer = FetchedConsumer(self.handler, ledger, letters)
        read = partial(decode, MutationFetched)
        self.batches = BatchConsumer(read, self._consumer.handle, letters, self._consumer.on_bug, process.kill)
        keep = partial(ports.leases.hold, "storage.owed", 30.0)
        passed = partial(ports.offsets.passed, topics.COMPLETED, keep)
        self.sweeper = Sweeper(ledger, ports.blobs, publisher, self.handler.end, passed)
        self.expire = Expiry(uploads, ports.blobs).end_expired

    def start(self) -> None:
        """Consume, and run the jobs."""
        self.ports.consume(topics.FETCHED, self.batches)
        jobs: tuple[tuple[str, float, Any], ...] = (
            ("deadlines", 15.0, self.sweeper.end_overdue),
            ("owed", 5.0, self.sweeper.announce_owed),
            ("staging", 90.0, partial(self.sweeper.sweep_staging, age=AGE)),
            ("records", 90.0, partial(self.sweeper.reconcile, age=AGE)),
            ("uploads", 60.0, self.expire),
            ("erasures", 60.0, partial(self.erasure.repeat, age=AGE)),
        )
        for name, seconds, job in jobs:
            self.ports.process.spawn(repeat(name, seconds, self.ports.leases.hold, job))


def notifier(world: World, process: Process) -> None:
    """Calls back."""
    ports, rng, clock = Ports(world, process), world.rng, world.loop.time
    courier = Courier(
        FixedSecrets(), Post(world.receiver, ports.wire("", lambda: DependencyUnavailable("egress"))),
        RetryPolicy(PAUSES, 1.0), rng, world.now,
    )  # fmt: skip
    ledger, database_clock = NotifierLedger(ports.databases), DatabaseClock(ports.client, clock)
    deliveries = MongoDeliveries(ports.databases, database_clock, process.name, LEASE)
    recorder = Recorder(MongoAttempts(ports.client, ports.databases, database_clock, process.name), 0.1)

    async def attempt(pending: PendingDispatch) -> bool | None:
        dispatched = await courier.attempt(pending)
        recorder.add(dispatched)
        return answered(dispatched)

    dispatcher = FairDispatcher(attempt, Room(), clock)
    poller = Poller(list(ports.databases), deliveries, ledger, dispatcher, rng, 5.0)
    outcomes = KafkaOutcomes(ports.publisher, ReadyTopics(), clock)
    letters = DeadLetters(ports.publisher)
    consumer = CompletedConsumer(CompletedHandler(ledger, deliveries, outcomes, dispatcher, rng), letters)
    read = partial(decode, MutationCompleted)
    batches = BatchConsumer(read, consumer.handle, letters, consumer.dead_letter, process.kill)
    ports.consume(topics.COMPLETED, batches)
    for job in (recorder.run, poller.run):
        process.spawn(job())
