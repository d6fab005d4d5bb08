"""Arrivals become records and come back; whatever is damaged ends the reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.market.arrivals import (
    ASKED,
    BAR,
    NO_SERIES,
    NOTHING,
    PASSED,
    QUOTE,
    RECORD_BYTES,
    TRADE,
    Arrival,
    five,
    pack,
    unpack,
)

NUMBERS = st.integers(-(2**63), 2**63 - 1)
ARRIVALS = st.lists(
    st.builds(
        Arrival,
        st.sampled_from([0, 1, NO_SERIES]),
        st.sampled_from([TRADE, QUOTE, BAR, ASKED, PASSED]),
        NUMBERS,
        NUMBERS,
        NUMBERS,
        st.tuples(*[st.floats(allow_nan=False)] * 5),
    ),
    max_size=6,
)
THREE = [Arrival(0, TRADE, n, n + 1, n, five((100.5, n))) for n in range(3)]


@given(ARRIVALS, st.integers(0, 2**40))
def test_what_is_packed_comes_back(arrivals: list[Arrival], place: int) -> None:
    packed = pack(arrivals, place)
    assert len(packed) == RECORD_BYTES * len(arrivals) == 80 * len(arrivals)
    assert unpack(packed, place) == arrivals


@given(st.integers(0, 239))
def test_a_flipped_bit_anywhere_ends_the_reading_before_its_record(at: int) -> None:
    damaged = bytearray(pack(THREE, 0))
    damaged[at] ^= 1
    assert unpack(bytes(damaged), 0) == THREE[: at // RECORD_BYTES]


@pytest.mark.parametrize("length", [0, 1, 79, 80, 200, 239])
def test_a_torn_end_is_left_out(length: int) -> None:
    assert unpack(pack(THREE, 0)[:length], 0) == THREE[: length // RECORD_BYTES]


def test_a_record_out_of_its_place_ends_the_reading() -> None:
    first, second, _ = (pack([each], n) for n, each in enumerate(THREE))
    assert unpack(first + first + second, 0) == THREE[:1]
    assert unpack(second, 0) == []


def test_values_are_filled_up_to_five() -> None:
    assert five((1, 2)) == (1.0, 2.0, 0.0, 0.0, 0.0)
    assert five(()) == NOTHING
