"""What stands around and among the rows of a text, and how it is written down."""

from tests.cases.case import Import

HEADER = "Date,Open,High,Low,Close,Volume\n"
FIRST, SECOND = "2024-01-02,1,1,1,1,10\n", "2024-01-03,2,2,2,2,20\n"
WHOLE = HEADER + FIRST + SECOND
DAYS = {("A", "1d"): [("2024-01-02", 1, 10), ("2024-01-03", 2, 20)]}
CLOSES = "Date,Open,High,Low,Close,Close,Volume\n2024-01-02,1,1,1,1,{},10\n2024-01-03,2,2,2,2,{},20\n"
ASKED = (
    "Security,A US Equity\nStart Date,2024-01-02\nEnd Date,2024-01-03\nPeriod,D\nCurrency,USD\nSource,x\n\n"
)
TUPLES = "\"('Date', '')\",\"('Open', 'A')\",\"('High', 'A')\",\"('Low', 'A')\",\"('Close', 'A')\",\"('Volume', 'A')\"\n"


def text(name, content, **more):
    return Import(name, {"A.csv": content}, bars=DAYS, **more)


CASES = [
    text("blank lines between all", WHOLE.replace("\n", "\n\n")),
    text("blank lines of Windows between all", WHOLE.replace("\n", "\r\n\r\n")),
    text("lines without a value between all", WHOLE.replace("\n", "\n,,,,,\n"), said=["lines without a value were skipped"]),
    text("many comments above", "".join(f"# line {number}, of ten\n" for number in range(10)) + WHOLE),
    text("a header that begins as a comment", "#" + WHOLE),
    text("a header that begins as a comment, with a space", "# " + WHOLE),
    text("what was asked for above, as of Bloomberg", ASKED + WHOLE),
    text("names of two levels as pandas writes them, the date's, too", TUPLES + FIRST + SECOND),
    text("UTF-16 without a mark", WHOLE.encode("utf-16-le")),
    text("UTF-16 of the other order without a mark", WHOLE.encode("utf-16-be")),
    text("UTF-32", WHOLE.encode("utf-32")),
    text("two columns of one name that agree", CLOSES.format(1, 2)),
    Import("another table beside it, behind a blank column", {"A.csv": "Date,Open,High,Low,Close,Volume,,Close\n2024-01-02,1,1,1,1,10,,5\n2024-01-03,2,2,2,2,20,,6\n"}, bars=DAYS),
    Import("a column of zones", {"A.csv": "Date,Open,High,Low,Close,Volume,Timezone\n2024-01-02 09:00,1,1,1,1,10,America/New_York\n2024-07-02 09:00,2,2,2,2,20,America/New_York\n"}, ["-t", "1h"], bars={("A", "1h"): [("2024-01-02T14:00", 1, 10), ("2024-07-02T13:00", 2, 20)]}, said=["times were read as of America/New_York, as the column Timezone says"]),
    Import("a column of zones that are none", {"A.csv": "Date,Open,High,Low,Close,Volume,Timezone\n2024-01-02 09:00,1,1,1,1,10,EST\n2024-07-02 09:00,2,2,2,2,20,EDT\n"}, ["-t", "1h"], refused="the column 'Timezone' says that times are of EDT, EST", hint="--tz America/New_York", then=["-t", "1h", "--tz", "America/New_York"], then_bars={("A", "1h"): [("2024-01-02T14:00", 1, 10), ("2024-07-02T13:00", 2, 20)]}),
    Import("a column of zones beside times that say theirs", {"A.csv": "Date,Open,High,Low,Close,Volume,tz\n2024-01-02T09:00Z,1,1,1,1,10,EST\n2024-01-02T10:00Z,2,2,2,2,20,EST\n"}, bars={("A", "1h"): [("2024-01-02T09:00", 1, 10), ("2024-01-02T10:00", 2, 20)]}),
    Import("an error for an answer", {"A-1d.json": '{"retCode":10001,"retMsg":"params error: symbol invalid","result":{"list":[]}}'}, refused="A-1d.json: no candles, but an answer that says 'params error: symbol invalid'", hint="ask for it again"),
    Import("an answer without rows", {"A-1d.json": '{"retCode":0,"retMsg":"OK","result":{"list":[]}}'}, said=["no rows"]),
    Import("two columns of one name that differ", {"A.csv": CLOSES.format(1, 1.5)}, refused="A.csv: two columns are named 'Close' and differ, as 2 and 1.5", hint="give each a name of its own in the header, such as Close and Adj Close", then=[], then_files={"A.csv": CLOSES.format(1, 1.5).replace("Close,Close", "Close,Adj Close")}, then_bars=DAYS),
    Import("cells that nothing parts", {"A.csv": WHOLE.replace(",", " ")}, refused="no column for timestamp, .*found 'Date Open High Low Close Volume'", hint="part cells with a comma, a tab, ; or |", then=[], then_files={"A.csv": WHOLE}, then_bars=DAYS),
    *(Import(f"a symbol with a spreadsheet's mark, {mark}", {"all.csv": "Symbol," + HEADER + f"{mark},{FIRST}{mark},{SECOND}"}, bars={("0050", "1d"): DAYS["A", "1d"]}) for mark in ("'0050", '="0050"', '"=""0050"""')),
    *(text(f"prices in {money.format(1)}", HEADER + "".join(f"2024-01-0{day},{','.join([chr(34) + money.format(day - 1) + chr(34)] * 4)},{10 * day - 10}\n" for day in (2, 3))) for money in ("{} USD", "{}원", "USD {}", "KRW {}", "{} USDT")),
]  # fmt: skip
