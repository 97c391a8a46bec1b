"""What a file's name says of its symbol: all that tells instruments apart, and nothing else."""

from tests.cases.case import Import, csv, flat

START = {
    "1m": ["2024-01-01T00:00", "2024-01-01T00:01", "2024-01-01T00:02"], "5m": ["2024-01-01T00:00", "2024-01-01T00:05", "2024-01-01T00:10"],
    "15m": ["2024-01-01T00:00", "2024-01-01T00:15", "2024-01-01T00:30"], "1h": ["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T02:00"],
    "4h": ["2024-01-01T00:00", "2024-01-01T04:00", "2024-01-01T08:00"], "1d": ["2024-01-01", "2024-01-02", "2024-01-03"],
    "1w": ["2024-01-01", "2024-01-08", "2024-01-15"], "1M": ["2024-01-01", "2024-02-01", "2024-03-01"],
}  # fmt: skip


def text(timeframe):
    return csv(flat(START[timeframe]))


def bars(symbol, timeframe):
    return {(symbol, timeframe): [(time, close) for close, time in enumerate(START[timeframe], 1)]}


def told(name, symbol, timeframe):
    return Import(
        f"{name} is of {symbol} {timeframe}", {f"{name}.csv": text(timeframe)}, bars=bars(symbol, timeframe)
    )


def asked(name, timeframe, pattern=None, symbol=None):
    """A name that tells no symbol: with a pattern that fits it, or without one where it holds none."""
    options = ["--symbol-from-filename", pattern] if pattern else ["--symbol", "X"]
    hint = (
        f"give --symbol KRW-BTC, or --symbol-from-filename '{pattern}'"
        if pattern
        else "give --symbol KRW-BTC\n"
    )
    for special in "{}*()":
        hint = hint.replace(special, f"\\{special}")
    return Import(
        f"{name} names no symbol", {f"{name}.csv": text(timeframe)}, refused="which symbol", hint=hint,
        then=options, then_bars=bars(symbol or "X", timeframe),
    )  # fmt: skip


MANY = [
    f"2024-01-{day:02}T{hour:02}:{minute:02}"
    for day in (1, 2)
    for hour in range(24)
    for minute in (0, 15, 30, 45)
]
CASES = [
    # Contracts and tokens keep their whole name.
    told("BTCUSDT_230331-1h-2023-01", "BTCUSDT_230331", "1h"),
    told("BTC-USD-230331-1h", "BTC-USD-230331", "1h"),
    told("BTC-USD-231229-30000-C-1h", "BTC-USD-231229-30000-C", "1h"),
    told("KRW-DATA-1h", "KRW-DATA", "1h"),
    told("KRW-DATA", "KRW-DATA", "1d"),
    told("XRP_USDT_USDT-1h-futures", "XRP_USDT_USDT", "1h"),
    Import("a contract and a perpetual are two series", {"BTCUSDT-1h-2024-01.csv": text("1h"), "BTCUSDT_240329-1h-2024-01.csv": csv(flat(START["1h"], [7, 8, 9]))}, bars={**bars("BTCUSDT", "1h"), ("BTCUSDT_240329", "1h"): [(time, close) for close, time in enumerate(START["1h"], 7)]}),
    # What tools write.
    told("intraday_5min_IBM", "IBM", "5m"), told("daily_IBM", "IBM", "1d"),
    told("BTCUSD1440", "BTCUSD", "1d"), told("EURUSD240", "EURUSD", "4h"), told("EURUSD10080", "EURUSD", "1w"), told("EURUSD15", "EURUSD", "15m"),
    told("XAUUSD_D1", "XAUUSD", "1d"), told("XAUUSD_H1", "XAUUSD", "1h"), told("XAUUSD_M15", "XAUUSD", "15m"), told("XAUUSD_W1", "XAUUSD", "1w"), told("XAUUSD_MN1", "XAUUSD", "1M"), told("EURUSDH4", "EURUSD", "4h"),
    told("BINANCE_BTCUSDT, 1D", "BTCUSDT", "1d"), told("SP_SPX, 1D", "SPX", "1d"), told("NASDAQ_AAPL, 60", "AAPL", "1h"), told("BINANCE_BTCUSDT.P, 240", "BTCUSDT.P", "4h"), told("NASDAQ_AAPL, 1W (1)", "AAPL", "1w"),
    told("KRW-BTC_minute60", "KRW-BTC", "1h"), told("EUR_USD_1D", "EUR_USD", "1d"), told("data_AAPL", "AAPL", "1d"), told("binance_btc_1h", "btc", "1h"), told("AAPL_2024", "AAPL", "1d"), told("ADAUSD_1440", "ADAUSD", "1d"), told("AAPL (1)", "AAPL", "1d"),
    # Stocks that go by numbers, Yahoo's marks, Binance's months, Kraken's minutes.
    *(told(name, name, "1d") for name in ("005930", "600519", "0050", "^GSPC", "ES=F", "EURUSD=X", "005930.KS", "000001.SZ", "NA", "NULL", "nan")),
    told("005930_1m", "005930", "1m"), told("^GSPC_1d", "^GSPC", "1d"), told("BTCUSDT-1mo-2023-01", "BTCUSDT", "1M"), told("BTC-USDT-SWAP-1h", "BTC-USDT-SWAP", "1h"), told("AAPL_1wk", "AAPL", "1w"),
    told("XBTUSD_1", "XBTUSD", "1m"), told("XBTUSD_60", "XBTUSD", "1h"), told("ETHEUR_240", "ETHEUR", "4h"),
    Import("minutes in the name beat the distance of rows", {"XBTUSD_1.csv": csv(flat(["2024-01-01T00:00", "2024-01-01T00:05", "2024-01-01T00:10", "2024-01-01T00:12"]))}, bars={("XBTUSD", "1m"): [("2024-01-01T00:00", 1), ("2024-01-01T00:05", 2), ("2024-01-01T00:10", 3), ("2024-01-01T00:12", 4)]}, said=["rows are 5m apart, stored as 1m as the name says"]),
    told("AAPL_1", "AAPL", "1d"),  # the first of some files
    # Names that are none of a symbol.
    *(asked(name, "1d") for name in ("binance", "HistoricalQuotes", "HistoricalPrices", "klines", "intraday", "stock_data", "Upbit", "quotes_2024")),
    asked("kline4h", "4h"), asked("kline1M", "1M"), asked("candles_1h", "1h"),
    # Names that hold one, which cannot be told.
    asked("tcs_stock_data", "1d", "{symbol}_stock_data", "tcs"),
    asked("Bitcoin Historical Data - Investing.com", "1d", "{symbol} Historical Data - Investing.com", "Bitcoin"),
    asked("kr_005930_1h", "1h", "kr_{symbol}_{timeframe}", "005930"), asked("ak_000001_1h", "1h", "ak_{symbol}_{timeframe}", "000001"),
    asked("tv_BINANCE_BTCUSDT, 15", "15m", "tv_BINANCE_{symbol}, *", "BTCUSDT"), asked("http_yahoo_AAPL", "1d", "http_yahoo_{symbol}", "AAPL"),
    *(asked(name, "1d") for name in ("fixture_get_candles", "http_candles", "_issue0859", "api_response")),
    told("DAT_ASCII_EURUSD_H1_2024", "EURUSD", "1h"), told("DAT_MT_EURUSD_M1_202401", "EURUSD", "1m"),
    asked("20240102", "1d", "{symbol}", "20240102"),
    asked("ADA-USDT-SWAP", "1d", "{symbol}", "ADA-USDT-SWAP"),
    asked("BTCUSDT_230331", "1d", "{symbol}_*", "BTCUSDT"),
    # Other kinds of series of one symbol.
    asked("XRP_USDT_USDT-1h-mark", "1h", "{symbol}-{timeframe}-mark", "XRP_USDT_USDT"),
    asked("XRP_USDT_USDT-8h-funding_rate".replace("8h", "4h"), "4h", "{symbol}-{timeframe}-funding_rate", "XRP_USDT_USDT"),
    Import("mark prices do not overwrite trades", {"klines/BTCUSDT-1h-2024-01.csv": text("1h"), "markPriceKlines/BTCUSDT-1h-2024-01.csv": csv(flat(START["1h"], [7, 8, 9]))}, refused=r"in/markPriceKlines/BTCUSDT-1h-2024-01.csv: BTCUSDT 1h at 2024-01-01T00:00:00Z: open = 7.0 here and 1.0 in in/klines/BTCUSDT-1h-2024-01.csv", hint="import each by itself with --symbol", bars=bars("BTCUSDT", "1h"), then=["--on-conflict", "last"], then_bars={("BTCUSDT", "1h"): [(time, close) for close, time in enumerate(START["1h"], 7)]}),
    # The rows contradict the name.
    Import("six months are no timeframe", {"BTCUSDT_data_6m.csv": csv(flat(MANY))}, refused="the name seems to say 6m, and these rows are 15m apart", hint="did you mean -t 15m", then=["-t", "15m"], then_bars={("BTCUSDT", "15m"): [(time, close) for close, time in enumerate(MANY, 1)]}),
    Import("nor whatever is done with their times", {"BTCUSDT_data_6m.csv": csv(flat(MANY))}, ["--align", "floor"], refused="the name seems to say 6m, and these rows are 15m apart", hint="did you mean -t 15m", then=["-t", "15m"], then_bars={("BTCUSDT", "15m"): [(time, close) for close, time in enumerate(MANY, 1)]}),
    Import("nor where they would fit", {"BTCUSDT_data_5m.csv": csv(flat(MANY))}, refused="the name seems to say 5m, and these rows are 15m apart", hint="did you mean -t 15m", then=["-t", "15m"], then_bars={("BTCUSDT", "15m"): [(time, close) for close, time in enumerate(MANY, 1)]}),
    Import("rows with holes contradict no name", {"BTCUSDT-1m.csv": csv(flat(["2024-01-01T00:00", "2024-01-01T00:03", "2024-01-01T00:06", "2024-01-01T00:07"]))}, bars={("BTCUSDT", "1m"): [("2024-01-01T00:00", 1), ("2024-01-01T00:03", 2), ("2024-01-01T00:06", 3), ("2024-01-01T00:07", 4)]}),
    Import("a pattern that does not fit is answered by one that does", {"AAPL_data.csv": text("1d")}, ["--symbol-from-filename", "{symbol}-x"], refused="does not match the pattern '{symbol}-x'", hint="'{symbol}_data' does", then=["--symbol-from-filename", "{symbol}_data"], then_bars=bars("AAPL", "1d")),
]  # fmt: skip
