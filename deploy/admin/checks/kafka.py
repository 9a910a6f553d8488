"""Kafka: reachable, every topic there, as wide, lasting and roomy as it is made, read by groups that we may be."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError

from deploy.admin.checks.finding import Finding
from shared import topics
from shared.kafka_access import client_options
from shared.settings import EngineSettings
from shared.topics import TopicSpec

SECONDS: Final = 5.0
MAKE: Final = "Run: mutation-engine init (it is safe to repeat)."
REPLICATED: Final = 3  # brokers from which on everything should be on three

Described = Mapping[str, Any]  # one topic of a metadata answer
Configs = Mapping[str, Mapping[str, str]]


async def look(settings: EngineSettings, tenants: Sequence[str], partitions: int | None) -> list[Finding]:
    """What is wrong with the topics of the pipeline and of these tenants; `partitions` as they were asked for."""
    try:
        async with asyncio.timeout(3 * SECONDS), _connected(settings) as admin:
            return await _look(admin, tenants, partitions)
    except (KafkaError, OSError, TimeoutError, LookupError, ValueError) as error:
        wrong = f"Kafka at {settings.kafka_bootstrap} can't be reached ({type(error).__name__})."
        todo = "Start it, or correct ENGINE_KAFKA_BOOTSTRAP and ENGINE_KAFKA_SECURITY; look at firewalls in between."
        return [Finding("kafka_away", wrong, todo)]


@asynccontextmanager
async def _connected(settings: EngineSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=int(SECONDS * 1000))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _look(admin: AIOKafkaAdminClient, tenants: Sequence[str], partitions: int | None) -> list[Finding]:
    described = {each["topic"]: each for each in await admin.describe_topics()}
    brokers = len((await admin.describe_cluster())["brokers"])
    specs = topics.all_topics(list(tenants), partitions or _widest(described))
    here = [spec.name for spec in specs if spec.name in described]
    configs = await _configs(admin, here)
    found = [finding for spec in specs for finding in judge(spec, described.get(spec.name), configs, brokers)]
    return found + await _groups(admin, described)


def _widest(described: Mapping[str, Described]) -> int:
    """As the pipeline is, so that its topics are compared with each other."""
    return max((len(described[name]["partitions"]) for name in topics.READERS if name in described), default=1)


def judge(spec: TopicSpec, there: Described | None, configs: Configs, brokers: int) -> Iterator[Finding]:
    """What is wrong with a topic: what its broker says of it against what it should be."""
    if there is None or there["error_code"]:
        code = f" (code {there['error_code']})" if there else ""
        yield Finding("topic_missing", f"Kafka has no topic {spec.name}, or does not show it to us{code}.", MAKE)
        return
    count, narrowest = len(there["partitions"]), min(len(each["replicas"]) for each in there["partitions"])
    if count < spec.partitions:
        wrong = f"The topic {spec.name} has {count} partition{'s' if count != 1 else ''}, not {spec.partitions}."
        todo = f"kafka-topics --alter --topic {spec.name} --partitions {spec.partitions} (never fewer than before)."
        yield Finding("topic_partitions", wrong, todo)
    if leaderless := [each["partition"] for each in there["partitions"] if each["leader"] < 0]:
        wrong = f"Partitions {leaderless} of the topic {spec.name} have no leader."
        yield Finding("topic_offline", wrong, "Bring the brokers back that hold them.")
    if brokers >= REPLICATED > narrowest:
        wrong = f"The topic {spec.name} is on {narrowest} of {brokers} brokers: one broken disk loses commands."
        yield Finding("topic_replication", wrong, "Raise it to 3 with kafka-reassign-partitions.")
    yield from _judge_config(spec, configs.get(spec.name, {}))


def _judge_config(spec: TopicSpec, config: Mapping[str, str]) -> Iterator[Finding]:
    """Brokers that do not tell are believed."""
    alter = f"kafka-configs --alter --topic {spec.name} --add-config {{0}}={{1}}"
    largest, kept = _number(config, "max.message.bytes"), _number(config, "retention.ms")
    if largest is not None and largest < spec.max_message_bytes:
        wrong = f"The topic {spec.name} takes messages of {largest:,} bytes, not of {spec.max_message_bytes:,}."
        yield Finding("topic_message_bytes", wrong, alter.format("max.message.bytes", spec.max_message_bytes))
    if kept is not None and kept != topics.RETENTION_MS:
        longer = kept < 0 or kept > topics.RETENTION_MS
        why = "erased data stays longer than promised" if longer else "what waits may vanish before it is read"
        wrong = f"The topic {spec.name} keeps messages for {_days(kept)}, not for 7 days: {why}."
        yield Finding("topic_retention", wrong, alter.format("retention.ms", topics.RETENTION_MS))


def _number(config: Mapping[str, str], name: str) -> int | None:
    value = config.get(name) or ""
    return int(value) if value.removeprefix("-").isdecimal() else None


def _days(milliseconds: int) -> str:
    days = f"{milliseconds / 86_400_000:.3g}"
    return "ever" if milliseconds < 0 else f"{days} {'day' if days == '1' else 'days'}"


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """By topic what its broker tells of it; nothing where it does not tell."""
    if not names:
        return {}
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answers = await admin.describe_configs(wanted)
    told: dict[str, dict[str, str]] = {}
    for answer in answers:
        for _, _, _, name, entries in answer.resources:
            told[name] = {entry[0]: entry[1] for entry in entries}
    return told


async def _groups(admin: AIOKafkaAdminClient, described: Mapping[str, Described]) -> list[Finding]:
    denied = []
    for topic, group in topics.READERS.items():
        if topic not in described:
            continue
        try:
            await admin.list_consumer_group_offsets(group, partitions=[TopicPartition(topic, 0)])
        except GroupAuthorizationFailedError:
            denied.append(group)
        except KafkaError:
            continue  # a group that nobody has formed yet
    return [
        Finding(
            "kafka_denied", f"Kafka does not let us be the group {group}.", "Permit READ on groups mutation-engine.*"
        )
        for group in denied
    ]
