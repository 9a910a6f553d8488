"""How origins of files and receivers of callbacks misbehave, and what the engine makes of each."""

import asyncio
import gzip
from collections import Counter
from dataclasses import dataclass
from typing import Final

from deploy.lab.raw import OK, Answer, answered, drips, floods, moved, resets, sends, stalls
from shared.limits import MIB

STORED: Final = "stored"
UNREACHABLE: Final = "source_unreachable"
BROKEN, TIMEOUT = "broken", "timeout"  # words of shared/deliveries.py for attempts without a status
PDF: Final = b"Content-Type: application/pdf"
LOGIN: Final = b"<!DOCTYPE html><html><body><form>Sign in</form></body></html>"
PRIVATE: Final = "http://169.254.169.254/latest/meta-data/"
FAILURES_FIRST: Final = 2  # of what is flaky


def _pdf() -> bytes:
    written, table = b"%PDF-1.4\n", b"0000000000 65535 f \n"
    for number, body in enumerate((b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"), 1):
        table += b"%010d 00000 n \n" % len(written)
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    trailer = b"xref\n0 3\n%strailer\n<< /Size 3 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return written + trailer % (table, len(written))


GOOD_FILE: Final = _pdf()


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is done under a path; `file` is the outcome code of a file from there, or `stored`.

    `callback` is what an attempt to call back there ends with: a status (2xx: delivered; 410: gone, for good; others
    are tried again), or the word of an attempt without one. `slow`: it takes all the time that the engine gives it.
    """

    path: str
    does: str
    file: str
    callback: int | str
    answer: Answer
    slow: bool = False


def flaky() -> Answer:
    """Fails at first, then is good, then fails again; each query string is counted by itself."""
    asked: Counter[str] = Counter()

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        asked[path] += 1
        good = asked[path] % (FAILURES_FIRST + 1) == 0
        writer.write(answered(b"200 OK", GOOD_FILE, PDF) if good else answered(b"503 X", b"", b"Retry-After: 0"))

    return answer


def behaviours() -> list[Behaviour]:
    """All of them, in the order of the index page; what is flaky begins anew."""
    bomb = gzip.compress(b"\0" * 20 * MIB)
    page = answered(b"200 OK", LOGIN, PDF)
    return [
        Behaviour("/good", "a small PDF", STORED, 200, sends(answered(b"200 OK", GOOD_FILE, PDF))),
        Behaviour("/flaky", "503 twice, then a small PDF", STORED, 503, flaky()),
        Behaviour("/empty", "200 without a byte", "empty_file", 200, sends(answered(b"200 OK", b"", PDF))),
        Behaviour("/login", "a login page that says it is a PDF", "content_type_mismatch", 200, sends(page)),
        Behaviour("/401", "401", "source_forbidden", 401, sends(answered(b"401 X"))),
        Behaviour("/404", "404", "source_not_found", 404, sends(answered(b"404 X"))),
        Behaviour("/410", "410: a receiver says that it is gone for good", "source_not_found", 410,
                  sends(answered(b"410 X"))),
        Behaviour("/429", "429 with Retry-After: 1", "source_error", 429,
                  sends(answered(b"429 X", b"", b"Retry-After: 1"))),
        Behaviour("/500", "500", "source_error", 500, sends(answered(b"500 X"))),
        Behaviour("/503", "503 with Retry-After: 1", "source_error", 503,
                  sends(answered(b"503 X", b"", b"Retry-After: 1"))),
        Behaviour("/circle", "redirects to itself", "too_many_redirects", 302, sends(moved("/circle"))),
        Behaviour("/private", f"redirects to {PRIVATE}", UNREACHABLE, 302, sends(moved(PRIVATE))),
        Behaviour("/half", "announces 5,000 bytes, sends 8, and hangs up", "source_incomplete", 200,
                  sends(answered(b"200 OK", b"%PDF-1.7", PDF, b"Content-Length: 5000"))),
        Behaviour("/bomb", "20 MiB of zeros as gzip", "source_error", 200,
                  sends(answered(b"200 OK", bomb, b"Content-Encoding: gzip"))),
        Behaviour("/endless", "a body without an end, as fast as it is taken", "too_large", 200,
                  floods(OK + PDF + b"\r\n\r\n", b"x" * 65536)),
        Behaviour("/headers", "headers without an end", UNREACHABLE, BROKEN, floods(OK, b"Set-Cookie: a=b\r\n" * 3000)),
        Behaviour("/hints", "50,000 interim answers, then nothing", UNREACHABLE, BROKEN,
                  sends(b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" * 50_000)),
        Behaviour("/noise", "the greeting of another protocol", UNREACHABLE, BROKEN, sends(b"SSH-2.0-nothing\r\n")),
        Behaviour("/nothing", "hangs up without a word", UNREACHABLE, BROKEN, sends()),
        Behaviour("/reset", "resets the connection", UNREACHABLE, BROKEN, resets),
        Behaviour("/hanging", "says nothing, and does not hang up", UNREACHABLE, TIMEOUT, stalls, slow=True),
        Behaviour("/slow", "a byte of the body at a time", UNREACHABLE, 200,
                  drips(OK + PDF + b"\r\n\r\n", b"x"), slow=True),
        Behaviour("/slow-headers", "a byte of a header at a time", UNREACHABLE, TIMEOUT,
                  drips(OK + b"X: ", b"a"), slow=True),
    ]  # fmt: skip
