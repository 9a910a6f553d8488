"""Which installation a command is about: from options, the environment, or the stack that runs on this machine."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from pydantic import ValidationError

from deploy.admin.gateway import Gateway
from deploy.admin.terminal import MISUSED, CommandFailed
from shared.settings import EngineSettings

ROOT: Final = Path(__file__).parents[2]
NO_ADDRESS: Final = "ENGINE_MONGODB_URI is not set; for a stack of `make run` say --state-dir .run"
HOW: Final = "Give --url and --key, or set ENGINE_URL and {0}, or start a stack on this machine: mutation-engine up"


@dataclass(frozen=True, slots=True)
class Installation:
    """What was said about it; everything is looked up when it is asked for, so that --help needs nothing."""

    url: str | None = None
    key: str | None = None
    state_dir: Path | None = None

    def gateway(self) -> Gateway:
        """With a tenant's key: ENGINE_API_KEY, or that of the tenant demo. Raises CommandFailed."""
        handle = self._handle_for_keys()
        known = handle["tenants"].get("demo", {}).get("apiKey") if handle and handle["tenants"] else None
        return self._open("ENGINE_API_KEY", handle, known)

    def admin(self) -> Gateway:
        """With the admin key: ENGINE_ADMIN_KEY, or that of the stack. Raises CommandFailed."""
        handle = self._handle_for_keys()
        return self._open("ENGINE_ADMIN_KEY", handle, (handle.get("admin") or {}).get("apiKey") if handle else None)

    def settings(self) -> EngineSettings:
        """The addresses of its servers: ENGINE_* variables, or those of a stack. Raises CommandFailed."""
        if handle := self._stack():
            return _settings_in(handle, self.state_dir or default_state_dir())
        settings = _valid({})
        if "mongodb_uri" in settings.model_fields_set:
            return settings
        raise CommandFailed(MISUSED, NO_ADDRESS)

    def health(self) -> dict[str, str]:
        """Where services tell how they are, by name: the gateway that was named, or all of the stack that is meant."""
        if url := self._url():
            return {"ingest": url.rstrip("/")}
        return dict((self._stack() or {}).get("health") or {})

    def handle(self) -> dict[str, Any] | None:
        """stack.json of the stack that runs on the directory that was named, or on the usual one; None without one.

        Raises typer.BadParameter where one was named, and none runs on it.
        """
        if self.state_dir is not None:
            return handle_in(self.state_dir)
        try:
            return handle_in(default_state_dir())
        except typer.BadParameter:
            return None

    def _stack(self) -> dict[str, Any] | None:
        """The stack whose servers are meant; none where variables name others, though one may run on this machine."""
        if self.state_dir is None and "mongodb_uri" in _valid({}).model_fields_set:
            return None
        return self.handle()

    def _url(self) -> str | None:
        """An address that was given: an option counts before a folder, a folder before a variable."""
        return self.url or (None if self.state_dir else os.environ.get("ENGINE_URL"))

    def _handle_for_keys(self) -> dict[str, Any] | None:
        """None where an address was given: the key of a stack here is no business of a server elsewhere."""
        elsewhere = self.state_dir is None and self._url()
        return None if elsewhere else self.handle()

    def _open(self, variable: str, handle: dict[str, Any] | None, known: str | None) -> Gateway:
        url = self._url() or (handle or {}).get("http")
        key = self.key or known if handle else self.key or os.environ.get(variable)
        if not url or not key:
            missing = "No gateway is named, and no stack runs here." if not url else f"There is no key for {url}."
            raise CommandFailed(MISUSED, f"{missing} {HOW.format(variable)}")
        return Gateway(url, key)


def installation_of(ctx: typer.Context) -> Installation:
    """What the options before the command say."""
    found: Installation = ctx.obj
    return found


def default_state_dir() -> Path:
    """Where `make run` and `mutation-engine up` keep their state unless told otherwise."""
    return Path(os.environ.get("ENGINE_STATE_DIR") or ROOT / ".run")


def handle_in(state_dir: Path) -> dict[str, Any]:
    """stack.json of a running stack; raises typer.BadParameter, which says that none runs."""
    try:
        handle = json.loads((state_dir / "stack.json").read_text())
    except OSError:
        raise typer.BadParameter(f"no stack runs on {state_dir}: there is no stack.json") from None
    except ValueError:
        raise typer.BadParameter(f"no stack runs on {state_dir}: its stack.json can't be read") from None
    if not any(map(_lives, handle["processes"].values())):
        raise typer.BadParameter(f"no stack runs on {state_dir}: its stack.json is that of one that was killed")
    return dict(handle)


def _settings_in(handle: dict[str, Any], state_dir: Path) -> EngineSettings:
    store = handle.get("s3") or {}
    known = {
        "kafka_bootstrap": handle["kafka"],
        "kafka_access_rules": False,  # everybody on this machine may do all there
        "mongodb_uri": handle["mongodb"],
        "secrets_key_file": state_dir.resolve() / "secrets.key",
    }
    known |= {
        f"s3_{name}": store[given]
        for name, given in (
            ("endpoint", "endpoint"), ("bucket", "bucket"), ("access_key", "accessKey"), ("secret_key", "secretKey"),
        )
        if given in store
    }  # fmt: skip
    return _valid(known)


def _valid(known: dict[str, Any]) -> EngineSettings:
    try:
        return EngineSettings(**known)
    except (ValueError, OSError) as error:
        raise CommandFailed(MISUSED, f"The settings are wrong: {in_words(error)}") from None


def in_words(error: Exception) -> str:
    """What is wrong with settings, without what was set."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = (("_".join(map(str, each["loc"])), each["msg"]) for each in error.errors(include_input=False))
    return "; ".join(f"ENGINE_{place.upper()}: {message}" if place else message for place, message in found)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
