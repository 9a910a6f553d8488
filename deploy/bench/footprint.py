"""What mutations leave in the database: bytes of BSON by collection, before indexes and compression."""

from collections import Counter

import bson

from deploy.bench.evidence import Stores
from shared import ledger


async def document_bytes(stores: Stores) -> Counter[str]:
    """Of everything that is there now, by collection."""
    client, found = ledger.connect(stores.settings, timeout_seconds=60), Counter[str]()
    try:
        database = ledger.databases(client)["live"]
        for name in await database.list_collection_names():
            async for document in database[name].find({}):
                found[name] += len(bson.encode(document))
    finally:
        await client.close()
    return found
