"""Every scenario of `make torture`, in the order in which they are played."""

from typing import Final

from tests.torture import hostile_urls, kills, outages, restarts, stops
from tests.torture.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "kills",
        "500 SIGKILLs over 14 named points and at random, 10,000 mutations: 0 lost, 0 wrong, 0 double terminal",
        kills.play,
        short_broker="tansu",
    ),
    Scenario(
        "stops",
        "100 SIGSTOPs longer than session and lease: 0 stale writes accepted, at least 50 refusals seen",
        stops.play,
        brokers=("kafka",),
        short_broker="kafka",
    ),
    Scenario(
        "outages",
        "Kafka away for 60 s: 1,000 mutations accepted meanwhile, all finished within 60 s of its return; "
        "MongoDB away: 503 problem+json in < 2 s; object store away for 60 s: 0 failed",
        outages.play,
        brokers=("kafka",),
        short_broker="kafka",
    ),
    Scenario(
        "restarts",
        "Broker restarted 10 times: every service consumes again within 30 s, or leaves and consumes within 60 s",
        restarts.play,
        brokers=("kafka",),
        short_broker="kafka",
    ),
    Scenario(
        "hostile_urls",
        "150+ hostile URLs as file, target of a redirect and callback: 0 connections, one look-up each, stable codes",
        hostile_urls.play,
        short_broker="tansu",
    ),
)
