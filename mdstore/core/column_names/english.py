"""The names of columns in English, as exchanges and tools write them."""

from __future__ import annotations

from mdstore.core.column_names.table import Example, Table

__all__ = ["ENGLISH"]

# In order of preference. Case, spaces, dots, dashes, underscores and stars do not matter (`recognition.key`).
# Upbit's REST candles carry `timestamp` as the time of the last tick beside `candle_date_time_utc`, the bar's
# own key; so the explicit names come before the general ones. So do names that say UTC.
ENGLISH = Table(
    names={
        "symbol": (
            "symbol", "ticker", "market", "code", "pair", "instrument", "name", "stock", "s", "ts_code",
            "currency pair", "symbol_id", "token_id", "token", "coin_id", "coin", "asset", "asset_id",
            "company", "company_name", "stock_id", "stock_code", "security", "security_id", "contract",
            "isin", "tic", "ric", "secid", "instrument_id", "inst_id", "trading_pair", "symbol_name",
            "currency",
        ),
        "timeframe": ("timeframe", "interval", "resolution"),
        "timestamp": (
            "candle_date_time_utc", "candle_date_time_kst", "timestamp_utc", "datetime_utc", "date_utc", "time_utc", "open_time",
            "open_time_utc", "time_period_start", "time_open", "kline_open_time", "window_start",
            "bar_start", "start_time", "start_timestamp", "start_date", "period_start", "timestamp",
            "datetime", "date_time", "date", "trade_date", "trading_date", "trading_day", "business_date",
            "session_date", "time", "unix", "unix_time", "unix_timestamp", "epoch", "epoch_time", "t",
            "ts_event", "ts", "gmt_time", "local_time", "start", "begin", "bar_time", "time_stamp", "day",
            "index_date", "ticks",
            "date/time", "price_date", "quote_date", "timestamp_ms", "ts_ms", "mts", "dtyyyymmdd", "start_at", "open_at",
        ),
        "open": (
            "open", "opening_price", "open_price", "price_open", "o", "opn", "first", "px_open", "open_px",
            "open_value", "first_price",
            "open_index_value",
        ),
        "high": (
            "high", "high_price", "price_high", "h", "highest_price", "highest", "max", "px_high",
            "high_value", "maximum", "max_price", "day_high", "hi",
            "high_index_value",
        ),
        "low": (
            "low", "low_price", "price_low", "l", "lowest_price", "lowest", "min", "px_low", "low_value",
            "minimum", "min_price", "day_low", "lo",
            "low_index_value",
        ),
        "close": (
            "close", "trade_price", "close_price", "price_close", "close/last", "last", "c", "closing_price", "closing_index_value",
            "last_price", "price", "px_last", "px_close", "close_value", "ltp", "latest", "settle", "settle_price",
            "cls",
        ),
        "volume": (
            "volume", "candle_acc_trade_volume", "vol", "v", "qty", "volume_from", "base_volume",
            "volume_base", "base_asset_volume", "total_trade_quantity", "total_traded_quantity", "tottrdqty",
            "ttl_trd_qnty", "traded_quantity", "no_of_shares", "no_of_shrs", "shares_traded", "volume_traded",
            "trading_volume", "trade_volume", "traded_volume", "trade_qty", "px_volume", "share_volume",
            "volume_shares", "real_volume", "capacity", "quantity", "tick_volume", "tick_vol", "tickvol",
        ),
    },
    examples=(
        Example("timestamp,open,high,low,close,volume", "tohlcv"),
        Example("Date,Open,High,Low,Close,Adj Close,Volume", "tohlc-v"),
        Example("Date,Open,High,Low,Close,Volume,Dividends,Stock Splits", "tohlcv--"),
        Example(
            "market,candle_date_time_utc,candle_date_time_kst,opening_price,high_price,low_price,trade_price,"
            "timestamp,candle_acc_trade_price,candle_acc_trade_volume", "st-ohlc--v",
        ),
        Example("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>", "tdohlckv-"),
        Example("time,open,high,low,close,tick_volume,spread,real_volume", "tohlck-v"),
        Example("time,open,high,low,close,tick_volume", "tohlcv"),
        Example("Date,Price,Open,High,Low,Vol.,Change %", "tcohlv-"),
        Example("Date,Close/Last,Volume,Open,High,Low", "tcvohl"),
        Example("Date,Open,High,Low,Last,Close,Total Trade Quantity,Turnover (Lacs)", "tohl-cv-"),
        Example("Date ,series ,OPEN ,HIGH ,LOW ,PREV. CLOSE ,ltp ,close ,vwap ,VOLUME ,VALUE ", "t-ohl--c-v-"),
        Example("SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP", "s-ohlc--v-t"),
        Example("<TICKER>,<DTYYYYMMDD>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", "stohlcv"),
        Example("#Date,Open,High,Low,Close,Volume", "tohlcv"),
        Example("Epoch,Open,High,Low,Close,Volume", "tohlcv"),
        Example("Gmt time,Open,High,Low,Close,Volume", "tohlcv"),
        Example("time,price_open,price_high,price_low,price_close,volume", "tohlcv"),
        Example("time_period_start,time_period_end,price_open,price_high,price_low,price_close,volume_traded", "t-ohlcv"),
        Example("time_period_start,time_period_end,time_open,time_close,price_open,price_high,price_low,price_close,volume_traded", "t---ohlcv"),
        Example("Date,Open,min,max,Close,Volume", "tolhcv"),
        Example("startTime,time,open,high,low,close,volume", "t-ohlcv"),
        Example("start,low,high,open,close,volume", "tlhocv"),
        Example("begin,end,open,close,high,low,value,volume", "t-ochl-v"),
        Example("Date,Open*,High,Low,Close**,Volume,Market Cap", "tohlcv-"),
        Example("ticker,volume,open,close,high,low,window_start,transactions", "svochlt-"),
        Example("time,low,high,open,close,volumefrom,volumeto", "tlhocv-"),
        Example("timestamp_utc,open,high,low,close,base_volume,quote_volume", "tohlcv-"),
        Example("unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT", "utsohlcv-"),
        Example("Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price", "tohlcv--"),
        Example("Date,Open,High,Low,Close,Volume (BTC)", "tohlcv"),
        Example("1. open,2. high,3. low,4. close,5. volume,timestamp", "ohlcvt"),
        Example("timestamp,1a. open (USD),2a. high (USD),3a. low (USD),4a. close (USD),5. volume", "tohlcv"),
        Example("s (S),t (N),c (N),h (N),l (N),o (N),v (N),x (N)", "stchlov-"),
        Example("Date,Capacity,Turnover,Open,High,Low,Close,Change,Trascation", "tv-ohlc--"),
        Example("num,ts_code,trade_date,open,high,low,close,pre_close,change,pct_chg,vol,amount", "-stohlc---v-"),
        Example("open_time,open,high,low,close,volume,close_time,quote_volume,count", "tohlcv---"),
        Example("id,open,close,low,high,amount,vol,count", "toclhv--"),  # Huobi
        Example("date,high,low,open,close,volume,quoteVolume,weightedAverage", "thloc-v-"),  # Poloniex
        Example("Index Date,Open Index Value,High Index Value,Low Index Value,Closing Index Value,Volume", "tohlcv"),
    ),
)  # fmt: skip
