"""The stack under test (STACK=embedded|kafka|containers|external), started once a session and only when asked for."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.stacks import STACKS, Handle, running

settings.register_profile("patient", deadline=None)  # one example may meet a busy machine
settings.load_profile("patient")
STACK = os.environ.get("STACK", "embedded")


def pytest_configure() -> None:
    """Refuse a misspelt STACK before anything runs."""
    if STACK not in STACKS:
        raise pytest.UsageError(f"STACK is one of {', '.join(STACKS)}, not {STACK!r}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-skips`: where everything needed is there, a skipped test is a failure."""
    parser.addoption("--no-skips", action="store_true")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Make skips count, where they shall."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped") and not exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs on the whole system runs on a broker; what the embedded broker can't do is not asked of it."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("any_broker"):
            item.add_marker("broker")
        if STACK == "embedded" and item.get_closest_marker("kafka"):
            item.add_marker(pytest.mark.skip(reason="needs Apache Kafka: STACK=kafka"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """The whole system; its addresses and credentials in the form of stack.json."""
    with running(STACK, tmp_path_factory.mktemp("stack")) as handle:
        yield handle


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """Broker, database and store, initialised, without our services: nobody else touches what a test puts there."""
    with running(STACK, tmp_path_factory.mktemp("servers"), servers_only=True) as handle:
        yield handle
