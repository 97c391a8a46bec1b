"""The hint that markets close: given where they seem to, and once."""

import pytest

from tests.support.candles import MINUTE, START


def rested(weekday_hours, *, step, weekend=False):
    """Return five weeks of bars, so many hours of each day from 14:00 on, from Monday on."""
    hours = [
        at for at in range(5 * 7 * 24) if (at // 24 % 7 < 5 or weekend) and (at - 14) % 24 < weekday_hours
    ]
    return [(START + at * 60 * MINUTE, 1, 2, 1, 2, 5) for at in hours[::step]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("timeframe", "rows", "hinted"),
    [
        (
            "1d",
            [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in range(-9100, 40) if day % 7 < 5],
            True,
        ),
        ("1d", [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in range(40) if day % 7 != 5], False),
        ("1d", [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in range(40) if day % 9], False),
        (
            "1d",
            [(START + day * 1440 * MINUTE, 1, 2, 1, 2, 5) for day in (*range(5), *range(400, 405))],
            False,
        ),
        ("1h", rested(7, step=1), True),
        ("1h", rested(7, step=5), True),
        ("1h", rested(7, step=1, weekend=True), False),
        ("1h", rested(24, step=20, weekend=True), False),
        ("1w", [(START + week * 10080 * MINUTE, 1, 2, 1, 2, 5) for week in (0, 1, 3, 4)], False),
    ],
)
def test_a_market_that_rests_at_weekends_is_hinted_at(cli, store_of, timeframe, rows, hinted):
    with store_of() as store:
        store.write("AAPL", timeframe, rows)
    hint = "if AAPL trades on an exchange with weekends, say which: mdstore calendar 'AAPL' XNYS\n"
    for arguments in (["gaps"], ["gaps", "AAPL"], ["verify"]):
        done = cli(*arguments)
        assert (f"Hint: {hint}" in done.stderr) == hinted, (arguments, done.output)
        assert done.stderr.count("Hint") == hinted
        assert "Hint" not in cli(*arguments, "--json").output
    cli("calendar", "AA*", "24/7")
    for arguments in (["gaps"], ["gaps", "AAPL"], ["verify"]):
        assert "Hint" not in cli(*arguments).stderr


def test_one_hint_is_enough_for_all(stocks):
    for arguments in (["gaps"], ["gaps", "AAP", "AAPL"], ["verify"]):
        assert stocks(*arguments).stderr.count("Hint: if AAP (and 1 more like it) trades") == 1
