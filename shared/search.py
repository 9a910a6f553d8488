"""Keys by which records are found: storage writes them as `search` on a record, ingest makes one from a query."""

import re
from collections.abc import Mapping
from typing import Any, Final

NO_DIGIT: Final = re.compile(r"[^0-9]+")


def search_keys(fields: Mapping[str, Any]) -> list[str]:
    """The keys of a record's fields: of `email` and of `phone`, where they hold anything to find it by."""
    email, phone = fields.get("email"), fields.get("phone")
    keys = (email_key(email) if email else None, phone_key(phone) if phone else None)
    return [key for key in keys if key]


def email_key(email: str) -> str | None:
    """`e:` and the address without regard to case; None for a blank one."""
    folded = email.strip().casefold()
    return f"e:{folded}" if folded else None


def phone_key(phone: str) -> str | None:
    """`p:` and the digits; `+49` and `0049` begin the same number. None without a digit."""
    digits = plain_phone(phone).removeprefix("+")
    return f"p:{digits}" if digits else None


def plain_phone(phone: str) -> str:
    """The digits of a number; with its country a `+` comes first, also for `00`, and the `(0)` of trunk calls goes.

    What is plain stays as it is, so that a number is found as it was written and as it is stored.
    """
    digits = NO_DIGIT.sub("", phone)
    if "+" not in phone and not digits.startswith("00"):
        return digits
    return "+" + NO_DIGIT.sub("", phone.replace("(0)", "", 1)).lstrip("0")
