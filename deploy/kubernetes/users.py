"""Who may do what at the broker: one Kafka user for each service, with the rights that its work needs and no more."""

from typing import Any, Final, Literal, NamedTuple

from shared import tenant_access, topics

OURS: Final = "mutations."  # how the names of all our topics begin
GROUPS: Final = "mutation-engine."
TENANT: Final = "acme"  # of the example
OPERATIONS: Final = {tenant_access.READ: "Read", tenant_access.WRITE: "Write", tenant_access.DESCRIBE: "Describe"}


class Right(NamedTuple):
    """What is allowed on a topic or group, or (`prefix`) on all whose names begin so."""

    kind: Literal["topic", "group"]
    name: str
    operations: tuple[str, ...]
    prefix: bool = False


def _reads(topic: str, group: str) -> tuple[Right, ...]:
    """What a consumer of the pipeline needs: its topic, its dead letters, its group."""
    return (
        Right("topic", topic, ("Read", "Describe")),
        Right("topic", topics.dead_letter(topic), ("Write", "Describe")),
        Right("group", group, ("Read", "Describe")),
    )


def _writes(topic: str) -> Right:
    return Right("topic", topic, ("Write", "Describe"))


# Ingest relays to every topic of the pipeline, reads and replays dead letters, makes tenants' topics, and asks how far
# all groups are, but commits for its own alone. Storage asks how far the notifier is. KEDA only looks.
USERS: Final[dict[str, tuple[Right, ...]]] = {
    "ingest": (
        Right("topic", OURS, ("Read", "Write", "Create", "Describe", "DescribeConfigs"), prefix=True),
        Right("group", topics.INGEST_GROUP, ("Read", "Describe")),
        Right("group", GROUPS, ("Describe",), prefix=True),
    ),
    "fetcher": (*_reads(topics.ACCEPTED, topics.FETCHER_GROUP), _writes(topics.FETCHED)),
    "storage": (
        *_reads(topics.FETCHED, topics.STORAGE_GROUP),
        Right("topic", topics.FETCHED, ("Write",)),  # again, after a bug
        _writes(topics.COMPLETED),
        Right("group", topics.NOTIFIER_GROUP, ("Describe",)),
    ),
    "notifier": (
        *_reads(topics.COMPLETED, topics.NOTIFIER_GROUP),
        Right("topic", topics.OUTCOMES_PREFIX, ("Write", "Create", "Describe"), prefix=True),
    ),
    "init": (Right("topic", OURS, ("Create", "Describe", "DescribeConfigs"), prefix=True),),
    "keda": (
        Right("topic", OURS, ("Describe",), prefix=True),
        Right("group", GROUPS, ("Describe",), prefix=True),
    ),
}


def tenant_rights(tenant: str) -> tuple[Right, ...]:
    """The rules that the engine itself makes where no operator keeps them (shared/tenant_access.py)."""
    kinds: dict[int, Literal["topic", "group"]] = {tenant_access.TOPIC: "topic", tenant_access.GROUP: "group"}
    return tuple(
        Right(kinds[rule.resource], rule.name, (OPERATIONS[rule.operation],), rule.pattern == tenant_access.PREFIXED)
        for rule in tenant_access.rules(tenant)
    )


def user(name: str, rights: tuple[Right, ...], cluster: str) -> dict[str, Any]:
    """A KafkaUser whose password its operator makes, in a Secret of the same name."""
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": name, "labels": {"strimzi.io/cluster": cluster}},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [_rule(right) for right in rights]},
        },
    }


def _rule(right: Right) -> dict[str, Any]:
    pattern = "prefix" if right.prefix else "literal"
    return {
        "resource": {"type": right.kind, "name": right.name, "patternType": pattern},
        "operations": list(right.operations),
    }
