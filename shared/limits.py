"""Every limit in one table, for HTTP and the command topic alike. Sizes in bytes, times in seconds."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


def readable(amount: int) -> str:
    """Bytes in the largest unit of which they are a whole number."""
    for unit, size in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", KIB)):
        if amount >= size and amount % size == 0:
            return f"{amount // size} {unit}"
    return f"{amount:,} bytes"


# Files
URL_FILE_BYTES: Final = 25 * MIB
BASE64_FILE_BYTES: Final = 5 * MIB
TEMPORARY_FILE_BYTES: Final = 50 * MIB
FILES_PER_FIELD: Final = 5
FILES_PER_UPLOAD: Final = 10
FILENAME_BYTES: Final = 255
INLINE_FILE_BYTES: Final = 256 * KIB  # decoded; what is larger is staged by ingest
INLINE_MUTATION_BYTES: Final = 512 * KIB
CONTENT_HEAD_BYTES: Final = 4 * KIB
PICTURE_POINTS: Final = 1_000_000_000  # told by the header of a PNG, GIF, WebP or BMP

# Requests
BODY_BYTES: Final = 70 * 1000 * 1000
RECORDS_PER_REQUEST: Final = 10
ATTACHMENT_IDS_PER_REQUEST: Final = 100
COMMAND_BYTES: Final = 8 * MIB  # a record on the command topic
ASSIGNED_PER_REQUEST: Final = 10
URL_LENGTH: Final = 2048
IDEMPOTENCY_KEY_PATTERN: Final = r"^[A-Za-z0-9_.:+=~@-]{1,255}$"
BYTES_IN_FLIGHT: Final = 256 * MIB  # of request bodies, a process
BODY_SECONDS: Final = 60.0
TENANT_RATE: Final = 1000  # requests a second of a tenant in the long run, a process
TENANT_BURST: Final = 2000  # at once
TENANT_SHARE: Final = 0.75  # of the bytes in flight and of the uploads at once, at most

# Waiting for the end of a mutation
WAIT_SECONDS: Final = 60
STREAM_SECONDS: Final = 300  # of events; then the client comes again
MUTATIONS_WATCHED: Final = 512  # that clients wait for at once, a process; each client holds a connection

# Lists
PAGE_SIZE: Final = 100  # at most
PAGE_SIZE_DEFAULT: Final = 25
RECORDS_FOUND: Final = 10  # by e-mail or telephone number
ATTACHMENTS_LISTED: Final = 10_000  # pages and totals of GET /attachments end there

# Temporary uploads
UPLOAD_SECONDS: Final = 900.0  # for the client's part of a request
UPLOAD_OVERHEAD_BYTES: Final = 64 * KIB  # of a request beside its files
UPLOADS_AT_ONCE: Final = 64  # requests, a process
UPLOAD_KEPT_SECONDS: Final = 24 * 3600
UPLOAD_QUOTA_BYTES: Final = 10 * 1024 * MIB  # unassigned, a tenant
UPLOAD_QUOTA_FILES: Final = 5000
KEPT_AFTER_DEADLINE_SECONDS: Final = 3600  # an assign keeps its uploads until its deadline and so long
UPLOAD_LONGEST_SECONDS: Final = 72 * 3600  # from the upload on, however many assigns are under way

# Mutations
DEADLINE_SECONDS: Final = 24 * 3600
KEPT_SECONDS: Final = 90 * 24 * 3600
WINDOW_LEAST: Final = 50
MAX_TRIES: Final = 3
FETCHER_TRIES: Final = 2  # within one of them
UNREADABLE_TRIES: Final = 1
ANNOUNCEMENT_TRIES: Final = 1

# Downloads
DOWNLOAD_SECONDS: Final = 60.0  # all tries of one file, from the first connect
DOWNLOAD_TRIES: Final = 3
DOWNLOADS_IN_FLIGHT: Final = 512
DOWNLOADS_PER_HOST: Final = 16
REDIRECTS: Final = 3
SPOOL_MEMORY_BYTES: Final = 1 * MIB

# Answers of origins and receivers
FRAMING_BYTES: Final = 512 * KIB  # headers, interim answers, chunk lines; and as many again as there is content

# Callbacks
CALLBACK_SECONDS: Final = 15.0
CALLBACK_ANSWER_BYTES: Final = 2 * KIB
SECRET_OVERLAP_SECONDS: Final = 24 * 3600  # for which older secrets sign beside a new one, unless told otherwise
SECRET_OVERLAP_MOST_SECONDS: Final = 30 * 24 * 3600

# What operators do at once
DELIVERIES_RESENT: Final = 1000  # in one request
DEAD_LETTERS_READ: Final = 10_000  # of a topic
DEAD_LETTER_SECONDS: Final = 10.0  # for reading them
REASON_SHOWN: Final = 500  # characters: a dead letter must fit where its record did

IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/heic", "image/heif")
OOXML: Final = "application/vnd.openxmlformats-officedocument"
DOCUMENT_TYPES: Final = (
    "application/pdf",
    "application/msword",
    f"{OOXML}.wordprocessingml.document",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.ms-excel",
    f"{OOXML}.spreadsheetml.sheet",
    "application/vnd.ms-powerpoint",
    f"{OOXML}.presentationml.presentation",
)
TEXT_TYPES: Final = ("text/plain", "text/markdown", "text/csv", "application/rtf")
STRUCTURED_TYPES: Final = ("application/json", "application/xml")
ACCEPTED_TYPES: Final = frozenset(IMAGE_TYPES + DOCUMENT_TYPES + TEXT_TYPES + STRUCTURED_TYPES)
# What a file is for; read without regard to case. `unassigned` is what a temporary upload has without a type.
ATTACHMENT_TYPES: Final = (
    "unassigned", "CV", "COVER_LETTER", "ID_DOCUMENT", "QUESTIONNAIRE", "PERSONALITY_TEST", "OFFER", "TRANSCRIPT",
    "TERMS_AND_CONDITIONS", "JOB_DESCRIPTION", "SCORECARD", "CANDIDATE_BRIEFING", "SHORTLISTED_CVS", "MEETING_VIDEO",
    "AUDIO", "OUTPUT", "WORD_REPORT_EXPORT_TEMPLATE", "PPTX_REPORT_EXPORT_TEMPLATE", "ExportedTemplatedReport",
    "ExportedTemplatedCv", "IMPORT_CSV", "LOGO", "FAVICON", "NOTE_TAKER_IMAGE",
)  # fmt: skip
# Of temporary uploads; image/x-icon is another name of image/vnd.microsoft.icon.
TEMPORARY_TYPES: Final = frozenset(
    {"application/pdf", "application/msword", f"{OOXML}.wordprocessingml.document", f"{OOXML}.spreadsheetml.sheet"}
    | {"image/jpeg", "image/png", "image/gif", "image/bmp", "image/webp", "image/tiff", "image/svg+xml"}
    | {"image/vnd.microsoft.icon"}
)
