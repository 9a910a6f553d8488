"""Which record a command is about: --candidate, --company or --vacancy, exactly one."""

from typing import Annotated, Final, NamedTuple

import typer

from deploy.admin.terminal import MISUSED, CommandFailed

PLURALS: Final = {"candidate": "candidates", "company": "companies", "vacancy": "vacancies"}

Candidate = Annotated[str | None, typer.Option(metavar="ID", help="The candidate's id.")]
Company = Annotated[str | None, typer.Option(metavar="ID", help="The company's id.")]
Vacancy = Annotated[str | None, typer.Option(metavar="ID", help="The vacancy's id.")]


class Record(NamedTuple):
    """A record by type and id."""

    type: str
    id: str

    @property
    def path(self) -> str:
        """Under which the gateway has it."""
        return f"/{PLURALS[self.type]}/{self.id}"


def the_record(candidate: str | None, company: str | None, vacancy: str | None) -> Record:
    """The one that was named; raises CommandFailed for none, several, or what can be no id."""
    given = {"candidate": candidate, "company": company, "vacancy": vacancy}
    named = [Record(kind, each) for kind, each in given.items() if each]
    if len(named) != 1:
        raise CommandFailed(MISUSED, "Name one record: --candidate ID, --company ID or --vacancy ID.")
    if not all(part.isalnum() for part in named[0].id.split("-")):
        raise CommandFailed(MISUSED, f"{named[0].id!r} is no id of a record.")
    return named[0]
