"""A notifier that was stopped, or blocked: its time-outs end late, whatever the receivers have answered meanwhile."""

import asyncio
import time

import httpx2
import pytest

from services.notifier.dispatch import Answer
from services.notifier.sender import HttpSender
from shared.egress import EgressPolicy


async def send_to_silence(stopped_seconds: float) -> Answer:
    """One attempt with a time-out of 0.1 s, which is late at 0.6 s; meanwhile the process stands still for so long."""

    async def silence(request: httpx2.Request) -> httpx2.Response:
        time.sleep(stopped_seconds)  # noqa: ASYNC251
        await asyncio.sleep(60)
        return httpx2.Response(204)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(silence)) as client:
        posting = HttpSender(client, EgressPolicy.from_settings(["127.0.0.0/8"]), 0.1, 0.5)
        return await posting.send("http://127.0.0.1:1/hook", {}, b"{}")


@pytest.mark.parametrize("stopped_seconds", [0.0, 1.0])
async def test_a_time_out_that_ends_late_is_told_from_one_in_time(stopped_seconds: float) -> None:
    answer = await send_to_silence(stopped_seconds)

    assert (answer.status, answer.error, answer.late) == (None, "timeout", bool(stopped_seconds))
