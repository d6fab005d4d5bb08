"""The instrument table has the production bot's numbers."""

import pytest

from openbell.bridge import instruments
from openbell.market.errors import UsageError


@pytest.mark.parametrize(
    ("root", "dollar_per_point", "tick_size", "tick_value"),
    [
        ("MES", 5, 0.25, 1.25),
        ("MNQ", 2, 0.25, 0.5),
        ("M2K", 5, 0.1, 0.5),
        ("MYM", 0.5, 1, 0.5),
        ("MGC", 10, 0.1, 1),
    ],
)
def test_a_root_has_the_money_of_the_bots_table(
    root: str, dollar_per_point: float, tick_size: float, tick_value: float
) -> None:
    assert instruments.table()[root] == {
        "dollarPerPoint": dollar_per_point, "tickSize": tick_size, "tickValue": tick_value,
    }  # fmt: skip


def test_every_root_has_a_step_and_a_value() -> None:
    assert all(min(row.values()) > 0 for row in instruments.table().values())


def test_an_unknown_root_is_refused() -> None:
    with pytest.raises(UsageError, match="`XX` is not in the table"):
        instruments.money_of("XX")
