"""What /healthz says: stuck is 503, an absent server of ours is told of with 200."""

import asyncio

from aiohttp.test_utils import TestClient, TestServer

from shared.dependencies import UNASKED_SECONDS, Dependencies
from shared.health import LOST_SECONDS, Health
from shared.process import Lifecycle, health_app


class Clock:
    """Seconds, moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_all_is_well() -> None:
    assert Health(Dependencies()).report() == (True, "ok\n")


async def test_what_is_stuck_makes_it_dead_and_says_why() -> None:
    health, why = Health(Dependencies()), ""
    health.watch(lambda: why)
    assert health.report() == (True, "ok\n")
    why = "mutations.accepted has lag"

    assert health.report() == (False, "stuck: mutations.accepted has lag\n")


async def test_an_absent_server_is_told_of_but_no_restart_would_help() -> None:
    clock = Clock()
    dependencies = Dependencies(clock)
    health = Health(dependencies)
    dependencies.failed("mongodb")
    assert health.report() == (True, "ok\n"), "a hiccup is no absence"
    clock.now += LOST_SECONDS
    dependencies.failed("mongodb")

    assert health.report() == (True, "degraded: mongodb has not answered for 5 s\n")
    assert dependencies.any_lost()
    dependencies.answered("mongodb")
    assert health.report() == (True, "ok\n")
    assert not dependencies.any_lost()


async def test_the_endpoints_say_it() -> None:
    lifecycle, health, why = Lifecycle(), Health(Dependencies()), ""
    health.watch(lambda: why)
    async with TestClient(TestServer(health_app(lifecycle, health))) as client:

        async def status(path: str) -> int:
            async with client.get(path) as answer:
                return answer.status

        assert (await status("/healthz"), await status("/readyz")) == (200, 503)
        lifecycle.start()
        assert (await status("/healthz"), await status("/readyz")) == (200, 200)
        lifecycle.stop()
        assert (await status("/healthz"), await status("/readyz")) == (200, 503)
        why = "something"
        assert await status("/healthz") == 503


async def test_work_in_hand_gets_a_part_of_the_grace_time_only() -> None:
    lifecycle = Lifecycle(grace_seconds=10)
    assert lifecycle.draining_seconds == 6
    lifecycle.stop()
    await asyncio.sleep(0)

    assert 0 < lifecycle.draining_seconds <= 6


async def test_a_server_that_nobody_asks_any_more_is_not_told_of_for_ever() -> None:
    clock = Clock()
    dependencies = Dependencies(clock)
    dependencies.failed("s3")
    clock.now += UNASKED_SECONDS
    assert dependencies.lost("s3") == UNASKED_SECONDS
    clock.now += 1

    assert dependencies.lost("s3") == 0
    assert not dependencies.any_lost()


async def test_an_absence_counts_from_its_own_first_failure_not_from_one_that_was_forgotten() -> None:
    clock = Clock()
    dependencies = Dependencies(clock)
    dependencies.failed("s3")
    clock.now += UNASKED_SECONDS + 1
    dependencies.failed("s3")

    assert dependencies.lost("s3") == 0
