"""Each row is judged on its own: a time that cannot be read spoils no other, and the bad one is named."""

import polars as pl

from tests.cases.case import Import, Write, csv, flat

MS = [1698364800000, 1698364860000, 1698364920000]
GOOD = {("A", "1m"): [("2023-10-27T00:00", 1), ("2023-10-27T00:02", 3)]}
ALL = {("A", "1m"): [("2023-10-27T00:00", 1), ("2023-10-27T00:01", 2), ("2023-10-27T00:02", 3)]}
HEADER = "timestamp,open,high,low,close,volume\n"


def middle(value, kind=str):
    return [kind(MS[0]), value, kind(MS[2])]


def named(what, value, kind=str):
    return Write(
        f"{what} is named", flat(middle(value, kind)), refused=r"^row 1 of A 1m: timestamp = .* breaks the rule 'timestamp is a time'",
        hint="on_invalid='quarantine' sets bad rows aside", then={"on_invalid": "quarantine"}, bars=GOOD,
    )  # fmt: skip


ROWS = [f"{moment},{close},{close},{close},{close},{10 * close}\n" for close, moment in enumerate(MS, 1)]
OTHER_ORDER = "timestamp,close,high,low,open,volume\n"
CASES = [
    Import("rules are counted", {"A.csv": "2024.01.02,09:30,10,14,9,12,5\n2024.01.02,09:31,10,14,9,8,5\n2024.01.02,,12,13,8,9,7\n2024.01.02,,12,13,8,9,7\n2024.01.02,09:34,12,13,8,9,-1\n"}, ["-t", "1m"], refused="row 1 of A 1m: .*'low <= close'; 3 more of the rows checked break rules: 2 the rule 'timestamp is a time', 1 the rule 'volume >= 0'", hint="--on-invalid quarantine", then=["-t", "1m", "--on-invalid", "drop"], then_bars={("A", "1m"): [("2024-01-02T09:30", 12, 5)]}),
    Import("a time of day that is empty is said to be", {"A.csv": "2024.01.02,09:30,10,14,9,12,5\n2024.01.02,,12,13,8,9,7\n"}, ["-t", "1m"], refused=r"timestamp = 2024.01.02 at no time breaks the rule 'timestamp is a time'. Nothing", hint="--on-invalid quarantine", then=["-t", "1m", "--on-invalid", "drop"], then_bars={("A", "1m"): [("2024-01-02T09:30", 12, 5)]}),
    *(named(f"a text {value!r} among digits", value) for value in ("", "-", "n/a", "timestamp", "soon", "0", "5")),
    named("a null among numbers", None, int),
    *(named(f"a number {value} among numbers", value, int) for value in (0, 5, -1)),
    named("a number that is no number", float("nan"), float),
    named("a text among objects", "soon", int),
    Write("a date among digits is a time", flat([str(MS[0]), "2023-10-27 00:01", str(MS[2])]), bars=ALL),
    Write("dates in three ways are times", flat(["2023-10-27", "20231027 00:01", "2023-10-27T00:02:00Z"]), bars=ALL),
    Write("a year with dots is a year first", flat(["2023.10.27 00:00", "2023.10.27 00:01", "2023.10.27 00:02"]), bars=ALL),
    Write("a bad time is set aside, the others land", [(str(MS[0]), 1, 1, 1, 1, 1), ("", 2, 2, 2, 2, 2), (str(MS[2]), 3, 3, 3, 3, 3)], options={"on_invalid": "quarantine"}, bars=GOOD, result={"inserted": 2, "quarantined": 1}),
    Write("a bad time is dropped, the others land", flat(middle("-")), options={"on_invalid": "drop"}, bars=GOOD, result={"inserted": 2, "dropped": 1}),
    Write("one second among many milliseconds is named", flat([*range(MS[0], MS[0] + 19 * 60_000, 60_000), MS[0] // 1000]), options={"on_invalid": "drop"}, bars={("A", "1m"): [(f"2023-10-27T00:{minute:02}", minute + 1) for minute in range(19)]}, result={"dropped": 1}),
    *(Import(f"a time {value!r} in a file", {"A-1m.csv": csv(flat(middle(value)))}, refused="row 1 of A 1m: timestamp", hint="--on-invalid quarantine", then=["--on-invalid", "quarantine"], then_bars=GOOD) for value in ("", "-", "n/a", "soon")),
    Import("a header that is repeated is skipped", {"A-1m.csv": HEADER + ROWS[0] + HEADER + "".join(ROWS[1:])}, bars=ALL, said=["note: lines that repeat the header were skipped"]),
    Import("in other letters, too", {"A-1m.csv": HEADER.title() + ROWS[0] + HEADER.title() + "".join(ROWS[1:])}, bars=ALL, said=["lines that repeat the header were skipped"]),
    Import("a header without one is not noted", {"A-1m.csv": HEADER + "".join(ROWS)}, bars=ALL, not_said=["repeat"]),
    Import("the header of another table is refused", {"A-1m.csv": HEADER + "".join(ROWS[:2]) + OTHER_ORDER + ROWS[2]}, refused="another header stands among the rows: timestamp, close, high, low, open, volume", hint="make two files of it", then=[], then_files={"A-1m.csv": HEADER + "".join(ROWS)}, then_bars=ALL),
    Import("whatever is done with bad rows", {"A-1m.csv": HEADER + "".join(ROWS[:2]) + OTHER_ORDER + ROWS[2]}, ["--on-invalid", "drop"], refused="another header stands among the rows", hint="make two files of it", then=[], then_files={"A-1m.csv": HEADER + "".join(ROWS)}, then_bars=ALL),
    Import("a header behind rows without one is refused", {"A-1m.csv": "".join(ROWS[:2]) + HEADER + ROWS[2]}, refused="another header stands among the rows", hint="make two files of it", then=[], then_files={"A-1m.csv": HEADER + "".join(ROWS)}, then_bars=ALL),
    Import("in JSON", {"A-1m.json": pl.DataFrame(flat(middle("soon"))).write_json()}, ["--on-invalid", "quarantine"], bars=GOOD),
]  # fmt: skip
