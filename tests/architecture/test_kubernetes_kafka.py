"""The topics and users that Strimzi keeps are those that the code makes and needs, in the form that it documents."""

from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from deploy.kubernetes.__main__ import CLUSTER, HERE, PARTITIONS, REPLICAS
from deploy.kubernetes.users import TENANT, USERS, tenant_rights
from shared import tenant_access, topics
from tests.manifests import Manifest, container, of_kind, pods


class Strict(BaseModel):
    """Nothing that the reference does not have."""

    model_config = ConfigDict(extra="forbid")


class Metadata(Strict):
    """Operators look for the label."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
    namespace: str | None = None
    labels: dict[Literal["strimzi.io/cluster"], Literal["kafka"]]


class TopicSpec(Strict):
    """Of a KafkaTopic."""

    partitions: Annotated[int, Field(ge=1)]
    replicas: Annotated[int, Field(ge=1)]
    config: dict[str, int | str]


class KafkaTopic(Strict):
    """kafka.strimzi.io/v1."""

    apiVersion: Literal["kafka.strimzi.io/v1"]
    kind: Literal["KafkaTopic"]
    metadata: Metadata
    spec: TopicSpec


class Resource(Strict):
    """What a rule is about."""

    type: Literal["topic", "group"]
    name: str
    patternType: Literal["literal", "prefix"]


class Acl(Strict):
    """A rule; it allows."""

    resource: Resource
    operations: list[Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]]


class Authorization(Strict):
    """By Kafka's own authorizer."""

    type: Literal["simple"]
    acls: list[Acl]


class Authentication(Strict):
    """The operator makes the password."""

    type: Literal["scram-sha-512"]


class UserSpec(Strict):
    """Of a KafkaUser."""

    authentication: Authentication
    authorization: Authorization


class KafkaUser(Strict):
    """kafka.strimzi.io/v1."""

    apiVersion: Literal["kafka.strimzi.io/v1"]
    kind: Literal["KafkaUser"]
    metadata: Metadata
    spec: UserSpec


def allowed(manifest: Manifest) -> set[tuple[str, str, str, str]]:
    """(type, name, pattern, operation) of every rule of a user."""
    rules = KafkaUser.model_validate(manifest).spec.authorization.acls
    return {
        (rule.resource.type, rule.resource.name, rule.resource.patternType, operation)
        for rule in rules
        for operation in rule.operations
    }


def test_topics_are_those_that_the_initialisation_makes() -> None:
    found = {name: KafkaTopic.model_validate(each) for name, each in of_kind("production", "KafkaTopic").items()}
    expected = {spec.name: spec for spec in topics.all_topics([], PARTITIONS)}
    assert set(found) == set(expected)
    for name, spec in expected.items():
        assert (found[name].spec.partitions, found[name].spec.replicas) == (spec.partitions, REPLICAS)
        config = {key: str(value) for key, value in found[name].spec.config.items()}
        assert config == topics.configs(spec, REPLICAS)


def test_the_initialisation_makes_them_alike_when_it_comes_first() -> None:
    environment = {each["name"]: each["value"] for each in container(pods("production")["init"])["env"]}
    assert environment["ENGINE_TOPIC_PARTITIONS"] == str(PARTITIONS)
    assert environment["ENGINE_TOPIC_REPLICATION"] == str(REPLICAS)


def test_consumers_are_scaled_by_the_lag_of_their_own_group_up_to_the_number_of_partitions() -> None:
    scaled = of_kind("production", "ScaledObject")
    assert {each["spec"]["maxReplicaCount"] for each in scaled.values()} == {PARTITIONS}
    by_lag = [each["spec"]["triggers"][0]["metadata"] for each in scaled.values()]
    assert {one["topic"]: one["consumerGroup"] for one in by_lag} == topics.READERS
    assert {name: f"mutation-engine.{name}" for name in scaled} == {
        name: each["spec"]["triggers"][0]["metadata"]["consumerGroup"] for name, each in scaled.items()
    }


@pytest.mark.parametrize("name", sorted(USERS))
def test_every_user_is_well_formed_and_may_delete_alter_and_administrate_nothing(name: str) -> None:
    operations = {rule[3] for rule in allowed(of_kind("production", "KafkaUser")[f"mutation-engine-{name}"])}
    assert operations
    assert not operations & {"All", "Delete", "Alter", "AlterConfigs", "ClusterAction"}


def test_a_consumer_may_read_its_own_topic_and_no_other() -> None:
    for topic, group in topics.READERS.items():
        rules = allowed(of_kind("production", "KafkaUser")[group.replace(".", "-")])
        assert {rule[:3] for rule in rules if rule[3] == "Read"} == {
            ("topic", topic, "literal"),
            ("group", group, "literal"),
        }
        assert ("topic", topics.dead_letter(topic), "literal", "Write") in rules


def test_every_service_says_who_it_is_and_reads_the_password_of_that_user() -> None:
    users = of_kind("production", "KafkaUser")
    for name, pod in pods("production").items():
        environment = {each["name"]: each["value"] for each in container(pod)["env"]}
        assert environment["ENGINE_KAFKA_USERNAME"] == f"mutation-engine-{name}"
        [kafka] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "kafka"]
        secrets = [source["secret"]["name"] for source in kafka["projected"]["sources"]]
        assert secrets == [f"{CLUSTER}-cluster-ca-cert", f"mutation-engine-{name}"]
        assert f"mutation-engine-{name}" in users


def test_a_tenants_user_may_do_what_the_engine_itself_would_allow_it() -> None:
    [example] = list(yaml.safe_load_all((HERE / "examples" / "tenant.yaml").read_text()))
    assert tenant_access.principal(TENANT) == f"User:{example['metadata']['name']}"
    kinds, patterns = {tenant_access.TOPIC: "topic", tenant_access.GROUP: "group"}, {3: "literal", 4: "prefix"}
    numbers = {tenant_access.READ: "Read", tenant_access.WRITE: "Write", tenant_access.DESCRIBE: "Describe"}
    assert allowed(example) == {
        (kinds[rule.resource], rule.name, patterns[rule.pattern], numbers[rule.operation])
        for rule in tenant_access.rules(TENANT)
    }
    assert len(tenant_rights(TENANT)) == len(tenant_access.rules(TENANT))
