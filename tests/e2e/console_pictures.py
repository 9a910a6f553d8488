"""Takes the pictures of docs/console.md: `python -m tests.e2e.console_pictures .run/stack.json`, on a fresh stack."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import expect

from deploy.admin.documents import DOCS
from deploy.demo.samples import curriculum_vitae, photograph
from tests.e2e.browser import Scheme, Visit, visit
from tests.e2e.client import Answer, Client, Json, inline, open_client, person
from tests.retry import eventually

FOLDER: Final = DOCS / "console"
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
COLOURS: Final = 128  # flat surfaces and text need no more, and the files stay small


async def some_work(client: Client) -> Answer:
    """Mutations of every sort; the one to look at."""
    client.site.origin.files |= {"cv.pdf": curriculum_vitae(), "photo.pdf": photograph()}
    for number in range(6):
        note = inline("note.txt", b"Note %d." % number, "text/plain")
        await client.outcome(await client.write("POST", "/candidates", person(otherAttachments=[note])))
    client.site.receiver.status = 503
    files = [{"filename": name, "url": client.site.file_url(name)} for name in ("cv.pdf", "photo.pdf", "letter.pdf")]
    photo = inline("portrait.png", photograph(), "image/png")
    key = {"idempotencyKey": "import-2026-03-01.0007"}
    body = person(curriculumVitae=files[:1], otherAttachments=[*files[1:], photo]) | key
    sent = await client.write("POST", "/candidates", body)

    async def tried_twice() -> None:
        assert len(client.callbacks().get(sent.mutation["mutationId"], [])) > 1

    await eventually(tried_twice, 60)
    client.site.receiver.status = 410
    note = inline("note.txt", b"One more.", "text/plain")
    for _ in range(3):
        await client.outcome(await client.write("POST", "/candidates", person(otherAttachments=[note])))
    return sent


async def open_work(client: Client, count: int) -> None:
    """Creates whose download lasts, each with an append that waits for it."""
    source = {"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}
    note = inline("note.txt", b"Later.", "text/plain")
    for _ in range(count):
        create = await client.write("POST", "/candidates", person(curriculumVitae=[source]))
        path = f"/candidates/{create.mutation['record']['id']}/attachments"
        await client.write("POST", path, {"otherAttachments": [note]})


async def picture(seen: Visit, name: str) -> None:
    """The whole page, as a small file."""
    path = FOLDER / f"{name}.png"
    await seen.page.screenshot(path=path, full_page=True)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


async def main(handle: Json) -> None:
    """Both colour schemes: the start, a mutation."""
    async with open_client(handle) as client:
        sent = await some_work(client)
        for scheme in SCHEMES:
            async with visit(handle, scheme, 1200, 760) as seen:
                await seen.unlock()
                await expect(seen.page.locator("#live")).to_have_text("Live")
                client.site.origin.gate.clear()
                for count in (3, 1, 2):
                    await open_work(client, count)
                    await seen.page.wait_for_timeout(2500)  # for the curves
                await picture(seen, f"start-{scheme}")
                client.site.origin.gate.set()
                await seen.page.get_by_label("Find a mutation by any id").fill(sent.mutation["attachments"][0]["id"])
                await seen.page.keyboard.press("Enter")
                await seen.page.get_by_role("region", name="Files").wait_for()
                await picture(seen, f"mutation-{scheme}")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
