"""A record is found by its e-mail address and telephone number however they are written."""

import pytest

from shared.search import email_key, phone_key, plain_phone, search_keys


@pytest.mark.parametrize(
    "email", ["Ann.Example@Example.TEST", " ann.example@example.test ", "ANN.EXAMPLE@EXAMPLE.TEST"]
)
def test_case_of_an_address_does_not_matter(email: str) -> None:
    assert email_key(email) == "e:ann.example@example.test"


def test_addresses_that_differ_in_more_than_case_stay_apart() -> None:
    assert email_key("straße@example.test") == email_key("STRASSE@example.test")
    assert email_key("ann.example@example.test") != email_key("annexample@example.test")


@pytest.mark.parametrize(
    "phone",
    ["+1 (555) 010-0199", "0015550100199", "1.555.010.0199", "1/555-0100199", "+15550100199", "+1 (0) 555 0100199"],
)
def test_punctuation_of_a_number_does_not_matter(phone: str) -> None:
    assert phone_key(phone) == "p:15550100199"


@pytest.mark.parametrize("phone", ["000 01 555", "+00 00 1 555", "+(0)(0)1 555", "00(0)01555", "0(0)1555", "+01555"])
def test_number_is_found_as_it_was_written_and_as_it_is_stored(phone: str) -> None:
    stored = plain_phone(phone)
    assert phone_key(stored) == phone_key(phone)
    assert plain_phone(stored) == stored


def test_number_without_its_country_is_another_number() -> None:
    assert phone_key("0555 0100199") == "p:05550100199"


@pytest.mark.parametrize("nothing", ["", "  ", "+", "()-", "00"])
def test_nothing_to_find_a_record_by_makes_no_key(nothing: str) -> None:
    assert phone_key(nothing) is None
    assert search_keys({"phone": nothing}) == []


def test_record_has_a_key_for_each_that_it_has() -> None:
    assert search_keys({"email": "A@example.test", "phone": "+1 555", "firstName": "Ann"}) == [
        "e:a@example.test",
        "p:1555",
    ]
    assert search_keys({"phone": "+1 555", "email": None}) == ["p:1555"]
    assert search_keys({}) == []
