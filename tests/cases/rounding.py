"""Prices that miss their bounds by rounding: refused as they are, mended where that is asked for."""

import math

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv

ULP = {"tolerance": "ulp"}


def up(number, steps):
    for _ in range(abs(steps)):
        number = math.nextafter(number, math.inf if steps > 0 else -math.inf)
    return number


def bar(opened=10.5, high=11.1, low=10.1, close=10.9):
    return {"timestamp": ["2024-01-02"], "open": [opened], "high": [high], "low": [low], "close": [close], "volume": [5.0]}  # fmt: skip


def kept(opened=10.5, high=11.1, low=10.1, close=10.9):
    return {("A", "1d"): [("2024-01-02", close, 5, opened, high, low)]}


HIGH, LOW = 11.1, 10.1
ABOVE = bar(close=up(HIGH, 1))
MENDED = kept(close=up(HIGH, 1), high=up(HIGH, 1))
HINT = "it misses by rounding, which tolerance='ulp' mends"
COUNTED = {"widened": 1, "inserted": 1, "notes": ("high or low was widened by at most 4 ulp where open or close missed it by rounding",)}  # fmt: skip
FILE = {"A-1d.csv": csv({name: [repr(value) if isinstance(value, float) else value for value in values] for name, values in ABOVE.items()})}  # fmt: skip


def mended(name, data, bars, **result):
    return Write(f"{name} is mended", data, timeframe="1d", options=ULP, bars=bars, result=result or COUNTED)


CASES = [
    Write("a close above its high by one ulp", ABOVE, timeframe="1d", refused="breaks the rule 'close <= high'", hint=HINT, then=ULP, bars=MENDED),
    Write("an open above its high by two ulp", bar(opened=up(HIGH, 2)), timeframe="1d", refused="'open <= high'", hint=HINT, then=ULP, bars=kept(opened=up(HIGH, 2), high=up(HIGH, 2))),
    Write("a close below its low by four ulp", bar(close=up(LOW, -4)), timeframe="1d", refused="'low <= close'", hint=HINT, then=ULP, bars=kept(close=up(LOW, -4), low=up(LOW, -4))),
    Write("an open below its low by one ulp", bar(opened=up(LOW, -1)), timeframe="1d", refused="'low <= open'", hint=HINT, then=ULP, bars=kept(opened=up(LOW, -1), low=up(LOW, -1))),
    mended("a close above its high", ABOVE, MENDED),
    mended("pandas", pd.DataFrame(ABOVE), MENDED),
    mended("texts", pl.DataFrame(ABOVE).with_columns(pl.selectors.float().map_elements(repr, pl.String)), MENDED),
    mended("both bounds", bar(opened=up(LOW, -1), close=up(HIGH, 1)), kept(up(LOW, -1), up(HIGH, 1), up(LOW, -1), up(HIGH, 1))),
    mended("a price below zero", bar(-10.5, -10.1, -11.1, up(-10.1, 1)), kept(-10.5, up(-10.1, 1), -11.1, up(-10.1, 1))),
    mended("what needs no mending", bar(), kept(), widened=0, inserted=1, notes=()),
    Write("five ulp are no rounding", bar(close=up(HIGH, 5)), timeframe="1d", options=ULP, refused="'close <= high'", hint="^on_invalid='quarantine'", then={"on_invalid": "drop"}, bars={}),
    Write("a price of the other sign is no rounding", bar(0.0, 0.0, 0.0, 5e-324), timeframe="1d", options=ULP, bars=kept(0.0, 5e-324, 0.0, 5e-324)),
    Write("nor is one across zero", bar(-5e-324, -5e-324, -5e-324, 5e-324), timeframe="1d", options=ULP, refused="'close <= high'", hint="^on_invalid='quarantine'", then={"on_invalid": "drop"}, bars={}),
    Write("exact stays the default", bar(close=up(HIGH, 5)), timeframe="1d", refused="'close <= high'", hint="^on_invalid='quarantine'", then={"on_invalid": "drop"}, bars={}),
    Write("a tolerance of another kind", ABOVE, timeframe="1d", options={"tolerance": "1e-9"}, refused="tolerance='1e-9' is neither None nor 'ulp'", hint="tolerance='ulp'", then=ULP, bars=MENDED),
    Import("a file", FILE, refused="'close <= high'", hint="--tolerance ulp mends", then=["--tolerance", "ulp"], then_bars=MENDED),
    Import("a file that is mended says so", FILE, ["--tolerance", "ulp"], bars=MENDED, said=["widened", r"A +1d +1 +(0 +0 +)?1 ", "note: high or low was widened by at most 4 ulp"]),
]  # fmt: skip
