"""`mutation-engine send`: files for a record, small ones inline, others by way of a temporary upload."""

import base64
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from deploy.admin import status
from deploy.admin.gateway import Gateway
from deploy.admin.installation import installation_of
from deploy.admin.records import Candidate, Company, Record, Vacancy, the_record
from deploy.admin.terminal import FAILED, MISUSED, CommandFailed, Json, err, note, print_json, say
from shared import limits
from shared.content.media_types import EXTENSIONS

PIECE_BYTES: Final = 64 * limits.KIB
CV: Final = "CV"
FIELDS: Final = {"candidate": "otherAttachments", "company": "attachments", "vacancy": "attachments"}
Advance = Callable[[int], None]

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="At most ten.", exists=True, dir_okay=False)]
Type = Annotated[str | None, typer.Option("--type", help="What they are for, say CV or COVER_LETTER.")]
Callback = Annotated[str | None, typer.Option("--callback-url", help="Where the outcome is sent, too.")]
IdempotencyKey = Annotated[str | None, typer.Option("--idempotency-key", help="To repeat it safely; made up if none.")]
Follow = Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for the outcome, or only for the 202.")]


@dataclass(frozen=True, slots=True)
class Sending:
    """What is to be sent, to which record, and under which key."""

    record: Record
    files: Sequence[Path]
    type: str | None
    callback: str | None
    key: str

    @property
    def inline(self) -> bool:
        """Whether one request can hold them; other types than CV need an upload, and so do large or many files."""
        small = all(file.stat().st_size <= limits.BASE64_FILE_BYTES for file in self.files)
        plain = self.type is None or (self.type.upper() == CV and self.record.type == "candidate")
        return small and plain and len(self.files) <= limits.FILES_PER_FIELD and all(map(_declared, self.files))

    @property
    def steering(self) -> dict[str, str]:
        """The members that every write may have."""
        return {"idempotencyKey": self.key} | ({"callbackUrl": self.callback} if self.callback else {})


def main(
    ctx: typer.Context,
    files: Files,
    candidate: Candidate = None,
    company: Company = None,
    vacancy: Vacancy = None,
    kind: Type = None,
    callback_url: Callback = None,
    idempotency_key: IdempotencyKey = None,
    follow: Follow = True,
    as_json: Json = False,
) -> None:
    """Send files to a record, and wait for what becomes of them. Exit code 1 when not all of them were stored.

    mutation-engine send cv.pdf --candidate 019c9d2e-6a00-7000-8000-000000000002 --type CV

    mutation-engine send *.pdf --vacancy 019c9d2e-6a00-7000-8000-000000000011 --no-follow --json
    """
    record = the_record(candidate, company, vacancy)
    if len(files) > limits.FILES_PER_UPLOAD:
        raise CommandFailed(MISUSED, f"At most {limits.FILES_PER_UPLOAD} files at once; send the others after them.")
    if kind and kind.casefold() not in map(str.casefold, limits.ATTACHMENT_TYPES):
        raise CommandFailed(MISUSED, f"--type {kind!r} is none of {', '.join(limits.ATTACHMENT_TYPES)}.")
    sending = Sending(record, files, kind, callback_url, idempotency_key or str(uuid.uuid4()))
    note(f"idempotency key {sending.key}")
    with installation_of(ctx).gateway() as gateway:
        accepted = sent(gateway, sending)
        if not follow:
            print_json(accepted) if as_json else say(f"accepted: mutation-engine status {sending.key} --follow")
            return
        view = status.shown_until_ended(gateway, sending.key, as_json)
    raise typer.Exit(FAILED if status.went_wrong(view) else 0)


def sent(gateway: Gateway, sending: Sending) -> dict[str, Any]:
    """Send it; returns `data` of the 202. Raises Refused, Unreachable."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        answer = (_inline if sending.inline else _uploaded)(gateway, sending, progress)
    accepted: dict[str, Any] = answer["data"]
    return accepted


def _inline(gateway: Gateway, sending: Sending, progress: Progress) -> Any:
    field = "curriculumVitae" if sending.type else FIELDS[sending.record.type]
    files = [{"filename": file.name, "data": _data_uri(file)} for file in sending.files]
    body = orjson.dumps(sending.steering | {field: files})
    task = progress.add_task(", ".join(file.name for file in sending.files), total=len(body))
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    pieces = _pieces(body, lambda count: progress.advance(task, count))
    return gateway.post(f"{sending.record.path}/attachments", pieces, headers)


def _data_uri(file: Path) -> str:
    return f"data:{_declared(file)};base64,{base64.b64encode(file.read_bytes()).decode()}"


def _declared(file: Path) -> str | None:
    found = EXTENSIONS.get(file.suffix.removeprefix(".").lower())
    return found if found in limits.ACCEPTED_TYPES else None


def _pieces(body: bytes, advance: Advance) -> Iterator[bytes]:
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
        advance(min(PIECE_BYTES, len(body) - start))


def _uploaded(gateway: Gateway, sending: Sending, progress: Progress) -> Any:
    """Upload, then assign. A kill in between leaves uploads that expire by themselves."""
    kind = sending.type or limits.ATTACHMENT_TYPES[0]
    form = Form(sending.files, [progress.add_task(file.name, total=file.stat().st_size) for file in sending.files])
    headers = {"content-type": form.content_type, "content-length": str(form.length)}
    kept = gateway.post("/attachments/temporary", form.pieces(progress), headers, {"type": kind})
    attachments = [{"id": each["attachmentId"], "type": kind, "name": each["attachmentName"]} for each in kept]
    body = sending.steering | {"attachments": attachments, f"{sending.record.type}Id": sending.record.id}
    return gateway.call("POST", "/attachments/temporary/assign", body)


class Form:
    """Files as multipart/form-data, read while they are sent; `tasks` are their bars."""

    def __init__(self, files: Sequence[Path], tasks: Sequence[Any]) -> None:
        boundary = uuid.uuid4().hex
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._parts = [(self._head(boundary, file), file, task) for file, task in zip(files, tasks, strict=True)]
        self._end = f"--{boundary}--\r\n".encode()
        heads = sum(len(head) + 2 for head, _, _ in self._parts)
        self.length = heads + sum(file.stat().st_size for file in files) + len(self._end)

    def pieces(self, progress: Progress) -> Iterator[bytes]:
        """The body."""
        for head, file, task in self._parts:
            yield head
            with file.open("rb") as opened:
                while piece := opened.read(PIECE_BYTES):
                    yield piece
                    progress.advance(task, len(piece))
            yield b"\r\n"
        yield self._end

    @staticmethod
    def _head(boundary: str, file: Path) -> bytes:
        name = file.name.replace("\\", "%5C").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        disposition = f'Content-Disposition: form-data; name="files"; filename="{name}"'
        return f"--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
