"""Whether marked-up text is an SVG document: its root says so, in SVG's own namespace."""

from typing import Any, Final
from xml.parsers import expat

from shared.content.texts import DangerousText
from shared.limits import KIB

READ_BYTES: Final = 64 * KIB
NAMESPACE: Final = "http://www.w3.org/2000/svg"


class _Root(Exception):
    """The first element has been seen."""


def is_svg(beginning: bytes) -> bool:
    """By the first 64 KiB, which are parsed up to the root's start tag: nothing is expanded, nothing else is read.

    Raises DangerousText.
    """
    found: list[bool] = []

    def root(name: str, attributes: dict[str, str]) -> None:
        prefix, colon, local = name.rpartition(":")
        found.append(local == "svg" and attributes.get(f"xmlns{colon}{prefix}") == NAMESPACE)
        raise _Root

    def entity(*_: Any) -> None:
        raise DangerousText("it declares entities, which can be made to grow without end")

    # Expat's own namespaces would write a long one out for each of a thousand attributes.
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = root, entity
    try:
        parser.Parse(beginning, False)
    except (expat.ExpatError, _Root, ValueError, LookupError):
        return found == [True]
    return False
