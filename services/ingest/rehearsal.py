"""Names of files that rehearse an outcome, in the sandbox only."""

import re
from typing import Final

from shared.errors import FILE_OUTCOMES

NAME: Final = re.compile(r"outcome-([a-z_]+)\.[^.]+")


def rehearsed(environment: str, filename: str) -> str | None:
    """The code that a file of this name ends with, before anything of it is downloaded or stored; None: see then."""
    named = NAME.fullmatch(filename) if environment == "sandbox" else None
    return named[1] if named and named[1] in FILE_OUTCOMES else None
