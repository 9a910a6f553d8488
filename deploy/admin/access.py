"""The commands about tenants, API keys and webhook secrets. What is secret goes to standard output, once."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

from deploy.admin.installation import installation_of
from deploy.admin.terminal import FAILED, MISUSED, UNREACHABLE, CommandFailed, Json, note, print_json, say
from shared import limits
from shared.errors import DependencyUnavailable
from shared.ledger import connect
from shared.sealing import SealBroken, Sealer
from shared.settings import EngineSettings
from shared.tenant_registry import Issued, NoSealingKey, NotRegistered, TenantRegistry, open_registry
from shared.tenant_topics import KafkaTopics

KEY_OR_ID: Final = re.compile(r"(?:me_)?([0-9a-f]{16})(?:_.*)?")
TOPICS_SECONDS: Final = 10.0  # somebody waits at a terminal, no gateway's client
T = TypeVar("T")


def _group(name: str, says: str) -> typer.Typer:
    return typer.Typer(name=name, help=says, no_args_is_help=True, rich_markup_mode=None)


tenants = _group("tenants", "Whoever may call has a tenant: its records, topics, keys and secrets.")
keys = _group("keys", "API keys; several may live at once, so that a client changes them without a pause.")
secrets = _group("secrets", "Webhook secrets; every live one signs, so that a rotation breaks no receiver.")

Name = Annotated[str, typer.Argument(metavar="TENANT", help="1 to 40 of a-z, 0-9 and -")]
KeyOwner = Annotated[str | None, typer.Argument(metavar="TENANT", help="whose key; left out with --admin")]
Admin = Annotated[bool, typer.Option("--admin", help="an admin key, which serves /admin and nothing else")]
Overlap = Annotated[
    float,
    typer.Option(min=0, max=limits.SECRET_OVERLAP_MOST_SECONDS, help="seconds for which older secrets sign, too"),
]


@tenants.command("create")
def create_tenant(ctx: typer.Context, name: Name, as_json: Json = False) -> None:
    """Create a tenant and its topics; safe to repeat."""
    tenant, new = _on_registry(ctx, lambda registry: registry.create_tenant(name))
    missing = _topics_missing(installation_of(ctx).settings(), name)
    shown = tenant._asdict() | {"topics": "pending" if missing else "ready"}
    _print(shown, as_json, f"{name} {'is created' if new else 'was there already'}")
    if missing:
        _fail(UNREACHABLE, f"Its topics are not made yet ({missing}): repeat this command when it is back.")


@tenants.command("list")
def list_tenants(ctx: typer.Context, as_json: Json = False) -> None:
    """All tenants, by name."""
    _print_all(_on_registry(ctx, lambda registry: registry.tenants()), as_json)


@keys.command("create")
def create_key(ctx: typer.Context, tenant: KeyOwner = None, admin: Admin = False, as_json: Json = False) -> None:
    """Create an API key and print it: the only time that it can be seen."""
    owner = _owner(tenant, admin)
    _print_issued(_on_registry(ctx, lambda registry: registry.create_key(owner)), as_json)


@keys.command("list")
def list_keys(ctx: typer.Context, tenant: KeyOwner = None, admin: Admin = False, as_json: Json = False) -> None:
    """The keys by public id, oldest first."""
    owner = _owner(tenant, admin)
    _print_all(_on_registry(ctx, lambda registry: registry.keys(owner)), as_json)


@keys.command("revoke")
def revoke_key(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID", help="its public id: me_<ID>_…")],
    as_json: Json = False,
) -> None:
    """End a key, also an admin key: within five seconds no process takes it any more."""
    public_id = _public_id(key)

    async def revoke(registry: TenantRegistry) -> None:
        try:
            await registry.revoke_key(await registry.key_holder(public_id), public_id)
        except NotRegistered as error:
            raise NotRegistered(f"{error} NOTHING was revoked.") from None

    _on_registry(ctx, revoke)
    _print({"id": public_id, "revoked": True}, as_json, f"{public_id} is revoked")


@secrets.command("create")
def create_secret(ctx: typer.Context, tenant: Name, as_json: Json = False) -> None:
    """Create a webhook secret and print it; it signs beside the others."""
    _print_issued(_on_registry(ctx, lambda registry: registry.create_secret(tenant)), as_json)


@secrets.command("rotate")
def rotate_secret(
    ctx: typer.Context, tenant: Name, overlap: Overlap = limits.SECRET_OVERLAP_SECONDS, as_json: Json = False
) -> None:
    """Create a webhook secret and print it; older ones sign beside it for the overlap, then retire."""
    _print_issued(_on_registry(ctx, lambda registry: registry.rotate_secret(tenant, overlap)), as_json)


@secrets.command("list")
def list_secrets(ctx: typer.Context, tenant: Name, as_json: Json = False) -> None:
    """The secrets by public id, oldest first."""
    _print_all(_on_registry(ctx, lambda registry: registry.secrets(tenant)), as_json)


@secrets.command("retire")
def retire_secret(
    ctx: typer.Context,
    tenant: Name,
    secret: Annotated[str, typer.Argument(metavar="ID", help="its public id")],
    as_json: Json = False,
) -> None:
    """Let a secret sign no more. Without any, callbacks wait for a new one."""
    _on_registry(ctx, lambda registry: registry.retire_secret(tenant, secret))
    _print({"id": secret, "retired": True}, as_json, f"{secret} is retired")


@secrets.command("reseal")
def reseal_secrets(
    ctx: typer.Context,
    old_key_file: Annotated[Path, typer.Option(help="what ENGINE_SECRETS_KEY_FILE named so far")],
    as_json: Json = False,
) -> None:
    """Seal all secrets with the key of ENGINE_SECRETS_KEY_FILE in place of an old one; safe to repeat."""
    count = _on_registry(ctx, lambda registry: registry.reseal(Sealer.from_file(old_key_file)))
    _print({"resealed": count}, as_json, f"{count} {'is' if count == 1 else 'are'} sealed anew")


def _public_id(key: str) -> str:
    """Of an id, or of a whole key; what is neither may hold a secret, so it is not repeated."""
    parts = KEY_OR_ID.fullmatch(key.strip())
    if parts is None:
        _fail(MISUSED, "That is no key's id, which is the ID of me_<ID>_… (16 of 0-9 and a-f). NOTHING was revoked.")
    return parts[1]


def _owner(tenant: str | None, admin: bool) -> str | None:
    if admin == (tenant is not None):
        _fail(MISUSED, "Name a tenant, or give --admin; not both.")
    return tenant


def _on_registry(ctx: typer.Context, work: Callable[[TenantRegistry], Awaitable[T]]) -> T:
    """Do it, and say what went wrong in a sentence."""
    settings = installation_of(ctx).settings()

    async def run() -> T:
        async with connect(settings) as client:
            return await work(open_registry(client, settings))

    try:
        return asyncio.run(run())
    except NotRegistered as error:
        _fail(FAILED, str(error))
    except (NoSealingKey, SealBroken, ValueError, OSError) as error:
        _fail(MISUSED, str(error))


def _topics_missing(settings: EngineSettings, tenant: str) -> str:
    """Why they are not there; empty when they are."""
    try:
        asyncio.run(KafkaTopics(settings, TOPICS_SECONDS).ensure_tenant(tenant))
    except DependencyUnavailable as error:
        return str(error)
    return ""


def _print_issued(issued: Issued, as_json: bool) -> None:
    _print(issued._asdict(), as_json, issued.value)
    if not as_json:
        note(f"Its public id is {issued.id}. Keep it well: it is shown this once.")


def _print(entry: dict[str, Any], as_json: bool, text: str) -> None:
    print_json(_camel(entry)) if as_json else say(text)


def _print_all(entries: list[Any], as_json: bool) -> None:
    shown = [_camel(entry._asdict()) for entry in entries]
    if as_json:
        print_json(shown)
        return
    for entry in shown:
        first, *rest = entry.items()
        say("  ".join([str(first[1]), *(f"{name} {value:%Y-%m-%dT%H:%M:%SZ}" for name, value in rest if value)]))


def _camel(entry: dict[str, Any]) -> dict[str, Any]:
    words = ((name.split("_"), value) for name, value in entry.items())
    return {first + "".join(map(str.title, more)): value for (first, *more), value in words}


def _fail(code: int, sentence: str) -> NoReturn:
    raise CommandFailed(code, sentence)
