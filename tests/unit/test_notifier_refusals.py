"""What the database refuses is a bug, and told without the documents: they hold URLs and answers."""

import traceback
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from services.notifier.deliveries import RefusedWrite, raise_refused


def refused(*codes: int) -> BulkWriteError:
    """As the driver tells it."""
    documents: list[Any] = [{"_id": "m1", "url": "https://hooks.test/private"} for _ in codes]
    errors = [{"index": n, "code": code, "op": documents[n]} for n, code in enumerate(codes)]
    return BulkWriteError({"writeErrors": errors})


def test_a_refused_write_is_told_by_its_codes_alone() -> None:
    def write() -> None:
        try:
            raise refused(11000, 121)
        except BulkWriteError as error:
            raise_refused(error.details["writeErrors"])

    with pytest.raises(RefusedWrite, match="11000, 121") as raised:
        write()

    assert "private" not in "".join(traceback.format_exception(raised.value))


def test_what_is_there_already_is_no_refusal() -> None:
    raise_refused(refused(11000, 11000).details["writeErrors"])
