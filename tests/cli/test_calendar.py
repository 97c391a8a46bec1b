"""`mdstore calendar`: patterns are set, shown and taken away."""

import json
import re


def test_calendars_are_set_shown_and_taken_away(stocks):
    assert "every symbol trades always (24/7)" in stocks("calendar").stdout
    stocks("calendar", "AA*", "XNYS")
    done = stocks("calendar", "AAP*", "crypto")
    assert done.stdout == "AAP* trades by 24/7: 2 stored symbols (AAP, AAPL)\n"
    again = stocks("calendar", "AA*", "nyse").stdout
    assert "AA* trades by XNYS: no stored symbol\n2 symbols more fit the pattern, but also a longer" in again
    stocks("calendar", "AAPL", "XNYS")
    listed = json.loads(stocks("calendar", "--json").stdout)
    assert {one["pattern"]: one["symbols"] for one in listed} == {
        "AA*": [], "AAP*": ["AAP"], "AAPL": ["AAPL"],
    }  # fmt: skip
    assert re.search(r"AAP\* +24/7 +1 stored symbol \(AAP\)", stocks("calendar").stdout)
    assert re.search(r"AAP +24/7 +AAP\*\nAAPL +XNYS +AAPL\n", stocks("calendar", "A*").stdout)
    assert stocks("calendar", "AAP*", "--remove").stdout == "AAP* no longer trades by 24/7\n"
    shown = json.loads(stocks("calendar", "AAP", "--json").stdout)
    assert shown == [{"symbol": "AAP", "calendar": "XNYS", "pattern": "AA*"}]
    assert json.loads(stocks("calendar", "AA*", "--remove", "--json").stdout)["removed"] == "AA*"
    assert re.search(r"AAP +24/7 +none fits", stocks("calendar", "AAP").stdout)


def test_calendars_that_there_are_not(stocks):
    assert "did you mean XNYS" in stocks("calendar", "A*", "XNY", code=1).stderr
    assert "no calendar is set for 'A*'" in stocks("calendar", "A*", "--remove", code=1).stderr
    assert "pattern ''" in stocks("calendar", "", "24/7", code=1).stderr
    assert "no stored symbol fits Z*" in stocks("calendar", "Z*").stdout
    unknown = stocks("calendar", "ZZZ")
    assert (unknown.stderr, "24/7" in unknown.stdout) == ("ZZZ is not stored\n", True)
    assert "takes a pattern" in stocks("calendar", "--remove", code=2).output
    assert "and no name" in stocks("calendar", "A*", "XNYS", "--remove", code=2).output
    json_set = json.loads(stocks("calendar", "[A]*", "XNYS", "--json").stdout)
    assert json_set == {"pattern": "[A]*", "calendar": "XNYS", "symbols": ["AAP", "AAPL"]}
    assert "[A]* trades by XNYS" in stocks("calendar", "[A]*", "XNYS").stdout
