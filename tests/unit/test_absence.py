"""Which errors of the database are our outage, and never anybody's outcome."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ClientBulkWriteException,
    DuplicateKeyError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from shared.errors import DependencyUnavailable
from shared.ledger import translated

OUTAGES = [
    AutoReconnect("gone"),
    NetworkTimeout("slow"),
    NotPrimaryError("stepped down"),
    ServerSelectionTimeoutError("none"),
    WTimeoutError("no majority", 64),
    WriteConcernError("no majority", 100),
    OperationFailure("shutting down", 91),
    OperationFailure("interrupted", 11600),
    OperationFailure("no majority read", 134),
    ClientBulkWriteException({"error": NetworkTimeout("slow"), "writeErrors": []}, verbose=True),
    ClientBulkWriteException({"error": None, "writeErrors": [], "writeConcernErrors": [{"code": 64}]}, verbose=True),
    BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}),
]
BUGS = [
    OperationFailure("no such operator", 9),
    DuplicateKeyError("there", 11000),
    BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": []}),
    ClientBulkWriteException({"error": None, "writeErrors": [{"code": 2}]}, verbose=True),
]


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
async def test_an_outage_is_held(error: PyMongoError) -> None:
    with pytest.raises(DependencyUnavailable):
        async with translated():
            raise error


@pytest.mark.parametrize("error", BUGS, ids=repr)
async def test_a_refusal_stays_what_it_is(error: PyMongoError) -> None:
    with pytest.raises(type(error)):
        async with translated():
            raise error
