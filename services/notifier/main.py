"""The notifier's composition root: the one file that knows everything in it."""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import SystemRandom
from uuid import uuid4

import httpx2
import structlog

from services.notifier import metrics
from services.notifier.attempts import MongoAttempts
from services.notifier.clock import DatabaseClock
from services.notifier.consumer import CompletedConsumer
from services.notifier.courier import Courier, RetryPolicy, answered
from services.notifier.deliveries import MongoDeliveries
from services.notifier.dispatch import PendingDispatch
from services.notifier.dispatcher import FairDispatcher, Room
from services.notifier.handler import CompletedHandler
from services.notifier.ledger import MongoLedger
from services.notifier.outcomes import KafkaOutcomes
from services.notifier.poller import Poller
from services.notifier.recorder import Recorder
from services.notifier.sender import USER_AGENT, HttpSender
from services.notifier.settings import NotifierSettings
from shared import topics
from shared.broker import attach, consuming_broker
from shared.consume import BatchConsumer, decode
from shared.crash_points import crash_point
from shared.dead_letters import DeadLetters
from shared.dependencies import DEPENDENCIES
from shared.egress import EgressPolicy, open_egress_client
from shared.errors import DependencyUnavailable
from shared.events import MutationCompleted
from shared.health import Health
from shared.ledger import Client, connected, databases
from shared.metrics import watch_budget
from shared.observability import configure_logging
from shared.offsets import open_offsets
from shared.process import Lifecycle, background, health_app, health_server, run_service
from shared.publisher import Publisher, open_publisher
from shared.tenant_topics import KafkaTopics
from shared.tenants import open_tenants
from shared.watchdog import Watchdog

log = structlog.get_logger()

LAST_WRITE_SECONDS = 3.0
IDLE_CONNECTION_SECONDS = 4.0  # below what receivers usually keep: they must not close a connection as it is used


class Deliverer:
    """The sending half: dispatcher, poller and recorder around one courier."""

    def __init__(self, settings: NotifierSettings, client: Client, http: httpx2.AsyncClient) -> None:
        holder, rng, places = str(uuid4()), SystemRandom(), databases(client)
        policy = EgressPolicy.from_settings(settings.egress_allow)
        retries = RetryPolicy(settings.callback_pauses, settings.callback_least_pause_seconds)
        sender = HttpSender(http, policy, settings.callback_seconds)
        self._courier = Courier(open_tenants(client, settings), sender, retries, rng)
        self.ledger = MongoLedger(places)
        clock = DatabaseClock(client)
        self.deliveries = MongoDeliveries(places, clock, holder, settings.delivery_lease_seconds)
        self.recorder = Recorder(MongoAttempts(client, places, clock, holder), settings.result_linger_seconds)
        self.dispatcher = FairDispatcher(self._attempt, _room(settings), time.monotonic)
        self.poller = Poller(
            list(places), self.deliveries, self.ledger, self.dispatcher, rng, settings.delivery_poll_seconds
        )

    async def _attempt(self, pending: PendingDispatch) -> bool | None:
        dispatched = await self._courier.attempt(pending)
        crash_point("notifier.sent")
        metrics.count(dispatched)
        self.recorder.add(dispatched)
        return answered(dispatched)

    @asynccontextmanager
    async def running(self, lifecycle: Lifecycle) -> AsyncIterator[None]:
        """Poll and record while the block runs; then finish what is in flight, write results, give leases back.

        What is cut off, or was sent and can't be recorded, is sent again under the same id.
        """
        async with background(self.recorder.run, on_failure=lifecycle.fail):
            async with background(self.poller.run, on_failure=lifecycle.fail):
                yield
            left = await self.dispatcher.drain(lifecycle.draining_seconds)
        try:
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                await self.recorder.flush()
                await self._release(left)
        except (DependencyUnavailable, TimeoutError) as error:
            log.warning("stop.incomplete", error=type(error).__name__)  # the leases run out

    async def _release(self, left: Sequence[PendingDispatch]) -> None:
        of_environment: defaultdict[str, list[str]] = defaultdict(list)
        for pending in left:
            of_environment[pending.environment].append(pending.delivery)
        for environment, ids in of_environment.items():
            await self.deliveries.release(environment, ids)


def _room(settings: NotifierSettings) -> Room:
    return Room(
        in_flight=settings.callbacks_in_flight,
        per_tenant=settings.callbacks_per_tenant,
        per_lane=settings.callbacks_per_host,
        in_memory=settings.callbacks_waiting,
        in_memory_per_lane=settings.callbacks_waiting_per_host,
        longest_wait=settings.longest_wait_seconds,
    )


@asynccontextmanager
async def consuming(
    settings: NotifierSettings, deliverer: Deliverer, publisher: Publisher, lifecycle: Lifecycle, health: Health
) -> AsyncIterator[None]:
    """Consume `mutations.completed` while the block runs."""
    outcomes = KafkaOutcomes(publisher, KafkaTopics(settings))
    handler = CompletedHandler(deliverer.ledger, deliverer.deliveries, outcomes, deliverer.dispatcher, SystemRandom())
    letters = DeadLetters(publisher)
    consumer = CompletedConsumer(handler, letters)
    read = partial(decode, MutationCompleted)
    drain = settings.kafka_drain_seconds
    batches = BatchConsumer(read, consumer.handle, letters, consumer.dead_letter, lifecycle.fail, drain)
    broker = consuming_broker(settings)
    attach(broker, settings, topics.COMPLETED, topics.NOTIFIER_GROUP, batches, settings.completed_batch)
    async with open_offsets(settings) as offsets:
        await broker.start()
        try:
            watchdog = Watchdog(offsets, topics.COMPLETED, batches, lifecycle.fail, DEPENDENCIES.any_lost)
            health.watch(watchdog.reason)
            async with background(watchdog.run, on_failure=lifecycle.fail):
                yield
        finally:
            await broker.hand_back(lifecycle.draining_seconds)


async def run(settings: NotifierSettings, lifecycle: Lifecycle) -> None:
    """Serve until asked to leave."""
    health = Health()
    app = health_app(lifecycle, health)
    policy = EgressPolicy.from_settings(settings.egress_allow)
    connections = httpx2.Limits(max_connections=settings.callbacks_in_flight, keepalive_expiry=IDLE_CONNECTION_SECONDS)
    async with (
        health_server(settings.health_host, settings.health_port, app),
        background(health.watch_loop_lag, on_failure=lifecycle.fail),
        connected(settings) as client,
        open_publisher(settings, lifecycle.fail) as publisher,
        open_egress_client(policy, user_agent=USER_AGENT, limits=connections) as http,
    ):
        deliverer = Deliverer(settings, client, http)
        watch_budget("callbacks_in_flight", settings.callbacks_in_flight, lambda: deliverer.dispatcher.active)
        watch_budget("callbacks_in_memory", settings.callbacks_waiting, lambda: deliverer.dispatcher.taken)
        # Intake ends first, then what is in flight, then the connections.
        async with deliverer.running(lifecycle), consuming(settings, deliverer, publisher, lifecycle, health):
            lifecycle.start()
            await lifecycle.stopping.wait()


def main() -> None:
    """Run until SIGTERM."""
    settings = NotifierSettings()
    configure_logging("notifier", settings.log_level)
    sys.exit(run_service("notifier", partial(run, settings), settings))


if __name__ == "__main__":
    main()
