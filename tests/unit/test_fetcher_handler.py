"""What becomes of an accepted mutation: files staged, failures as outcomes, our own trouble waited for."""

from datetime import UTC, datetime

from structlog.testing import capture_logs

from services.fetcher.handler import FetchHandler
from shared import topics
from shared.errors import OUTCOME_CODES
from shared.events import Environment, FileError, MutationAccepted, Place, StagedObject, UrlSource
from tests.fakes_fetcher import FlakyBlobs, ListedLedger, RecordingPublisher, ScriptedDownloader

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
DEAD = FileError(code="source_unreachable", message="dead")


def accepted(*files: str, mutation: str = "m1", environment: Environment = "live") -> MutationAccepted:
    """An event with a file for each name; its URL is the name, too."""
    return MutationAccepted(
        mutation_id=mutation,
        tenant="acme",
        environment=environment,
        kind="append",
        places=(Place(record="acme/candidate/c1", sequence=3),),
        sources={file: UrlSource(url=file) for file in files},
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
    )


class World:
    """The handler with everything around it."""

    def __init__(self, *ended: str, **answers: bytes | FileError | Exception) -> None:
        self.downloader, self.blobs, self.ledger = ScriptedDownloader(**answers), FlakyBlobs(), ListedLedger(*ended)
        self.publisher = RecordingPublisher()
        names = (f"r{n}" for n in range(1000))
        self.handler = FetchHandler(
            self.downloader, self.blobs, self.ledger, self.publisher, random_name=lambda: next(names)
        )


async def test_mutation_without_files_is_passed_on_at_once() -> None:
    world = World()
    assert await world.handler.handle(accepted(), TRACE)
    [(topic, event, trace)] = world.publisher.published
    assert (topic, event.mutation_id, event.places, event.files, event.error) == (
        topics.FETCHED, "m1", (Place(record="acme/candidate/c1", sequence=3),), {}, None,
    )  # fmt: skip
    assert trace == TRACE
    assert event.deadline == datetime(2030, 1, 1, tzinfo=UTC)


async def test_files_are_staged_and_named_in_the_event() -> None:
    world = World(f1=b"one", f2=b"two!")
    await world.handler.handle(accepted("f1", "f2"), TRACE)
    [(_, event, _)] = world.publisher.published
    assert set(event.files) == {"f1", "f2"}
    for file, content in (("f1", b"one"), ("f2", b"two!")):
        staged = event.files[file]
        assert isinstance(staged, StagedObject)
        assert staged.key.startswith(f"staging/live/m1/{file}-")
        assert (staged.size, staged.sha256, staged.content_type) == (len(content), f"sha:{file}", "text/plain")
        assert await world.blobs.get(staged.key) == content


async def test_dead_source_is_an_outcome_and_the_other_files_arrive() -> None:
    world = World(f1=DEAD)
    assert await world.handler.handle(accepted("f1", "f2"), TRACE)
    [(_, event, _)] = world.publisher.published
    assert event.files["f1"] == DEAD
    assert isinstance(event.files["f2"], StagedObject)
    assert event.error is None


async def test_ended_mutation_is_passed_on_without_a_download() -> None:
    world = World()
    assert await world.handler.handle(accepted("f1"), TRACE, ended=True)
    assert world.downloader.asked == []
    assert world.publisher.published[0][1].files == {}


async def test_redelivered_event_is_staged_under_another_key() -> None:
    world = World()
    for _ in range(2):
        await world.handler.handle(accepted("f1"), TRACE)
    assert len(world.blobs.objects) == 2


async def test_absent_store_and_broker_are_waited_for_and_nothing_is_downloaded_twice() -> None:
    world = World()
    world.blobs.away, world.publisher.away = 1, 1
    assert await world.handler.handle(accepted("f1"), TRACE)
    assert world.downloader.asked == ["f1"]
    [(_, event, _)] = world.publisher.published
    assert isinstance(event.files["f1"], StagedObject)


async def test_bug_travels_on_as_internal_error() -> None:
    world = World(f1=ZeroDivisionError())
    assert not await world.handler.handle(accepted("f1", "f2"), TRACE)
    [(_, event, _)] = world.publisher.published
    assert event.error == FileError(code="internal_error", message=OUTCOME_CODES["internal_error"].advice)
    assert event.files == {}


async def test_status_is_read_once_for_each_environment_and_only_for_mutations_with_files() -> None:
    world = World("m2", "m4")
    world.ledger.away = 1
    events = [
        accepted(mutation="m1"),
        accepted("f", mutation="m2"),
        accepted("f", mutation="m3"),
        accepted("f", mutation="m4", environment="sandbox"),
    ]
    assert await world.handler.ended(events) == {"m2", "m4"}
    assert world.ledger.reads == [("live", ["m2", "m3"]), ("sandbox", ["m4"])]


async def test_what_is_passed_on_is_logged_by_the_mutation_and_without_its_urls() -> None:
    with capture_logs() as logged:
        await World(f1=DEAD).handler.handle(accepted("f1", "f2"), TRACE)
    [entry] = logged
    assert entry == {
        "event": "mutation.fetched", "log_level": "info", "mutation": "m1", "tenant": "acme", "files": 2, "failed": 1,
    }  # fmt: skip
