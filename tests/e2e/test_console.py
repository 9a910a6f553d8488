"""The console in a real browser: who has never seen the project finds why a file failed, and nothing foreign acts."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Route, expect

from deploy.demo.samples import curriculum_vitae
from deploy.lab.raw import OK, answered, open_source, sends
from services.notifier import schedule
from shared import ledger
from shared.errors import explained
from tests.e2e.browser import Scheme, needs_chromium, visit
from tests.e2e.client import Answer, Client, inline, person
from tests.e2e.test_kill import processes
from tests.retry import eventually

pytestmark = [pytest.mark.any_broker, needs_chromium]
FIRST_VIEW_BYTES = 100_000
FIND = "Find a mutation by any id"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
CONTRAST = """() => {
  const seen = (element, name) => getComputedStyle(element)[name].match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const paper = light(seen(document.body, "backgroundColor"));
  const ratios = [...document.querySelectorAll("main h1, main p, main a, main dt, main dd, main .state, main .number")]
    .filter((element) => element.innerText && !element.closest(".why"))
    .map((element) => light(seen(element, "color")))
    .map((ink) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
  return [paper, ratios.length, Math.min(...ratios)];
}"""


async def one_of_two_failed(client: Client) -> Answer:
    client.site.origin.files["good.pdf"] = curriculum_vitae()
    files = [{"filename": name, "url": client.site.file_url(name)} for name in ("good.pdf", "absent.pdf")]
    sent = await client.write("POST", "/candidates", person(otherAttachments=files))
    await client.outcome(sent)
    return sent


def file_id(sent: Answer, name: str) -> str:
    return str(next(file["id"] for file in sent.mutation["attachments"] if file["filename"] == name))


async def test_a_stranger_finds_why_a_file_failed_in_three_clicks(client: Client) -> None:
    sent = await one_of_two_failed(client)
    reason, advice = explained("source_not_found")
    async with visit(client.handle) as seen, asyncio.timeout(30):
        page = seen.page
        await page.get_by_label("Admin key").fill(seen.admin)
        await seen.click("Open the console")
        await page.get_by_label(FIND).fill(file_id(sent, "absent.pdf"))
        await seen.click("Search")
        await expect(page.get_by_role("heading", level=1)).to_have_text("1 of 2 files failed")
        file = page.get_by_role("region", name="Files").get_by_role("listitem").first
        for words in ("absent.pdf", "Failed", reason, "What to do", advice, "source_not_found"):
            await expect(file).to_contain_text(words)
        steps = page.get_by_role("region", name="Time line").get_by_role("listitem")
        for words in ("Request", "In the broker", "Fetched", "Decided", "Applied", "Attempt 1"):
            assert await steps.filter(has_text=words).count(), words
        await expect(page.get_by_role("region", name="Callback")).to_contain_text("Delivered")
        assert seen.clicks <= 3


async def test_without_a_mouse_everything_is_reached(client: Client) -> None:
    sent = await one_of_two_failed(client)
    record = sent.mutation["record"]["id"]
    note = {"otherAttachments": [inline("note.txt", b"A note.", "text/plain")]}
    await client.outcome(await client.write("POST", f"/candidates/{record}/attachments", note))
    async with visit(client.handle) as seen:
        await seen.unlock()
        keys, heading = seen.page.keyboard, seen.page.get_by_role("heading", level=1)
        await expect(heading).to_have_text("Overview")
        await keys.press("/")
        await expect(seen.page.get_by_label(FIND)).to_be_focused()
        await keys.type(record)
        await keys.press("Enter")
        await expect(heading).to_have_text("2 mutations for this id")
        await keys.press("ArrowDown")  # the first one has the focus already
        ring = "getComputedStyle(document.activeElement).outlineStyle + document.activeElement.innerText"
        assert (await seen.page.evaluate(ring)).startswith("solidCreate")
        await keys.press("Enter")
        await expect(heading).to_have_text("1 of 2 files failed")
        await keys.press("Escape")
        await expect(heading).to_have_text("2 mutations for this id")
        for name in ("Deliveries", "Dead letters", "Lag", "Tenants"):
            await seen.page.get_by_role("link", name=name, exact=True).focus()
            await keys.press("Enter")
            await expect(heading).to_have_text(name)
        assert seen.clicks == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_words_stand_out_by_day_and_by_night(client: Client, scheme: Scheme) -> None:
    sent = await one_of_two_failed(client)
    async with visit(client.handle, scheme) as seen:
        await seen.unlock()
        await seen.page.get_by_label(FIND).fill(file_id(sent, "absent.pdf"))
        await seen.page.keyboard.press("Enter")
        await expect(seen.page.get_by_role("heading", level=1)).to_have_text("1 of 2 files failed")
        paper, words, least = await seen.page.evaluate(CONTRAST)
        assert (paper > 0.5) == (scheme == "light")
        assert words > 20
        assert least >= 4.5  # WCAG 2.2, 1.4.3


async def test_the_first_view_is_small_and_what_strangers_wrote_stays_text(client: Client, stack: Any) -> None:
    name = "&lt;b&gt; or &quot;onerror=alert(3) .txt"
    answer = sends(OK.replace(b"200 OK", b"410 Gone") + b"\r\n" + MARKUP.encode())
    async with open_source(answer) as rude, visit(stack) as seen:
        await seen.page.get_by_label("Admin key").wait_for()
        sizes = {one.url: len(await one.body()) for one in seen.answered}
        assert len(sizes) > 3
        assert sum(sizes.values()) <= FIRST_VIEW_BYTES, sizes

        sent = await client.call(
            "POST",
            "/candidates",
            person(
                otherAttachments=[inline(name, b"A note.", "text/plain")],
                callbackUrl=rude.url("/<hook>", "127.0.0.1"),
            ),
        )
        assert sent.status == 202, sent.body
        await seen.unlock()
        await seen.page.goto(f"{stack['http']}/console#/mutations/live/{sent.mutation['mutationId']}")
        await expect(seen.page.get_by_text(name, exact=True)).to_be_visible()
        # The page follows the mutation by itself, to the answer of its receiver.
        await expect(seen.page.get_by_text(MARKUP, exact=True)).to_be_visible()
        assert await seen.page.locator("main img, main script, main b").count() == 0


async def test_a_replay_goes_on_until_all_letters_were_looked_at(client: Client) -> None:
    topic, asked = "mutations.accepted.dlq", list[Any]()
    letter = {"partition": 0, "offset": 7, "at": None, "reason": "poison", "tries": 1, "sourceTopic": None, "key": None}

    async def replay(route: Route) -> None:
        asked.append(route.request.post_data_json)
        left = [] if "parts" in asked[-1] else [[0, 9, 30]]
        done = {"count": 2, "target": "mutations.accepted", "complete": not left, "next": left}
        await route.fulfill(json={"data": done})

    async def everything_asked() -> None:
        assert asked == [{"dryRun": dry} | part for dry in (True, False) for part in ({}, {"parts": [[0, 9, 30]]})]

    async with visit(client.handle) as seen:
        await seen.unlock()
        await seen.page.route(f"**/{topic}?*", lambda route: route.fulfill(json={"data": {"letters": [letter]}}))
        await seen.page.route(f"**/{topic}/replay", replay)
        await seen.page.goto(f"{client.handle['http']}/console#/dead-letters/{topic}")
        await seen.click("Replay all…")
        await seen.click("Replay 4 records")
        await eventually(everything_asked)


async def test_the_state_comes_back_after_a_restart_of_ingest(client: Client) -> None:
    ingest = processes(client.handle)["ingest"]
    async with visit(client.handle) as seen:
        await seen.unlock()
        live = seen.page.locator("#live")
        await expect(live).to_have_text("Live")
        os.kill(ingest, signal.SIGKILL)
        await expect(live).to_have_text("Reconnecting")
        await expect(live).to_have_text("Live", timeout=90_000)
        await expect(seen.page.get_by_text("under way")).to_be_visible()


@asynccontextmanager
async def waiting_callback(client: Client) -> AsyncIterator[tuple[str, asyncio.Queue[bytes]]]:
    """A mutation whose callback waits a minute for its second attempt; what its receiver answers next is put here."""
    answers = asyncio.Queue[bytes]()
    answers.put_nowait(answered(b"429 X", b"Too busy. " * 200))

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(await answers.get())

    async with open_source(answer) as receiver:
        sent = await client.call("POST", "/candidates", person(callbackUrl=receiver.url("/hook", "127.0.0.1")))
        assert sent.status == 202, sent.body
        mutation = str(sent.mutation["mutationId"])

        async def waits() -> None:
            key = client.handle["admin"]["apiKey"]
            told = (await client.call("GET", f"/admin/mutations/live/{mutation}", x_api_key=key)).body["data"]
            assert not told["mutation"]["callbackOwed"]
            assert [bool(each["nextAttemptAt"] and each["attempts"]) for each in told["deliveries"]] == [True]

        await eventually(waits)
        yield mutation, answers


async def only_one_attempt_is_left(client: Client, mutation: str) -> None:
    """As if the others had been made; it is due now."""
    async with ledger.open_client(client.handle["mongodb"]) as mongo:
        change = {"attempt": len(schedule.PAUSES) - 1, "nextAt": datetime.now(UTC)}
        done = await ledger.databases(mongo)["live"].deliveries.update_one({"_id": mutation}, {"$set": change})
        assert done.modified_count == 1


async def test_an_exhausted_callback_that_is_sent_again_is_followed_to_its_end(client: Client) -> None:
    async with waiting_callback(client) as (mutation, answers), visit(client.handle) as seen:
        await seen.unlock()
        await seen.page.goto(f"{client.handle['http']}/console#/mutations/live/{mutation}")
        callback = seen.page.get_by_role("region", name="Callback")
        told = callback.locator("details")
        await expect(told).to_have_attribute("open", "")
        await callback.get_by_text("What it answered").click()
        answers.put_nowait(answered(b"500 X"))
        await only_one_attempt_is_left(client, mutation)
        await expect(callback.get_by_text("Failed", exact=True)).to_be_visible()

        await seen.click("Resend")
        await seen.click("Send it again")
        await expect(callback.get_by_text("Open", exact=True)).to_be_visible()
        answers.put_nowait(answered(b"204 X"))
        await expect(callback.get_by_text("Delivered", exact=True)).to_be_visible()
        await expect(told).not_to_have_attribute("open", "")  # closed by hand, it stays closed


async def test_what_is_selected_stays_so_while_the_page_follows_a_mutation(client: Client) -> None:
    async with waiting_callback(client) as (mutation, _), visit(client.handle) as seen:
        await seen.unlock()
        await seen.page.goto(f"{client.handle['http']}/console#/mutations/live/{mutation}")
        told, lasts = seen.page.locator("pre"), seen.page.get_by_text("so far")
        lasted = await lasts.inner_text()
        await told.evaluate("pre => { pre.scrollTop = 50; getSelection().selectAllChildren(pre); }")
        for _look in range(2):  # the first one is drawn before the second one is asked for
            await seen.page.wait_for_event("response", lambda response: response.url.endswith(mutation))
        place, selected = await told.evaluate("pre => [pre.scrollTop, String(getSelection())]")
        assert (place, selected) == (50, "Too busy. " * 200)
        await expect(lasts).not_to_have_text(lasted)
