"""Whether marked-up text is an SVG document: its root says so, in SVG's own namespace."""

from typing import Any, Final
from xml.parsers import expat

from shared.content.texts import DangerousText
from shared.limits import KIB

READ_BYTES: Final = 64 * KIB
ROOT: Final = "http://www.w3.org/2000/svg svg"


class _Root(Exception):
    """The first element has been seen."""


def is_svg(beginning: bytes) -> bool:
    """By the first 64 KiB, which are parsed up to the root's start tag: nothing is expanded, nothing else is read.

    Raises DangerousText.
    """
    roots: list[str] = []

    def root(name: str, _: Any) -> None:
        roots.append(name)
        raise _Root

    def entity(*_: Any) -> None:
        raise DangerousText("it declares entities, which can be made to grow without end")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EntityDeclHandler = root, entity
    try:
        parser.Parse(beginning, False)
    except (expat.ExpatError, _Root, ValueError, LookupError):
        return roots == [ROOT]
    return False
