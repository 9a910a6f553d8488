"""The lab keeps its word: what its index page tells of each address is what the engine makes of it."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

import pytest

from deploy.lab.behaviours import STORED, Behaviour, behaviours
from deploy.lab.site import open_lab
from services.notifier.sender import HttpSender
from shared.content.judge import in_memory, judge
from shared.egress import open_egress_client
from shared.events import FileError
from tests.downloads import HERE, content, downloading

SLOW_SECONDS = 0.6
PATIENT_SECONDS = 20.0
JUDGED = {STORED, "content_type_mismatch", "empty_file"}  # arrives; the bytes decide
ALL = behaviours()
by_path = pytest.mark.parametrize("behaviour", ALL, ids=[each.path for each in ALL])


@by_path
async def test_a_file_from_there_ends_as_the_index_page_says(behaviour: Behaviour) -> None:
    seconds = SLOW_SECONDS if behaviour.slow else PATIENT_SECONDS
    async with open_lab() as lab, downloading(seconds=seconds) as downloader:
        found = await downloader.download(lab.url.replace("127.0.0.1", "source.example") + behaviour.path)
    if isinstance(found, FileError):
        assert found.code == behaviour.file
        return
    assert behaviour.file in JUDGED
    verdict = await judge(in_memory(content(found)), "cv.pdf", "application/pdf")
    assert (verdict.code if isinstance(verdict, FileError) else STORED) == behaviour.file


@by_path
async def test_an_attempt_to_call_back_there_ends_as_the_index_page_says(behaviour: Behaviour) -> None:
    seconds = SLOW_SECONDS if behaviour.slow else PATIENT_SECONDS
    async with open_lab() as lab, open_egress_client(HERE, user_agent="t") as client:
        answer = await HttpSender(client, HERE, seconds).send(lab.url + behaviour.path, {}, b'{"a": 1}')
    assert (answer.error if answer.status is None else answer.status) == behaviour.callback


async def test_wrong_tls_is_unreachable_for_both() -> None:
    async with open_lab() as lab, downloading() as downloader, open_egress_client(HERE, user_agent="t") as client:
        row = next(each for each in lab.table() if each["url"].startswith("https"))
        found = await downloader.download(row["url"])
        answer = await HttpSender(client, HERE, PATIENT_SECONDS).send(row["url"], {}, b"{}")
    assert isinstance(found, FileError)
    assert (found.code, answer.status, answer.error) == (row["file"], None, row["callback"])


async def test_the_index_page_lists_every_path_and_unknown_ones_are_404() -> None:
    async with open_lab() as lab:
        shown, listed = await asyncio.gather(fetched(f"{lab.url}/"), fetched(f"{lab.url}/index.json"))
        unknown = await asyncio.to_thread(status_of, f"{lab.url}/nothing-here")
    rows: list[dict[str, Any]] = json.loads(listed)
    assert [each["url"].removeprefix(lab.url) for each in rows[:-1]] == [each.path for each in ALL]
    assert all(each["url"] in shown for each in rows)
    assert unknown == 404


def test_the_program_listens_on_loopback_and_tells_where_and_what_was_asked_for() -> None:
    command = [sys.executable, "-m", "deploy.admin", "lab", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=-1, text=True, env=os.environ) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            assert told["url"].startswith("http://127.0.0.1:")
            assert status_of(f"{told['url']}/410") == 410
            assert json.loads(process.stdout.readline())["path"] == "/410"
            process.stdout.close()  # as `| head -2` does
            assert [status_of(f"{told['url']}/410") for _ in range(2)] == [410, 410]
        finally:
            process.kill()


def test_the_program_blames_no_address_when_nobody_reads_its_list() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "deploy.admin", "lab", "--port", "0", "--json"]
    done = subprocess.run(command, stdout=writing, stderr=-1, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


async def fetched(url: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
