"""Sees every connect and every look-up of a process by Python's audit events, and lets none leave loopback.

Independent of our code, and of all but the standard library: services run it, too (tests/fenced).
"""

import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from tests.hostile_urls import GOOD, HONEST, SILENT, TRAPS

SILENT_SECONDS: Final = 8.0  # longer than anyone waits for a name
LOOK_UPS: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
FENCED_PROCESS: Final = Path(__file__).with_name("fenced")

Place = tuple[str, int]
Tell = Callable[[str, Any], None]
_listening: list[Tell] = []
_hooked: list[bool] = []


@dataclass
class Seen:
    """What happened inside the fence."""

    connects: list[Place] = field(default_factory=list)
    look_ups: list[str] = field(default_factory=list)  # by the system's resolver

    def tell(self, what: str, value: Any) -> None:
        """Note a `connect` (host and port) or a `look_up` (a name)."""
        if what == "connect":
            self.connects.append((str(value[0]), int(value[1])))
        else:
            self.look_ups.append(str(value))


def _address(text: object) -> Any:
    try:
        return ip_address(str(text))
    except ValueError:
        return None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _listening and isinstance(arguments[1], tuple):
        place = arguments[1][:2]
        for tell in _listening:
            tell("connect", place)
        address = _address(place[0])
        if address is None or not address.is_loopback:
            raise PermissionError("nothing leaves loopback")
    elif event in LOOK_UPS and _listening and arguments[0] and not _address(arguments[0]):
        for tell in _listening:
            tell("look_up", arguments[0])
        raise PermissionError("no name is looked up")


def _listen(tell: Tell) -> None:
    if not _hooked:  # a hook can't be taken back
        _hooked.append(True)
        sys.addaudithook(_watch)
    _listening.append(tell)


@contextmanager
def fenced() -> Iterator[Seen]:
    """The fence around this process while the block runs."""
    seen = Seen()
    _listen(seen.tell)
    try:
        yield seen
    finally:
        _listening.remove(seen.tell)


class TrapNames:
    """Answers as the traps say, and counts; any other name leads here. Blocks, as the system's resolver does."""

    def __init__(self, good: str, silent_seconds: float) -> None:
        self._good, self._silent_seconds = good, silent_seconds
        self._answers = {trap.host: trap.answers for trap in TRAPS} | {HONEST: ((GOOD,),)}
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str) -> list[str]:
        """The addresses; raises OSError for an unknown name."""
        name = host.removesuffix(".").lower()
        answers = self._answers.get(name) or self._answers.get(name.partition(".")[2]) or (("127.0.0.1",),)
        answer = answers[min(self.asked[host], len(answers) - 1)]
        self.asked[host] += 1
        if answer == SILENT:
            time.sleep(self._silent_seconds)
        if isinstance(answer, str):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [self._good if address == GOOD else address for address in answer]


def fence_this_process() -> None:
    """For good: the names of the traps instead of the system's resolver, and a line of JSON for each event.

    FENCE_LOG is the file of the lines, FENCE_GOOD the address that the policy permits.
    """
    log = os.open(os.environ["FENCE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    names, resolve = TrapNames(os.environ["FENCE_GOOD"], SILENT_SECONDS), socket.getaddrinfo

    def tell(what: str, value: Any) -> None:
        # A whole line at once: several threads look names up.
        os.write(log, (json.dumps([what, value]) + "\n").encode())

    def look_up(host: Any, *more: Any, **named: Any) -> list[Any]:
        if not host or _address(host):
            return list(resolve(host, *more, **named))
        tell("look_up", host)
        return [_found(address) for address in names(host)]

    socket.getaddrinfo = look_up
    _listen(tell)


def _found(address: str) -> Any:
    text, _, scope = address.partition("%")
    at = (text, 0, 0, int(scope or 0)) if ":" in text else (text, 0)
    return socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", at


def read(log: Path) -> Seen:
    """What a fenced process has told so far."""
    seen = Seen()
    for line in log.read_text().splitlines():
        seen.tell(*json.loads(line))
    return seen
