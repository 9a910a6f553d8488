"""The HTTP API of a running installation, as one key sees it."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx2

from deploy.admin.terminal import FAILED, MISUSED, UNREACHABLE, CommandFailed, note
from shared import limits
from shared.retry_after import retry_after_seconds

SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0  # before it is asked again, unless it wants more
PATIENCE_SECONDS: Final = 120.0  # for one question
LATER: Final = frozenset({429, 502, 503, 504})
MEANT_OTHERWISE: Final = frozenset({400})  # a parameter of the command, which only the gateway could judge
KEY: Final = re.compile(r"[!-~]+")  # what a header can carry; whether it is a key, the gateway knows
Query = Mapping[str, str | int | None]
T = TypeVar("T")


class Refused(CommandFailed):
    """It answered that it won't, and why, with the stable codes of what is wrong."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        errors = [each for each in problem.get("errors") or () if isinstance(each, dict)]
        detail = problem.get("detail") or problem.get("message") or "no reason given"
        code = next((f" ({each.get('code')})" for each in errors if each.get("message") == detail), "")
        more = [each for each in errors if each.get("message") != detail]
        lines = [f"  {each.get('field') or 'request'}: {each.get('message')} ({each.get('code')})" for each in more]
        end = MISUSED if status in MEANT_OTHERWISE else FAILED
        super().__init__(end, "\n".join([f"{status}: {detail}{code}", *lines]))


class Unreachable(CommandFailed):
    """Nobody answered, or it said that it can't now; the same may work in `after` seconds."""

    def __init__(self, sentence: str, after: float = AGAIN_SECONDS) -> None:
        super().__init__(UNREACHABLE, sentence)
        self.after = after


class Busy(Unreachable):
    """It answered that it can't now."""


def patiently(
    ask: Callable[[], T],
    kind: type[Unreachable],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `ask` returns. What ends in this kind is asked again, when it wants, for two minutes; then it is raised."""
    first = None
    while True:
        asked = clock()
        try:
            return ask()
        except kind as later:
            first = first or asked
            if clock() + later.after - first > PATIENCE_SECONDS:
                raise
            note(f"{later} Trying again.")
            sleep(later.after)


class Gateway:
    """Calls with a key; raises Refused and Unreachable. No proxy, cookie or setting of the environment counts."""

    def __init__(self, url: str, key: str) -> None:
        self.url, key = url.rstrip("/"), key.strip()
        if not KEY.fullmatch(key):
            raise CommandFailed(MISUSED, "That is no API key: they are like me_<id>_<secret>, without white space.")
        timeout = httpx2.Timeout(SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx2.Client(headers={"x-api-key": key}, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(
        self, method: str, path: str, body: Any = None, *, query: Query | None = None, seconds: float = SECONDS
    ) -> Any:
        """The JSON of a success, or None where it has none; `query` leaves out what is None."""
        return self._answer(self._request(method, path, query, seconds, json=body))

    def data(
        self, method: str, path: str, body: Any = None, *, query: Query | None = None, seconds: float = SECONDS
    ) -> Any:
        """`data` of the same."""
        return self._data(self.call(method, path, body, query=query, seconds=seconds))

    def post(self, path: str, content: Iterator[bytes], headers: Mapping[str, str], query: Query | None = None) -> Any:
        """The same for a body in pieces, whose length `headers` tell."""
        return self._answer(self._request("POST", path, query, SECONDS, content=content, headers=dict(headers)))

    def pages(self, path: str, query: Query | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a list, whether it has cursors or page numbers; a gateway that can't now is waited for."""
        asked: dict[str, str | int | None] = {"pageSize": limits.PAGE_SIZE, **(query or {})}
        while True:
            answer = patiently(partial(self.call, "GET", path, query=asked), Busy)
            yield from self._data(answer)
            meta = answer.get("meta") or {}
            if meta.get("nextCursor"):
                asked["cursor"] = meta["nextCursor"]
            elif "page" in meta and meta["page"] * meta["pageSize"] < meta["total"]:
                asked["page"] = meta["page"] + 1
            else:
                return

    def _request(self, method: str, path: str, query: Query | None, seconds: float, **body: Any) -> httpx2.Response:
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        body = {name: value for name, value in body.items() if value is not None}
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            return self._client.request(method, self.url + path, params=wanted, timeout=timeout, **body)
        except (httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            away = "It hangs, or a server behind it is away: `mutation-engine lag` and `mutation-engine doctor` look."
            raise Unreachable(f"{self.url} gave no answer within {seconds:.0f} s. {away}") from error
        except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            why = str(error).rstrip(".")
            raise CommandFailed(MISUSED, f"{self.url} is no address like http://127.0.0.1:8080 ({why}).") from error
        except (httpx2.HTTPError, OSError, UnicodeError) as error:
            why = str(error) or type(error).__name__
            asked = f"{self.url} can't be reached ({why}). Is it running? `mutation-engine doctor` looks."
            raise Unreachable(asked) from error

    def _data(self, answer: Any) -> Any:
        if not isinstance(answer, dict) or "data" not in answer:
            raise Refused(200, {"detail": f"{self.url} does not look like a Mutation Engine."})
        return answer["data"]

    def _answer(self, response: httpx2.Response) -> Any:
        if response.is_success and not response.content:
            return None
        try:
            parsed = response.json()
        except ValueError:
            parsed = None
        if response.is_success and parsed is not None:
            return parsed
        if response.status_code in LATER:
            after = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC)) or 0.0
            why = f"{self.url} can't do it now ({response.status_code}: {_detail(parsed)}) Repeat it"
            raise Busy(f"{why} in {after:,.0f} s." if after else f"{why}.", max(after, AGAIN_SECONDS))
        if not isinstance(parsed, dict):
            raise Refused(response.status_code, {"detail": f"{self.url} does not look like a Mutation Engine."})
        raise Refused(response.status_code, parsed)


def _detail(parsed: Any) -> str:
    return str(parsed.get("detail")) if isinstance(parsed, dict) else "no reason given."
