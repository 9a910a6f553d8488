"""Files inside a payload: `data:<type>;base64,<data>`, checked as a whole before anybody says 202."""

from dataclasses import dataclass
from typing import cast

from services.ingest.fields import refuse
from services.ingest.json_text import LongText
from shared import limits
from shared.base64text import decode, decoded_size, split_data_uri


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file that came as base64: exactly one of `text` (small: base64 as it came) and `content` (large: decoded)."""

    declared_type: str
    size: int
    text: bytes | None
    content: bytes | None

    def decoded(self) -> bytes:
        """The file's bytes."""
        return self.content if self.content is not None else decode(self.text or b"")


def inline_file(value: object) -> InlineFile:
    """The file in a data URI (RFC 2397, base64 only, canonical); raises pydantic's error with one of our codes."""
    if isinstance(value, LongText):
        if value.overlong:
            raise _too_large()
        text = cast(bytes, value.take())  # a bytearray in truth: it need not be copied
    elif isinstance(value, str):
        text = value.encode()
    else:
        raise refuse("invalid_type", "Send the text data:<type>;base64,<data>.")
    try:
        declared, encoded = split_data_uri(text)
    except ValueError as error:
        raise refuse("invalid_data_uri", f"Send data:<type>;base64,<data>; {error}.") from None
    if declared not in limits.ACCEPTED_TYPES:
        raise refuse(
            "unsupported_content_type", f"Declare one of these types: {', '.join(sorted(limits.ACCEPTED_TYPES))}."
        )
    return _checked(declared, encoded)


def _checked(declared: str, encoded: memoryview) -> InlineFile:
    size = decoded_size(encoded)
    if size > limits.BASE64_FILE_BYTES:
        raise _too_large()
    try:
        content = decode(encoded)
    except ValueError as error:
        raise refuse("invalid_base64", f"Encode the file anew: {error}.") from None
    if not content:
        raise refuse("empty_file", "Send a file with at least one byte.")
    # Small files stay base64: the ledger keeps them so, and storage decodes them.
    small = size <= limits.INLINE_FILE_BYTES
    return InlineFile(declared, size, bytes(encoded) if small else None, None if small else content)


def _too_large() -> Exception:
    most = limits.readable(limits.BASE64_FILE_BYTES)
    return refuse("file_too_large", f"Base64 files may have {most}; send larger ones by URL.")
