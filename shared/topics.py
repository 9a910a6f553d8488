"""Topic and consumer group names, their partitions and retention (design §8)."""

import re
from typing import Final, NamedTuple

from shared.limits import COMMAND_BYTES, KIB, MIB

ACCEPTED: Final = "mutations.accepted"
FETCHED: Final = "mutations.fetched"
COMPLETED: Final = "mutations.completed"
COMMANDS_PREFIX: Final = "mutations.commands."
OUTCOMES_PREFIX: Final = "mutations.outcomes."
COMMANDS_PATTERN: Final = re.compile(r"^mutations\.commands\.[a-z0-9-]{1,40}$")
TENANT_NAME: Final = re.compile(r"^[a-z0-9-]{1,40}$")

FETCHER_GROUP: Final = "mutation-engine.fetcher"
STORAGE_GROUP: Final = "mutation-engine.storage"
NOTIFIER_GROUP: Final = "mutation-engine.notifier"
INGEST_GROUP: Final = "mutation-engine.ingest"

# Which group must have passed a topic before an event on it counts as lost ("ask the broker", design §2).
READERS: Final = {ACCEPTED: FETCHER_GROUP, FETCHED: STORAGE_GROUP, COMPLETED: NOTIFIER_GROUP}

Topic = str | re.Pattern[str]  # a name, or a pattern for many

RETENTION_MS: Final = 7 * 24 * 3600 * 1000


class TopicSpec(NamedTuple):
    """How a topic is created; `max_message_bytes` is the broker's limit for one record batch.

    `uncompressed`: the broker unpacks what comes compressed, so that its limit counts what consumers hold in memory.
    """

    name: str
    partitions: int
    max_message_bytes: int = 2 * MIB
    uncompressed: bool = False


def configs(spec: TopicSpec, replication: int) -> dict[str, str]:
    """The broker's settings of a topic that has so many replicas."""
    plain = {
        "retention.ms": str(RETENTION_MS),
        "max.message.bytes": str(spec.max_message_bytes),
        "min.insync.replicas": "2" if replication > 2 else "1",
    }
    return plain | ({"compression.type": "uncompressed"} if spec.uncompressed else {})


def group_of(topic: Topic) -> str:
    """The group that reads a topic of the pipeline, or the command topics."""
    return READERS[topic] if isinstance(topic, str) else INGEST_GROUP


def dead_letter(topic: str) -> str:
    """The dead-letter topic of a topic."""
    return f"{topic}.dlq"


def outcomes(tenant: str) -> str:
    """The topic on which a tenant reads its own outcomes."""
    return OUTCOMES_PREFIX + tenant


def commands(tenant: str) -> str:
    """The topic on which a tenant's upstream systems produce commands."""
    return COMMANDS_PREFIX + tenant


def reader_groups(tenant: str) -> str:
    """How the names of the groups begin that a tenant may read its outcomes with."""
    return f"{outcomes(tenant)}."  # no tenant's name holds a dot, so none is the beginning of another's


def family(topic: Topic) -> str:
    """A topic without the tenant in its name, for metrics: they keep a series for every word they were ever told."""
    name = topic if isinstance(topic, str) else COMMANDS_PREFIX
    prefix = next((each for each in (COMMANDS_PREFIX, OUTCOMES_PREFIX) if name.startswith(each)), "")
    return prefix.removesuffix(".") or name


def tenant_of(topic: str) -> str:
    """The tenant whose command topic this is."""
    return topic.removeprefix(COMMANDS_PREFIX)


def template(topic: str) -> str:
    """The name without the tenant's part: so few there are, however many tenants."""
    name = family(topic)
    return topic if name == topic else f"{name}.{{tenant}}"


def all_topics(tenants: list[str], partitions: int) -> list[TopicSpec]:
    """Every topic of an installation with these tenants."""
    pipeline = [TopicSpec(name, partitions) for name in READERS]
    letters = [TopicSpec(dead_letter(name), 1) for name in READERS]
    return pipeline + letters + [spec for tenant in tenants for spec in tenant_topics(tenant)]


def tenant_topics(tenant: str) -> list[TopicSpec]:
    """The topics that belong to one tenant."""
    dead = COMMAND_BYTES + 64 * KIB  # the record, and why it is here
    return [
        TopicSpec(commands(tenant), 3, COMMAND_BYTES, uncompressed=True),
        TopicSpec(dead_letter(commands(tenant)), 1, dead),
        outcomes_topic(tenant),
    ]


def outcomes_topic(tenant: str) -> TopicSpec:
    """The one of them that the notifier writes, and makes where it is missing."""
    return TopicSpec(outcomes(tenant), 3)
