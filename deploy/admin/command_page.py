"""docs/cli.md: what --help says, of every command."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command


def cli_page(note: str) -> str:
    """What --help says, of every command."""
    from deploy.admin.commands import EPILOG, NAME, app  # which imports this module

    intro = (
        f"`./{NAME}` in the repository, `{NAME}` in the image. {note}\n\n{EPILOG}\n"
        f"Shell completion: `{NAME} --install-completion`. The stack of this machine: [quickstart](quickstart.md); "
        "rehearsing failures: [lab](lab.md); what to look at when: [operations](operations.md).\n"
    )
    return f"# The command line\n\n{intro}" + "".join(_helps(get_command(app), None, NAME))


def _helps(command: Any, parent: Any, name: str) -> Iterator[str]:
    context = typer.Context(command, parent=parent, info_name=name, terminal_width=100)
    if not hasattr(command, "list_commands"):
        yield f"\n## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"
        return
    for each in command.list_commands(context):
        inner = command.get_command(context, each)
        if not inner.hidden:
            yield from _helps(inner, context, each)
