"""Records of the pipeline's topics that are no events."""

import pytest

from shared.errors import Undecodable
from shared.events import MutationAccepted, decode


@pytest.mark.parametrize(("body", "wrong"), [(b"{", "1 error"), (b"{}", "6 errors")])
def test_the_reason_of_a_dead_letter_counts_what_is_wrong_with_it(body: bytes, wrong: str) -> None:
    with pytest.raises(Undecodable) as raised:
        decode(MutationAccepted, body)
    assert str(raised.value) == f"not a mutation.accepted.v1: {wrong}"
