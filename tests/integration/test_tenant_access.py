"""What a tenant's principal may do at a broker that guards its topics."""

import re
import secrets
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DescribeAclsRequest

from shared.settings import EngineSettings
from shared.tenant_access import Rule, allow, principal, rules
from shared.tenant_topics import KafkaTopics

pytestmark = [pytest.mark.broker, pytest.mark.kafka]
ANY, ALLOW = 1, 3


async def found(bootstrap: str, who: str) -> list[Rule]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin._send_to_controller(DescribeAclsRequest(ANY, None, ANY, who, None, ANY, ALLOW))
    finally:
        await admin.close()
    return [Rule(kind, name, pattern, acl[2]) for kind, name, pattern, acls in answer.resources for acl in acls]


async def test_init_lets_each_tenant_use_its_own_topics_only(servers: dict[str, Any]) -> None:
    expected = sorted(rules("demo")) if await _guarded(servers) else []
    assert sorted(await found(servers["kafka"], principal("demo"))) == expected
    assert all(re.search(r"[.]demo[.]?$", rule.name) for rule in rules("demo"))


async def test_rules_of_a_tenant_are_set_again_without_doubling(servers: dict[str, Any]) -> None:
    made, tenant = KafkaTopics(EngineSettings(kafka_bootstrap=servers["kafka"]), 30.0), f"new-{secrets.token_hex(6)}"
    for _ in range(2):
        await made.ensure_tenant(tenant)
    expected = sorted(rules(tenant)) if await _guarded(servers) else []
    assert sorted(await found(servers["kafka"], principal(tenant))) == expected


async def _guarded(servers: dict[str, Any]) -> bool:
    """Whether this broker has an authorizer; compose's has none."""
    return await allow(EngineSettings(kafka_bootstrap=servers["kafka"]), [f"asked-{secrets.token_hex(6)}"])
