"""Candle files as people keep them in public repositories: right at once, or after one printed hint.

Each is imported as a newcomer would and compared, row by row and to the last bit, with a reading by pandas that
is written here. What is refused for good is in `REFUSED`, with the reason.
"""

import json
import zipfile
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd
import pytest

from tests.support.real import real

FIELDS = ("open", "high", "low", "close", "volume")
SUFFIXES = {"K": 1_000, "M": 1_000_000, "B": 1_000_000_000}


def plain(text):
    return float(text)


def grouped(text):
    """1,010.5 and 41.15K and $10; - is none."""
    text = text.strip().lstrip("$").replace(",", "")
    if text == "-":
        return 0.0
    return float(Decimal(text.rstrip("KMB")) * SUFFIXES.get(text[-1], 1))


def of_commas(text):
    """104.053,40 and 41,15K."""
    return grouped(text.replace(".", "").replace(",", "."))


def table(names, day=None, number=plain, floor=None, **options):
    """Return what reads a CSV file: `names` are its columns for time, open, high, low, close and volume."""

    def read(path):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, **options)
        frame.columns = [str(name).strip() for name in frame.columns]
        return canonical(frame, names.split("|"), day, number, floor)

    return read


def canonical(frame, names, day, number, floor):
    frame = frame[(frame[names[1]].str.strip() != "")]
    made = pd.DataFrame({"time": day(frame[names[0]]) if callable(day) else dates(frame[names[0]], day)})
    for field, name in zip(FIELDS, names[1:], strict=False):
        made[field] = frame[name].map(number)
    if "volume" not in made:
        made["volume"] = 0.0
    if floor is not None:
        made["time"] = made["time"].map(floor)
    return made


def dates(column, pattern):
    return pd.to_datetime(column.str.strip().str.rstrip(","), format=pattern, utc=True)


def epoch(unit):
    return lambda column: pd.to_datetime(column.astype("int64"), unit=unit, utc=True)


def local_date(column):
    return pd.to_datetime(column.str.slice(0, 10), utc=True)


def day_start(time):
    return time.normalize()


def month_start(time):
    return time.normalize().replace(day=1)


def arrays(order="tohlcv", unit="ms"):
    """Return what reads JSON arrays whose places are of `order`."""

    def read(path):
        document = json.loads(path.read_text())
        return of_rows(rows_in(document), order, unit)

    return read


def rows_in(document):
    return document if isinstance(document, list) else document["result"]["list"]


def of_rows(rows, order, unit):
    places = {letter: at for at, letter in enumerate(order)}
    made = {"time": pd.to_datetime([int(row[places["t"]]) for row in rows], unit=unit, utc=True)}
    letters = dict(zip(FIELDS, "ohlcv", strict=True))
    return pd.DataFrame(
        made | {field: [float(row[places[letters[field]]]) for row in rows] for field in FIELDS}
    )


def objects(path_in, names, day=None, floor=None):
    """Return what reads JSON objects: `path_in` finds them in the document."""

    def read(path):
        frame = pd.DataFrame(path_in(json.loads(path.read_text()))).astype(str)
        return canonical(frame, names.split("|"), day, plain, floor)

    return read


def of_symbol(read, column, symbol, as_time=None):
    """Return what reads the rows of one symbol of a CSV file."""

    def rows(path):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        return canonical(frame[frame[column] == symbol], read.split("|"), as_time, plain, None)

    return rows


def stocks_json(path):
    columns = json.loads(path.read_text())
    frame = pd.DataFrame({name: list(values.values()) for name, values in columns.items()}).astype(str)
    return canonical(frame, "Date|Open|High|Low|Close|Volume".split("|"), epoch("ms"), plain, None)


def alpha_vantage(path):
    rows = json.loads(path.read_text())["Monthly Time Series"]
    frame = pd.DataFrame([{"date": day, **row} for day, row in rows.items()])
    return canonical(
        frame, "date|1. open|2. high|3. low|4. close|5. volume".split("|"), None, plain, month_start
    )


def snapshot(symbol):
    return objects(
        lambda document: document[symbol]["1D_history"], "date|open|high|low|close|volume", floor=day_start
    )


def parquet(path):
    frame = pd.read_parquet(path)
    if "Date" not in frame.columns:
        frame = frame.reset_index()
    made = frame.rename(columns=str.lower)[["date", *FIELDS]].rename(columns={"date": "time"})
    made["time"] = pd.to_datetime(made["time"].map(lambda time: str(time)[:10]), utc=True)
    return made.astype(dict.fromkeys(FIELDS, float))


def member(path, **options):
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        return pd.read_csv(file, dtype=str, **options)


def lean(number, day):
    def read(path):
        frame = member(path, header=None, names=["time", *FIELDS])
        made = pd.DataFrame({"time": day(frame["time"])})
        for field in FIELDS:
            made[field] = frame[field].map(float if field == "volume" else number)
        return made

    return read


def lean_minutes(column):
    local = pd.Timestamp("2014-06-05", tz="America/New_York") + pd.to_timedelta(
        column.astype("int64"), unit="ms"
    )
    return local.dt.tz_convert("UTC")


def quandl(symbol):
    def read(path):
        frame = member(path)
        return canonical(
            frame[frame["ticker"] == symbol], "date|open|high|low|close|volume".split("|"), None, plain, None
        )

    return read


def workbook(path):
    frame = pd.read_excel(path, engine="calamine")
    made = frame.rename(columns={frame.columns[0]: "time"})[["time", *FIELDS]]
    made["time"] = pd.to_datetime(made["time"], utc=True).dt.normalize()
    return made.drop_duplicates("time", keep="last").astype(dict.fromkeys(FIELDS, float))


def kept(read):
    """Return what reads a file without the rows that break a rule: its hint sets them aside."""

    def rows(path):
        frame = read(path)
        return frame[
            (frame["low"] <= frame[["open", "close"]].min(axis=1))
            & (frame["high"] >= frame[["open", "close"]].max(axis=1))
            & frame["volume"].notna()
        ]

    return rows


def dukascopy(column):
    return pd.to_datetime(column.str.replace("GMT", ""), format="%d.%m.%Y %H:%M:%S.%f %z", utc=True)


def two_columns(first, second, pattern):
    """Return what reads a headerless file with a date and a time of day."""

    def read(path):
        names = [first, second, *FIELDS]
        frame = pd.read_csv(
            path, dtype=str, header=None, names=names, keep_default_na=False, encoding="utf-8-sig"
        )
        frame["when"] = frame[first] + " " + frame[second]
        frame = frame[frame[second] != ""]
        return canonical(frame, ["when", *FIELDS], pattern, lambda text: float(text or "nan"), None)

    return read


@dataclass(frozen=True)
class Found:
    """A file: the series in it, and the arguments that its hints say, one after the other."""

    folder: str
    series: dict
    hints: tuple = ()


X = ["--symbol", "X"]
NO_VOLUME = ["--volume", "none"]
PLAIN = "date|open|high|low|close|volume"
TITLED = "Date|Open|High|Low|Close|Volume"
INVESTING = table("Date|Open|High|Low|Price|Vol.", "%b %d, %Y", grouped, encoding="utf-8-sig")
BITFINEX = table("Date|Open|High|Low|Price|Vol.", "%b %d, %Y", grouped, sep=";", encoding="utf-8-sig")
IN_RUSSIAN = "Дата|Откр.|Макс.|Мин.|Цена|Объём"
BTC_15M = {("btc", "15m"): table("datetime|open|high|low|close", "%Y-%m-%d %H:%M:%S")}
FILES = (
    Found("crypto/00", {("BTCUSDT", "1d"): table(TITLED, "%m/%d/%Y")}),
    Found("crypto/01", {("ADAUSDT", "1d"): objects(lambda document: document, PLAIN, floor=day_start)}, (["--align", "floor"],)),
    Found("crypto/02", {(symbol, "1d"): snapshot(symbol) for symbol in ("ETHUSDT", "SOLUSDT", "XRPUSDT", "BTCUSDT", "ADAUSDT")}, (["--align", "floor"],)),
    Found("crypto/03", {("X", "1M"): arrays()}, (X,)),
    Found("crypto/04", {("X", "1d"): arrays()}, ([*X, "-t", "1d"],)),
    Found("crypto/05", {("BTCUSD", "1d"): table("0|1|2|3|4|5", "%Y-%m-%d %H:%M", sep="\t", header=None)}),
    Found("crypto/06", {("AAVE-PERP", "1d"): table(PLAIN, epoch("ms"))}),
    Found("crypto/07", BTC_15M, (NO_VOLUME,)),
    *(Found(f"crypto/{number}", {("X", "1d"): INVESTING}, (X,)) for number in ("09", "17", "32")),
    Found("crypto/10", {("BTCUSD", "1d"): lean(float, lambda column: pd.to_datetime(column, format="%Y%m%d %H:%M", utc=True))}),
    Found("crypto/11", {("BTC_USDT", "1d"): table(PLAIN.replace("date", "timestamp"))}),
    Found("crypto/12", {("KRW-BTC", "1d"): table(TITLED)}),
    Found("crypto/13", {("btcusdt", "15m"): table(PLAIN.replace("date", "timestamp"))}, (["-t", "15m"],)),
    Found("crypto/14", {("X", "15m"): table(PLAIN.replace("date", "timestamp"), lineterminator="\r")}, (X,)),
    Found("crypto/15", {("X", "1m"): arrays("tochlv")}, (X,)),
    Found("crypto/16", {("BTCUSD", "1d"): table("<DATE>|<OPEN>|<HIGH>|<LOW>|<CLOSE>|<TICKVOL>", "%Y.%m.%d", sep="\t")}),
    Found("crypto/18", {("bitcoin", "1d"): table(TITLED, number=grouped)}),
    Found("crypto/19", {("BTC", "1m"): objects(lambda document: document, "t (N)|o (N)|h (N)|l (N)|c (N)|v (N)", epoch("s"))}),
    Found("crypto/20", BTC_15M, (NO_VOLUME,)),
    Found("crypto/21", {("btc", "1d"): workbook}, (["--align", "floor"],)),
    *(Found(f"crypto/{number}", {("BTC_USD", "1w@Sun"): BITFINEX}, (["-t", "1w@Sun"],)) for number in ("22", "35")),
    Found("crypto/23", {("BTC-USDT", "15m"): table(PLAIN.replace("date", "datetime"))}),
    Found("crypto/24", BTC_15M, (NO_VOLUME,)),
    Found("crypto/25", {("X", "1d"): table(PLAIN.replace("date", "Unnamed: 0"), floor=day_start)}, ([*X, "--align", "floor"],)),
    Found("crypto/26", {("BTCUSD", "1M"): table(TITLED.replace("Date", "Unnamed: 0"), floor=month_start)}, (["-t", "1M", "--align", "floor"],)),
    Found("crypto/27", BTC_15M, (NO_VOLUME,)),
    Found("crypto/29", {("X", "1h"): objects(lambda document: document["candles"], PLAIN.replace("date", "start"), epoch("s"))}, (X,)),
    *(Found(f"crypto/{number}", {("X", "5m"): arrays()}, (X,)) for number in ("30", "33")),
    Found("crypto/31", {("ADAUSD", "1d"): table("0|1|2|3|4|5", epoch("s"), header=None)}),
    Found("crypto/34", {("1000CATUSDT", "1d"): arrays()}),
    Found("equities/00", {("NSE-TATAGLOBAL", "1d"): table("Date|Open|High|Low|Close|Total Trade Quantity", "%m/%d/%Y")}),
    Found("equities/01", {("X", "1d"): table("Date|OPEN|HIGH|LOW|close|VOLUME", "%d-%b-%Y", grouped, encoding="utf-8-sig")}, (X,)),
    Found("equities/02", {("EURUSD", "1d"): table("0|1|2|3|4|5", "%Y.%m.%d", header=None)}),
    Found("equities/03", {("X", "3m"): table(TITLED.replace("Date", "Timestamp"))}, (X,)),
    Found("equities/04", {("0050", "1d"): table(TITLED.replace("Volume", "Capacity"))}),
    Found("equities/05", {("000001.SZ", "1d"): table(PLAIN.replace("date", "Unnamed: 0"))}),
    Found("equities/06", {("AAPL", "1d"): parquet}),
    Found("equities/07", {("X", "1d"): stocks_json}, (X,)),
    Found("equities/08", {("AAPL", "1m"): lean(lambda text: int(text) / 10_000, lean_minutes)}),
    Found("equities/09", {("SPY", "1d"): lean(lambda text: int(text) / 10_000, lambda column: pd.to_datetime(column, format="%Y%m%d %H:%M", utc=True))}),
    Found("equities/10", {("600519", "1d"): table(PLAIN)}),
    Found("equities/11", {("SBER", "1w@Sun"): table(IN_RUSSIAN, "%d.%m.%Y", of_commas, encoding="utf-8-sig")}, (["-t", "1w@Sun"],)),
    Found("equities/12", {("epam", "1d"): table(TITLED, "%d-%b-%y", encoding="utf-8-sig")}),
    Found("equities/13", {("X", "1d"): table(TITLED.replace("Date", "Epoch"), floor=day_start)}, ([*X, "--align", "floor"],)),
    Found("equities/14", {("000001", "1d"): table(PLAIN)}),
    Found("equities/15", {("EURUSD", "10s"): table(PLAIN.replace("date", "datetime"), floor=lambda time: time.floor("10s"))}, (["-t", "10s"], ["-t", "10s", "--align", "floor"])),
    Found("equities/16", {("X", "1d"): table(PLAIN, "%Y/%m/%d", skiprows=[1])}, (X,)),
    Found("equities/17", {("X", "1d"): table("Date|Open|High|Low|Price|Vol.", "%b %d, %Y", grouped, encoding="utf-8-sig")}, (X,)),
    Found("equities/18", {("X", "1d"): table(TITLED, local_date)}, (X,)),
    Found("equities/19", {(symbol, "1d"): of_symbol(TITLED, "Company", symbol) for symbol in ("TCS.NS", "INFY.NS", "HDFCBANK.NS", "RELIANCE.NS")}),
    Found("equities/20", {("X", "1d"): table("Date|Open|High|Low|Close/Last|Volume", "%m/%d/%Y", grouped)}, (X,)),
    Found("equities/21", {("EUR_USD", "1d"): kept(two_columns("date", "clock", "%m/%d/%Y %H:%M"))}, (["--on-invalid", "quarantine"],)),
    Found("equities/22", {("EURUSD", "1m"): table("time|open|high|low|close|tick_volume", epoch("s"))}),
    Found("equities/23", {("eurusd", "1d"): table(PLAIN)}),
    Found("equities/24", {("VIX", "1d"): table("Date|VIX Open|VIX High|VIX Low|VIX Close", "%m/%d/%Y", skiprows=1)}, (NO_VOLUME,)),
    Found("equities/25", {("X", "1d"): table("Time|Open|High|Low|Last|Volume", "%m/%d/%Y")}, (X,)),
    Found("equities/26", {("X", "1d"): kept(table("Date|Open|High|Low|Close", "%m/%d/%y"))}, ([*NO_VOLUME, *X], [*NO_VOLUME, *X, "--on-invalid", "quarantine"])),
    Found("equities/27", {("EUR/USD", "1d"): table("Date|Open|High|Low|Close", "%d/%m/%Y")}, (NO_VOLUME,)),
    Found("equities/28", {("AAPL", "1d"): parquet}),
    Found("equities/29", {("AAPL", "1M"): alpha_vantage}, (["-t", "1M", "--align", "floor"],)),
    Found("equities/30", {("AAPL", "1d"): table("Date|AAPL.Open|AAPL.High|AAPL.Low|AAPL.Close|AAPL.Volume")}),
    Found("equities/31", {("MTLR", "1d"): table(IN_RUSSIAN, "%d.%m.%Y", of_commas, sep="\t")}),
    Found("equities/32", {(symbol, "1d"): quandl(symbol) for symbol in ("AAPL", "BRK_A", "MSFT", "ZEN")}),
    Found("equities/33", {("4063-T", "1d"): table(TITLED, local_date)}),
    Found("equities/35", {("N225", "1d"): table(TITLED)}),
    Found("equities/36", {("sp500", "1d"): table(PLAIN)}),
    Found("equities/37", {("X", "1d"): table("Date|Open|High|Low|Close", "%m/%d/%y")}, ([*NO_VOLUME, *X],)),
    Found("equities/38", {("EURUSD", "1h"): table(TITLED.replace("Date", "Local time"), dukascopy)}),
    Found("equities/39", {("X", "1d"): objects(lambda document: document, "date|open|high|low|close")}, ([*NO_VOLUME, *X],)),
    Found("equities/40", {("EURUSD", "1d"): two_columns("date", "clock", "%Y.%m.%d %H:%M")}),
    Found("equities/41", {("EURUSD", "1w@Sun"): two_columns("date", "clock", "%Y.%m.%d %H:%M")}, (["-t", "1w@Sun"],)),
    Found("equities/42", {("000017", "1d"): table(PLAIN, "%Y/%m/%d")}),
    Found("equities/43", {("000001.SZ", "1d"): table("trade_date|open|high|low|close|vol", "%Y%m%d")}),
)  # fmt: skip
# What no program could know, and why: (what the error says, what it names of the file)
REFUSED = {
    "crypto/08": ("no column for timestamp", "its rows bear no time at all"),
    "crypto/28": (
        "which timeframe",
        "one made-up row, at 39 seconds of a minute: no timeframe has bars there",
    ),
    "equities/34": ("irregularly spaced", "trades, a second or hours apart: bars of no timeframe"),
}


# Those of the default suite: each of another kind.
SAMPLE = ("crypto/02", "crypto/09", "crypto/16", "crypto/22", "crypto/25", "crypto/28", "equities/11", "equities/19", "equities/24", "equities/30", "equities/38")  # fmt: skip
DOSES = [
    pytest.param(one, id=one.folder, marks=[] if one.folder in SAMPLE else [pytest.mark.long])
    for one in FILES
]


def file_in(folder):
    return next(real("found", folder).iterdir())


@pytest.mark.parametrize("found", DOSES)
def test_a_file_is_right_at_once_or_after_its_hint(cli, store_of, found):
    path = file_in(found.folder)
    arguments = []
    for following in found.hints:
        refused = cli("import", path, *arguments, code=1)
        hint = refused.output.rpartition("Hint: ")[2]
        new = [one for one in following if one not in arguments and one != "X"]
        assert all(one in hint for one in new), hint
        assert len(refused.output) < 2_000
        with store_of() as store:
            assert store.series().is_empty()
        arguments = following
    cli("import", path, *arguments)
    with store_of() as store:
        assert set(store.series().select("symbol", "timeframe").rows()) == set(found.series)
        for (symbol, timeframe), read in found.series.items():
            wanted = read(path).sort_values("time")
            stored = store.candles(symbol, timeframe)
            assert stored["timestamp"].dt.epoch("ms").to_list() == [
                time.value // 10**6 for time in wanted["time"]
            ]
            for field in FIELDS:
                assert stored[field].to_list() == wanted[field].to_list()


@pytest.mark.parametrize("folder", REFUSED)
def test_what_no_program_could_know_is_refused(cli, store_of, folder):
    said, _ = REFUSED[folder]
    output = cli("import", file_in(folder), code=1).output
    assert said in output
    assert "Hint: " in output
    with store_of() as store:
        assert store.series().is_empty()


def test_every_found_file_has_its_place():
    folders = {
        f"{kind.name}/{one.name}"
        for kind in real("found").iterdir()
        if kind.is_dir()
        for one in kind.iterdir()
    }
    placed = [found.folder for found in FILES]
    assert sorted([*placed, *REFUSED]) == sorted(folders)
    at_once_or_after_one = [found for found in FILES if len(found.hints) <= 1]
    assert len(at_once_or_after_one) >= 0.9 * len(folders)
