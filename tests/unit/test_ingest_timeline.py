"""The time line of a mutation tells what happened, and says so where a time was not kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest import operator_views as views
from services.ingest import timeline
from services.ingest.api import schemas_oversight
from shared.errors import FILE_OUTCOMES, OUTCOME_CODES, OUTCOME_REASONS
from tests.factories import mutation
from tests.fakes_ingest import IngestStand

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARKS = ("published", "taken", "fetched", "decided")


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def document(**given: Any) -> dict[str, Any]:
    """Asked at 0 s, accepted at 1 s."""
    return mutation("create", askedAt=at(0), createdAt=at(1), **given)


def ended(**given: Any) -> dict[str, Any]:
    """Published at 2 s, taken at 3 s, fetched at 4 s, decided at 5 s, ended at 6 s."""
    times = {name: at(2 + n) for n, name in enumerate(MARKS)}
    end = {"status": "completed", "lane": "none", "endedAt": at(6), "times": times, "outcome": {"error": None}}
    return document(**end | given)


def steps(found: dict[str, Any], delivery: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return timeline.steps(found, delivery, at(100))


def lasting(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """Each step's name, and whether it lasts."""
    return [(step["name"], step["state"] == "now") for step in steps(found)]


def test_every_step_of_an_ended_mutation_begins_where_the_one_before_it_ended() -> None:
    found = steps(ended())
    assert [step["name"] for step in found] == ["request", "accepted", "published", "fetched", "decided", "ended"]
    assert [(step["from"], step["to"]) for step in found] == [(at(n), at(n + 1)) for n in range(6)]
    assert {step["state"] for step in found} == {"done"}


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ({"lane": "waiting"}, ["request", "accepted"]),
        ({"lane": "working", "published": {"at": at(2), "count": 1}}, ["request", "accepted", "published"]),
        (
            {"lane": "parked", "parked": {"files": {}, "failure": None, "at": at(4), "times": {"published": at(2)}}},
            ["request", "accepted", "published", "fetched", "parked"],
        ),
        (
            {"lane": "working", "status": "applying", "decision": {"times": dict.fromkeys(MARKS, at(5))}},
            ["request", "accepted", "published", "fetched", "decided", "ended"],
        ),
    ],
)
def test_the_last_step_of_an_open_mutation_lasts(state: dict[str, Any], names: list[str]) -> None:
    found = lasting(document(**state))
    assert found == [(name, name == names[-1]) for name in names]
    assert steps(document(**state))[-1]["to"] is None


def test_a_time_that_was_not_kept_is_null_and_its_step_says_so() -> None:
    found = steps(ended(times={}))
    assert [step["state"] for step in found] == ["done", "unknown", "unknown", "unknown", "unknown", "unknown"]
    assert [(step["from"], step["to"]) for step in found[2:5]] == [(None, None)] * 3
    assert all("not kept" in step["detail"] for step in found[1:])


def test_a_parked_mutation_shows_how_long_it_waited_for_its_turn() -> None:
    found = {step["name"]: step for step in steps(ended(parked={"files": {}, "failure": None, "at": at(4.5)}))}
    assert (found["parked"]["from"], found["parked"]["to"]) == (at(4.5), at(5))
    assert (found["decided"]["from"], found["decided"]["state"]) == (None, "unknown")  # the wait is not counted twice


def test_every_attempt_of_a_callback_is_a_step_and_the_next_one_lasts() -> None:
    attempt = {"n": 1, "at": at(7), "ms": 1500, "status": 500, "error": "server_error", "answer": "no"}
    delivery = {"status": "pending", "attempt": 1, "nextAt": at(200), "createdAt": at(7), "attempts": [attempt]}
    made, due = steps(ended(), delivery | {"_id": "m"})[-2:]
    assert (made["from"], made["to"], made["state"]) == (at(7), at(8.5), "done")
    assert made["detail"] == "Attempt 1: 500: It answered with a 5xx."
    assert (due["from"], due["to"], due["state"]) == (at(8.5), None, "now")
    assert due["detail"] == "Attempt 2 is due at 2026-03-01T12:03:20Z."


def test_a_rejected_command_has_no_way_to_show() -> None:
    refused = {"code": "validation_failed", "message": "Mend it.", "errors": []}
    end = {"status": "rejected", "endedAt": at(1), "outcome": {"error": refused}}
    assert [step["name"] for step in steps(document(**end))] == ["request", "ended"]


def test_a_rejected_command_names_every_member_that_is_wrong() -> None:
    errors = [{"field": "/payload/attachments/0/data", "code": "base64_invalid", "message": "Send base64."}]
    refused = {"code": "validation_failed", "message": "Mend every entry of errors.", "errors": errors}
    found = document(status="rejected", endedAt=at(1), outcome={"error": refused}, claimedKey="k")
    assert views.whole("live", found, None)["errors"] == errors


@pytest.mark.parametrize(("state", "owed"), [({"callbackUrl": "https://hooks.test/x"}, True), ({}, False)])
def test_a_callback_that_the_notifier_does_not_know_of_yet_is_no_missing_callback(
    state: dict[str, Any], owed: bool
) -> None:
    assert views.whole("live", ended(**state), None)["callbackOwed"] is owed


@pytest.mark.parametrize("code", OUTCOME_CODES)
def test_every_outcome_has_a_reason_and_an_advice_in_whole_sentences(code: str) -> None:
    said = views.told(code, OUTCOME_CODES[code].advice)
    for sentence in (said["reason"], said["advice"]):
        assert len(sentence) > 15
        assert sentence[0].isupper()
        assert sentence.endswith(".")
    assert said["reason"] != said["advice"]


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        ({"url": "https://user:pass@files.test:8443/cv.pdf?token=secret"}, "https://files.test:8443"),
        ({"url": "http://[2001:db8::1]/cv"}, "http://[2001:db8::1]"),
        ({"staged": {"key": "staging/x"}}, "inline"),
        ({}, "inline"),
        ({"upload": True}, "upload"),
        ({"rehearsed": "too_large"}, "rehearsed"),
    ],
)
def test_of_a_url_only_scheme_and_host_are_shown(entry: dict[str, Any], source: str) -> None:
    file = {"field": "curriculumVitae", "filename": "cv.pdf"} | entry
    [shown] = views.files(document(files={"f1": file}, fileIds=["f1"]))
    assert (shown["source"], shown["state"]) == (source, "pending")


@pytest.mark.parametrize("code", FILE_OUTCOMES)
def test_a_failed_file_says_why_and_what_to_do(code: str) -> None:
    error = {"code": code, "message": OUTCOME_CODES[code].advice}
    state = {"id": "f1", "field": "curriculumVitae", "filename": "cv.pdf", "status": "failed", "error": error}
    [shown] = views.files(ended(fileIds=["f1"], files={"f1": {}}, outcome={"error": None, "attachments": [state]}))
    assert (shown["state"], shown["code"]) == ("failed", code)
    assert (shown["reason"], shown["advice"]) == (OUTCOME_REASONS[code], OUTCOME_CODES[code].advice)


def test_what_was_found_in_the_very_file_is_not_lost() -> None:
    said = views.told("content_type_mismatch", "The bytes are a GIF.")
    assert said["reason"].endswith("The bytes are a GIF.")
    assert said["advice"] == OUTCOME_CODES["content_type_mismatch"].advice


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Files of type image/tiff are not accepted; {}", "Files of type image/tiff are not accepted."),
        ("The file is encrypted; send it without a password.", "The file is encrypted; send it without a password."),
    ],
)
def test_what_to_do_is_not_said_again_as_a_part_of_the_reason(message: str, reason: str) -> None:
    advice = OUTCOME_CODES["unsupported_content_type"].advice
    said = views.told("unsupported_content_type", message.format(advice[0].lower() + advice[1:]))
    assert (said["reason"], said["advice"]) == (reason, advice)


@pytest.mark.parametrize(("members", "said"), [(["m1"], "1 record in"), (["m1", "m2"], "2 records in")])
def test_one_record_is_counted_as_one(members: list[str], said: str) -> None:
    [request] = steps(document(status="batch", members=members))
    assert request["detail"].startswith(said)


async def test_search_and_time_line_answer_as_described() -> None:
    stand = IngestStand()
    shown = ended(fileIds=["f1"], files={"f1": {"filename": "a", "field": "b"}})
    waits = document(lane="parked", parked={"files": {}, "failure": None})
    trail = stand.oversight.trail
    trail.documents["live"] = {each["_id"]: each for each in (shown, waits)}
    trail.behinds[waits["_id"]] = shown["_id"]
    attempt = {"n": 1, "at": at(7), "ms": 12, "status": 200, "error": None, "answer": "ok"}
    trail.deliveries[shown["_id"]] = {
        "_id": shown["_id"], "status": "delivered", "attempt": 1, "nextAt": None, "url": None, "host": "hooks.test",
        "createdAt": at(7), "endedAt": at(8), "attempts": [attempt],
    }  # fmt: skip
    async with stand.client("key-of-admin") as client:
        found = (await client.get("/admin/search", params={"q": shown["key"]})).json()
        schemas_oversight.SearchAnswer.model_validate(found)
        assert [row["mutationId"] for row in found["data"]["mutations"]] == [shown["_id"]]
        whole = (await client.get(f"/admin/mutations/live/{shown['_id']}")).json()
        schemas_oversight.TimelineAnswer.model_validate(whole)
        assert whole["data"]["deliveries"][0]["webhookId"] == f"msg_{shown['_id']}"
        parked = (await client.get(f"/admin/mutations/live/{waits['_id']}")).json()
        schemas_oversight.TimelineAnswer.model_validate(parked)
        assert parked["data"]["mutation"]["parkedBehind"] == shown["_id"]
        for path in (f"/admin/mutations/sandbox/{shown['_id']}", f"/admin/mutations/none/{shown['_id']}"):
            assert (await client.get(path)).status_code == 404
