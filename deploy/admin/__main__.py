"""The command line of whoever operates the engine (`mutation-engine`, or `python -m deploy.admin`).

Exit codes: 0 done; 1 something is away, repeat it; 2 the command is wrong; 3 there is no such tenant, key or secret.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from deploy.admin import access, documents, init
from shared.settings import EngineSettings

EPILOG = "Addresses come from ENGINE_* variables, or with --state-dir from a stack that make run started."

app = typer.Typer(
    name="mutation-engine",
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
    return EngineSettings(
        kafka_bootstrap=handle["kafka"],
        kafka_access_rules=False,  # everybody on this machine may do all there
        mongodb_uri=handle["mongodb"],
        secrets_key_file=state_dir.resolve() / "secrets.key",
    )


app.command("init")(init.main)
app.command("documents")(documents.main)
for group in (access.tenants, access.keys, access.secrets):
    app.add_typer(group)


if __name__ == "__main__":
    app()
