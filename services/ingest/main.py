"""The ingest service: takes writes over HTTP, answers reads, relays the ledger to Kafka. Composition root."""

import sys
from contextlib import AsyncExitStack
from functools import partial

import structlog
import uvloop

from services.ingest.api.app import build
from services.ingest.api.body import BodyReader
from services.ingest.api.gateway import Gateway
from services.ingest.intake import Intake
from services.ingest.ledger import MongoLedger
from services.ingest.lost import LostEvents, watch
from services.ingest.outbox import MongoOutbox
from services.ingest.reads import MongoReads
from services.ingest.relay import ENVIRONMENTS, Relay
from services.ingest.server import serve
from services.ingest.settings import IngestSettings
from shared import topics
from shared.addresses import EgressPolicy
from shared.blobs import open_blobs
from shared.broker import open_publisher
from shared.leases import Leases
from shared.ledger import CONTROL_DATABASE, Client, databases, open_client, open_database
from shared.observability import configure_logging
from shared.offsets import BrokerOffsets, open_offsets
from shared.process import Lifecycle, background, watch_loop_lag
from shared.tenants import open_tenants

LEASE_SECONDS = 30.0


async def run(settings: IngestSettings) -> int:
    """Build everything, work until told to stop; the exit code."""
    lifecycle = Lifecycle()
    lifecycle.listen()
    async with AsyncExitStack() as stack:
        client = open_client(settings.mongodb_uri, settings.mongodb_timeout_seconds)
        stack.push_async_callback(client.close)
        producer = await stack.enter_async_context(open_publisher(settings))
        blobs = await stack.enter_async_context(open_blobs(settings))
        offsets = await stack.enter_async_context(open_offsets(settings))

        relay = Relay(MongoOutbox(client), producer)
        jobs = (watch_loop_lag, relay.run, relay.recount, relay.look, partial(_watch_lost, client, relay, offsets))
        await stack.enter_async_context(background(*jobs))

        ledger = MongoLedger(client)
        gateway = Gateway(
            keys=open_tenants(client, settings),
            bodies=BodyReader(settings.http_bytes_in_flight, settings.http_body_seconds, settings.http_body_rate),
            intake=Intake(ledger, relay, blobs),
            ledger=ledger,
            reads=MongoReads(databases(client)),
            downloads=blobs,
            policy=EgressPolicy.from_settings(settings.egress_allow),
            ready=lambda: lifecycle.ready,
        )
        await stack.enter_async_context(serve(build(gateway), settings, lifecycle.fail))
        lifecycle.ready = True
        structlog.get_logger().info("service.ready")
        await lifecycle.stopping.wait()
    return lifecycle.exit_code


async def _watch_lost(client: Client, relay: Relay, offsets: BrokerOffsets) -> None:
    """Publish again what is lost, as long as this replica holds the relay's lease."""
    leases = Leases(open_database(client, CONTROL_DATABASE))
    wanted = partial(leases.hold, "ingest.relay", LEASE_SECONDS)

    async def pipeline_passed() -> bool:
        # In this order: what has left the first topic may still wait in the second.
        return await offsets.passed(topics.ACCEPTED, wanted) and await offsets.passed(topics.FETCHED, wanted)

    await watch(LostEvents(MongoOutbox(client), pipeline_passed, relay.publish_again), leases.hold, ENVIRONMENTS)


def main() -> None:
    """Run until SIGTERM."""
    settings = IngestSettings()
    configure_logging("ingest", settings.log_level)
    sys.exit(uvloop.run(run(settings)))


if __name__ == "__main__":
    main()
