"""What a check of `mutation-engine doctor` says."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is wrong: a stable code, a line that says what, a line that says what to do. Never a secret."""

    code: str
    wrong: str
    todo: str
