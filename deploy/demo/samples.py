"""Files made on the spot, fake data only: a PDF by fpdf2, a PNG by pillow, cheap PDFs of an exact size for load."""

import io
import os

from fpdf import FPDF
from PIL import Image, ImageDraw

UNIQUE_BYTES = 48


def curriculum_vitae(name: str = "Test Person") -> bytes:
    """A one-page PDF; a random line makes its bytes unique."""
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=20)
    pdf.cell(text=f"Curriculum vitae of {name}", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Helvetica", size=11)
    lines = ["test.person@example.test", "A person that does not exist.", f"Reference {os.urandom(8).hex()}"]
    pdf.multi_cell(w=0, text="\n".join(lines))
    return bytes(pdf.output())


def photograph(width: int = 320, height: int = 200) -> bytes:
    """A PNG with a random background."""
    red, green, blue = os.urandom(3)
    image = Image.new("RGB", (width, height), (red, green, blue))
    ImageDraw.Draw(image).text((20, 20), "Test Person", fill="white")
    stored = io.BytesIO()
    image.save(stored, "PNG")
    return stored.getvalue()


def padded_pdf(size: int) -> tuple[bytes, bytes]:
    """Head and tail of a valid PDF of exactly `size` bytes; `UNIQUE_BYTES` printable bytes of your own belong between.

    They stand in a comment. Head and middle have lengths that divide by three, so they can be encoded to base64 apart.
    """
    head = b"%PDF-1.4\n%%%"
    empty = _tail(b"", len(head) + UNIQUE_BYTES)
    return head, _tail(os.urandom(size - len(head) - UNIQUE_BYTES - len(empty)), len(head) + UNIQUE_BYTES)


def _tail(content: bytes, position: int) -> bytes:
    stream = b"<< /Length %010d >>\nstream\n%s\nendstream" % (len(content), content)
    written, table = b"\n", b"0000000000 65535 f \n"
    for number, body in enumerate(
        (b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>", stream), start=1
    ):
        table += b"%010d 00000 n \n" % (position + len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    trailer = b"xref\n0 4\n%strailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%010d\n%%%%EOF\n"
    return written + trailer % (table, position + len(written))
