"""When the object store counts as away: it does not answer, or says that it can't work, until it has worked again."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientConnectionError

from shared.blobs import S3Blobs
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.s3_requests import Answer


class Store:
    """Answers requests and lists, or not."""

    def __init__(self) -> None:
        self.there, self.status = True, 200

    async def send(self, *_: object) -> Answer:
        return Answer(self.status, {}, b"")

    async def paginate(self, **_: object) -> AsyncIterator[dict[str, Any]]:
        if not self.there:
            raise ClientConnectionError
        yield {}

    def get_paginator(self, _: str) -> "Store":
        return self


@pytest.fixture(autouse=True)
def there() -> Iterator[None]:
    """Before a test, and after it: what a process notes is shared by all its tests."""
    DEPENDENCIES.answered("s3")
    yield
    DEPENDENCIES.answered("s3")


def away() -> bool:
    return DEPENDENCIES.lost("s3") > 0


def opened(store: Any) -> S3Blobs:
    return S3Blobs(store, store, "bucket", "us-east-1", "http://127.0.0.1:1/bucket")


async def test_a_list_that_works_again_ends_its_absence() -> None:
    store = Store()
    store.there = False
    with pytest.raises(DependencyUnavailable):
        [each async for each in opened(store).list("staging/")]
    assert away()
    store.there = True

    assert [each async for each in opened(store).list("staging/")] == []
    assert not away()


async def test_a_store_that_refuses_its_work_is_away() -> None:
    store = Store()
    store.status = 403
    with pytest.raises(DependencyUnavailable):
        await opened(store).put("records/a", b"a", 1)

    assert away()
