"""A real browser at the console: Debian's Chromium with an empty profile, and nothing but the gateway to talk to."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest
from playwright.async_api import Page, Response, Route, async_playwright, expect

from tests.e2e.client import Json

CHROMIUM: Final = shutil.which("chromium")
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
PATIENCE_MS: Final = 20_000
expect.set_options(timeout=PATIENCE_MS)
Scheme = Literal["light", "dark"]


@dataclass
class Visit:
    """A tab; whatever it asked for, by URL, and what went wrong in it. A click is a click of a mouse."""

    page: Page
    admin: str
    clicks: int = 0
    asked: list[str] = field(default_factory=list)
    answered: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def click(self, name: str, role: Literal["button", "link"] = "button") -> None:
        """What is called so."""
        await self.page.get_by_role(role, name=name, exact=True).click()
        self.clicks += 1

    async def unlock(self) -> None:
        """Give the key; with the keyboard, as every tool that opens a console does."""
        await self.page.get_by_label("Admin key").fill(self.admin)
        await self.page.keyboard.press("Enter")
        await self.page.get_by_role("navigation").wait_for()


@asynccontextmanager
async def visit(handle: Json, scheme: Scheme = "light", width: int = 1280, height: int = 900) -> AsyncIterator[Visit]:
    """The console, open; at the end it must have asked nobody else and complained of nothing."""
    home = str(handle["http"])
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            page = await browser.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
            page.set_default_timeout(PATIENCE_MS)
            seen = Visit(page, str(handle["admin"]["apiKey"]))

            async def pass_ours(route: Route) -> None:
                seen.asked.append(route.request.url)
                await (route.continue_() if route.request.url.startswith(f"{home}/") else route.abort())

            await page.route("**/*", pass_ours)
            page.on("response", lambda response: seen.answered.append(response))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.on("dialog", lambda dialog: seen.complaints.append(f"dialog: {dialog.message}"))
            await page.goto(f"{home}/console")
            yield seen
            assert [url for url in seen.asked if not url.startswith(f"{home}/")] == []
            assert seen.complaints == []
        finally:
            await browser.close()
