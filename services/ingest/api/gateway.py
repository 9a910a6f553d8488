"""What the routes need, in one place that the composition root fills, and what every write does first."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from uuid_utils import uuid7

from services.ingest.api import parameters
from services.ingest.api.body import BodyReader
from services.ingest.api.preconditions import if_match, versions
from services.ingest.auth import ApiKeys, Caller, authenticated, caller_of, require_admin
from services.ingest.drafts import Write
from services.ingest.fields import UUID
from services.ingest.intake import Intake
from services.ingest.operations import Prepared
from services.ingest.oversight import Oversight
from services.ingest.ports import Downloads, Ledger, Lists, Reads, Registry, Resets, TenantTopics
from services.ingest.problems import FieldError, Problem, invalid
from services.ingest.rates import RateLimits
from services.ingest.uploads import Uploads
from services.ingest.validation import P, validated
from services.ingest.watches import Watches
from shared import limits
from shared.addresses import EgressPolicy
from shared.errors import DependencyUnavailable
from shared.tenants import KeyHolder
from shared.urls import UrlRefused, check_url

KEY: Final = re.compile(limits.IDEMPOTENCY_KEY_PATTERN)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Ports and policy of the HTTP side."""

    keys: ApiKeys
    rates: RateLimits
    bodies: BodyReader
    intake: Intake
    ledger: Ledger
    reads: Reads
    lists: Lists
    watches: Watches
    downloads: Downloads
    uploads: Uploads
    resets: Resets
    registry: Registry
    topics: TenantTopics
    oversight: Oversight
    policy: EgressPolicy
    ready: Callable[[], bool]
    health: Callable[[], tuple[bool, str]]

    async def caller(self, request: Request) -> Caller:
        """Who calls; raises Problem unauthorized or rate_limited before anything else of the request is looked at.

        Then every parameter of the query must be one that the route describes.
        """
        caller = caller_of(await self._admitted(request), request.state.sandbox)
        parameters.check_known(request)
        return caller

    async def admin(self, request: Request) -> None:
        """Raises Problem unauthorized, rate_limited or forbidden, unless an administrator calls; checks as `caller`."""
        require_admin(await self._admitted(request))
        parameters.check_known(request)

    async def still_admits(self, request: Request) -> bool:
        """Whether the key of this request, which was right, lives; it counts as alive while nobody can be asked."""
        try:
            return await self.keys.authenticate(request.headers.get("x-api-key", "")) is not None
        except DependencyUnavailable:
            return True

    async def _admitted(self, request: Request) -> KeyHolder:
        holder = await authenticated(self.keys, request.headers.get("x-api-key"))
        allowance = self.rates.take(holder.tenant)
        request.state.fields = allowance.fields
        if not allowance.passes:
            raise Problem("rate_limited", headers={"Retry-After": str(allowance.wait)})
        return holder


def gateway_of(request: Request) -> Gateway:
    """The gateway of the application that serves this request."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def admitted(request: Request) -> Gateway:
    """The same, if an administrator calls. Raises Problem."""
    gateway = gateway_of(request)
    await gateway.admin(request)
    return gateway


async def payload_of(request: Request, gateway: Gateway, model: type[P]) -> P:
    """What an administrator sends. Raises Problem."""
    async with gateway.bodies.read(request, None) as body:
        errors: list[FieldError] = []
        payload = validated(model, body.value, gateway.policy, errors)
    if payload is None:
        raise invalid(errors)
    return payload


@dataclass(frozen=True, slots=True)
class Controls:
    """What steers a write and is no part of its payload."""

    key: str
    callback_url: str | None
    if_match: str | None

    def write(self, request: Request, caller: Caller, prepared: Prepared) -> Write:
        """The write with its fingerprint."""
        digest, trace = prepared.fingerprint(self.if_match, self.callback_url), request.state.traceparent
        wanted, began = versions(self.if_match), request.state.began
        return Write(
            caller.environment,
            caller.tenant,
            self.key,
            digest,
            self.callback_url,
            trace,
            versions=wanted,
            asked_at=began,
        )


def controls(request: Request, body: Any, policy: EgressPolicy, errors: list[FieldError]) -> Controls:
    """Key and callback URL from header, query and body. Raises Problem if two differ; an unfit URL joins `errors`."""
    members = body if isinstance(body, dict) else {}
    headers = [_unquoted(value) for value in request.headers.getlist("idempotency-key")]
    keys = {_key(value) for value in [*headers, *_sent(request, members, "idempotencyKey")]}
    urls = _sent(request, members, "callbackUrl")
    if len(keys) > 1:
        raise Problem("idempotency_key_conflict", field="idempotencyKey")
    if any(url != urls[0] for url in urls):
        raise Problem("callback_url_conflict", field="callbackUrl")
    callback = _callback(urls[0], policy, errors) if urls else None
    return Controls(next(iter(keys), None) or str(uuid7()), callback, if_match(request))


def path_id(request: Request) -> str | None:
    """The id in the path in its canonical form, or None when it can't be one of ours."""
    text: str = request.path_params["id"].lower()
    return text if UUID.fullmatch(text) else None


def _sent(request: Request, members: dict[str, Any], name: str) -> list[Any]:
    in_body = [members[name]] if members.get(name) is not None else []
    return [*request.query_params.getlist(name), *in_body]


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def _key(value: object) -> str:
    if not isinstance(value, str) or not KEY.fullmatch(value):
        raise Problem("idempotency_key_invalid", field="idempotencyKey")
    return value


def _callback(value: object, policy: EgressPolicy, errors: list[FieldError]) -> str | None:
    if not isinstance(value, str):
        errors.append(FieldError("/callbackUrl", "invalid_type", "Send a string."))
        return None
    try:
        check_url(value, policy)
    except UrlRefused as refused:
        errors.append(FieldError("/callbackUrl", refused.code, refused.message))
    return value
