"""The ingest service: takes writes over HTTP, answers reads, relays the ledger to Kafka. Composition root."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import structlog

from services.ingest.api.app import build
from services.ingest.api.body import BodyReader
from services.ingest.api.gateway import Gateway
from services.ingest.backlog import Backlog
from services.ingest.command_consumer import CommandConsumer
from services.ingest.command_handler import CommandHandler
from services.ingest.intake import Intake
from services.ingest.kafka import PatientKafka
from services.ingest.keeps import MongoKeeps
from services.ingest.ledger import MongoLedger
from services.ingest.letters import KafkaLetters
from services.ingest.lists import MongoLists
from services.ingest.lost import RELAY_LEASE, LostEvents, watch
from services.ingest.mongo_backlog import MongoBacklog
from services.ingest.mongo_uploads import MongoUploads
from services.ingest.outbox import MongoOutbox
from services.ingest.oversight import Oversight
from services.ingest.rates import RateLimits
from services.ingest.reads import MongoReads
from services.ingest.rejections import Rejections
from services.ingest.relay import ENVIRONMENTS, LOOK_LEASE, LOOK_LEASE_LOOKS, Relay
from services.ingest.resends import MongoResends
from services.ingest.server import serve
from services.ingest.settings import IngestSettings
from services.ingest.standing import Standing
from services.ingest.trail import MongoTrail
from services.ingest.uploads import Uploads
from services.ingest.watches import Pace, Watches
from shared.addresses import EgressPolicy
from shared.blobs import open_blobs
from shared.content.judge import judge_bytes
from shared.dead_letters import DeadLetters
from shared.health import Health
from shared.leases import Leases
from shared.ledger import CONTROL_DATABASE, Client, connected, databases, open_database
from shared.metrics import BUDGET_LIMIT, watch_budget
from shared.observability import configure_logging
from shared.peek import open_peek
from shared.process import Lifecycle, background, run_service
from shared.resets import Resets
from shared.tenant_registry import open_registry
from shared.tenant_topics import KafkaTopics
from shared.tenants import open_tenants

Job = Callable[[], Coroutine[Any, Any, None]]


async def run(settings: IngestSettings, lifecycle: Lifecycle) -> None:
    """Build everything, work until told to stop."""
    health = Health()
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connected(settings, settings.mongodb_timeout_seconds))
        blobs = await stack.enter_async_context(open_blobs(settings))

        patient_client = await stack.enter_async_context(connected(settings))
        kafka, outbox = PatientKafka(settings), MongoOutbox(patient_client)
        leases = Leases(open_database(patient_client, CONTROL_DATABASE))
        every = settings.relay_seconds
        relay = Relay(outbox, kafka, partial(leases.hold, LOOK_LEASE, LOOK_LEASE_LOOKS * every), every)
        keep_lease = partial(leases.hold, RELAY_LEASE, settings.lease_seconds)
        lost = LostEvents(outbox, partial(kafka.pipeline_passed, keep_lease), relay.publish_again)
        watch_lost = partial(watch, lost, keep_lease, ENVIRONMENTS, every)
        jobs = (kafka.connect, relay.run, relay.recount, relay.look, watch_lost, _counting(patient_client, leases))
        await stack.enter_async_context(background(health.watch_loop_lag, *jobs, on_failure=lifecycle.fail))

        ledger = MongoLedger(client, settings.mongodb_timeout_seconds)
        policy = EgressPolicy.from_settings(settings.egress_allow)
        intake = Intake(ledger, relay, blobs, MongoKeeps(databases(client)))
        commands = CommandHandler(intake, Rejections(ledger, kafka), policy)
        consumer = CommandConsumer(settings, commands, DeadLetters(kafka), lambda: lifecycle.draining_seconds)
        health.watch(consumer.stuck)
        watches = Watches(ledger, settings.mutations_watched, Pace(look=settings.watch_seconds))
        await stack.enter_async_context(background(watches.run, on_failure=lifecycle.fail))
        await stack.enter_async_context(consumer.consuming(lifecycle.fail))
        gateway = Gateway(
            keys=open_tenants(client, settings),
            rates=RateLimits(settings.tenant_rate, settings.tenant_burst),
            bodies=BodyReader(settings.http_bytes_in_flight, settings.http_body_seconds, settings.http_body_rate),
            intake=intake,
            ledger=ledger,
            reads=MongoReads(databases(client)),
            lists=MongoLists(databases(client)),
            watches=watches,
            downloads=blobs,
            uploads=Uploads(MongoUploads(databases(client)), blobs, judge_bytes, settings.upload_rules()),
            resets=Resets(client),
            registry=open_registry(client, settings),
            topics=KafkaTopics(settings),
            oversight=_oversight(patient_client, kafka, settings),
            policy=policy,
            ready=lambda: lifecycle.ready,
            health=health.report,
        )
        _watch_budgets(settings, gateway)
        serving = serve(build(gateway), settings, lifecycle.fail, lambda: lifecycle.draining_seconds)
        await stack.enter_async_context(serving)
        await _until_told(settings, lifecycle, watches)


async def _until_told(settings: IngestSettings, lifecycle: Lifecycle, watches: Watches) -> None:
    """Work until load balancers have seen that we leave; who waits for a mutation goes at once, to another gateway."""
    lifecycle.start()
    structlog.get_logger().info("service.ready")
    await lifecycle.stopping.wait()
    watches.close()
    await asyncio.sleep(min(settings.notice_seconds, lifecycle.draining_seconds))


def _counting(client: Client, leases: Leases) -> Job:
    return Backlog(MongoBacklog(client), ENVIRONMENTS, leases.hold).run


def _oversight(client: Client, kafka: PatientKafka, settings: IngestSettings) -> Oversight:
    of_tenants = databases(client)
    trail = MongoTrail(of_tenants, open_database(client, CONTROL_DATABASE))
    opened = partial(open_peek, settings)
    standing, letters = Standing(of_tenants, kafka, opened), KafkaLetters(kafka, opened)
    return Oversight(trail, standing, MongoResends(client, of_tenants), letters)


def _watch_budgets(settings: IngestSettings, gateway: Gateway) -> None:
    watch_budget("body_bytes", settings.http_bytes_in_flight, lambda: gateway.bodies.held)
    watch_budget("mutations_watched", settings.mutations_watched, lambda: gateway.watches.held)
    watch_budget("uploads", settings.uploads_at_once, lambda: gateway.uploads.in_hand)
    BUDGET_LIMIT.labels("http_requests").set(settings.http_connections)  # a connection carries one at a time


def main() -> None:
    """Run until SIGTERM."""
    settings = IngestSettings()
    configure_logging("ingest", settings.log_level)
    sys.exit(run_service("ingest", partial(run, settings), settings))


if __name__ == "__main__":
    main()
