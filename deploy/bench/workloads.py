"""The workloads: what one mutation carries. Bodies are joined from parts built once, so the client stays cheap."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Final

import pybase64

from deploy.demo.samples import UNIQUE_BYTES, padded_pdf

KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Workload:
    """Every mutation is one POST /candidates with one PDF of `size` bytes, inline as base64 or by URL."""

    name: str
    size: int
    by_url: bool
    says: str


WORKLOADS: Final = {
    one.name: one
    for one in (
        Workload("W1", 100 * KIB, by_url=False, says="100 KB inline"),
        Workload("W2", 1024 * KIB, by_url=True, says="1 MB by URL"),
        Workload("W3", 1 * KIB, by_url=False, says="1 KB inline"),
    )
}


@dataclass(frozen=True, slots=True)
class Bodies:
    """Files and request bodies of one workload by number; `run` makes names and bytes unique to this run."""

    workload: Workload
    run: str
    site: str
    _file: tuple[bytes, bytes] = field(init=False)
    _request: tuple[bytes, bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        head, tail = padded_pdf(self.workload.size)
        object.__setattr__(self, "_file", (head, tail))
        person = {"firstName": "Test", "lastName": "Person", "callbackUrl": f"{self.site}/hooks/{self.run}"}
        opening = json.dumps(person, separators=(",", ":")).encode()[:-1] + b',"email":"'
        if self.workload.by_url:
            source = b'@example.test","curriculumVitae":[{"filename":"cv.pdf","url":"%s/files/' % self.site.encode()
            object.__setattr__(self, "_request", (opening, source, b'.pdf"}]}'))
        else:
            source = b'@example.test","curriculumVitae":[{"filename":"cv.pdf","data":"data:application/pdf;base64,'
            encoded = source + pybase64.b64encode(head), pybase64.b64encode(tail) + b'"}]}'
            object.__setattr__(self, "_request", (opening, *encoded))

    def unique(self, number: int) -> bytes:
        """The part of a file that no other file has."""
        return f"{self.run}-{number:08d}".encode().ljust(UNIQUE_BYTES, b"-")

    def file(self, number: int) -> bytes:
        """The bytes of one file."""
        return self.unique(number).join(self._file)

    def digest(self, number: int) -> str:
        """Its SHA-256 in hex."""
        return hashlib.sha256(self.file(number)).hexdigest()

    def request(self, number: int) -> bytes:
        """The body of one POST /candidates."""
        opening, source, closing = self._request
        unique = self.unique(number)
        middle = b"%d" % number if self.workload.by_url else pybase64.b64encode(unique)
        return b"".join((opening, b"person.%d" % number, source, middle, closing))
