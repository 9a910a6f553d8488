"""What can be seen of an installation from outside: plain clients, and the formats of its documents and topics."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer, TopicPartition
from botocore.config import Config
from pymongo import AsyncMongoClient

from deploy.demo.receiver import Callback
from tests.torture.load import Write
from tests.torture.world import World

Json = dict[str, Any]
TERMINAL: Final = frozenset({"completed", "partially_completed", "failed", "rejected"})
# Consumer groups by the topic that each reads; the last one reads the tenants' command topics.
READERS: Final = {
    "mutations.accepted": "mutation-engine.fetcher",
    "mutations.fetched": "mutation-engine.storage",
    "mutations.completed": "mutation-engine.notifier",
    "mutations.commands.demo": "mutation-engine.ingest",
}
LANES: Final = ("waiting", "working", "parked", "owed")  # of what is not done with
READS_AT_ONCE: Final = 16
PAYLOAD: Final = {"decision": 0, "fields": 0, "changes": 0}


@dataclass(slots=True)
class Facts:
    """One look at everything, in the environment `live`. Documents by id, objects' SHA-256 by key."""

    writes: list[Write]
    secret: str  # the tenant's webhook secret
    tenant: str
    mutations: dict[str, Json] = field(default_factory=dict)
    records: dict[str, Json] = field(default_factory=dict)
    attachments: dict[str, Json] = field(default_factory=dict)
    deliveries: dict[str, Json] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)  # under records/
    staged: list[str] = field(default_factory=list)  # keys under staging/
    callbacks: list[Callback] = field(default_factory=list)
    published: list[Json] = field(default_factory=list)  # bodies on the tenant's topic of outcomes

    def by_key(self) -> dict[str, Json]:
        """The mutations by idempotency key."""
        return {each["key"]: each for each in self.mutations.values() if each["tenant"] == self.tenant}


@asynccontextmanager
async def open_database(handle: Json) -> AsyncIterator[Any]:
    """The database of the environment `live`."""
    client: AsyncMongoClient[Json] = AsyncMongoClient(handle["mongodb"], tz_aware=True, timeoutMS=60_000)
    try:
        yield client["engine_live"]
    finally:
        await client.close()


@asynccontextmanager
async def open_bucket(handle: Json) -> AsyncIterator[Any]:
    """An S3 client."""
    objects = handle["s3"]
    creating = get_session().create_client(
        "s3",
        endpoint_url=objects["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=objects["accessKey"],
        aws_secret_access_key=objects["secretKey"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}),
    )
    async with creating as client:
        yield client


async def keys_under(bucket: Any, name: str, prefix: str) -> list[str]:
    """The keys of all objects there."""
    pages = bucket.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
    return [each["Key"] async for page in pages for each in page.get("Contents", [])]


async def digests_of(bucket: Any, name: str, keys: list[str]) -> dict[str, str]:
    """SHA-256 of each object's bytes, as they are read now."""
    slots = asyncio.Semaphore(READS_AT_ONCE)

    async def one(key: str) -> str:
        async with slots:
            answer = await bucket.get_object(Bucket=name, Key=key)
            async with answer["Body"] as body:
                return hashlib.sha256(await body.read()).hexdigest()

    return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))


@asynccontextmanager
async def open_reader(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group that stands at the beginning of each of the topic's partitions."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_to_the_end(consumer: AIOKafkaConsumer) -> list[Any]:
    """Raw records from where the consumer stands to the present end of its partitions."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
    positions = {each: await consumer.position(each) for each in ends}
    found: list[Any] = []
    while any(positions[each] < end for each, end in ends.items()):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += records
        positions = {each: await consumer.position(each) for each in ends}
    return found


async def gather_facts(world: World, writes: list[Write]) -> Facts:
    """Look at everything once; in the order in which effects appear, so that a quiet system is seen whole."""
    handle, client = world.handle, world.client
    facts = Facts(list(writes), client.secret, client.tenant)
    async with open_database(handle) as database:
        for name in ("mutations", "records", "attachments", "deliveries"):
            projection = PAYLOAD if name == "mutations" else None
            found = {each["_id"]: each async for each in database[name].find({}, projection)}
            setattr(facts, name, found)
    name = handle["s3"]["bucket"]
    async with open_bucket(handle) as bucket:
        facts.objects = await digests_of(bucket, name, await keys_under(bucket, name, "records/live/"))
        facts.staged = await keys_under(bucket, name, "staging/live/")
    facts.callbacks = list(client.site.receiver.callbacks.get(client.hook, []))
    async with open_reader(handle["kafka"], f"mutations.outcomes.{client.tenant}") as reader:
        facts.published = [json.loads(record.value) for record in await read_to_the_end(reader)]
    return facts


async def unfinished(world: World, writes: list[Write], known: set[str] | None = None) -> dict[str, int]:
    """What is still under way, counted; empty when everything has ended and been told. `known` grows by the keys of
    commands that the ledger holds, so that they are not asked for again."""
    held = set() if known is None else known
    async with open_database(world.handle) as database:
        counts = {lane: await database.mutations.count_documents({"lane": lane}) for lane in LANES}
        counts["pending callbacks"] = await database.deliveries.count_documents({"status": "pending"})
        if unknown := {write.key for write in writes if write.by_topic} - held:
            query = {"key": {"$in": sorted(unknown)}}
            held |= {each["key"] async for each in database.mutations.find(query, {"key": 1})}
    counts["commands not accepted yet"] = len(unknown - held)
    return {name: count for name, count in counts.items() if count}
