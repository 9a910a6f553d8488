"""What candidates, companies and vacancies are made of: the models of their creates, updates and attachments.

Create and update share one class of members for each type, so they can't differ.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from services.ingest import fields
from services.ingest.schemas import Files, FilesPayload, Payload, RecordPayload, UpdatePayload


def _elsewhere(plural: str, files: type[FilesPayload]) -> dict[str, str]:
    return dict.fromkeys(files.file_types, f"POST /{plural}/{{id}}/attachments")


class Address(Payload):
    """A postal address; `street` may hold more than the street, `country` is ISO 3166, two letters."""

    street: fields.Name | None = None
    postal_code: fields.PostalCode | None = None
    city: fields.Name | None = None
    region: fields.Name | None = None
    country: fields.Country | None = None


class RecordFields(Payload):
    """What every record may have: the client's own id and labels, a language tag, and members of the client's own."""

    external_id: fields.ExternalId | None = None
    tags: Annotated[list[fields.Tag], Field(max_length=50)] | None = None
    locale: fields.Locale | None = None
    custom_fields: fields.CustomFields | None = None


class CandidateFields(RecordFields):
    """A candidate. E-mail addresses are stored with a lower-case domain, telephone numbers as digits behind a `+`."""

    first_name: fields.Name | None = None
    last_name: fields.Name | None = None
    headline: fields.Name | None = None
    summary: fields.Prose | None = None
    email: fields.Email | None = None
    phone: fields.Phone | None = None
    date_of_birth: fields.Date | None = None
    address: Address | None = None
    links: Annotated[list[fields.Link], Field(max_length=20)] | None = None


class CandidateFiles(FilesPayload):
    """Files for a candidate, at least one; a field takes at most five in one request."""

    file_types: ClassVar = {"curriculumVitae": "CV", "otherAttachments": None}
    curriculum_vitae: Files | None = None
    other_attachments: Files | None = None


class CandidatePayload(CandidateFields, CandidateFiles, RecordPayload):
    """A new candidate: every member is optional, but one is needed; null is the same as leaving out."""


class CandidateUpdate(CandidateFields, UpdatePayload):
    """New values of a candidate's members, at least one; arrays and objects replace, null clears."""

    elsewhere = _elsewhere("candidates", CandidateFiles)


class CompanyFields(RecordFields):
    """A company. E-mail addresses are stored with a lower-case domain, telephone numbers as digits behind a `+`."""

    name: fields.Name | None = None
    industry: fields.Name | None = None
    description: fields.Prose | None = None
    website: fields.Link | None = None
    email: fields.Email | None = None
    phone: fields.Phone | None = None
    address: Address | None = None


class CompanyFiles(FilesPayload):
    """Files for a company, at least one, at most five."""

    file_types: ClassVar = {"attachments": None}
    attachments: Files | None = None


class CompanyPayload(CompanyFields, CompanyFiles, RecordPayload):
    """A new company: every member is optional, but one is needed; null is the same as leaving out."""


class CompanyUpdate(CompanyFields, UpdatePayload):
    """New values of a company's members, at least one; arrays and objects replace, null clears."""

    elsewhere = _elsewhere("companies", CompanyFiles)


class VacancyFields(RecordFields):
    """A vacancy. Nobody looks whether a company has the id in `companyId`."""

    title: fields.Name | None = None
    description: fields.Prose | None = None
    location: fields.Name | None = None
    employment_type: fields.EmploymentType | None = None
    status: fields.VacancyStatus | None = None
    openings: fields.Openings | None = None
    company_id: fields.RecordId | None = None


class VacancyFiles(FilesPayload):
    """Files for a vacancy, at least one, at most five."""

    file_types: ClassVar = {"attachments": None}
    attachments: Files | None = None


class VacancyPayload(VacancyFields, VacancyFiles, RecordPayload):
    """A new vacancy: every member is optional, but one is needed; null is the same as leaving out."""


class VacancyUpdate(VacancyFields, UpdatePayload):
    """New values of a vacancy's members, at least one; arrays and objects replace, null clears."""

    elsewhere = _elsewhere("vacancies", VacancyFiles)
