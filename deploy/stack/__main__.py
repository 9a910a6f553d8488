"""`python -m deploy.stack run`: the whole system on this machine until Ctrl-C (exit codes: 1 failed, 2 refused)."""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from deploy.stack.child import ChildFailed
from deploy.stack.ports import Ports, refusal
from deploy.stack.services import SERVICES
from deploy.stack.state import StateDir, StateInUse
from deploy.stack.supervisor import Options, Supervisor

Say = Callable[[str], None]


def main(words: list[str] | None = None) -> int:
    """Check what can be refused at once, then run: what was typed, or these words."""
    given = _parser().parse_args(words)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is not there yet is no news here
    state = StateDir(given.state_dir)
    try:
        state.lock()
    except StateInUse as error:
        return _refuse(str(error))
    if given.port and (why := refusal(given.port)):
        return _refuse(why)
    state.drop_handle()  # of a predecessor that was killed
    ports = Ports(state.root / "ports.json")
    if given.port:
        ports.choose("http", given.port)
    services = () if given.servers_only else given.services
    env = _by_service(given.env)
    options = Options(given.allow_loopback, given.broker, services, env, given.longest_pause, given.brokers)
    say = partial(_say, sys.stderr if given.json else sys.stdout)
    return asyncio.run(_run(Supervisor(options, state, ports, say), given, say))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.stack", description=__doc__)
    run = parser.add_subparsers(required=True, metavar="run").add_parser("run", help="start everything and stay")
    run.add_argument("--port", type=int, default=8080, help="of the HTTP API; 0: any free one (default 8080)")
    run.add_argument("--state-dir", type=Path, default=Path(".run"), help="what outlives a run (default .run)")
    run.add_argument("--allow-loopback", action="store_true", help="let file and callback URLs point to this machine")
    run.add_argument("--broker", choices=("tansu", "kafka"), default="tansu", help="kafka: Apache Kafka, needs Java")
    run.add_argument("--brokers", type=int, default=1, help="of Apache Kafka: further ones join the first")
    run.add_argument("--servers-only", action="store_true", help="initialised, but without our services")
    run.add_argument("--services", type=_services, default=SERVICES, metavar="NAME,…", help="these of ours only")
    run.add_argument("--env", action="append", default=[], metavar="SERVICE:NAME=VALUE", help="a variable more")
    run.add_argument(
        "--longest-pause", type=float, default=10.0, help="seconds before what keeps ending is started again"
    )
    run.add_argument("--json", action="store_true", help="once ready, address and key as JSON; all else on stderr")
    run.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)  # told when ready
    run.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)  # stop when stdin ends
    return parser


def _services(given: str) -> tuple[str, ...]:
    named = tuple(given.split(","))
    if not set(named) <= set(SERVICES):
        raise argparse.ArgumentTypeError(f"names separated by commas, of {', '.join(SERVICES)}")
    return named


def _by_service(given: list[str]) -> dict[str, dict[str, str]]:
    env: dict[str, dict[str, str]] = {}
    for one in given:
        service, _, variable = one.partition(":")
        name, equals, value = variable.partition("=")
        if service not in SERVICES or not equals:
            sys.exit(f"--env wants SERVICE:NAME=VALUE with a service of {', '.join(SERVICES)}, not {one!r}")
        env.setdefault(service, {})[name] = value
    return env


async def _run(supervisor: Supervisor, given: argparse.Namespace, say: Say) -> int:
    stop = asyncio.create_task(_told_to_stop(given.lifeline))
    work = asyncio.create_task(_start_and_keep(supervisor, given, say))
    try:
        await asyncio.wait({stop, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            say("stopping")
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    except ChildFailed as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    finally:
        await supervisor.stop()
    say("stopped")
    return 0


async def _start_and_keep(supervisor: Supervisor, given: argparse.Namespace, say: Say) -> None:
    handle = await supervisor.start()
    _announce_json(handle) if given.json else _announce(handle, say)
    if given.ready_fd is not None:
        os.write(given.ready_fd, b"ready\n")
        os.close(given.ready_fd)
    await supervisor.keep()


async def _told_to_stop(lifeline: bool) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    if lifeline:
        loop.add_reader(sys.stdin.fileno(), told.set)  # nobody writes there: readable means that it ended
    await told.wait()
    if lifeline:
        loop.remove_reader(sys.stdin.fileno())


def _announce_json(handle: dict[str, Any]) -> None:
    key = (handle["tenants"] or {}).get("demo", {}).get("apiKey")
    print(json.dumps({"url": handle["http"], "apiKey": key, "logs": handle["logs"]}), flush=True)


def _announce(handle: dict[str, Any], say: Say) -> None:
    if "ingest" not in handle["processes"]:
        say(f"ready: servers only (addresses in {Path(handle['logs']).with_name('stack.json')})")
        return
    address, key = handle["http"], handle["tenants"]["demo"]["apiKey"]
    say(f"ready: {address} (logs in {handle['logs']})")
    print(
        f"  API key of tenant demo: {key}\n  API reference:          {address}/docs\n  Try it:\n"
        f"    curl -i {address}/candidates -H 'x-api-key: {key}' -H 'content-type: application/json' \\\n"
        '      -d \'{"firstName": "Ada", "lastName": "Example"}\'\n  Stop with Ctrl-C.',
        flush=True,
    )


def _say(file: TextIO, line: str) -> None:
    print(f"stack: {line}", file=file, flush=True)


def _refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
