"""Composition root of the fetcher: builds everything, runs until SIGTERM, drains, commits, leaves."""

import resource
import sys
from functools import partial
from typing import Final

import httpx2
from aiokafka import TopicPartition

from services.fetcher.consumer import FetchConsumer
from services.fetcher.downloader import HttpDownloader
from services.fetcher.handler import FetchHandler
from services.fetcher.ledger import MongoLedger
from services.fetcher.settings import FetcherSettings
from services.fetcher.window import Window
from shared import topics
from shared.blobs import open_blobs
from shared.broker import attach, consuming_broker
from shared.dead_letters import DeadLetters
from shared.dependencies import DEPENDENCIES
from shared.egress import EgressPolicy, open_egress_client
from shared.health import Health
from shared.ledger import connected, databases
from shared.metrics import watch_budget
from shared.observability import configure_logging
from shared.offsets import open_offsets
from shared.process import Lifecycle, background, health_app, health_server, run_service
from shared.publisher import open_publisher
from shared.watchdog import Watchdog

BATCH_RECORDS: Final = 64
OPEN_FILES: Final = 16_384
SPAN: Final = 8192  # records of a partition that may wait behind one slow download


async def run(settings: FetcherSettings, lifecycle: Lifecycle) -> None:
    """Run until told to stop."""
    health = Health()
    policy = EgressPolicy.from_settings(settings.egress_allow)
    connections = httpx2.Limits(max_connections=settings.in_flight, keepalive_expiry=5.0)
    broker = consuming_broker(settings)
    async with (
        health_server(settings.health_host, settings.health_port, health_app(lifecycle, health)),
        connected(settings) as mongo,
        open_blobs(settings) as blobs,
        open_publisher(settings, lifecycle.fail) as publisher,
        open_offsets(settings) as offsets,
        open_egress_client(policy, user_agent=settings.user_agent, limits=connections) as client,
    ):
        downloader = HttpDownloader(
            client,
            policy,
            spool_directory=settings.spool_directory,
            in_flight=settings.in_flight,
            host_wait_seconds=settings.host_wait_seconds,
        )
        handler = FetchHandler(downloader, blobs, MongoLedger(databases(mongo)), publisher)
        window = Window[TopicPartition](settings.in_flight, SPAN)
        watch_budget("mutations_in_fetch", settings.in_flight, lambda: window.in_flight)
        consumer = FetchConsumer(
            handler, DeadLetters(publisher), window, lifecycle, BATCH_RECORDS, settings.kafka_drain_seconds
        )
        attach(broker, settings, topics.ACCEPTED, topics.FETCHER_GROUP, consumer, BATCH_RECORDS)
        watchdog = Watchdog(offsets, topics.ACCEPTED, consumer, lifecycle.fail, DEPENDENCIES.any_lost)
        health.watch(watchdog.reason)
        commits = partial(consumer.commit_every, settings.commit_seconds)
        async with background(health.watch_loop_lag, watchdog.run, commits, on_failure=lifecycle.fail):
            await broker.start()
            lifecycle.start()
            await lifecycle.stopping.wait()
            await consumer.stop(lifecycle.draining_seconds)
            await broker.hand_back(lifecycle.draining_seconds)


def allow_open_files() -> None:
    """Each download holds a connection and a file: use what the system allows beyond the usual 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if __name__ == "__main__":
    loaded = FetcherSettings()
    configure_logging("fetcher", loaded.log_level)
    allow_open_files()
    sys.exit(run_service("fetcher", partial(run, loaded), loaded))
