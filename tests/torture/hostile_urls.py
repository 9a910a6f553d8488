"""Every hostile URL as file, as target of a redirect and as callback, through the real services inside a fence.

The fence (tests/fence.py) runs in the services' processes: it tells every connect and every look-up, answers names as
the traps say, and lets nothing leave loopback. One address is permitted: there the origin of the redirects listens.
Servers on others count who knocks.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.lab.raw import Source
from deploy.stack.child import ROOT
from shared import limits
from tests.e2e.client import Answer, Client, Json, person
from tests.fence import FENCED_PROCESS, Place, Seen, read
from tests.hostile_urls import AS_REFERENCES, HONEST, HOSTILE, SILENT, TRAPS, Hostile, Trap
from tests.listeners import Listeners, open_listeners
from tests.retry import eventually
from tests.torture.facts import TERMINAL
from tests.torture.hostile_origin import ORIGIN, RUDE, UNREACHABLE, leading_to
from tests.torture.scenario import Findings, Run
from tests.torture.world import open_world

FENCED: Final = ("ingest", "fetcher", "notifier")
PROXY: Final = "http://127.0.0.2:8080"  # in the environment; nobody goes there
ATTEMPTS: Final = 2  # of a callback that are waited for: the second one asks for the name again
AT_ONCE: Final = 24  # requests of ours
PATIENCE: Final = 120.0
SHORT: Final = (28, 12)  # spelt and traps


@dataclass
class Corpus:
    """What is tried, and what came of it: the code by way and URL."""

    spelt: list[Hostile]
    traps: list[Trap]
    codes: dict[tuple[str, str], str] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=dict)  # all that a client is told, by way
    attempts: Counter[str] = field(default_factory=Counter)  # of callbacks, by host

    @property
    def targets(self) -> list[str]:
        """Where the origin's redirects lead."""
        return [each.url for each in self.spelt] + [trap.url("redirect") for trap in self.traps]

    def note(self, way: str, url: str, code: str, told: Any = None) -> None:
        """The code of a URL, and what else was said about it."""
        self.codes[way, url] = code
        if told is not None:
            self.told.setdefault(way, set()).add(json.dumps(told, sort_keys=True))

    def promised(self) -> dict[tuple[str, str], str]:
        """The code of every way and URL."""
        spelt = {(way, each.url): each.code for way in ("file", "callback") for each in self.spelt}
        led = {("redirect", url): AS_REFERENCES.get(url, UNREACHABLE) for url in self.targets}
        fetched = {("file", trap.url("file")): UNREACHABLE for trap in self.traps}
        called = {("callback", trap.url("callback")): "unreachable" for trap in self.traps}
        return spelt | led | fetched | called | {("rude", path): code for path, code in RUDE.items()}


def chosen(run: Run) -> Corpus:
    """All of them; in the short form some, without the one that takes its time."""
    if not run.short:
        return Corpus(list(HOSTILE), list(TRAPS))
    rng, spelt, traps = run.rng(), *SHORT
    quick = [trap for trap in TRAPS if SILENT not in trap.answers and trap.name != "rebinds"]
    always = [trap for trap in TRAPS if trap.name == "rebinds"]
    return Corpus(rng.sample(HOSTILE, spelt), always + rng.sample(quick, traps - 1))


async def each_of(things: Iterable[Any], work: Callable[[Any], Awaitable[None]]) -> None:
    """Do it to all of them, some at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(thing: Any) -> None:
        async with places:
            await work(thing)

    await asyncio.gather(*(one(thing) for thing in things))


class Player:
    """Sends URLs in every place, and reads what a client is told of them."""

    def __init__(self, client: Client, corpus: Corpus, origin: Source) -> None:
        self._client, self._corpus, self._origin = client, corpus, origin

    async def all_ways(self) -> None:
        """Everything."""
        targets = list(enumerate(self._corpus.targets))
        await each_of(self._corpus.spelt, self._spelt)
        await asyncio.gather(
            each_of(self._corpus.traps, self._file),
            each_of(targets, self._redirect),
            each_of(self._corpus.traps, self._callback),
            each_of(RUDE, self._rude),
        )

    async def control(self) -> None:
        """What is honest arrives and is called back, through the same fence."""
        url = self._origin.url("/good", HONEST)
        answer = await self._post(curriculumVitae=[source(url)], callbackUrl=self._origin.url("/good", HONEST))
        view = await self._view(answer, lambda view: [each["status"] for each in view["deliveries"]] == ["delivered"])
        assert [file["error"] for file in view["attachments"]] == [None], view

    async def _spelt(self, each: Hostile) -> None:
        for way, place in (("file", {"curriculumVitae": [source(each.url)]}), ("callback", {"callbackUrl": each.url})):
            answer = await self._client.call("POST", "/candidates", person(**place))
            refused = answer.status == 422
            self._corpus.note(way, each.url, answer.body["errors"][0]["code"] if refused else str(answer.status))

    async def _file(self, trap: Trap) -> None:
        await self._fetched("file", trap.url("file"), trap.url("file"))

    async def _redirect(self, numbered: tuple[int, str]) -> None:
        await self._fetched("redirect", numbered[1], self._origin.url(f"/to/{numbered[0]}", HONEST))

    async def _fetched(self, way: str, hostile: str, url: str) -> None:
        answer = await self._post(curriculumVitae=[source(url)])
        view = await self._view(answer, lambda view: view["status"] in TERMINAL)
        (file,) = view["attachments"]
        error = file["error"] or {"code": file["status"]}
        self._corpus.note(way, hostile, error["code"], error if error["code"] == UNREACHABLE else None)

    async def _rude(self, path: str) -> None:
        await self._fetched("rude", path, self._origin.url(path, HONEST))

    async def _callback(self, trap: Trap) -> None:
        url = trap.url("callback")
        answer = await self._post(callbackUrl=url)
        view = await self._view(answer, lambda view: any(each["attempt"] >= ATTEMPTS for each in view["deliveries"]))
        (delivery,) = view["deliveries"]
        attempts = delivery["attempts"]
        self._corpus.attempts[f"callback.{trap.host}"] = len(attempts)
        for attempt in attempts:
            shown = {name: value for name, value in attempt.items() if name not in ("n", "at", "ms")}
            self._corpus.note("callback", url, str(attempt["error"]), shown)

    async def _post(self, **members: Any) -> Answer:
        answer = await self._client.call("POST", "/candidates", person(**members))
        assert answer.status == 202, answer.body
        return answer

    async def _view(self, answer: Answer, enough: Callable[[Json], bool]) -> Json:
        key = answer.body["data"]["idempotencyKey"]

        async def seen() -> Json:
            view: Json = (await self._client.call("GET", f"/mutations/{key}")).body["data"]
            assert view["status"] in TERMINAL, view
            assert enough(view), view
            return view

        return await eventually(seen, PATIENCE)


def source(url: str) -> Json:
    """A file by URL."""
    return {"filename": "cv.pdf", "url": url}


def environment(run: Run) -> dict[str, dict[str, str]]:
    """The gateway judges as it does in the world; who dials may dial the origin's address, and nothing else here."""
    fence = {"PYTHONPATH": f"{FENCED_PROCESS}:{ROOT}", "FENCE_GOOD": ORIGIN}
    named = {name: fence | {"FENCE_LOG": str(run.directory / f"{name}.fence")} for name in FENCED}
    for name in ("fetcher", "notifier"):
        named[name] |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), PROXY)
        named[name]["NO_PROXY"] = "127.0.0.1"  # for the client of the object store, which asks
    named["ingest"] |= {"ENGINE_EGRESS_ALLOW": ""}
    named["fetcher"] |= {"ENGINE_EGRESS_ALLOW": f"{ORIGIN}/32"}
    named["notifier"] |= {"ENGINE_EGRESS_ALLOW": f"{ORIGIN}/32", "ENGINE_CALLBACK_PAUSES": "0,1,3600"}
    # As in the world: a name that is not answered for is given up before the attempt is.
    named["notifier"] |= {
        "ENGINE_CALLBACK_SECONDS": str(limits.CALLBACK_SECONDS),
        "ENGINE_DELIVERY_LEASE_SECONDS": "60",
    }
    return named


async def play(run: Run) -> Findings:
    """One run."""
    corpus, findings = chosen(run), Findings()
    async with (
        open_world(run, environment(run)) as world,
        open_listeners() as listeners,
        leading_to(corpus.targets) as origin,
    ):
        player = Player(world.client, corpus, origin)
        for name in FENCED:
            assert (run.directory / f"{name}.fence").exists(), f"there is no fence around {name}"
        await player.control()
        await player.all_ways()
        own = set(json.loads((world.stack.state_dir / "ports.json").read_text()).values())
        seen = {name: read(run.directory / f"{name}.fence") for name in FENCED}
        judge_codes(findings, corpus)
        judge_connects(findings, seen, listeners, own, origin.port)
        judge_look_ups(findings, seen, corpus)
    return findings


def judge_codes(findings: Findings, corpus: Corpus) -> None:
    """Each code as promised, and nothing that tells one unreachable place from another."""
    promised = corpus.promised()
    wrong = {place: code for place, code in corpus.codes.items() if code != promised[place]}
    findings.expect(not wrong, f"other codes than promised: {wrong}")
    findings.expect(corpus.codes.keys() == promised.keys(), "not every URL was tried in every place")
    for way, told in corpus.told.items():
        findings.expect(len(told) == 1, f"{way}: clients can tell unreachable places apart by {told}")
    findings.figures["urls"] = {"spelt": len(corpus.spelt), "names": len(corpus.traps)}
    findings.figures["tries"] = dict(Counter(way for way, _ in corpus.codes))
    findings.figures["codes"] = {f"{way}: {code}": n for (way, code), n in sorted(_by_way(corpus).items())}


def _by_way(corpus: Corpus) -> Counter[tuple[str, str]]:
    return Counter((way, code) for (way, _), code in corpus.codes.items())


def judge_connects(
    findings: Findings, seen: dict[str, Seen], listeners: Listeners, own: set[int], origin_port: int
) -> None:
    """Nobody but our own servers and the one permitted address was dialled."""
    others = {
        name: [place for place in each.connects if place[0] != ORIGIN and not _is_own(place, own)]
        for name, each in seen.items()
    }
    findings.expect(not any(others.values()), f"dialled: {others}")
    findings.expect(not listeners.accepts, f"connections on loopback: {listeners.accepts}")
    # The name that rebinds is good at first, in each of its three places; its second answer is never dialled.
    permitted = Counter(port for each in seen.values() for host, port in each.connects if host == ORIGIN)
    findings.expect(permitted.keys() == {origin_port, 80}, f"ports of the origin that were dialled: {permitted}")
    findings.expect(permitted[80] <= 3, f"a name that rebinds was dialled {permitted[80]} times")
    findings.figures["connections to hostile places"] = sum(map(len, others.values())) + listeners.accepts.total()


def _is_own(place: Place, own: set[int]) -> bool:
    return place[0] == "127.0.0.1" and place[1] in own


def judge_look_ups(findings: Findings, seen: dict[str, Seen], corpus: Corpus) -> None:
    """None by the gateway, none of what is refused by its spelling, one a dial of any other name."""
    asked = {name: Counter(each.look_ups) for name, each in seen.items()}
    findings.expect(not asked["ingest"], f"the gateway looked names up: {asked['ingest']}")
    tries = limits.DOWNLOAD_TRIES
    promised = {f"{way}.{trap.host}": trap.look_ups(tries) for way in ("file", "redirect") for trap in corpus.traps}
    fetched = {name: asked["fetcher"].pop(name, 0) for name in promised}
    findings.expect(fetched == promised, f"look-ups by the fetcher: {_differing(fetched, promised)}")
    called = {name: asked["notifier"].pop(name, 0) for name in corpus.attempts}
    findings.expect(called == corpus.attempts, f"look-ups by the notifier: {_differing(called, corpus.attempts)}")
    asked["fetcher"].pop(HONEST, None)
    asked["notifier"].pop(HONEST, None)
    for name, count in (asked["fetcher"] + asked["notifier"]).items():
        led = sum(name.rstrip(".") in each.url.lower() for each in corpus.spelt)
        findings.expect(count <= led, f"{name} was looked up {count} times for {led} URLs")
    refused = [fetched[f"file.{trap.host}"] for trap in corpus.traps if trap.look_ups(tries) == 1]
    findings.figures["look-ups of a refused name, at most"] = max(refused, default=0)
    findings.figures["look-ups of a name without an answer, at most (one a try)"] = max(fetched.values())


def _differing(found: dict[str, int], promised: dict[str, int]) -> dict[str, tuple[int, int]]:
    return {name: (count, promised[name]) for name, count in found.items() if count != promised[name]}
