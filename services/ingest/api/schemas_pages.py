"""Pages of lists as models, for the API's description only; a test holds real answers against them."""

from datetime import datetime

from pydantic import ConfigDict

from services.ingest.api.schemas_out import Answer, Attachment, Found, Meta, Record


class PageMeta(Meta):
    """`nextCursor` leads to the next page; null at the end."""

    next_cursor: str | None


class ListedRecord(Answer):
    """A record; further members are those of the create. With `fields`, only id, version and what was chosen."""

    model_config = ConfigDict(extra="allow")
    id: str
    version: int
    created_at: datetime | None = None
    updated_at: datetime | None = None


class RecordsPage(Found):
    """Records, newest first."""

    data: list[ListedRecord]
    meta: PageMeta


class RecordsAnswer(Found):
    """Records, newest first."""

    data: list[Record]


class CountedMeta(Meta):
    """Which page this is, and how many items all pages hold; counting ends at 10,000."""

    page: int
    page_size: int
    total: int


class AttachmentsPage(Found):
    """Stored files, newest first."""

    data: list[Attachment]
    meta: CountedMeta
