"""What a log line must not hold, and which traces are carried on."""

import time
from typing import Any

import pytest

from shared.observability import TRACEPARENT, new_traceparent, next_traceparent, redact


@pytest.mark.parametrize(
    "value",
    [
        "HTTPS://files.test/cv?sig=hidden",
        "Http://someone:hidden@files.test/cv",
        "https://files.test/O'Brien.pdf?sig=hidden",
        'https://files.test/a"b?sig=hidden',
        "https://someone:it's-hidden@files.test/cv",
        "https://files.test?from=a@b.test&sig=hidden",
        "https:///cv?sig=hidden",
        "mongodb+srv://engine:hidden@db.test/?tls=true",
        {"x-api-key": "hidden"},
        ValueError("https://files.test/hidden"),
        {"https://files.test/hidden"},
        frozenset({"me_public_hidden"}),
        b"https://files.test/hidden",
        [{"inner": ValueError("whsec_hidden")}],
    ],
    ids=repr,
)
def test_no_value_of_any_kind_shows_what_is_secret(value: Any) -> None:
    assert "hidden" not in repr(redact(None, "", {"event": "x", "value": value}))


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "plain", {"a": [1, None]}])
def test_what_is_plain_stays_what_it_is(value: Any) -> None:
    assert redact(None, "", {"value": value}) == {"value": value}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("GET https://files.test:8443/cv?sig=1 failed", "GET https://files.test:8443/… failed"),
        ("[https://[2001:db8::1]/cv, 5]", "[https://[2001:db8::1]/… 5]"),
        ("https://one.test/a and http://two.test", "https://one.test/… and http://two.test/…"),
    ],
)
def test_of_a_url_scheme_and_host_are_left_and_of_a_text_the_rest(said: str, left: str) -> None:
    assert redact(None, "", {"event": said}) == {"event": left}


def test_a_long_text_is_read_in_no_time() -> None:
    began = time.perf_counter()
    redact(None, "", {"event": "a" * 1_000_000 + "://" + "@" * 1_000_000 + "?"})
    assert time.perf_counter() - began < 5


def test_a_valid_trace_is_carried_on_and_any_other_begins_anew() -> None:
    given = new_traceparent()

    assert next_traceparent(given).split("-")[1] == given.split("-")[1]
    for broken in (given + "\n", given + "-x", "\n" + given, "", None):
        begun = next_traceparent(broken)
        assert begun.split("-")[1] != given.split("-")[1]
        assert TRACEPARENT.fullmatch(begun)
