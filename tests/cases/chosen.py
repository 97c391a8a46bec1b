"""What a call says of columns and texts: which one is which, and in what encoding."""

import io

import pandas as pd
import polars as pl

from tests.cases.case import Import, Write

DAYS = {("A", "1d"): [("2024-01-02", 12, 5, 10, 14, 9), ("2024-01-03", 9, 7, 12, 13, 8)]}
MINUTES = {("A", "1m"): [("2024-01-02T09:30", 12, 5, 10, 14, 9), ("2024-01-02T09:31", 9, 7, 12, 13, 8)]}
ROWS = [("2024-01-02", 10, 14, 9, 12, 5), ("2024-01-03", 12, 13, 8, 9, 7)]
OWN = ("wann", "aa", "bb", "cc", "dd", "ee")
CHOICE = dict(zip(("time", "open", "high", "low", "close", "volume"), OWN, strict=True))
FLAG = ",".join(f"{meaning}={name}" for meaning, name in CHOICE.items())
TABLE = pl.DataFrame(ROWS, schema=OWN, orient="row")
CANDLES = pd.DataFrame(
    {"open": [10, 12], "high": [14, 13], "low": [9, 8], "close": [12, 9], "volume": [5, 7]},
    index=pd.DatetimeIndex(["2024-01-02", "2024-01-03"]),
)
FORMS = {
    "Polars": TABLE,
    "pandas": TABLE.to_pandas(),
    "Arrow": TABLE.to_arrow(),
    "a dict": TABLE.to_dict(as_series=False),
    "rows as dicts": TABLE.to_dicts(),
}
KOREAN = "일자,시가,고가,저가,종가,거래량\n2024-01-02,10,14,9,12,5\n2024-01-03,12,13,8,9,7\n"
IN_KOREAN = "일자,종목명,시가,고가,저가,종가,거래량\n2024-01-02,삼성전자,10,14,9,12,5\n2024-01-03,삼성전자,12,13,8,9,7\n"
JAPANESE = KOREAN.replace("일자,시가,고가,저가,종가,거래량", "日付,始値,高値,安値,終値,出来高")
CHINESE = KOREAN.replace("일자,시가,고가,저가,종가,거래량", "日期,开盘,最高,最低,收盘,成交量")
TAIWAN = KOREAN.replace("일자,시가,고가,저가,종가,거래량", "日期,開盤價,最高價,最低價,收盤價,成交股數")
RUSSIAN = KOREAN.replace("일자,시가,고가,저가,종가,거래량", "Дата,Открытие,Максимум,Минимум,Закрытие,Объём")
POLISH = KOREAN.replace(
    "일자,시가,고가,저가,종가,거래량", "Data,Otwarcie,Najwyższy,Najniższy,Zamknięcie,Wolumen"
)
SPANISH = KOREAN.replace("일자,시가,고가,저가,종가,거래량", "Fecha,Apertura,Máximo,Mínimo,Último,Vol.")
TURKISH = KOREAN.replace("일자,시가,고가,저가,종가,거래량", "Tarih,Açılış,Yüksek,Düşük,Şimdi,Hac.")  # noqa: RUF001 - Turkish
FOUND = {
    "cp949": KOREAN,
    "cp932": JAPANESE,
    "gb18030": CHINESE,
    "big5": TAIWAN,
    "cp1251": RUSSIAN,
    "cp1250": POLISH,
    "cp1252": SPANISH,
    "cp1254": TURKISH,
}
ENGLISH = "Date,Company,Open,High,Low,Close,Volume\n2024-01-02,삼성전자,10,14,9,12,5\n2024-01-03,삼성전자,12,13,8,9,7\n"
SAY = "say which it is, as --encoding cp949"
OF_SAMSUNG = {("삼성전자", "1d"): DAYS["A", "1d"]}


def written(method, frame):
    made = io.BytesIO()
    getattr(frame, method)(made)
    return made.getvalue()


CASES = [
    *(Write(f"columns of one's own names: {form}", data, timeframe="1d", options={"columns": CHOICE}, bars=DAYS) for form, data in FORMS.items()),
    *(Write(f"they are asked for: {form}", data, timeframe="1d", refused="no column for .*open, high, low, close, volume: the data has .'wann', 'aa'", hint=r"columns={'(time|open)': 'its name'}", then={"columns": CHOICE}, bars=DAYS) for form, data in FORMS.items()),
    Write("many series", TABLE.with_columns(pl.lit("A").alias("was"), pl.lit("1d").alias("takt")), symbol=None, timeframe=None, options={"columns": {**CHOICE, "symbol": "was", "timeframe": "takt"}}, bars=DAYS),
    Import("in a CSV file", {"A.csv": TABLE.write_csv()}, ["--columns", FLAG], bars=DAYS),
    Import("in JSON", {"A.json": TABLE.write_json()}, ["--columns", FLAG], bars=DAYS),
    Import("in rows a line", {"A.ndjson": TABLE.write_ndjson()}, ["--columns", FLAG], bars=DAYS),
    Import("in Parquet", {"A.parquet": written("write_parquet", TABLE)}, ["--columns", FLAG], bars=DAYS),
    Import("in Feather", {"A.feather": written("write_ipc", TABLE)}, ["--columns", FLAG], bars=DAYS),
    Import("said one by one", {"A.csv": TABLE.write_csv()}, [part for pair in FLAG.split(",") for part in ("--columns", pair)], bars=DAYS),
    Import("a name with a comma", {"A.csv": '"when, then",open,high,low,close,volume\n2024-01-02,10,14,9,12,5\n2024-01-03,12,13,8,9,7\n'}, ["--columns", '"time=when, then"'], bars=DAYS),
    Import("a name in other letters", {"A.csv": TABLE.write_csv()}, ["--columns", FLAG.upper().replace("TIME", "time").replace("OPEN", "open").replace("HIGH", "high").replace("LOW", "low").replace("CLOSE", "close").replace("VOLUME", "volume")], bars=DAYS),
    Import("a name goes before one that is known", {"A.csv": "date,open,high,low,close,last price,volume\n2024-01-02,10,14,9,1,12,5\n2024-01-03,12,13,8,1,9,7\n"}, ["--columns", "close=last price"], bars=DAYS),
    Import("a date and a time of day", {"A.csv": "tag,uhr,open,high,low,close,volume\n2024-01-02,09:30,10,14,9,12,5\n2024-01-02,09:31,12,13,8,9,7\n"}, ["--columns", "date=tag,time=uhr"], bars=MINUTES),
    Import("a whole time beside a date", {"A.csv": "date,when,open,high,low,close,volume\n2024-01-02,2024-01-02 09:30,10,14,9,12,5\n2024-01-02,2024-01-02 09:31,12,13,8,9,7\n"}, ["--columns", "time=when"], bars=MINUTES),
    Import("a column that is not there", {"A.csv": KOREAN}, ["--columns", "time=날짜"], refused=r"there is no column '날짜': the data has \['일자', '시가'", then=["--columns", "time=일자"], then_bars=DAYS),
    Write("a column that is not in a frame", TABLE, timeframe="1d", options={"columns": {**CHOICE, "open": "nowhere"}}, refused="there is no column 'nowhere': the data has .*'wann'", hint="give the name of one of them", then={"columns": CHOICE}, bars=DAYS),
    Write("a meaning that is none", TABLE, timeframe="1d", options={"columns": {"opening": "aa"}}, refused="'opening' is nothing that a column of candles is", hint="known are timestamp, time, date, symbol, timeframe, open", then={"columns": CHOICE}, bars=DAYS),
    Write("a text for columns", TABLE, timeframe="1d", options={"columns": "wann"}, refused="'wann' is neither a dict nor a list of names", hint="columns={'time': 'its name'}", then={"columns": CHOICE}, bars=DAYS),
    Import("flags that are half pairs", {"A.csv": KOREAN}, ["--columns", "time=일자,시가"], refused="--columns time=일자,시가: give time=NAME,open=NAME", then=["--columns", "time=일자,open=시가"], then_bars=DAYS),
    *(Import(f"a text in {encoding}", {"A.csv": text.encode(encoding)}, bars=DAYS, said=[f"the text was read as {encoding}, by its header"]) for encoding, text in FOUND.items()),
    *(Import(f"a text in {encoding}, as said", {"A.csv": text.encode(encoding)}, ["--encoding", encoding], bars=DAYS, not_said=["by its header"]) for encoding, text in FOUND.items()),
    Import("names of companies in cp949", {"A.csv": IN_KOREAN.encode("cp949")}, bars=DAYS, said=["columns not kept: 종목명"]),
    Import("an English header tells no encoding", {"A.csv": ENGLISH.encode("cp949")}, refused="A.csv: cannot be read: the text is not UTF-8", hint=SAY, then=["--encoding", "cp949"], then_bars=OF_SAMSUNG),
    Import("a Korean header of other names", {"A.csv": KOREAN.replace("일자", "언제").encode("cp949")}, refused="A.csv: cannot be read: the text is not UTF-8", hint=SAY, then=["--encoding", "cp949", "--columns", "time=언제"], then_bars=DAYS),
    Import("no mojibake in a message", {"A.csv": KOREAN.replace("일자", "언제").encode("cp949")}, refused="the text is not UTF-8", not_said=["�", "¾ð", "found"], hint=SAY, then=["--encoding", "euc-kr", "--columns", "time=언제"], then_bars=DAYS),
    Import("the wrong encoding", {"A.csv": KOREAN.encode()}, ["--encoding", "ascii"], refused="A.csv: the text is not ascii", hint=SAY, then=["--encoding", "utf-8"], then_bars=DAYS),
    Import("an encoding that is none", {"A.csv": KOREAN}, ["--encoding", "koreanish"], refused="'koreanish' is no encoding of texts", hint="known are cp949", then=["--encoding", "utf8"], then_bars=DAYS),
    *(Import(f"a text in {encoding} with a mark", {"A.csv": KOREAN.encode(encoding)}, bars=DAYS) for encoding in ("utf-16", "utf-8-sig")),
    Import("a text in UTF-16 with tabs", {"A.tsv": KOREAN.replace(",", "\t").encode("utf-16")}, bars=DAYS),
    Import("JSON in cp949", {"A.json": '[{"날짜": "2024-01-02", "시가": 10, "고가": 14, "저가": 9, "종가": 12, "거래량": 5}]'.encode("cp949")}, ["-t", "1d"], refused="cannot be read: the text is not UTF-8", hint=SAY, then=["-t", "1d", "--encoding", "cp949"], then_bars={("A", "1d"): DAYS["A", "1d"][:1]}),
    Import("rows a line in cp949", {"A.ndjson": '{"날짜": "2024-01-02", "시가": 10, "고가": 14, "저가": 9, "종가": 12, "거래량": 5}'.encode("cp949")}, ["-t", "1d"], refused="cannot be read: the text is not UTF-8", hint=SAY, then=["-t", "1d", "--encoding", "cp949"], then_bars={("A", "1d"): DAYS["A", "1d"][:1]}),
    Import("JSON in UTF-16", {"A.json": TABLE.rename(dict(zip(OWN, ("date", "open", "high", "low", "close", "volume"), strict=True))).write_json().encode("utf-16")}, bars=DAYS),
    *(Import(f"pandas' index without a name in {suffix}", {f"A.{suffix}": written(method, frame)}, bars=DAYS, said=["no name and was taken as the time"] if frame is CANDLES else []) for suffix, method, frame in (("parquet", "to_parquet", CANDLES), ("parquet", "to_parquet", CANDLES.rename_axis("Date")), ("feather", "to_feather", CANDLES.reset_index())) if not (suffix == "parquet" and frame is not CANDLES)),
]  # fmt: skip
