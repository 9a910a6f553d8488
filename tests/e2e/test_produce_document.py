"""The producers of docs/produce.md run as they stand there."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.stack.kafka import JARS
from services.ingest.commands import read
from shared.addresses import EgressPolicy

DOCUMENT = Path(__file__).parents[2] / "docs" / "produce.md"
DONE = re.compile(r"create completed ([0-9a-f-]{36})\nupdate completed \1\n")


def block(language: str) -> str:
    """The only code block of this language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


async def run(stack: dict[str, Any], *command: str) -> str:
    """What a program prints that has the two variables of the document."""
    env = os.environ | {"BROKER": stack["kafka"], "TENANT": "demo"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe)
    try:
        printed, complaints = await asyncio.wait_for(process.communicate(), 90)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, complaints.decode()
    return printed.decode()


async def test_the_command_is_valid() -> None:
    json.loads(block("json"))
    assert (await read(block("json").encode(), EgressPolicy())).refusal is None


async def test_the_producer_in_python_runs(stack: dict[str, Any], tmp_path: Path) -> None:
    program = tmp_path / "produce.py"
    program.write_text(block("python"))
    assert DONE.fullmatch(await run(stack, sys.executable, str(program)))


@pytest.mark.kafka
async def test_the_producer_in_java_runs(stack: dict[str, Any], tmp_path: Path) -> None:
    if not (shutil.which("javac") and JARS.exists()):
        pytest.skip("needs a JDK and Kafka's jars")
    program = tmp_path / "Producer.java"
    program.write_text(block("java"))
    assert DONE.fullmatch(await run(stack, "java", "-Xmx256m", "-cp", f"{JARS}/*", str(program)))
