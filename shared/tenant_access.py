"""What a tenant's own principal may do at the broker: produce its commands, consume its outcomes, and nothing else."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, SecurityDisabled, for_code
from aiokafka.protocol.admin import CreateAclsRequest

from shared import topics
from shared.kafka_access import client_options
from shared.settings import EngineSettings

log = structlog.get_logger()
# Numbers of Kafka's protocol (org.apache.kafka.common.acl and .resource).
TOPIC, GROUP = 2, 3
LITERAL, PREFIXED = 3, 4
READ, WRITE, DESCRIBE = 3, 4, 8
ALLOW: Final = 3
ANY_HOST: Final = "*"


class Rule(NamedTuple):
    """One thing that is allowed."""

    resource: int
    name: str
    pattern: int
    operation: int


def principal(tenant: str) -> str:
    """The broker's name for a tenant: its user, or the common name of its certificate as the broker maps it."""
    return f"User:{tenant}"


def rules(tenant: str) -> list[Rule]:
    """All that a tenant may do."""
    commands, outcomes, group = topics.commands(tenant), topics.outcomes(tenant), topics.reader_groups(tenant)
    wanted = ((TOPIC, commands, LITERAL, WRITE), (TOPIC, outcomes, LITERAL, READ), (GROUP, group, PREFIXED, READ))
    return [Rule(*each[:3], operation) for each in wanted for operation in (each[3], DESCRIBE)]


async def allow(settings: EngineSettings, tenants: Iterable[str], seconds: float = 10.0) -> bool:
    """Have the rules of these tenants stand; safe to repeat. False where the broker has no authorizer.

    Raises KafkaError or OSError.
    """
    admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=int(seconds * 1000))
    try:
        await admin.start()
        for tenant in tenants:
            for rule in rules(tenant):
                await _create(admin, principal(tenant), rule)
    except (SecurityDisabled, IncompatibleBrokerVersion, NotImplementedError) as error:
        log.warning("broker.guards_no_topics", reason=type(error).__name__)
        return False
    finally:
        await admin.close()
    return True


async def _create(admin: AIOKafkaAdminClient, who: str, rule: Rule) -> None:
    # The library has the request, but no method for it.
    request = CreateAclsRequest(rule.resource, rule.name, rule.pattern, who, ANY_HOST, rule.operation, ALLOW)
    answer = await admin._send_to_controller(request)
    for code, message in answer.creation_responses:
        error: type[KafkaError] = for_code(code)
        if code:
            raise error(message)
