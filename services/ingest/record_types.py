"""The types of records, as data: what differs between candidates, companies and vacancies, and nothing else does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.ingest import record_schemas as schemas
from services.ingest.schemas import FilesPayload, RecordPayload, UpdatePayload


@dataclass(frozen=True, slots=True)
class RecordType:
    """One type of record: its names in ids and paths, and the models of its payloads."""

    name: str
    plural: str
    create: type[RecordPayload]
    update: type[UpdatePayload]
    attachments: type[FilesPayload]

    @property
    def files(self) -> Mapping[str, str | None]:
        """Its attachment fields, each with the attachment type that its files get."""
        return self.attachments.file_types

    @property
    def fields(self) -> list[str]:
        """The members of its records that clients write, besides files."""
        return [field.alias or name for name, field in self.update.model_fields.items()]


CANDIDATE: Final = RecordType(
    "candidate", "candidates", schemas.CandidatePayload, schemas.CandidateUpdate, schemas.CandidateFiles
)
COMPANY: Final = RecordType("company", "companies", schemas.CompanyPayload, schemas.CompanyUpdate, schemas.CompanyFiles)
VACANCY: Final = RecordType("vacancy", "vacancies", schemas.VacancyPayload, schemas.VacancyUpdate, schemas.VacancyFiles)
RECORD_TYPES: Final[Mapping[str, RecordType]] = {each.name: each for each in (CANDIDATE, COMPANY, VACANCY)}
