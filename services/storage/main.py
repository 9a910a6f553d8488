"""The storage service: judges bytes, decides, applies, finishes; runs the sweeper. Composition root."""

import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from services.storage.belongings import MongoBelongings
from services.storage.consumer import FetchedConsumer, attach_consumer
from services.storage.decider import Decider
from services.storage.erasure import Erasure
from services.storage.expiry import Expiry
from services.storage.files import FileStore
from services.storage.handler import StorageHandler
from services.storage.ledger import MongoLedger
from services.storage.nights import LOOK_SECONDS as NIGHTS_LOOK_SECONDS
from services.storage.nights import Nights
from services.storage.publisher import KafkaPublisher
from services.storage.resets import Emptier
from services.storage.settings import StorageSettings
from services.storage.sweeper import Sweeper, repeat, rounds
from services.storage.traces import MongoTraces
from services.storage.uploads import MongoUploads
from shared import topics
from shared.blobs import open_blobs
from shared.broker import consuming_broker
from shared.content.judge import judge
from shared.dead_letters import DeadLetters
from shared.dependencies import DEPENDENCIES
from shared.events import Environment
from shared.health import Health
from shared.leases import Leases
from shared.ledger import CONTROL_DATABASE, Client, connected, open_database
from shared.observability import configure_logging
from shared.offsets import open_offsets
from shared.process import Lifecycle, background, health_app, health_server, run_service
from shared.publisher import open_publisher
from shared.resets import Resets
from shared.tenants import open_tenants
from shared.watchdog import Watchdog

Job = Callable[[], Coroutine[Any, Any, None]]
SANDBOX: Final[Environment] = "sandbox"
NO_AGE: Final = timedelta(0)


async def run(settings: StorageSettings, lifecycle: Lifecycle) -> None:
    """Build everything, work until told to stop."""
    health = Health()
    async with AsyncExitStack() as stack:
        app = health_app(lifecycle, health)
        await stack.enter_async_context(health_server(settings.health_host, settings.health_port, app))
        client = await stack.enter_async_context(connected(settings))
        producer = await stack.enter_async_context(open_publisher(settings, lifecycle.fail))
        blobs = await stack.enter_async_context(open_blobs(settings))
        offsets = await stack.enter_async_context(open_offsets(settings))
        ledger, publisher, letters = MongoLedger(client), KafkaPublisher(producer), DeadLetters(producer)
        leases = Leases(open_database(client, CONTROL_DATABASE))

        uploads = MongoUploads(client)
        erasure = Erasure(ledger, MongoTraces(client), blobs)
        decider = Decider(ledger, FileStore(blobs, judge), uploads, erasure)
        handler = StorageHandler(ledger, blobs, decider, erasure, publisher)
        broker = consuming_broker(settings)
        batches = attach_consumer(broker, settings, FetchedConsumer(handler, ledger, letters), letters, lifecycle.fail)

        lasting = settings.lease_seconds
        keep = partial(leases.hold, "storage.owed", lasting)
        sweeper = Sweeper(ledger, blobs, publisher, handler.end, partial(offsets.passed, topics.COMPLETED, keep))
        sweep_staging = partial(sweeper.sweep_staging, age=timedelta(seconds=settings.staging_age_seconds))
        reconcile = partial(sweeper.reconcile, age=timedelta(seconds=settings.reconcile_age_seconds))
        repeat_erasures = partial(erasure.repeat, age=timedelta(seconds=settings.erasure_again_seconds))
        expire = Expiry(uploads, blobs).end_expired
        emptier = Emptier(
            Resets(client), MongoBelongings(client), blobs, handler.end, partial(sweeper.reconcile, SANDBOX, NO_AGE)
        )
        jobs: tuple[Job, ...] = (
            partial(repeat, "deadlines", settings.deadline_seconds, leases.hold, sweeper.end_overdue, lasting),
            partial(repeat, "owed", settings.sweep_seconds, leases.hold, sweeper.announce_owed, lasting),
            partial(repeat, "staging", settings.staging_sweep_seconds, leases.hold, sweep_staging, lasting),
            partial(repeat, "records", settings.reconcile_seconds, leases.hold, reconcile, lasting),
            partial(rounds, "resets", settings.sandbox_look_seconds, partial(emptier.round, leases.hold)),
            partial(repeat, "uploads", settings.expiry_seconds, leases.hold, expire, lasting),
            partial(repeat, "erasures", settings.expiry_seconds, leases.hold, repeat_erasures, lasting),
            *_nights(settings, client, leases),
        )
        watchdog = Watchdog(offsets, topics.FETCHED, batches, lifecycle.fail, DEPENDENCIES.any_lost)
        health.watch(watchdog.reason)
        jobs += (health.watch_loop_lag, watchdog.run)
        await stack.enter_async_context(background(*jobs, on_failure=lifecycle.fail))
        await broker.start()
        lifecycle.start()
        structlog.get_logger().info("service.ready")
        await lifecycle.stopping.wait()
        await broker.hand_back(lifecycle.draining_seconds)


def _nights(settings: StorageSettings, client: Client, leases: Leases) -> Iterator[Job]:
    if settings.sandbox_reset_at is not None:
        tenants = open_tenants(client, settings)
        nights = Nights(settings.sandbox_reset_at, Resets(client), tenants.names, lambda: datetime.now(UTC))
        yield partial(rounds, "nights", NIGHTS_LOOK_SECONDS, partial(nights.round, leases.hold))


def main() -> None:
    """Run until SIGTERM."""
    settings = StorageSettings()
    configure_logging("storage", settings.log_level)
    sys.exit(run_service("storage", partial(run, settings), settings))


if __name__ == "__main__":
    main()
