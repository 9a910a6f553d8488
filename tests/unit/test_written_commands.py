"""Each `mutation-engine …` of the runbooks, of operations and of the quickstart can be pasted: the CLI takes it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import typer
from typer.main import get_command

from deploy.admin.commands import app
from deploy.admin.terminal import CommandFailed

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGES: Final = [*sorted((DOCS / "runbooks").glob("*.md")), DOCS / "operations.md", DOCS / "quickstart.md"]
FENCED: Final = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
END: Final = re.compile(r" [|>&#].*|\)$")  # of the command, in a line of shell
PLACEHOLDERS: Final = {
    "<tenant>": "acme", "<topic>": "mutations.accepted", "<reason>": "poison", "<id>": "0123456789abcdef",
    "old.key": "/nowhere/old.key",
}  # fmt: skip
STAYS: Final = {"lab", "up"}  # they ask no installation before they run: to be understood is enough
NAMED_ONLY: Final = {"deliveries"}  # a group of commands that a sentence speaks of


class Reached(Exception):
    """The command wants its installation: there is nothing left that could be wrong with its words."""


class Nowhere:
    """An installation of which everything that is asked ends the command."""

    def __getattr__(self, name: str) -> Any:
        raise Reached(name)


class Written(NamedTuple):
    """A command as a page has it."""

    page: str
    text: str


def code_of(page: str) -> Iterator[str]:
    """Every line of code: of blocks with a fence or an indent, and between backticks."""
    rest = FENCED.sub("", page)
    for block in FENCED.findall(page):
        yield from block.splitlines()
    for line in rest.splitlines():
        yield from [line] if line.startswith("    ") else re.findall(r"`([^`]+)`", line)


def commands_in(line: str) -> Iterator[str]:
    """What follows the program's name, where that is a program: not an image, a namespace, a folder."""
    words = line.split()
    for at, word in enumerate(words):
        if word in ("mutation-engine", "./mutation-engine") and words[at - 1 : at] not in (["-n"], ["--rm"]):
            rest = END.sub("", " ".join(words[at + 1 :]))
            if rest and "…" not in rest and rest not in NAMED_ONLY:
                yield rest


WRITTEN: Final = [
    Written(page.name, command) for page in PAGES for line in code_of(page.read_text()) for command in commands_in(line)
]


def understood(text: str) -> None:
    """Walk typer's tree with the words, then the command's own checks; raises what the command would end with."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(text)]
    context = get_command(app).make_context("mutation-engine", words)
    command: Any = context.command
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, words, parent=context)
    context.obj = Nowhere()
    if context.info_name not in STAYS:
        with pytest.raises(Reached), context:
            command.invoke(context)


@pytest.mark.parametrize("written", WRITTEN, ids=lambda each: f"{each.page}: {each.text}")
def test_a_command_that_a_page_names_can_be_pasted(written: Written) -> None:
    understood(written.text)


def test_commands_are_found_on_the_pages() -> None:
    assert {"doctor", "tenants create acme", "secrets reseal --old-key-file old.key"} <= {each.text for each in WRITTEN}
    assert sum(each.page == "DeadLetters.md" for each in WRITTEN) >= 3


@pytest.mark.parametrize(
    "text",
    ["dlq replay <topic> --dry-run", "deliveries resend --dry-run", "deliveries resend cv-4711", "dlq list --all",
     "keys revoke", "keys list", "dlq erase <topic>", "deliveries list --state gone", "dlq", "frobnicate"],
)  # fmt: skip
def test_a_command_that_can_not_be_pasted_would_be_noticed(text: str) -> None:
    with pytest.raises((typer.TyperException, CommandFailed, typer.Exit)):
        understood(text)
