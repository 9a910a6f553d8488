"""Every scenario of `make torture`, in the order in which they are played."""

from typing import Final

from tests.torture import (
    fairness,
    hostile_urls,
    joins,
    kills,
    outages,
    poison,
    restarts,
    rolling,
    slow_connections,
    stops,
)
from tests.torture.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "kills",
        "500 SIGKILLs over at least 14 named points and at random, 10,000 mutations: 0 lost, 0 wrong, 0 double "
        "terminal",
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
        "joins",
        "60 joins and leaves in 5 minutes with slow handlers on Apache Kafka: 0 lost, 0 double effects",
        joins.play,
        brokers=("kafka",),
        short_broker="kafka",
    ),
    Scenario(
        "rolling",
        "Two replicas of every service restarted by SIGTERM, one after another, four times, during load: 0 lost, 0 5xx "
        "but 503 with Retry-After, no answer cut off, no callback late by more than the longest restart, ready within "
        "3 s of the start",
        rolling.play,
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
        "poison",
        "100 poison records among 1,000 good ones: the good ones' p99 delay rises by less than 20 %, each bad one is "
        "in the dead-letter topic after the promised number of tries, under 2 tries a second",
        poison.play,
        short_broker="tansu",
    ),
    Scenario(
        "fairness",
        "one tenant's flood adds two seconds to another's p99 at most; slow sources and dead receivers leave it under "
        "twice its own and half a second",
        fairness.play,
        short_broker="tansu",
    ),
    Scenario(
        "slow_connections",
        "500 slow connections of five kinds: each is closed within 15 s, others' p99 stays under twice its own",
        slow_connections.play,
        short_broker="tansu",
    ),
    Scenario(
        "hostile_urls",
        "150+ hostile URLs as file, target of a redirect and callback: 0 connections, one look-up of each refused "
        "name, stable codes",
        hostile_urls.play,
        short_broker="tansu",
    ),
)
