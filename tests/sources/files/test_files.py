"""Files in and out: every format, every recorded source, no bit lost, clear errors."""

import csv
import gzip
import json
import struct
import sys
import zipfile

import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.schema import VALUES
from mdstore.core.timestamps import column_to_ms
from mdstore.errors import FileFormatError, InvalidInputError
from mdstore.sources.files import READABLE, candle_files, other_files, read, write
from mdstore.sources.files.file_names import Named, from_pattern, guess
from tests.support.real import real

HEADER = "timestamp,open,high,low,close,volume\n"
ROWS = [(1_756_684_800_000 + i * 60_000, 1.5 + i, 2.5 + i, 0.5 + i, 2.0 + i, 10.0 * i) for i in range(5)]
TEXT = HEADER + "".join(",".join(map(repr, row)) + "\n" for row in ROWS)


def whole(path, **options):
    """Read a file of one part; return the part and its rows, times as ms and values as floats."""
    parts = [(part, typed(pl.concat(part.frames))) for part in read(path, **options)]
    assert len(parts) == 1
    return parts[0]


def typed(frame):
    stamps = column_to_ms(frame["timestamp"])[0]
    return frame.with_columns(stamps.alias("timestamp"), *(pl.col(name).cast(pl.Float64) for name in VALUES))


def bits(values):
    return [struct.pack("<d", value) for value in values]


def put(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def candle_frame(rows=ROWS):
    frame = pl.DataFrame(rows, schema=["timestamp", *VALUES], orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ms", "UTC")))


# ---- recorded sources


@pytest.mark.parametrize(("timeframe", "rows"), [("1m", 47_598), ("1h", 32_780)])
def test_upbit_csv(timeframe, rows):
    path = real("upbit", f"BTC_KRW_{timeframe}.csv")
    part, frame = whole(path)
    assert (part.symbol, part.timeframe) == ("BTC_KRW", timeframe)
    assert len(frame) == rows
    assert part.bytes_read() == path.stat().st_size
    with path.open() as file:
        truth = list(csv.DictReader(file))
    for name in VALUES:
        assert bits(frame[name]) == bits(float(row[name]) for row in truth)


def test_sp500_names_its_symbols_in_a_column():
    files = candle_files(real("sp500"))
    assert len(files) == 59
    for path in files:
        part, frame = whole(path)
        assert (part.symbol, part.timeframe, part.told_by) == (None, "1d", {"timeframe": "spacing"})
        assert frame["symbol"].unique().to_list() == [path.name.removesuffix("_data.csv")]


def test_sp500_keeps_its_one_broken_candle_for_the_store_to_judge():
    _, frame = whole(real("sp500", "AOS_data.csv"))
    broken = frame.filter(pl.col("high") < pl.col("open"))
    assert broken.select("open", "high").rows() == [(23.89, 23.595)]


def test_freqtrade_json_and_feather_differ_by_an_ulp_and_both_are_kept():
    part, from_json = whole(real("freqtrade", "UNITTEST_BTC-1m.json"))
    assert (part.symbol, part.timeframe) == ("UNITTEST_BTC", "1m")
    _, from_feather = whole(real("freqtrade", "UNITTEST_BTC-1m.feather"))
    truth_json = json.loads(real("freqtrade", "UNITTEST_BTC-1m.json").read_text())
    truth_feather = pa.feather.read_table(real("freqtrade", "UNITTEST_BTC-1m.feather"))
    for place, name in enumerate(VALUES, 1):
        assert bits(from_json[name]) == bits(float(row[place]) for row in truth_json)
        assert bits(from_feather[name]) == bits(truth_feather[name].to_pylist())
    assert from_json["timestamp"].to_list() == from_feather["timestamp"].to_list()
    differing = [a != b for a, b in zip(from_json.rows(), from_feather.rows(), strict=True)]
    assert sum(differing) == 5_655


def test_freqtrade_trades_are_no_candles():
    with pytest.raises(
        FileFormatError, match=r"XRP_ETH-trades.feather: these are trades, not candles; found 'timestamp'"
    ):
        whole(real("freqtrade", "XRP_ETH-trades.feather"))


def test_plotly_has_an_index_column_and_descending_dates():
    part, frame = whole(real("plotly", "dash-stock-ticker-demo.csv"))
    assert part.columns == ("symbol", "timestamp", *VALUES)
    assert part.timeframe == "1d"
    assert frame["symbol"].unique(maintain_order=True).to_list() == ["AAPL", "TSLA", "COKE", "YHOO", "GOOGL"]
    assert frame.row(0)[2:] == (170.52, 170.59, 169.22, 169.23, 25_643_711.0)
    assert frame.filter(symbol="AAPL")["timestamp"].is_sorted(descending=True)


@pytest.mark.parametrize(
    ("day", "rows", "first"),
    [
        ("20161007", 1_419, (1_475_798_400_000, 611.78, 611.91, 611.78, 611.9, 1.13872)),
        ("20180405", 1_440, (1_522_886_400_000, 6791.68, 6791.68, 6778.01, 6778.01, 26.84379253)),
    ],
)
def test_lean_minutes_take_their_date_from_the_name(day, rows, first):
    part, frame = whole(real("lean", "minute", f"{day}_trade.zip"))
    assert (part.symbol, part.timeframe) == ("BTCUSD", "1m")
    assert len(frame) == rows
    assert frame.row(0) == first
    assert any("midnight UTC" in note for note in part.notes)


def test_lean_daily_zip():
    part, frame = whole(real("lean", "daily_btcusd_trade.zip"))
    assert (part.name, part.symbol, part.timeframe) == ("daily_btcusd_trade.zip!btcusd.csv", "BTCUSD", "1d")
    assert frame.row(0) == (1_417_392_000_000, 300.0, 370.0, 300.0, 370.0, 0.05655554)


def test_smtm_pages_are_keyed_by_the_bar_and_not_by_the_last_tick():
    path = real("smtm", "upbit_1m_20200220_170000-20200220_202000.json")
    part, frame = whole(path)
    assert (part.symbol, part.timeframe, part.spacing) == (None, None, "1m")
    assert frame["symbol"].unique().to_list() == ["KRW-BTC"]
    assert frame["timeframe"].unique().to_list() == ["1m"]
    assert (frame["timestamp"] % 60_000 == 0).all()
    assert frame["timestamp"].is_sorted(descending=True)
    truth = json.loads(path.read_text())
    assert frame["close"].to_list() == [row["trade_price"] for row in truth]


def test_binance_klines_have_no_header_and_twelve_columns():
    part, frame = whole(real("binance_kline", "ADABTC-1m-2021-11-28.csv"))
    assert (part.symbol, part.timeframe) == ("ADABTC", "1m")
    assert frame.row(0) == (1_638_057_600_000, 0.00002820, 0.00002821, 0.00002817, 0.00002818, 85342.7)
    assert len(frame) == 11


# ---- formats


def tsv(folder, name="x.tsv"):
    return put(folder, name, TEXT.replace(",", "\t"))


def objects(folder, name="x.json"):
    return put(
        folder,
        name,
        json.dumps([dict(zip(["t", "o", "h", "l", "c", "v"], row, strict=True)) for row in ROWS]),
    )


def arrays(folder, name="x.json"):
    return put(folder, name, json.dumps(ROWS))


def columns(folder, name="x.json"):
    return put(
        folder,
        name,
        json.dumps(
            {k: list(v) for k, v in zip(HEADER.strip().split(","), zip(*ROWS, strict=True), strict=True)}
        ),
    )


def wrapped(folder, name="x.json"):
    return put(
        folder,
        name,
        json.dumps({"code": 0, "data": {"category": "spot", "list": [[str(v) for v in r] for r in ROWS]}}),
    )


def lines(folder, name="x.ndjson"):
    names = HEADER.strip().split(",")
    return put(
        folder, name, "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in ROWS) + "\n\n"
    )


def parquet(folder, name="x.parquet"):
    candle_frame().write_parquet(folder / name)
    return folder / name


def feather(folder, name="x.feather"):
    pa.feather.write_feather(candle_frame().to_arrow(), folder / name)
    return folder / name


def arrow_stream(folder, name="x.arrow"):
    table = candle_frame().to_arrow()
    with pa.ipc.new_stream(folder / name, table.schema) as out:
        out.write_table(table)
    return folder / name


def plain(folder, name="x.csv"):
    return put(folder, name, TEXT)


def semicolons(folder, name="x.csv"):
    return put(folder, name, TEXT.replace(",", ";"))


def titled(folder, name="x.csv"):
    return put(folder, name, "https://www.example.org/data\n" + TEXT)


def marked(folder, name="x.csv"):
    return put(folder, name, "\ufeff" + TEXT)


def headerless(folder, name="x.csv"):
    return put(folder, name, TEXT.removeprefix(HEADER))


def windows(folder, name="x.csv"):
    path = folder / name
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    return path


def spaced(folder, name="x.csv"):
    return put(folder, name, TEXT.replace(",", " , "))


def quoted(folder, name="x.csv"):
    return put(folder, name, '"' + TEXT.strip().replace(",", '","').replace("\n", '"\n"') + '"\n')


def indexed(folder, name="x.csv"):
    return put(folder, name, TEXT.replace("timestamp", "", 1))


MAKERS = [
    plain, tsv, semicolons, titled, marked, headerless, windows, spaced, quoted, indexed,
    objects, arrays, columns, wrapped, lines, parquet, feather, arrow_stream,
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS)
def test_every_shape_reads_the_same(tmp_path, make):
    _, frame = whole(make(tmp_path))
    assert frame.select("timestamp", *VALUES).rows() == ROWS


@pytest.mark.parametrize("make", [plain, tsv, arrays, lines, parquet, feather, arrow_stream])
@pytest.mark.parametrize("packing", ["gz", "zip", "gz in zip"])
def test_every_format_reads_packed(tmp_path, make, packing):
    path = make(tmp_path)
    data, name = path.read_bytes(), path.name
    if "gz" in packing:
        data, name = gzip.compress(data), f"{name}.gz"
    packed = tmp_path / name
    packed.write_bytes(data)
    if "zip" in packing:
        packed = tmp_path / "x.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"folder/{name}", data)
            archive.writestr("__MACOSX/._x.csv", b"junk")
            archive.writestr("README.md", b"no data")
    _, frame = whole(packed)
    assert frame.select("timestamp", *VALUES).rows() == ROWS


def test_a_zip_has_one_part_for_each_member(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("B-1m.csv", TEXT)
        archive.writestr("A-5m.csv", TEXT)
    parts = [(p.name, p.symbol, p.timeframe, sum(map(len, p.frames))) for p in read(tmp_path / "x.zip")]
    assert parts == [("x.zip!A-5m.csv", "A", "5m", 5), ("x.zip!B-1m.csv", "B", "1m", 5)]


def test_a_zip_skips_what_holds_no_candles_and_says_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("A-1m.csv", TEXT)
        archive.writestr("readme.txt", "how these were made")
        archive.writestr("chart.png", b"png")
        archive.writestr("__MACOSX/._A-1m.csv", b"junk")
    part, frame = whole(tmp_path / "x.zip")
    assert (part.symbol, len(frame)) == ("A", 5)
    assert part.notes == ("x.zip: skipped what holds no candles: chart.png, readme.txt",)


def test_a_zip_of_texts_only_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("A-1m.txt", TEXT)
    assert whole(tmp_path / "x.zip")[0].symbol == "A"


@pytest.mark.parametrize("name", ["when_it_was", "bar_began"])
def test_a_first_column_of_unknown_name_is_not_taken_for_the_time(tmp_path, name):
    with pytest.raises(FileFormatError, match=f"no column for timestamp; found '{name}', 'open'"):
        whole(put(tmp_path, "x.csv", TEXT.replace("timestamp", name)))


def test_columns_of_unknown_names_are_not_taken_by_place(tmp_path):
    with pytest.raises(FileFormatError, match=r"no column for timestamp, open, .*found 'a', 'b'"):
        whole(put(tmp_path, "x.csv", TEXT.replace(HEADER, "a,b,c,d,e,f\n")))


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_a_first_column_without_a_name_is_the_time_and_is_noted(tmp_path, suffix):
    frame = candle_frame().rename({"timestamp": "" if suffix == "csv" else "__index_level_0__"})
    write(frame, tmp_path / f"x.{suffix}")
    part, frame = whole(tmp_path / f"x.{suffix}")
    assert frame["timestamp"].to_list() == [row[0] for row in ROWS]
    assert part.notes == ("the first column has no name and was taken as the time",)


KOREAN = ["2025-09-01T09:00:00", "2025-09-01T09:01:00"]


@pytest.mark.parametrize("times", [KOREAN, ["2025-09-01 09:00", "2025-09-01 09:01"]])
@pytest.mark.parametrize("others", [{}, {"timestamp": [1_756_684_859_999, 1_756_684_919_999]}])
@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_korean_times_are_read_as_such(tmp_path, times, others, suffix):
    values = {name: [1.0, 1.0] for name in VALUES}
    write(pl.DataFrame({"candle_date_time_kst": times, **others, **values}), tmp_path / f"x.{suffix}")
    part, frame = whole(tmp_path / f"x.{suffix}")
    assert frame["timestamp"].to_list() == [1_756_684_800_000, 1_756_684_860_000]
    assert part.timeframe == "1m"
    assert part.notes == ("candle_date_time_kst was read as Korean time, UTC+9",)


def test_korean_times_of_other_kinds(tmp_path):
    values = {name: [1.0] for name in VALUES}
    utc = pl.DataFrame({"candle_date_time_kst": KOREAN[:1], "candle_date_time_utc": ["2025-09-01"], **values})
    write(utc, tmp_path / "utc.csv")
    assert whole(tmp_path / "utc.csv")[1]["timestamp"].to_list() == [1_756_684_800_000]
    korean = pl.col("candle_date_time_kst").str.to_datetime()
    write(utc.drop("candle_date_time_utc").with_columns(korean), tmp_path / "x.feather")
    assert whole(tmp_path / "x.feather")[1]["timestamp"].to_list() == [1_756_684_800_000]
    days = pl.DataFrame({"candle_date_time_kst": ["2025-09-02"], **values})
    write(days, tmp_path / "days.csv")
    assert whole(tmp_path / "days.csv")[1]["timestamp"].to_list() == [1_756_738_800_000]


def test_a_part_knows_its_spacing_whatever_its_name_says(tmp_path):
    part, _ = whole(put(tmp_path, "A-1h.csv", TEXT))
    assert (part.timeframe, part.spacing) == ("1h", "1m")


def test_a_date_and_a_time_of_day_become_one_time(tmp_path):
    path = put(tmp_path, "x.csv", "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n"
               "2025-09-01,00:00,1,2,1,2,5\n2025-09-01,00:01,1,2,1,2,5\n")  # fmt: skip
    part, frame = whole(path)
    assert frame["timestamp"].to_list() == [1_756_684_800_000, 1_756_684_860_000]
    assert part.timeframe == "1m"


def test_bad_values_stay_texts_for_the_store_to_judge(tmp_path):
    frames = [
        frame
        for part in read(put(tmp_path, "x-1m.csv", TEXT.replace("1.5,", "abc,")))
        for frame in part.frames
    ]
    assert frames[0]["open"].to_list()[:2] == ["abc", "2.5"]


def test_a_large_csv_comes_in_bounded_pieces(tmp_path):
    rows = 300_000
    lines_of = (f"{1_600_000_000_000 + i * 60_000},1.25,2.5,0.5,2.25,{i}\n" for i in range(rows))
    path = put(tmp_path, "X-1m.csv", HEADER + "".join(lines_of))
    sizes = [len(frame) for part in read(path) for frame in part.frames]
    assert sum(sizes) == rows
    assert max(sizes) < rows / 2


doubles = st.floats(allow_nan=False, allow_infinity=False)


@given(values=st.lists(doubles, min_size=1, max_size=50))
def test_any_double_reads_from_csv_as_python_reads_it(tmp_path_factory, values):
    texts = [repr(value) for value in values] + [f"{value:.25g}" for value in values]
    body = "".join(f"{1_600_000_000_000 + i * 60_000},{text},1,1,1,0\n" for i, text in enumerate(texts))
    _, frame = whole(put(tmp_path_factory.mktemp("csv"), "X-1m.csv", HEADER + body))
    assert bits(frame["open"]) == bits(map(float, texts))


# ---- names and spacing


@pytest.mark.parametrize(
    ("stem", "symbol", "timeframe"),
    [
        ("KRW-BTC-1m", "KRW-BTC", "1m"), ("BTC_KRW_1h", "BTC_KRW", "1h"), ("XRP_ETH-5m", "XRP_ETH", "5m"),
        ("ADABTC-1m-2021-11-28", "ADABTC", "1m"), ("AAPL", "AAPL", None), ("AAPL_data", "AAPL", None),
        ("BTC-60m", "BTC", "1h"), ("btcusd", "btcusd", None), ("BRK.B", "BRK.B", None),
        ("data", None, None), ("my_prices", None, None), ("20161007_trade", None, None),
        ("candles-1m", None, "1m"), ("KRW-BTC_minute60", "KRW-BTC", "1h"), ("BTC_15min", "BTC", "15m"),
        ("1m", None, "1m"), ("btc-1m", "btc", "1m"), ("", None, None),
    ],
)  # fmt: skip
def test_names_as_tools_write_them(stem, symbol, timeframe):
    assert guess(stem) == Named(symbol, timeframe)


@pytest.mark.parametrize(
    ("pattern", "stem", "named"),
    [
        ("{symbol}_data", "AAPL_data", Named("AAPL")),
        ("{symbol}-{timeframe}", "KRW-BTC-1m", Named("KRW-BTC", "1m")),
        ("{symbol}_{timeframe}", "BTC_KRW_60m", Named("BTC_KRW", "1h")),
        ("*_{symbol}", "binance_spot_BTC", Named("BTC")),
        ("{symbol}_*", "BTC_x_y", Named("BTC")),
        ("{symbol}.v1", "BTC.v1", Named("BTC")),
        ("{symbol}.v1", "BTCxv1", None),
        ("{symbol}-{timeframe}", "KRW-BTC", None),
    ],
)
def test_patterns(pattern, stem, named):
    assert from_pattern(pattern, stem) == named


@pytest.mark.parametrize("pattern", ["data", "{symbol}{symbol}", "{Symbol}"])
def test_a_pattern_without_a_symbol_is_refused(pattern):
    with pytest.raises(InvalidInputError, match=r"needs .symbol. once"):
        from_pattern(pattern, "x")


def test_a_pattern_goes_before_the_column_and_a_mismatch_is_named(tmp_path):
    text = "Name," + HEADER + "".join(f"ZZZ,{','.join(map(repr, row))}\n" for row in ROWS)
    path = put(tmp_path, "AAPL_data.csv", text)
    part, _ = whole(path, symbol_from_filename="{symbol}_data")
    assert (part.symbol, part.told_by["symbol"]) == ("AAPL", "pattern")
    assert whole(path)[0].symbol is None
    with pytest.raises(
        FileFormatError, match=r"AAPL_data.csv: the name 'AAPL_data' does not match .*{symbol}-x"
    ):
        whole(path, symbol_from_filename="{symbol}-x")


@pytest.mark.parametrize(
    ("dates", "timeframe"),
    [
        (["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"], "1d"),
        (["2025-01-06", "2025-01-13", "2025-01-27"], "1w"),
        (["2025-01-10", "2025-01-17", "2025-01-24"], None),  # Fridays: no week of the grid starts there
        (["2025-01-01", "2025-02-01", "2025-03-01", "2025-04-01"], "1M"),
        (["2025-01-01", "2025-04-01", "2025-07-01"], "3M"),
        (["2024-01-01", "2025-01-01"], "12M"),
        (["2025-01-01 00:00", "2025-01-01 04:00", "2025-01-01 08:00", "2025-01-02 00:00"], "4h"),
        (["2025-01-01 00:00:00", "2025-01-01 00:00:01"], "1s"),
        (["2025-01-01 00:00:00", "2025-01-01 00:00:00.5"], None),
        (["2025-01-01"], None),
        (["2025-01-03", "2025-01-02", "2025-01-01"], "1d"),
    ],
)
def test_the_most_common_spacing_is_the_timeframe(tmp_path, dates, timeframe):
    part, _ = whole(put(tmp_path, "X.csv", HEADER + "".join(f"{date},1,1,1,1,0\n" for date in dates)))
    assert part.timeframe == timeframe


# ---- errors

EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.csv", b"", "x.csv: the file is empty"),
        ("x.csv", HEADER.encode(), "x.csv: there are columns of candles and no rows"),
        ("x.csv", b"date,open,close\n2025-01-01,1,2\n", "high, low, volume; found 'date', 'open', 'close'"),
        ("x.csv", b"t,o,h,l,c\n2025-01-01,1,1,1,1\n", "for volume; found 't', 'o', .*Hint: volume='none'"),
        ("x.csv", HEADER.encode() + b"1,2,3\n", "x.csv: cannot be read: .*Expected 6 columns, got 3"),
        ("x.csv", HEADER.encode("utf-16"), "x.csv: there are columns of candles and no rows"),
        ("x.csv", HEADER.encode() + b"\xff\xfe,1,1,1,1,1\n", "x.csv: cannot be read: the text is not UTF-8"),
        ("x.csv.gz", b"no gzip at all", "x.csv.gz: cannot be read: Not a gzipped file"),
        ("x.csv.gz", gzip.compress(TEXT.encode())[:-20], "x.csv.gz: cannot be read: .*ended before"),
        ("x.zip", b"no zip", "x.zip: cannot be read: File is not a zip file"),
        ("x.zip", EMPTY_ZIP, "x.zip: no data file in it, only nothing"),
        ("x.json", b"{", "x.json: cannot be read"),
        ("x.json", b"[]", "x.json: there are no rows"),
        ("x.json", b"{}", "x.json: no candles found"),
        ("x.json", b"3", "x.json: no candles found"),
        ("x.json", b"[[1,2,3]]", r"x.json: the first row is \[1, 2, 3\]"),
        ("x.json", b"[[1756684800000,1,1,1,1,0],[1]]", "row 1 has 1 values, not 6"),
        ("x.json", b'[{"a":1}]', "no column for timestamp, open, .* found 'a'"),
        ("x.json", b'[{"a":1},[2]]', "of different kinds"),
        ("x.ndjson", b"{\n", "x.ndjson: cannot be read"),
        ("x.parquet", b"PAR1 no", "x.parquet: cannot be read"),
        ("x.feather", b"nothing", "x.feather: cannot be read"),
        ("x.xlsx", b"PK", "x.xlsx: cannot be read"),
        ("x.xlsb", b"PK", r"x.xlsb: .xlsb is no format that can be read; readable are .csv"),
        ("x", b"PK", "x: a name without a suffix is no format"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileFormatError, match=message):
        whole(tmp_path / name)


def test_a_workbook_without_what_reads_it_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(FileFormatError, match=r"x.xlsx: reading Excel.*Hint: pip install 'mdstore\[excel\]'"):
        whole(tmp_path / "x.xlsx")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        whole(tmp_path / "x.csv")


def test_a_damaged_end_is_noticed_after_the_good_beginning(tmp_path):
    body = "".join(f"{1_600_000_000_000 + i * 60_000},1,1,1,1,0\n" for i in range(500_000))
    path = put(tmp_path, "X-1m.csv", HEADER + body + "1,2\n")
    with pytest.raises(FileFormatError, match=r"X-1m.csv: cannot be read"):
        whole(path)


def test_a_folder_is_walked_without_its_hidden_files(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("b.csv", "deep/a.json.gz", "deep/er/c.zip", ".hidden/x.csv", ".d.csv", "notes.txt", "x.py"):
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in candle_files(tmp_path)]
    assert found == ["b.csv", "deep/a.json.gz", "deep/er/c.zip"]
    assert other_files(tmp_path) == 2
    assert other_files(tmp_path / "b.csv") == 0


# ---- files out

OUT = ["csv", "tsv", "json", "ndjson", "jsonl", "parquet", "feather", "arrow", "ipc", "csv.gz", "json.gz"]
AWKWARD = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 1e23, 150_803_000.0, 0.0000282]


@pytest.mark.parametrize("suffix", OUT)
def test_what_is_written_reads_back_bit_for_bit(tmp_path, suffix):
    rows = [(1_756_684_800_000 + i * 60_000, x, x, x, x, x) for i, x in enumerate(AWKWARD)]
    frame = candle_frame(rows).with_columns(pl.lit("KRW-BTC").alias("symbol").cast(pl.Categorical))
    path = tmp_path / f"out.{suffix}"
    write(frame, path)
    part, back = whole(path)
    assert back["timestamp"].to_list() == [row[0] for row in rows]
    assert bits(back["open"]) == bits(AWKWARD)
    assert "symbol" in part.columns
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_milliseconds_survive_in_text(tmp_path):
    write(candle_frame([(1_756_684_800_123, 1.0, 1.0, 1.0, 1.0, 1.0)]), tmp_path / "x.csv")
    assert "2025-09-01T00:00:00.123Z" in (tmp_path / "x.csv").read_text()


def test_feather_is_readable_by_other_programs(tmp_path):
    write(candle_frame(), tmp_path / "x.feather")
    assert pa.feather.read_table(tmp_path / "x.feather").num_rows == 5


def test_a_failed_write_leaves_nothing_and_keeps_what_was_there(tmp_path):
    path = put(tmp_path, "x.csv", "before")
    with pytest.raises(pl.exceptions.ComputeError):
        write(candle_frame().with_columns(pl.lit([1, 2]).alias("nested")), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.zip", "x.parquet.gz", "x.gz"])
def test_a_format_that_cannot_be_written_is_refused(tmp_path, name):
    with pytest.raises(FileFormatError, match="cannot write this format"):
        write(candle_frame(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_gzip_is_reproducible(tmp_path):
    write(candle_frame(), tmp_path / "a.csv.gz")
    write(candle_frame(), tmp_path / "b.csv.gz")
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_the_readable_suffixes_are_what_the_documentation_says():
    assert {".csv", ".tsv", ".json", ".parquet", ".feather", ".arrow", ".gz", ".zip"} <= set(READABLE)
