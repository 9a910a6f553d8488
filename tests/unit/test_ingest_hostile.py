"""Nothing that a client sends is a fault of ours: an answer below 500, a command accepted or rejected."""

import json
from typing import Any

import bson
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.events import encode
from tests.fakes_commands import CommandStand, command
from tests.fakes_ingest import IngestStand

WORDS = [
    "firstName", "email", "tags", "customFields", "curriculumVitae", "otherAttachments", "filename", "url", "data",
    "idempotencyKey", "callbackUrl", "candidates", "attachmentIds", "$where", "a.b", "", "\0", "__class__",
]  # fmt: skip
TEXTS = ["data:application/pdf;base64,aGVsbG8=", "data:;base64,", "http://xn--/", "http://[::1", "https://a.example.com:99999",
         "..", "NUL", "\u202ecv.pdf", "\0", "{0}", "%s", "\ud7ff", "a" * 9000]  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=20)
names = st.sampled_from(WORDS) | st.text(max_size=8)
trees = st.recursive(scalars, lambda one: st.lists(one, max_size=7) | st.dictionaries(names, one, max_size=5))
relaxed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
SENT = [(b"host", b"x"), (b"x-api-key", b"key-of-acme")]
PATHS = st.sampled_from(["/candidates", "/candidates/01890000-0000-7000-8000-000000000001/attachments"])


@relaxed
@given(body=st.dictionaries(st.sampled_from(WORDS), trees, max_size=6) | trees, path=PATHS, method=st.sampled_from(["POST", "PATCH", "DELETE"]))  # fmt: skip  # noqa: E501
async def test_any_json_gets_an_answer_below_500(body: Any, path: str, method: str) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    async with IngestStand().client() as client:
        answer = await client.request(method, path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text


wide = st.sampled_from([{f"m{n}": n for n in range(101)}, [{f"m{n}": n for n in range(101)}]])
known = st.sampled_from(["create", "append", "candidate", "01890000-0000-7000-8000-000000000001", "k1", True])
members = st.sampled_from(
    ["operation", "recordType", "recordId", "sandbox", "idempotencyKey", "callbackUrl", "payload"]
)


@relaxed
@given(changed=st.dictionaries(members, trees | wide | known, max_size=7))
async def test_any_command_is_accepted_or_rejected_and_what_is_kept_can_be_stored_and_told(changed: Any) -> None:
    stand, raw = CommandStand(), json.dumps(command() | changed).encode("utf-8", "surrogatepass")
    await stand.send(raw)
    kept = [each for environment in ("live", "sandbox") for each in stand.ledger.documents[environment].values()]
    rejected = [each for each in kept if each["status"] == "rejected"]
    assert len(rejected) == len(stand.dead) == (not [each for each in kept if each not in rejected])
    for each in kept:
        bson.encode(dict(each))
    assert [orjson.loads(encode(event))["mutationId"] for event in stand.publisher.announced] == [
        each["_id"] for each in rejected
    ]


@relaxed
@given(content=st.binary(max_size=200), key=st.binary(max_size=40).filter(lambda key: not set(key) & set(b"\r\n\0")))
async def test_any_bytes_and_headers_get_an_answer_below_500(content: bytes, key: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"idempotency-key", key), (b"x-api-key", b"key-of-acme")]
    odd = [(b"x-request-id", key), (b"traceparent", key), (b"if-match", key), (b"x-api-sandbox", b"true")]
    async with IngestStand().client(None) as client:
        answer = await client.post("/candidates", content=content, headers=[*headers, *odd])
    assert answer.status_code < 500, answer.text


@relaxed
@given(path=st.text(max_size=30), query=st.text(max_size=30))
async def test_any_path_gets_an_answer_below_500(path: str, query: str) -> None:
    stand = IngestStand()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    for prefix in ("/", "/mutations/", "/attachments/", "/candidates/", "/sandbox"):
        scope = {
            "type": "http", "method": "GET", "path": prefix + path, "raw_path": b"", "root_path": "", "scheme": "http",
            "query_string": query.encode("utf-8", "replace"), "headers": SENT,
            "server": ("ingest", 80), "client": None, "http_version": "1.1", "asgi": {"version": "3.0"},
        }  # fmt: skip
        await stand.app(scope, receive, send)
    assert all(message["status"] < 500 for message in sent if message["type"] == "http.response.start")
