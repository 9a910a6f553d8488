"""Stable codes: every refusal, file error and outcome error a client can ever see, in one table.

`docs/errors.md` is generated from it. A code never changes its meaning; a new meaning is a new code.
"""

from dataclasses import dataclass
from typing import Final

from shared.content.media_types import extensions
from shared.limits import ACCEPTED_TYPES, BASE64_FILE_BYTES, URL_FILE_BYTES, readable


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code: the HTTP status it comes with (0: never an HTTP answer), a title and what to do about it."""

    status: int
    title: str
    advice: str


# Refusals: the request got no 202.
REQUEST_CODES: dict[str, Code] = {
    "unauthorized": Code(401, "Unauthorized", "Send a valid key in the x-api-key header."),
    "forbidden": Code(403, "Forbidden", "Use a key that may do this."),
    "not_found": Code(404, "Not found", "Check the path and the id; ids of other tenants are not found either."),
    "record_not_found": Code(404, "Record not found", "Create the record first, or check its id."),
    "attachment_not_found": Code(404, "Attachment not found", "List the attachments of the record to see its ids."),
    "attachment_not_stored_yet": Code(404, "Attachment not stored yet", "Ask GET /mutations/{key} for its state."),
    "mutation_not_found": Code(404, "Mutation not found", "Check the key; keys are kept for 90 days after the end."),
    "method_not_allowed": Code(405, "Method not allowed", "Use one of the methods named in the Allow header."),
    "body_too_slow": Code(408, "Body too slow", "Send the body without long pauses, over a faster connection."),
    "version_conflict": Code(
        412,
        "Precondition failed",
        "Read the record again, and send its present ETag in If-Match; weak ones (W/) never match.",
    ),
    "payload_too_large": Code(413, "Payload too large", "Send fewer or smaller files, or send large files by URL."),
    "unsupported_media_type": Code(
        415, "Unsupported media type", "Send JSON as application/json, temporary files as multipart/form-data."
    ),
    "malformed_json": Code(
        400, "Malformed JSON", "Send one valid JSON value in UTF-8, without duplicate members, NaN or Infinity."
    ),
    "malformed_request": Code(400, "Malformed request", "Check the request against /docs."),
    "parameter_invalid": Code(400, "Invalid parameter", "Correct the parameter that the message names."),
    "idempotency_key_conflict": Code(
        400, "Two different idempotency keys", "Send one key, or the same one everywhere."
    ),
    "callback_url_conflict": Code(
        400, "Two different callback URLs", "Send one callbackUrl, or the same one everywhere."
    ),
    "idempotency_key_invalid": Code(
        400, "Invalid idempotency key", "Use 1 to 255 characters of A-Z a-z 0-9 _ . : + = ~ @ -."
    ),
    "idempotency_key_reused": Code(
        422, "Idempotency key reused", "This key came with another payload before; use a new key."
    ),
    "validation_failed": Code(422, "Validation failed", "Mend every entry of errors and send the request again."),
    "rate_limited": Code(429, "Too many requests", "Wait for the seconds in Retry-After."),
    "quota_exceeded": Code(429, "Quota exceeded", "Assign temporary files, or wait until they expire."),
    "over_capacity": Code(
        503, "Over capacity", "Wait for the seconds in Retry-After, then send the same request again."
    ),
    "unavailable": Code(503, "Temporarily unavailable", "Send the same request with the same key again."),
    "internal_error": Code(500, "Internal error", "Tell us the x-request-id."),
}

# Codes of single entries in `errors` of a 422.
FIELD_CODES: dict[str, Code] = {
    "missing": Code(422, "Missing", "Add this member."),
    "unknown_field": Code(422, "Unknown field", "Remove this member, or correct its name."),
    "invalid_type": Code(422, "Wrong type", "Send the type that the message names."),
    "invalid_value": Code(422, "Invalid value", "Send a value that the message allows."),
    "too_long": Code(422, "Too long", "Shorten it to what the message allows."),
    "too_short": Code(422, "Too short", "Send at least what the message asks for."),
    "too_many_items": Code(422, "Too many items", "Send fewer items, or several requests."),
    "empty_request": Code(422, "Empty request", "Send at least one of the members that the message names."),
    "file_source_missing": Code(422, "No source", "Give the file exactly one of url and data."),
    "file_source_ambiguous": Code(422, "Two sources", "Give the file exactly one of url and data."),
    "invalid_data_uri": Code(422, "Invalid data URI", "Send data:<type>;base64,<data>."),
    "invalid_base64": Code(422, "Invalid base64", "Encode with the standard alphabet, padding, and no line breaks."),
    "unsupported_content_type": Code(
        422, "Content type not accepted", "Send a file of one of the types that the message names."
    ),
    "file_too_large": Code(
        422, "File too large", f"Send base64 files up to {readable(BASE64_FILE_BYTES)}; larger ones by URL."
    ),
    "unsafe_content": Code(
        422, "Unsafe content", "The file holds macros, or is built to harm a reader; send a plain copy."
    ),
    "empty_file": Code(422, "Empty file", "Send a file with at least one byte."),
    "invalid_filename": Code(422, "Invalid file name", "Send a name with at least one letter or digit."),
    "invalid_url": Code(422, "Invalid URL", "Send an absolute http or https URL."),
    "url_not_allowed": Code(422, "URL not allowed", "Use a public host name and port 80, 443, 8080 or 8443."),
    "wrong_endpoint": Code(422, "Wrong endpoint", "Use the endpoint that the message names."),
}

# Outcomes of files and of mutations: they appear in callbacks and in GET /mutations/{key}, never as an HTTP status.
OUTCOME_CODES: dict[str, Code] = {
    "source_not_found": Code(0, "Source not found", "The URL answered 404 or 410; check it and send the file again."),
    "source_forbidden": Code(0, "Source forbidden", "The URL answered 401 or 403; use a signed or public URL."),
    "source_unreachable": Code(
        0, "Source unreachable", "Check that the URL, and all that it redirects to, is public and answers in time."
    ),
    "source_error": Code(0, "Source error", "The URL answered with an error; try again when it works."),
    "source_incomplete": Code(0, "Source incomplete", "Fewer bytes came than were announced; try again."),
    "too_many_redirects": Code(0, "Too many redirects", "Use the final URL; at most 3 redirects are followed."),
    "too_large": Code(0, "Too large", f"Files by URL may have {readable(URL_FILE_BYTES)}; send a smaller one."),
    "empty_file": Code(0, "Empty file", "The source held no byte; send a file with content."),
    "content_type_mismatch": Code(
        0,
        "Content type mismatch",
        "Correct the name or the declared type, or send the file that was meant.",
    ),
    "unsupported_content_type": Code(
        0, "Content type not accepted", f"Send one of these: {extensions(ACCEPTED_TYPES)}."
    ),
    "unsafe_content": Code(
        0, "Unsafe content", "The file holds macros, or is built to harm a reader; send a plain copy."
    ),
    "staged_object_lost": Code(0, "Staged object lost", "Send the file again."),
    "attachment_not_found": Code(
        0,
        "Attachment not found",
        "It is not, or no longer, an attachment of this record; list those that the record has.",
    ),
    "record_not_found": Code(
        0,
        "Record not found",
        "The record does not exist; its create may have failed: look at that, and create it first.",
    ),
    "record_erased": Code(
        0, "Record erased", "The record was erased before this mutation's turn; nothing can be added to it any more."
    ),
    "version_conflict": Code(
        0, "Version conflict", "The record changed before this mutation's turn; read it again, and decide anew."
    ),
    "not_found": Code(0, "Not found", "There is no temporary file with this id, or it has expired; upload it again."),
    "already_assigned": Code(
        0, "Already assigned", "A temporary file can be assigned once; upload it again for another record."
    ),
    "sandbox_reset": Code(0, "Sandbox reset", "The sandbox was emptied before this mutation's turn; send it again."),
    "no_file_stored": Code(0, "No file stored", "None of the files could be stored; see the error of each."),
    "nothing_removed": Code(
        0, "Nothing removed", "None of the attachments was found on the record; list those that it has."
    ),
    "deadline_exceeded": Code(
        0, "Deadline exceeded", "It could not be worked off in 24 hours; send it again under a new key."
    ),
    "internal_error": Code(
        0, "Internal error", "A fault of ours; send it again under a new key, and tell us the mutation id."
    ),
}

# What has happened, for somebody who knows neither the codes nor the protocol.
OUTCOME_REASONS: Final[dict[str, str]] = {
    "source_not_found": "The file's server says that there is no file at this URL.",
    "source_forbidden": "The file's server refused to hand the file out; a signed URL may have expired.",
    "source_unreachable": "The file's server, or one that it redirects to, could not be reached, or was too slow.",
    "source_error": "The file's server answered with an error of its own.",
    "source_incomplete": "The download broke off before the whole file had come.",
    "too_many_redirects": "The URL leads to another one, and that on and on.",
    "too_large": "The file has more bytes than a file by URL may have.",
    "empty_file": "The file is empty: it has not one byte.",
    "content_type_mismatch": "The file is something else than its name or type says, such as a web page named cv.pdf.",
    "unsupported_content_type": "The file is of a type that is not accepted.",
    "unsafe_content": "The file could do harm to whoever opens it.",
    "staged_object_lost": "Our own copy of the file was gone before it could be stored.",
    "attachment_not_found": "The record has no such attachment.",
    "record_not_found": "There was no such record when this mutation had its turn.",
    "record_erased": "Somebody had the record erased before this mutation had its turn.",
    "version_conflict": "The record was no longer at the version that the request named in If-Match.",
    "not_found": "The temporary file was not there, or no longer.",
    "already_assigned": "Another mutation had taken the temporary file before.",
    "sandbox_reset": "The sandbox was emptied before this mutation had its turn.",
    "no_file_stored": "Every file of this mutation failed.",
    "nothing_removed": "The record has none of the attachments that were to be removed.",
    "deadline_exceeded": "It stood still for 24 hours, so it was given up; what held it up was on our side.",
    "internal_error": "A fault of ours ended it; the logs of that time tell which.",
}

# Of these, what a file by URL or base64 can end with; each can be rehearsed in the sandbox (docs/sandbox.md).
FILE_OUTCOMES: Final = (
    "source_not_found", "source_forbidden", "source_unreachable", "source_error", "source_incomplete",
    "too_many_redirects", "too_large", "empty_file", "content_type_mismatch", "unsupported_content_type",
    "unsafe_content", "staged_object_lost",
)  # fmt: skip


def explained(code: str) -> tuple[str, str]:
    """What a code says has happened, and what to do about it, in plain sentences; both empty for an unknown one."""
    known = OUTCOME_CODES.get(code) or REQUEST_CODES.get(code) or FIELD_CODES.get(code)
    return (OUTCOME_REASONS.get(code) or f"{known.title}.", known.advice) if known else ("", "")


class DependencyUnavailable(Exception):
    """MongoDB, the object store or Kafka did not do its work; nothing is lost, try again later."""

    def __init__(self, dependency: str, reason: str = "") -> None:
        super().__init__(f"{dependency} is unavailable{': ' if reason else ''}{reason}")
        self.dependency = dependency


class Undecodable(Exception):
    """A record that can never work: dead-letter it with its raw bytes."""


class BlobMissing(Exception):
    """No object has this key."""
