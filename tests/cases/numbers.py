"""Numbers as people write them; where a comma may be either, both readings are named."""

import polars as pl

from tests.cases.case import Import, Write

DAYS = ["2024-01-02", "2024-01-03"]
LARGE = {("A", "1d"): [("2024-01-02", 1010.5, 10), ("2024-01-03", 2010.5, 20)]}
SMALL = {("A", "1d"): [("2024-01-02", 74.1, 10), ("2024-01-03", 75.2, 20)]}
SAY = r"decimal='\.' where a comma groups thousands, decimal=',' where it begins the decimals"
FLAGS = r"--decimal \. where a comma groups thousands, --decimal , where it begins the decimals"


def four(cells):
    return {name: list(cells) for name in ("open", "high", "low", "close")}


def prices(first, second, volumes=("10", "20")):
    return {
        "date": DAYS,
        **four([first, second]),
        "volume": list(volumes),
    }


def same(name, *prices_and_volumes, bars=LARGE, **options):
    return Write(name, prices(*prices_and_volumes), timeframe="1d", bars=bars, **options)


def volumes(name, first, second, bars, **options):
    return same(
        name,
        "1.5",
        "2.5",
        (first, second),
        bars={("A", "1d"): [("2024-01-02", 1.5, bars[0]), ("2024-01-03", 2.5, bars[1])]},
        **options,
    )


def quoted(columns, separator=","):
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "".join(separator.join(f'"{cell}"' for cell in row) + "\n" for row in rows)


WAYS = {
    "a comma for thousands": ("1,010.5", "2,010.5"),
    "a dollar": ("$1010.50", "$2010.50"),
    "a dollar and a comma": ("$1,010.50", "$2,010.50"),
    "a euro behind": ("1010.5 €", "2010.5€"),
    "a won before": ("₩ 1,010.5", "₩2,010.5"),
    "a comma for decimals": ("1010,5", "2010,5"),
    "a point for thousands": ("1.010,50", "2.010,50"),
    "a space for thousands": ("1 010,5", "2 010,5"),
    "a narrow space for thousands": ("1\u202f010,5", "2\u202f010,5"),
    "a space that does not break": ("1\u00a0010.5", "2\u00a0010.5"),
    "an apostrophe for thousands": ("1'010.5", "2'010.5"),
    "thousands as K": ("1.0105K", "2.0105k"),
    "an exponent": ("1.0105e3", "2.0105E3"),
    "a plus": ("+1,010.5", "+2,010.5"),
    "spaces around": (" 1,010.5 ", "2,010.5 "),
    "digits alone beside thousands": ("1010.5", "2,010.5"),
}
VOLUMES = {
    "thousands": ("41.15K", "1K", (41_150, 1_000)),
    "millions": ("1.2M", "0.5m", (1_200_000, 500_000)),
    "billions": ("2B", "2.5b", (2e9, 2.5e9)),
    "grouped": ("25,627,387", "1,234", (25_627_387, 1_234)),
    "as in India": ("12,34,567", "1,00,000", (1_234_567, 100_000)),
    "ten thousands in Chinese": ("1.5万", "2亿", (15_000, 2e8)),
    "ten thousands in Korean": ("1.5만", "2억", (15_000, 2e8)),
    "with decimals": ("1,234.25", "0.5", (1_234.25, 0.5)),
    "- for none": ("-", "20", (0, 20)),
    "-- for none": ("10", "--", (10, 0)),
}
INVESTING = '"Date","Price","Open","High","Low","Vol.","Change %"\n"2024-01-03","28,935.9","29,475.9","29,587.2","28,927.8","95.91K","-1.83%"\n"2024-01-02","29,475.9","28,424.5","29,859.8","28,392.4","-","3.70%"\n'
RUSSIAN = '"Дата","Цена","Откр.","Макс.","Мин.","Объём","Изм. %"\n"2024-01-03","266,99","268,49","275,01","264,19","58,73M","0,37%"\n"2024-01-02","266,00","273,01","276,29","258,55","327,22M","-2,10%"\n'
PORTUGUESE = '"Data","Último","Abertura","Máxima","Mínima","Vol.","Var%"\n"2024-01-03","104.053,40","104.053","104.100,00","103.000,1","41,15K","0,37%"\n"2024-01-02","103.000,00","103.000","103.000","103.000","-","-2,10%"\n'
CASES = [
    *(same(f"prices with {way}", *texts) for way, texts in WAYS.items()),
    *(Import(f"prices with {way}, in a file", {"A.csv": quoted(prices(*texts))}, bars=LARGE) for way, texts in WAYS.items()),
    *(volumes(f"volumes: {way}", first, second, bars) for way, (first, second, bars) in VOLUMES.items()),
    *(Import(f"volumes: {way}, in a file", {"A.csv": quoted(prices("1.5", "2.5", (first, second)))}, bars={("A", "1d"): [("2024-01-02", 1.5, bars[0]), ("2024-01-03", 2.5, bars[1])]}) for way, (first, second, bars) in VOLUMES.items()),
    same("two decimals with a comma", "74,10", "75,20", bars=SMALL, result={"notes": ("numbers were read with a comma for the decimals",)}),
    same("a comma behind a 0 is decimal", "0,500", "1,250", bars={("A", "1d"): [("2024-01-02", 0.5), ("2024-01-03", 1.25)]}),
    same("a comma behind four digits is decimal", "1234,500", "1,250", bars={("A", "1d"): [("2024-01-02", 1234.5), ("2024-01-03", 1.25)]}),
    same("two commas group", "1,234,567", "1,234", bars={("A", "1d"): [("2024-01-02", 1234567), ("2024-01-03", 1234)]}),
    same("a point with three decimals stays one", "1.234", "2.345", bars={("A", "1d"): [("2024-01-02", 1.234), ("2024-01-03", 2.345)]}),
    same("1,234 all through may be either: grouped", "1,234", "2,345", refused="is '1,234' the number 1234 or 1.234", hint=SAY, then={"decimal": "."}, bars={("A", "1d"): [("2024-01-02", 1234), ("2024-01-03", 2345)]}),
    same("1,234 all through may be either: decimal", "1,234", "2,345", refused="is '1,234' the number 1234 or 1.234", hint=SAY, then={"decimal": ","}, bars={("A", "1d"): [("2024-01-02", 1.234), ("2024-01-03", 2.345)]}),
    Import("1,234 all through, in a file", {"A.csv": quoted(prices("1,234", "2,345"))}, refused="is '1,234' the number 1234 or 1.234", hint=FLAGS, then=["--decimal", ","], then_bars={("A", "1d"): [("2024-01-02", 1.234), ("2024-01-03", 2.345)]}),
    volumes("volumes of 1,234 beside prices with decimals are grouped", "1,234", "2,345", (1_234, 2_345)),
    same("volumes of 1,234 beside prices that tell nothing", "5", "6", ("1,234", "2,345"), refused="is '1,234' the number", hint=SAY, then={"decimal": "."}, bars={("A", "1d"): [("2024-01-02", 5, 1234), ("2024-01-03", 6, 2345)]}),
    same("prices of both kinds", "1.5", "2,5", refused="numbers are written in two ways: '1.5' has a point for the decimals, '2,5' a comma", hint=SAY, then={"decimal": ",", "on_invalid": "drop"}, bars={("A", "1d"): [("2024-01-03", 2.5)]}),
    same("a decimal comma that is stated makes groups of points", "1.234", "2.345", options={"decimal": ","}, bars={("A", "1d"): [("2024-01-02", 1234), ("2024-01-03", 2345)]}),
    same("a decimal comma that is stated", "74,10", "75,20", options={"decimal": ","}, bars=SMALL),
    same("a decimal that is none", "1", "2", options={"decimal": ";"}, refused="decimal=';' is neither", hint=SAY, then={"decimal": "."}, bars={("A", "1d"): [("2024-01-02", 1), ("2024-01-03", 2)]}),
    Write("a comma in a later piece, after points", lambda: iter([pl.DataFrame(prices("1.234", "2.345")), pl.DataFrame({**prices("1.234,5", "2.345,5"), "date": ["2024-01-04", "2024-01-05"]})]), timeframe="1d", refused="numbers have a comma for the decimals, such as '1.234,5', and those before were read with a point", hint="decimal=','", then={"decimal": ","}, bars={("A", "1d"): [("2024-01-02", 1234), ("2024-01-03", 2345), ("2024-01-04", 1234.5), ("2024-01-05", 2345.5)]}),
    Write("one bad number among many good is bad by itself", {"date": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 20), eager=True), **four([*["1.5"] * 19, "1,5"]), "volume": ["1"] * 20}, timeframe="1d", options={"on_invalid": "drop"}, bars={("A", "1d"): [(f"2024-01-{day:02}", 1.5) for day in range(1, 20)]}, result={"dropped": 1}),
    *(same(f"{text!r} is no number", text, "2,010.5", refused="row 0 of A 1d: open = .* breaks the rule 'open is a number'", hint="on_invalid='quarantine'", then={"on_invalid": "drop"}, bars={("A", "1d"): [("2024-01-03", 2010.5)]}) for text in ("soon", "-", "10%", "1,23,4", "1e5K", "K", ".", "1.2.3,4", "1 2")),
    same("what is no volume is none", "1.5", "2.5", ("many", "20"), refused="volume = many breaks the rule 'volume is a number'", hint="on_invalid='quarantine'", then={"on_invalid": "drop"}, bars={("A", "1d"): [("2024-01-03", 2.5, 20)]}),
    Import("Investing", {"A.csv": INVESTING}, bars={("A", "1d"): [("2024-01-02", 29475.9, 0, 28424.5, 29859.8, 28392.4), ("2024-01-03", 28935.9, 95910, 29475.9, 29587.2, 28927.8)]}, said=["a volume of - was taken as none, 0"]),
    Import("Investing in Russian", {"A.csv": RUSSIAN}, bars={("A", "1d"): [("2024-01-02", 266, 327.22e6, 273.01, 276.29, 258.55), ("2024-01-03", 266.99, 58.73e6, 268.49, 275.01, 264.19)]}, said=["a comma for the decimals"]),
    Import("Investing in Portuguese", {"A.csv": PORTUGUESE}, bars={("A", "1d"): [("2024-01-02", 103000, 0, 103000, 103000, 103000), ("2024-01-03", 104053.4, 41150, 104053, 104100, 103000.1)]}),
    Import("semicolons and commas", {"A.csv": "Date;Open;High;Low;Close;Volume\n2024-01-02;74,10;74,10;74,10;74,10;10\n2024-01-03;75,20;75,20;75,20;75,20;20\n"}, bars=SMALL),
    Import("semicolons and commas, without a header", {"A.csv": "2024-01-02;74,10;74,10;74,10;74,10;10\n2024-01-03;75,20;75,20;75,20;75,20;20\n"}, bars=SMALL),
    Write("texts among numbers", {**prices(1010.5, "2,010.5"), "volume": [10, 20]}, timeframe="1d", bars=LARGE),
    Import("texts in JSON", {"A.json": pl.DataFrame(prices("1,010.5", "2,010.5")).write_json()}, bars=LARGE),
]  # fmt: skip
