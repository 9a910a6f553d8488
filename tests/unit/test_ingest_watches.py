"""Waiting for the end of a mutation: by one long request or a stream of events, at any replica, at bounded cost."""

import asyncio
from typing import Any

import pytest

from services.ingest.api.schemas_out import MutationState
from services.ingest.watches import Watches
from tests.fakes_watches import Json, WatchStand, code, events, states
from tests.retry import eventually

MANY = 500
FOLLOW = "/mutations/one/events"


@pytest.mark.parametrize("way", ["?wait=60", "/events"])
async def test_five_hundred_watchers_cost_one_query_a_look(way: str) -> None:
    stand = WatchStand(total=1000)
    for number in range(MANY):
        stand.has(f"key-{number}")
    clients = [stand.asks(f"/mutations/key-{number}{way}") for number in range(MANY)]
    await stand.watched(MANY)
    assert stand.ledger.looks == []
    await stand.look()
    await stand.look()
    assert [len(ids) for ids in stand.ledger.looks] == [MANY, MANY]
    assert stand.ledger.reads == []

    stand.becomes("completed")
    await stand.look()
    assert [len(ids) for ids in stand.ledger.reads] == [MANY]
    answers = await asyncio.gather(*clients)
    assert all("completed" in answer.text for answer in answers)
    await stand.look()
    assert len(stand.ledger.looks) == 3, "nobody watches any more"


async def test_many_who_wait_for_the_same_ask_for_it_once() -> None:
    stand = WatchStand()
    one = stand.has("one")
    clients = [stand.asks(FOLLOW) for _ in range(20)]
    await stand.watched(20)
    await stand.look()
    assert stand.ledger.looks == [[one]]
    stand.watches.close()
    await asyncio.gather(*clients)


async def test_a_fault_in_one_look_costs_nobody_the_end() -> None:
    stand = WatchStand()
    stand.has("one")
    async with stand.looking():
        asked = stand.asks("/mutations/one?wait=60")
        await stand.watched()
        stand.becomes("a status of a later version")
        looks = len(stand.ledger.looks)
        await eventually(lambda: looked_again(stand, looks))
        stand.becomes("completed")
        answer = await asked
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "completed")


async def looked_again(stand: WatchStand, looks: int) -> None:
    assert len(stand.ledger.looks) > looks + 1


async def test_wait_answers_when_the_mutation_has_ended() -> None:
    stand = WatchStand()
    stand.has("one")
    async with stand.looking():
        asked = stand.asks("/mutations/one?wait=60")
        await stand.watched()
        stand.becomes("applying")
        stand.becomes("failed")
        answer = await asked
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "failed")


@pytest.mark.parametrize("way", ["", "?wait=0", "?wait=60"])
async def test_what_has_ended_is_answered_at_once(way: str) -> None:
    stand = WatchStand()
    stand.has("one", status="partially_completed")
    answer = await stand.get(f"/mutations/one{way}")
    assert answer.json()["data"]["status"] == "partially_completed"


async def test_present_state_is_answered_when_the_wait_is_over() -> None:
    stand = WatchStand()
    stand.has("one")
    answer = await stand.get("/mutations/one?wait=1")
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "accepted")


@pytest.mark.parametrize("bad", ["61", "-1", "1.5", "soon", "", "0x1", "1e1", "٣", "99999999999999999999", "5&wait=5"])
async def test_bad_waits_are_refused(bad: str) -> None:
    stand = WatchStand()
    stand.has("one")
    assert code(await stand.get(f"/mutations/one?wait={bad}")) == (400, "wait", "parameter_invalid")


@pytest.mark.parametrize("prefer", ["wait=30", 'respond-async, WAIT = "30"', "wait=30; x=y", "wait=99999999"])
async def test_a_preference_to_wait_is_met(prefer: str) -> None:
    stand = WatchStand()
    stand.has("one")
    async with stand.looking():
        asked = stand.asks("/mutations/one", prefer=prefer)
        await stand.watched()
        stand.becomes("completed")
        answer = await asked
    assert answer.json()["data"]["status"] == "completed"
    assert answer.headers["preference-applied"] == ("wait=60" if "9999" in prefer else "wait=30")


@pytest.mark.parametrize("prefer", ["", "wait", "wait=", "wait=x", "wait=-1", ",;=", "handling=strict"])
async def test_a_preference_that_can_not_be_read_is_ignored(prefer: str) -> None:
    stand = WatchStand()
    stand.has("one")
    answer = await stand.get("/mutations/one", prefer=prefer)
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


async def test_stream_tells_every_state_and_ends_behind_the_last() -> None:
    stand = WatchStand()
    stand.has("one")
    following = stand.asks(FOLLOW)
    await stand.watched()
    for status in ("applying", "applying", "completed"):
        stand.becomes(status)
        await stand.look()
    answer = await following
    assert answer.text.startswith("retry: 1000\n\n")
    assert states(answer) == [("1", "accepted"), ("2", "applying"), ("3", "completed")]
    assert answer.headers["cache-control"] == "no-store"


async def test_an_event_has_what_the_read_shows_but_for_callbacks() -> None:
    stand = WatchStand()
    stand.has("one", status="completed")
    read = (await stand.get("/mutations/one")).json()["data"]
    [(_, data)] = events(await stand.get(FOLLOW))
    MutationState.model_validate(data)
    assert data == {name: value for name, value in read.items() if name not in ("callback", "deliveries")}


async def test_a_look_that_began_before_the_client_came_takes_nothing_back() -> None:
    stand = WatchStand()
    one = stand.has("one")
    told, go_on = asyncio.Event(), asyncio.Event()

    class Late:
        """The ledger, whose answer is on its way for a while."""

        async def statuses(self, environment: str, ids: list[str]) -> dict[str, str]:
            found = await stand.ledger.statuses(environment, ids)
            told.set()
            await go_on.wait()
            return found

        async def members(self, environment: str, ids: list[str]) -> Any:
            return await stand.ledger.members(environment, ids)

    watches = Watches(Late())
    before = await stand.ledger.members("live", [one])
    with watches.open("live", "acme", before):
        looking = asyncio.create_task(watches.look())
        await told.wait()
        stand.becomes("applying")
        with watches.open("live", "acme", await stand.ledger.members("live", [one])) as late:
            go_on.set()
            await looking
            assert [document["status"] for document in late.documents.values()] == ["applying"]
            assert not late.over


async def test_a_client_that_comes_again_hears_nothing_twice() -> None:
    stand = WatchStand()
    stand.has("one", status="applying")
    following = stand.asks(FOLLOW, **{"last-event-id": "1"})
    await stand.watched()
    stand.becomes("completed")
    await stand.look()
    assert states(await following) == [("2", "applying"), ("3", "completed")]
    assert (await stand.get(FOLLOW, **{"last-event-id": "3"})).status_code == 204


@pytest.mark.parametrize("bad", ["4", "11", "x", "-1", "1,1", "٣"])
async def test_ids_that_were_never_given_are_refused(bad: str) -> None:
    stand = WatchStand()
    stand.has("one")
    headers: Any = {"last-event-id": bad.encode()}
    assert code(await stand.get(FOLLOW, **headers)) == (400, "Last-Event-ID", "parameter_invalid")


async def test_who_claims_to_know_more_than_is_true_still_hears_the_end() -> None:
    stand = WatchStand()
    stand.has("one")
    following = stand.asks(FOLLOW, **{"last-event-id": "3"})
    await stand.watched()
    stand.becomes("completed")
    await stand.look()
    assert states(await following) == [("3", "completed")]


async def test_several_records_share_a_stream_and_a_wait() -> None:
    stand = WatchStand()
    async with stand.client() as client:
        people = [{"firstName": "Ann"}, {"firstName": "Bob"}]
        await client.post("/candidates", json=people, headers={"idempotency-key": "all"})
    first, second = (one["_id"] for one in stand.mutations())
    following, waiting = stand.asks("/mutations/all/events"), stand.asks("/mutations/all?wait=60")
    await stand.watched(2)
    stand.becomes("failed", second)
    await stand.look()
    stand.becomes("completed", first)
    await stand.look()
    told = [(number, data["mutationId"], data["status"]) for number, data in events(await following)]
    begun = [("10", first, "accepted"), ("11", second, "accepted")]
    assert told == [*begun, ("13", second, "failed"), ("33", first, "completed")]
    members = (await waiting).json()["data"]["members"]
    assert [one["status"] for one in members] == ["completed", "failed"]

    again = await stand.get("/mutations/all/events", **{"last-event-id": "13"})
    assert [number for number, _ in events(again)] == ["33"]


@pytest.mark.parametrize("path", [FOLLOW, "/mutations/one?wait=60", "/mutations/no%20key/events"])
async def test_another_tenants_mutation_can_not_be_followed(path: str) -> None:
    stand = WatchStand()
    stand.has("one", tenant="other")
    answer = await stand.get(path)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "mutation_not_found")


async def test_sandbox_has_its_own() -> None:
    stand = WatchStand()
    stand.has("one", environment="sandbox")
    assert (await stand.get(FOLLOW)).status_code == 404
    ways = [stand.asks("/sandbox" + FOLLOW), stand.asks("/mutations/one?wait=60", **{"x-api-sandbox": "true"})]
    await stand.watched(2)
    stand.becomes("completed", environment="sandbox")
    await stand.look()
    assert all('"completed"' in answer.text for answer in await asyncio.gather(*ways))


@pytest.mark.parametrize("path", [FOLLOW, "/mutations/one?wait=60"])
async def test_a_tenant_beyond_its_part_is_refused_and_others_are_not(path: str) -> None:
    stand = WatchStand(total=4)  # of which a tenant gets three
    stand.has("one")
    stand.has("one", tenant="other")
    waiting = [stand.asks(FOLLOW) for _ in range(3)]
    await stand.watched(3)
    refused = await stand.get(path)
    assert code(refused) == (503, "", "over_capacity")
    assert refused.headers["retry-after"] == "5"
    assert (await stand.get("/mutations/one")).status_code == 200

    neighbour = stand.asks(FOLLOW, "key-of-other")
    await stand.watched(4)
    stand.becomes("completed")
    await stand.look()
    assert {answer.status_code for answer in await asyncio.gather(*waiting, neighbour)} == {200}
    assert (await stand.get(path)).status_code == 200


@pytest.mark.parametrize("path", [FOLLOW, "/mutations/one?wait=60"])
async def test_who_goes_away_makes_room(path: str) -> None:
    stand = WatchStand(total=1)
    stand.has("one")
    gone, sent = asyncio.Event(), []
    headers = [(b"host", b"ingest"), (b"x-api-key", b"key-of-acme")]
    path, _, query = path.partition("?")
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode()}

    async def receive() -> Json:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Json) -> None:
        sent.append(message)

    calling: Any = stand.app(scope | {"query_string": query.encode(), "headers": headers}, receive, send)  # type: ignore[arg-type]
    request = asyncio.create_task(calling)
    await stand.watched()
    gone.set()
    await request
    await stand.watched(0)
    following = stand.asks(FOLLOW)
    await stand.watched()
    stand.watches.close()
    await following


async def test_a_gateway_that_is_leaving_lets_all_go_with_a_whole_answer() -> None:
    stand = WatchStand()
    stand.has("one")
    following, waiting = stand.asks(FOLLOW), stand.asks("/mutations/one?wait=60")
    await stand.watched(2)
    stand.watches.close()
    assert states(await following) == [("1", "accepted")]
    assert (await waiting).json()["data"]["status"] == "accepted"

    late = await stand.get("/mutations/one?wait=60")
    assert code(late) == (503, "", "unavailable")
    assert late.headers["retry-after"]
    assert states(await stand.get(FOLLOW)) == [("1", "accepted")]


async def test_an_absent_ledger_is_waited_for() -> None:
    stand = WatchStand()
    stand.has("one")
    async with stand.looking():
        following = stand.asks(FOLLOW)
        await stand.watched()
        stand.ledger.away = True
        blind = len(stand.ledger.looks)

        async def asked_again() -> None:
            assert len(stand.ledger.looks) > blind + 2

        await eventually(asked_again)
        assert not following.done()
        stand.becomes("completed")
        stand.ledger.away = False
        assert states(await following)[-1] == ("3", "completed")


async def test_what_is_gone_from_the_ledger_is_not_waited_for() -> None:
    stand = WatchStand()
    one = stand.has("one")
    following, waiting = stand.asks(FOLLOW), stand.asks("/mutations/one?wait=60")
    await stand.watched(2)
    del stand.ledger.documents["live"][one]
    await stand.look()
    assert states(await following) == [("1", "accepted")]
    assert (await waiting).status_code == 404


async def test_a_stream_without_events_says_that_it_lives_and_ends_in_time() -> None:
    stand = WatchStand(alive=0.01, stream=0.2)
    stand.has("one")
    answer = await stand.get(FOLLOW)
    assert states(answer) == [("1", "accepted")]
    assert ": still waiting\n\n" in answer.text


async def test_a_stream_ends_when_its_key_is_revoked_and_others_go_on() -> None:
    stand = WatchStand(alive=0.01)
    stand.has("one")
    stand.has("one", tenant="other")
    following, neighbour = stand.asks(FOLLOW), stand.asks(FOLLOW, "key-of-other")
    await stand.watched(2)
    stand.keys.revoked.add("key-of-acme")
    async with asyncio.timeout(10):
        assert states(await following) == [("1", "accepted")]
    assert not neighbour.done()
    stand.becomes("completed")
    await stand.look()
    assert states(await neighbour)[-1] == ("3", "completed")


async def test_nothing_new_is_told_by_a_key_that_is_revoked() -> None:
    stand = WatchStand()
    stand.has("one")
    following = stand.asks(FOLLOW)
    await stand.watched()
    stand.keys.revoked.add("key-of-acme")
    stand.becomes("completed")
    await stand.look()
    assert states(await following) == [("1", "accepted")]


async def test_a_stream_goes_on_while_nobody_can_say_whether_its_key_lives() -> None:
    stand = WatchStand(alive=0.01)
    stand.has("one")
    following = stand.asks(FOLLOW)
    await stand.watched()
    stand.keys.away = True
    stand.becomes("completed")
    await stand.look()
    assert states(await following) == [("1", "accepted"), ("3", "completed")]


async def test_head_of_a_stream_does_not_wait() -> None:
    stand = WatchStand()
    stand.has("one")
    async with stand.client() as client:
        answer = await client.head(FOLLOW)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
