"""What the administration answers, as models for the API's description; a test holds real answers against them."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from services.ingest.api.schemas_out import Meta


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Tenant(_Answer):
    """A tenant by its name."""

    name: str
    created_at: datetime


class NewTenant(Tenant):
    """A tenant, and whether its topics are made already."""

    topics: Literal["ready", "pending"]


class Key(_Answer):
    """An API key by its public id; live while `revokedAt` is null."""

    id: str
    created_at: datetime
    revoked_at: datetime | None


class NewKey(_Answer):
    """A new API key: the only time that it can be seen."""

    id: str
    key: str
    created_at: datetime


class Secret(_Answer):
    """A webhook secret by its public id; it signs until `retiredAt`."""

    id: str
    created_at: datetime
    retired_at: datetime | None


class NewSecret(_Answer):
    """A new webhook secret: the only time that it can be seen."""

    id: str
    secret: str
    created_at: datetime


class _Enveloped(_Answer):
    status_code: Literal[200, 201]
    message: str
    meta: Meta


class TenantsAnswer(_Enveloped):
    """All tenants, by name."""

    data: list[Tenant]


class TenantAnswer(_Enveloped):
    """A tenant, made now (201) or earlier (200)."""

    data: NewTenant


class KeysAnswer(_Enveloped):
    """A tenant's keys, oldest first."""

    data: list[Key]


class KeyAnswer(_Enveloped):
    """A new key."""

    data: NewKey


class SecretsAnswer(_Enveloped):
    """A tenant's webhook secrets, oldest first."""

    data: list[Secret]


class SecretAnswer(_Enveloped):
    """A new webhook secret."""

    data: NewSecret


ANSWERS = (TenantsAnswer, TenantAnswer, KeysAnswer, KeyAnswer, SecretsAnswer, SecretAnswer)
