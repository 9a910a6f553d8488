"""The command line of whoever runs the engine, or works against it: its commands, and how they end."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from deploy.admin import (
    access,
    deliveries,
    dlq,
    doctor,
    documents,
    erase,
    export,
    init,
    lab,
    lag,
    listen,
    send,
    status,
    up,
)  # fmt: skip
from deploy.admin.installation import ROOT, Installation, in_words
from deploy.admin.terminal import FAILED, MISUSED, UNREACHABLE, CommandFailed, hush, note
from shared.errors import DependencyUnavailable

NAME: Final = "mutation-engine"
ANYWHERE: Final = ("--state-dir", "--url", "--key")
FLAGS_ANYWHERE: Final = ("--traceback",)
EPILOG: Final = """\
Which installation: a gateway by --url and --key, or ENGINE_URL with ENGINE_API_KEY (a tenant's) or ENGINE_ADMIN_KEY;
servers by the ENGINE_* variables that the services read; without any, the stack of this machine (--state-dir .run).
What a tenant does in its sandbox has /sandbox behind the gateway's address: --url http://127.0.0.1:8080/sandbox

Exit codes: 0 done; 1 failed, or something is wrong; 2 a wrong command; 3 something is away: repeat it; 130 Ctrl-C,
but 0 where that is the way to end: of up, listen and lab. Whoever closes the pipe early makes it 1.
"""


class _Commands(TyperGroup):
    """Takes the options about the installation also behind the command, and ends every failure in a sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Bring them to the front, where they belong to all commands."""
        if odd := next((word for word in args if word.encode(errors="replace").decode() != word), None):
            raise typer.BadParameter(f"{odd!r} is not UTF-8 (a file of such a name has to be renamed).")
        end = args.index("--") if "--" in args else len(args)
        words, front = args[:end], []
        at = 0
        while at < len(words):
            name, joined, _ = words[at].partition("=")
            width = 1 if joined or name in FLAGS_ANYWHERE else 2
            if name in (*ANYWHERE, *FLAGS_ANYWHERE):
                if at + width > len(words):
                    raise typer.BadParameter(f"{name} needs a value.")
                front += words[at : at + width]
                del words[at : at + width]
            else:
                at += 1
        with _sentences(traceback="--traceback" in front):  # --install-completion writes files meanwhile
            return super().parse_args(ctx, front + words + args[end:])

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _sentences(ctx.params.get("traceback", False)):
            return super().invoke(ctx)


@contextmanager
def _sentences(traceback: bool) -> Iterator[None]:
    """Ends what fails meanwhile in a sentence; nobody is shown a traceback who has not asked for it."""
    try:
        yield
    except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
        raise
    except Exception as error:
        if traceback and not isinstance(error, CommandFailed):
            raise
        code, sentence = _end(error)
        note(sentence, style=None)
        raise typer.Exit(code) from None


def _end(error: Exception) -> tuple[int, str]:
    """The exit code for it, and a sentence."""
    match error:
        case CommandFailed():
            return error.code, str(error)
        case ValidationError():
            return MISUSED, f"The settings are wrong: {in_words(error)}"
        case DependencyUnavailable():
            return UNREACHABLE, f"{error}: repeat it when it is back."
        case OSError():  # of a file or a folder that was named
            return FAILED, f"{error}."
    return FAILED, f"This is a fault of ours: {error!r}. The same with --traceback shows where."


app = typer.Typer(
    cls=_Commands,
    name=NAME,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
StateDir = Annotated[Path | None, typer.Option(help="Of a running stack: the folder with its stack.json.")]
Url = Annotated[str | None, typer.Option(help="The gateway's address.")]
Key = Annotated[str | None, typer.Option(help="An API key; of an administrator for what is about all tenants.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where a fault of ours is.", hidden=True)]


def _version(asked: bool) -> None:
    if not asked:
        return
    try:
        number = metadata.version(NAME)
    except metadata.PackageNotFoundError:
        described = ROOT / "pyproject.toml"
        number = tomllib.loads(described.read_text())["project"]["version"] if described.exists() else "unknown"
    print(NAME, number)
    raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]


@app.callback()
def where(
    ctx: typer.Context,
    state_dir: StateDir = None,
    url: Url = None,
    key: Key = None,
    traceback: Traceback = False,
    version: Version = False,
) -> None:
    """Start it, send files, follow them, see what is wrong, administer tenants."""
    ctx.obj = Installation(url, key, state_dir)


app.command("up")(up.main)
app.command("status")(status.main)
app.command("send")(send.main)
app.command("listen")(listen.main)
app.command("lag")(lag.main)
app.command("doctor")(doctor.main)
app.command("lab")(lab.main)
app.command("erase")(erase.main)
app.command("export")(export.main)
app.command("init")(init.main)
app.command("documents", hidden=True)(documents.main)  # for whoever works on the engine
for group in (deliveries.app, dlq.app, access.tenants, access.keys, access.secrets):
    app.add_typer(group)


def run(words: list[str] | None = None) -> None:
    """As a program: of what was typed, or of these words."""
    hush()
    app(words, prog_name=NAME)
