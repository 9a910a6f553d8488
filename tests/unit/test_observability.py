"""What a log line must not hold, and which traces are carried on."""

from typing import Any

import pytest

from shared.observability import TRACEPARENT, new_traceparent, next_traceparent, redact


@pytest.mark.parametrize(
    "value",
    [
        "HTTPS://files.test/cv?sig=hidden",
        "Http://someone:hidden@files.test/cv",
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


def test_a_valid_trace_is_carried_on_and_any_other_begins_anew() -> None:
    given = new_traceparent()

    assert next_traceparent(given).split("-")[1] == given.split("-")[1]
    for broken in (given + "\n", given + "-x", "\n" + given, "", None):
        begun = next_traceparent(broken)
        assert begun.split("-")[1] != given.split("-")[1]
        assert TRACEPARENT.fullmatch(begun)
