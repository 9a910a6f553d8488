"""The command line of whoever operates the engine (`mutation-engine`, or `python -m deploy.admin`).

Exit codes: 0 done; 1 something is away, repeat it; 2 the command is wrong; 3 there is no such tenant, key or secret.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from deploy.admin import access, documents, init
from shared.settings import EngineSettings

NAME: Final = "mutation-engine"
STATE_DIR: Final = "--state-dir"
EPILOG: Final = f"Addresses come from ENGINE_* variables, or with {STATE_DIR} from a stack that make run started."


class _StateDirAnywhere(TyperGroup):
    """Also takes --state-dir behind the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Bring it to the front, where it belongs to all commands."""
        for at, word in enumerate(args):
            width = 1 if word.startswith(f"{STATE_DIR}=") else 2
            if word.partition("=")[0] == STATE_DIR and at + width <= len(args):
                args = args[at : at + width] + args[:at] + args[at + width :]
                break
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_StateDirAnywhere,
    name=NAME,
    help=__doc__,
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
StateDir = Annotated[Path | None, typer.Option(help="of a running stack: the folder with its stack.json")]


@app.callback()
def where(ctx: typer.Context, state_dir: StateDir = None) -> None:
    """Tenants, their API keys and webhook secrets; initialisation; the generated documents."""
    ctx.obj = EngineSettings() if state_dir is None else settings_of(state_dir)


def settings_of(state_dir: Path) -> EngineSettings:
    """The addresses in stack.json, and the sealing key beside it."""
    try:
        handle = json.loads((state_dir / "stack.json").read_text())
    except OSError:
        raise typer.BadParameter(f"no stack runs on {state_dir}: there is no stack.json") from None
    if not any(map(_lives, handle["processes"].values())):
        raise typer.BadParameter(f"no stack runs on {state_dir}: its stack.json is that of one that was killed")
    return EngineSettings(
        kafka_bootstrap=handle["kafka"],
        kafka_access_rules=False,  # everybody on this machine may do all there
        mongodb_uri=handle["mongodb"],
        secrets_key_file=state_dir.resolve() / "secrets.key",
    )


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


app.command("init")(init.main)
app.command("documents", hidden=True)(documents.main)  # for whoever works on the engine
for group in (access.tenants, access.keys, access.secrets):
    app.add_typer(group)


if __name__ == "__main__":
    app(prog_name=NAME)
