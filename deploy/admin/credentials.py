"""The credentials file: JSON with the tenants' keys in the clear (mode 0600), because hashes can't refill it."""

import json
import os
from pathlib import Path
from typing import Any

from shared.tenant_registry import TenantRegistry


def read_credentials(path: Path) -> dict[str, Any]:
    """What the file holds; an empty object when there is none."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace the file atomically; only its owner may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


async def provide_tenants(registry: TenantRegistry, names: list[str], path: Path) -> dict[str, dict[str, str]]:
    """Each tenant with a key and a webhook secret: those of the file where it has them, else new ones.

    A kill between entering a new key and writing the file leaves a live key that nobody knows: harmless.
    """
    content = read_credentials(path)
    kept: dict[str, dict[str, str]] = content.setdefault("tenants", {})
    for name in names:
        await registry.create_tenant(name)
        if name in kept:
            await registry.keep_key(name, kept[name]["apiKey"])
            await registry.keep_secret(name, kept[name]["webhookSecret"])
        else:
            kept[name] = {
                "apiKey": (await registry.create_key(name)).value,
                "webhookSecret": (await registry.create_secret(name)).value,
            }
    write_private(path, content)
    return {name: kept[name] for name in names}


async def provide_admin(registry: TenantRegistry, path: Path) -> None:
    """The admin key of the file, entered; or a new one, entered and put there as `admin: {apiKey}`."""
    content = read_credentials(path)
    if "admin" in content:
        await registry.keep_key(None, content["admin"]["apiKey"])
        return
    content["admin"] = {"apiKey": (await registry.create_key(None)).value}
    write_private(path, content)
