"""What rows say of themselves is held against what the call says of them."""

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write, csv, flat
from tests.cases.scales import zipped

TIMES = ["2024-01-02T00:00", "2024-01-02T00:05"]
BARS = [("2024-01-02T00:00", 1), ("2024-01-02T00:05", 2)]
LATE = "2024-01-02T00:10"
A5, A1 = {("A", "5m"): BARS}, {("A", "1m"): BARS}
UPBIT = [
    {"market": "KRW-BTC", "candle_date_time_utc": f"{time}:00", "opening_price": close, "high_price": close, "low_price": close,
     "trade_price": close, "timestamp": 1, "candle_acc_trade_volume": 1.0, "unit": 5}
    for time, close in (("2024-01-02T00:00", 1.0), ("2024-01-02T00:05", 2.0))
]  # fmt: skip


def says(name, data, refused, then=None, **options):
    return Write(
        name,
        data,
        refused=refused,
        hint="give the timeframe of the data",
        then=then or {"timeframe": "5m"},
        **{"bars": A5, **options},
    )


CASES = [
    says("a timeframe of another", flat(TIMES, timeframe=["5m", "5m"]), "the data says 5m in its column timeframe, and timeframe='1m'"),
    says("an interval of another", pd.DataFrame(flat(TIMES, interval=["5m", "5m"])), "the data says 5m in its column interval"),
    says("in another tool's words", pl.DataFrame(flat(TIMES, interval=["5min", "5min"])), "the data says 5min"),
    says("several timeframes", flat(TIMES, timeframe=["1m", "5m"]), "the data says 5m and 1 more in its column timeframe", {"symbol": None, "timeframe": None, "data": flat(TIMES, symbol=["A", "A"], timeframe=["1m", "5m"])}, bars={("A", "1m"): BARS[:1], ("A", "5m"): BARS[1:]}),
    says("Upbit's unit", UPBIT, "the data says 5m in its column unit, and timeframe='1m'", symbol="KRW-BTC", bars={("KRW-BTC", "5m"): BARS}),
    Write("Upbit's unit that agrees", UPBIT, symbol="KRW-BTC", timeframe="5m", bars={("KRW-BTC", "5m"): BARS}),
    Write("Upbit's unit says the timeframe", UPBIT, symbol=None, timeframe=None, bars={("KRW-BTC", "5m"): BARS}),
    Write("a unit of anything else says nothing", flat(TIMES, unit=["USD", "USD"]), bars=A1, result={"ignored": ("unit",)}),
    *(Write(f"a timeframe that agrees: {text}", flat(TIMES, timeframe=[text, text]), timeframe="5m", bars=A5) for text in ("5m", "5min", "M5", "300s", "minute5")),
    Write("a timeframe that agrees: 1D", flat(["2024-01-02"], interval=["1D"]), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 1)]}),
    Write("a timeframe that agrees: daily", flat(["2024-01-02"], interval=["daily"]), timeframe="1d", bars={("A", "1d"): [("2024-01-02", 1)]}),
    Write("rows name their timeframes in other tools' words", flat(TIMES, symbol=["A", "A"], interval=["M5", "5min"]), symbol=None, timeframe=None, bars=A5),
    *(
        Write(f"{name} of another symbol", flat(TIMES, **{name: ["B", "B"]}), bars={("A", "1m"): BARS}, refused=f"the data says 'B' in its column {name}, and symbol='A'", hint="write it as 'B', or say rename=True", then={"rename": True})
        for name in ("symbol", "market", "ticker", "code")
    ),
    Write("a symbol of another, followed by its name", flat(TIMES, symbol=["B", "B"]), bars={("B", "1m"): BARS}, refused="the data says 'B'", hint="write it as 'B'", then={"symbol": "B"}),
    Write("a code of another", flat(TIMES, code=[5930, 5930]), bars={("5930", "1m"): BARS}, refused="the data says '5930' in its column code", hint="write it as '5930'", then={"symbol": "5930"}),
    Write("a symbol of another in a later chunk", lambda: iter([pl.DataFrame(flat(TIMES[:1], symbol=["A"])), pl.DataFrame(flat(TIMES[1:], [2], symbol=["B"]))]), bars={("A", "1m"): BARS[:1], ("B", "1m"): BARS[1:]}, refused="2 symbols", hint="write_many", then={"symbol": None}),
    Write("another name for several is no name", flat(TIMES, symbol=["B", "C"]), options={"rename": True}, bars={("B", "1m"): BARS[:1], ("C", "1m"): BARS[1:]}, refused="2 symbols", hint="write_many"),
    *(
        Write(f"keep={keep!r}", flat(TIMES), options={"keep": keep}, refused=f"keep=.*{text}|{text}", hint="keep is a dict|as|give|start", then={"keep": {("A", "60m"): [("2024-01-02", None)]}}, bars=A1)
        for keep, text in (({("A", "1m"): 5}, "holds no ranges"), ([1], "holds no ranges"), ({"A": [(0, 1)]}, "holds no ranges"), ({("A", "1m"): [5]}, "holds no ranges"))
    ),
    Write("a range that is kept, its timeframe otherwise written", flat(TIMES), options={"keep": {("A", "60s"): [(None, None)]}}, bars=A1),
    Write("a symbol that agrees", flat(TIMES, symbol=["A", "A"]), bars=A1),
    Write("a symbol that is not everywhere", flat(TIMES, symbol=["A", None]), bars=A1),
    Import("-s names a file's one symbol otherwise", {"x.csv": csv(flat(TIMES, symbol=["B", "B"]))}, ["-s", "A", "-t", "1m"], refused="its symbol column says 'B', not 'A'", hint="leave --symbol out, or say --rename", then=["-s", "A", "-t", "1m", "--rename"], then_bars=A1),
    Import("-s names a zipped file's one symbol otherwise", {"x.zip": zipped("x.csv", csv(flat(TIMES, symbol=["B", "B"])))}, ["-s", "A", "-t", "1m"], refused="its symbol column says 'B', not 'A'", hint="leave --symbol out, or say --rename", then=["-t", "1m"], then_bars={("B", "1m"): BARS}),
    Import("-s that the column agrees with", {"x.csv": csv(flat(TIMES, symbol=["A", "A"]))}, ["-s", "A", "-t", "1m"], bars=A1),
    Import(
        "a later file holds other bars of a series than the file before it",
        {"z.csv": csv(flat([LATE], [5], symbol=["A"]))},
        ["-t", "1m"],
        bars={("A", "1m"): [(LATE, 5)]},
        then=["-t", "1m"],
        then_files={"a.csv": csv(flat([*TIMES, LATE], symbol=["A", "A", "B"])), "z.csv": csv(flat([LATE], [6], symbol=["A"]))},
        then_bars={("A", "1m"): [*BARS, (LATE, 6)], ("B", "1m"): [(LATE, 3)]},
    ),
    Import("-t does not overrule a column", {"A.csv": csv(flat(TIMES, timeframe=["5m", "5m"]))}, ["-t", "1m"], refused="its timeframe column says 5m, not 1m", hint="leave --timeframe out", then=[], then_bars=A5),
    Import("a column whose word is no timeframe", {"A.csv": csv(flat(TIMES, timeframe=["5", "5"]))}, refused="timeframe = 5 breaks the rule 'timeframe is a timeframe", hint="--timeframe 1h says what that is", then=["--timeframe", "5m"], then_bars=A5),
    Write("and in a call", flat(TIMES, timeframe=["5", "5"]), symbol="A", timeframe="5m", bars=A5),
    Import("-t that a column says otherwise written", {"A.csv": csv(flat(TIMES, timeframe=["M5", "M5"]))}, ["-t", "5m"], bars=A5),
    Import("a column of other tools' timeframes", {"A.csv": csv(flat(TIMES, timeframe=["M5", "M5"]))}, bars=A5),
]  # fmt: skip
