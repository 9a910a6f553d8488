"""One tenant's flood is told to wait, in the words of the RateLimit draft; the others' requests pass."""

import re

import pytest

from services.ingest.rates import RateLimits
from tests.fakes_ingest import IngestStand

FIELD = re.compile(r'"tenant";r=(\d+);t=(\d+)')
UNKNOWN = "/mutations/unknown"


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def stand(clock: Clock, rate: float = 0.5, burst: int = 3) -> IngestStand:
    return IngestStand(rates=RateLimits(rate, burst, clock))


async def test_requests_beyond_the_burst_are_429_with_the_time_to_wait(clock: Clock) -> None:
    async with stand(clock).client() as client:
        answers = [await client.get(UNKNOWN) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429, 429]
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["errors"][0]["code"] == "rate_limited"
    assert refused.headers["retry-after"] == "2"
    assert refused.headers["ratelimit"] == '"tenant";r=0;t=2'


async def test_every_answer_to_a_known_key_tells_policy_and_what_is_left(clock: Clock) -> None:
    async with stand(clock).client() as client:
        answers = [await client.get(UNKNOWN), await client.get("/schema"), await client.post("/candidates")]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"tenant";q=3;w=6'] * 3
    found = [FIELD.fullmatch(answer.headers["ratelimit"]) for answer in answers]
    assert [match and match[1] for match in found] == ["2", "1", "0"]


async def test_whoever_waits_as_told_passes(clock: Clock) -> None:
    async with stand(clock).client() as client:
        for _ in range(10):
            answer = await client.get(UNKNOWN)
            if answer.status_code == 429:
                clock.now += float(answer.headers["retry-after"])
                assert (await client.get(UNKNOWN)).status_code == 404


async def test_a_pause_gives_the_burst_back_and_no_more(clock: Clock) -> None:
    async with stand(clock).client() as client:
        for _ in range(4):
            await client.get(UNKNOWN)
        clock.now += 3600
        assert [(await client.get(UNKNOWN)).status_code for _ in range(4)] == [404, 404, 404, 429]


async def test_a_tenants_flood_leaves_the_others_their_rate(clock: Clock) -> None:
    gateway = stand(clock)
    async with gateway.client() as flood:
        statuses = [(await flood.get(UNKNOWN)).status_code for _ in range(9)]
        assert statuses[-1] == 429
        assert (await flood.get("/sandbox" + UNKNOWN)).status_code == 429, "one bucket for both environments"
    async with gateway.client("key-of-other") as other, gateway.client("key-of-admin") as admin:
        assert (await other.get(UNKNOWN)).status_code == 404
        assert (await admin.get("/admin/tenants")).status_code == 200


async def test_admin_keys_are_limited_too(clock: Clock) -> None:
    async with stand(clock).client("key-of-admin") as admin:
        assert [(await admin.get("/admin/tenants")).status_code for _ in range(4)] == [200, 200, 200, 429]


async def test_unknown_keys_take_nothing_and_health_is_always_answered(clock: Clock) -> None:
    gateway = stand(clock)
    async with gateway.client() as client, gateway.client("no-key") as stranger:
        refused = [await stranger.get(UNKNOWN) for _ in range(10)]
        assert {answer.status_code for answer in refused} == {401}
        assert "ratelimit" not in refused[0].headers
        for _ in range(4):
            last = await client.get(UNKNOWN)
        assert last.status_code == 429
        assert [(await client.get(path)).status_code for path in ("/healthz", "/readyz", "/docs")] == [200] * 3


async def test_a_refused_write_leaves_nothing_behind(clock: Clock) -> None:
    gateway = stand(clock, burst=1)
    async with gateway.client() as client:
        statuses = [(await client.post("/candidates", json={"firstName": "Ann"})).status_code for _ in range(2)]
    assert statuses == [202, 429]
    assert len(gateway.mutations()) == 1


def test_the_usual_limit_lets_the_usual_load_through() -> None:
    clock = Clock()
    usual = RateLimits(clock=clock)
    for _ in range(4000):
        assert usual.take("acme").passes
        clock.now += 1 / 400
