"""What decides is read from the primary and written journaled by a majority, whatever an operator's URI says."""

from pymongo.read_preferences import ReadPreference

from shared.ledger import READ_CONCERN, WRITE_CONCERN, databases, open_client

OTHERWISE = "readPreference=secondaryPreferred&readConcernLevel=local&w=1&journal=false&retryWrites=false&timeoutMS=0"


async def test_options_of_the_uri_do_not_weaken_what_the_ledger_needs() -> None:
    async with open_client(f"mongodb://127.0.0.1:1/?{OTHERWISE}", 1.5) as client:
        for database in databases(client).values():
            used = database.mutations
            assert used.read_preference == ReadPreference.PRIMARY
            assert (used.read_concern, used.write_concern) == (READ_CONCERN, WRITE_CONCERN)
        assert client.read_preference == ReadPreference.PRIMARY, "of transactions"
        assert (client.options.retry_writes, client.options.timeout) == (True, 1.5)
