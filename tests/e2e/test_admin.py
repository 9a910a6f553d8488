"""Tenants, keys and secrets of a running installation: what an administrator changes, counts within seconds."""

import secrets
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks import WebhookVerificationError

from deploy.demo.receiver import Callback
from deploy.demo.verification import verified
from tests.e2e.client import Client, person
from tests.retry import eventually

Json = dict[str, Any]


@pytest.fixture
async def tenant(client: Client) -> Client:
    """A client of a tenant that was made just now, over HTTP."""
    name = f"t-{secrets.token_hex(6)}"

    async def ready() -> None:
        made = await administer(client, "POST", "", {"name": name})
        assert made["topics"] == "ready"

    await eventually(ready)
    key = await administer(client, "POST", f"/{name}/keys")
    secret = await administer(client, "POST", f"/{name}/secrets")
    tenants = {name: {"apiKey": key["key"], "webhookSecret": secret["secret"]}}
    return replace(client, handle=client.handle | {"tenants": tenants}, tenant=name, hook=secrets.token_hex(8))


async def administer(client: Client, method: str, path: str, body: Json | None = None) -> Any:
    """`data` of an answer that says yes."""
    key = client.handle["admin"]["apiKey"]
    answer = await client.call(method, f"/admin/tenants{path}", body, x_api_key=key)
    assert answer.status in (200, 201, 204), answer.body
    return answer.body["data"] if answer.status != 204 else None


async def test_a_new_tenant_works_at_once_and_its_callbacks_are_signed(tenant: Client) -> None:
    answer = await tenant.write("POST", "/candidates", person())
    assert (await tenant.outcome(answer))["status"] == "completed"


async def test_a_revoked_key_is_refused_and_the_other_one_lives(tenant: Client) -> None:
    old = await administer(tenant, "GET", f"/{tenant.tenant}/keys")
    new = await administer(tenant, "POST", f"/{tenant.tenant}/keys")
    path = "/mutations/none"
    assert [(await tenant.call("GET", path, x_api_key=key)).status for key in (tenant.key, new["key"])] == [404, 404]
    await administer(tenant, "DELETE", f"/{tenant.tenant}/keys/{old[0]['id']}")

    async def refused() -> None:
        assert (await tenant.call("GET", path)).status == 401

    await eventually(refused)  # after five seconds at most: tests/integration/test_tenants.py
    assert (await tenant.call("GET", path, x_api_key=new["key"])).status == 404


async def test_during_a_rotation_a_callback_verifies_with_the_old_and_with_the_new_secret(tenant: Client) -> None:
    rotated = await administer(tenant, "POST", f"/{tenant.tenant}/secrets/rotate")

    async def signed_with_both() -> Callback:
        answer = await tenant.write("POST", "/candidates", person())
        await tenant.outcome(answer)  # verified with the old secret
        callback: Callback = tenant.site.receiver.callbacks[tenant.hook][-1]
        try:
            verified(callback, rotated["secret"])
        except WebhookVerificationError as error:
            raise AssertionError("secrets are cached for some seconds") from error
        return callback

    verified(await eventually(signed_with_both, 20), tenant.secret)
