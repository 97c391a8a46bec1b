"""The tables of spellings: each example is read as what it says, and any mix of them is."""

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.spelled_times import read_clocks, read_spelled
from mdstore.core.time_spellings import CLOCKS, DATES, OF_MONTHS, compiled
from mdstore.core.time_style import TimeStyle
from mdstore.core.timestamps import column_to_ms

DAY, NINE = 86_400_000, 9 * 3_600_000
THE_25TH = 1_706_140_800_000  # 2024-01-25
EXAMPLES = [pytest.param(text, id=text) for spelling in DATES for text in spelling.examples]
OF_CLOCKS = [pytest.param(text, id=text) for spelling in CLOCKS for text in spelling.examples]
ZONES = {
    "": 0, "Z": 0, " UTC": 0, " GMT": 0, "+09:00": 9, " +0900": 9, "+09": 9, " GMT+0900": 9, " UTC+9": 9,
    "-05:00": -5, " GMT-0500": -5, " Asia/Seoul": 9, " US/Eastern": -5, " America/New_York": -5,
    " KST": 9, " JST": 9, " GMT+0900 (Korean Standard Time)": 9,
}  # fmt: skip


def read(*texts, **said):
    return column_to_ms(pl.Series("timestamp", texts, dtype=pl.String), TimeStyle(**said))[0].to_list()


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_of_a_date_is_the_25th_of_january_2024(text):
    [moment] = read(text)
    assert moment in (THE_25TH, THE_25TH + NINE)
    assert (moment == THE_25TH) == ("9" not in text)


@pytest.mark.parametrize("text", OF_CLOCKS)
def test_each_example_of_a_clock_is_nine_in_the_morning(text):
    assert read_clocks(pl.Series([text]))[0].to_list() == [NINE]
    for date in ("2024-01-25", "20240125", "25.01.2024", "Jan 25, 2024", "2024년 01월 25일", "1/25/24"):
        assert read(f"{date} {text}") == [THE_25TH + NINE]


@pytest.mark.variants(8)
@pytest.mark.parametrize("zone", ZONES)
def test_any_zone_stands_behind_any_clock(zone):
    glued = zone[:1].isalpha()  # nobody writes 9:00 AMZ
    for date in ("2024-01-25", "20240125", "25.01.2024", "25-Jan-2024", "1/25/24"):
        for clock in ("09:00", "09:00:00", "9:00:00.000", *(() if glued else ("9:00 AM",))):
            assert read(f"{date} {clock}{zone}") == [THE_25TH + NINE - ZONES[zone] * 3_600_000]


def test_afternoons_noons_and_midnights():
    clocks = {
        "12:00 AM": 0,
        "12:30 PM": 12.5,
        "1:00 PM": 13,
        "11:59 PM": 23 + 59 / 60,
        "12-PM": 12,
        "24:00": 24,
    }
    assert read_clocks(pl.Series(list(clocks)))[0].to_list() == [
        hours * 3_600_000 for hours in clocks.values()
    ]
    assert read_clocks(pl.Series(["24:01", "9:60", "09:00:60", "9", "noon"]))[0].to_list() == [None] * 5


NONE = (
    "2024-02-30", "30.02.2024", "2024-13-01", "13/13/2024", "0/1/2024", "25-Foo-2024", "Jan 24", "99999999",
    "25/01/024",
)  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_date_is_none(text):
    assert read(text) == [None]


@pytest.mark.parametrize("text", [text for spelling in OF_MONTHS for text in spelling.examples])
def test_a_column_of_months_is_of_their_first_days(text):
    assert read(text) == [THE_25TH - 24 * DAY]
    assert read(text, "2024-01-25") == [None, THE_25TH]  # among dates it is none


NAMED = (
    "25-ene-2024", "25 janvier 2024", "25. Januar 2024", "25/gen/2024", "25 января 2024", "25 janv. 2024",
    "25 jan 2024", "25-Oca-2024",
)  # fmt: skip


@pytest.mark.parametrize("text", NAMED)
def test_months_have_names_in_other_languages(text):
    assert read(text) == [THE_25TH]
    assert read("25 juin 2024", "25 juillet 2024") == [1719273600000, 1721865600000]


def test_half_days_in_other_languages():
    clocks = ["오후 3:00:00", "오전 12:30", "下午 03:00", "上午 11:00:00", "午後 1:00"]
    hours = [15, 0.5, 15, 11, 13]
    assert read_clocks(pl.Series(clocks))[0].to_list() == [hour * 3_600_000 for hour in hours]
    assert read("2024. 1. 25. 오후 3:00:00", "2024. 1. 25. 9:00") == [
        THE_25TH + 15 * 3_600_000,
        THE_25TH + NINE,
    ]


def test_no_text_fits_two_expressions():
    """So that the order of the table does not matter."""
    for spelling in DATES:
        for text in spelling.examples:
            alike = pl.Series("t", [text.replace(",", "").replace("Thu ", "").replace("Jan. ", "Jan ")])
            fits = {
                compiled(other.pattern)[0]
                for other in DATES
                if alike.str.contains(f"^{compiled(other.pattern)[0]}$").any()
            }
            assert len(fits) <= 1


def test_finer_than_a_millisecond_is_marked():
    texts = pl.Series(["25.01.2024 09:00:00.0005", "25.01.2024 09:00:00.000"])
    stamps, whole = column_to_ms(texts)
    assert (stamps.to_list(), whole.to_list()) == ([THE_25TH + NINE] * 2, [False, True])


# ---- laws

DATES_OF = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%d%b%Y", "%Y-%b-%d",
    "%a, %d %b %Y", "%Y년 %m월 %d일", "%Y年%m月%d日",
)  # fmt: skip
IN_DOUBT = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m-%d-%Y")
CLOCKS_OF = ("%H:%M:%S", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M:%S%p")
WHOLE = (
    "%Y%m%d %H%M%S", "%Y%m%dT%H%M%S", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S", "%Y%m%d %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
)  # fmt: skip
# Korea has had no summer time since 1988.
OFFSETS = {"": 0, "Z": 0, " UTC": 0, "+09:00": 9, "-0500": -5, " GMT+0900": 9, " KST": 9}
MOMENTS = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2060, 1, 1)).map(
    lambda at: at.replace(microsecond=0)
)


def spelled(dates):
    with_clock = st.tuples(st.sampled_from(dates), st.sampled_from(CLOCKS_OF)).map(" ".join)
    pairs = st.tuples(with_clock, st.sampled_from(list(OFFSETS)))
    return pairs.filter(
        lambda pair: not (pair[0].endswith("%p") and pair[1] == "Z")
    )  # nobody writes 9:00 AMZ


def written(moment, spelling):
    pattern, zone = spelling
    return (moment + dt.timedelta(hours=OFFSETS[zone])).strftime(pattern) + zone


def numbers(moment):
    seconds = int(moment.replace(tzinfo=dt.UTC).timestamp())
    sizes = (seconds, seconds * 10**3, seconds * 10**6, seconds * 10**9)
    return [*map(str, sizes), f"{seconds}.0", f"{seconds:.10e}", f"{float(seconds) * 1000:.13e}"]


@given(
    MOMENTS,
    st.lists(spelled(DATES_OF) | st.tuples(st.sampled_from(WHOLE), st.just("")), max_size=5),
    st.data(),
)
def test_any_mix_of_spellings_of_one_instant_is_that_instant(moment, spellings, data):
    texts = [written(moment, spelling) for spelling in spellings]
    texts += data.draw(st.lists(st.sampled_from(numbers(moment)), max_size=3))
    texts = data.draw(st.permutations(texts))
    wanted = int(moment.replace(tzinfo=dt.UTC).timestamp()) * 1000
    assert read(*texts) == [wanted] * len(texts)
    assert column_to_ms(pl.Series(texts, dtype=pl.Object))[0].to_list() == [wanted] * len(texts)


@given(st.lists(MOMENTS, min_size=1, max_size=6), st.sampled_from(IN_DOUBT), st.sampled_from(CLOCKS_OF))
def test_day_and_month_are_told_by_the_column_or_refused(moments, date, clock):
    texts = [moment.strftime(f"{date} {clock}") for moment in moments]
    wanted = [int(moment.replace(tzinfo=dt.UTC).timestamp()) * 1000 for moment in moments]
    if any(moment.day > 12 for moment in moments) or all(moment.day == moment.month for moment in moments):
        assert read(*texts) == wanted
    else:
        with pytest.raises(ValueError, match=date.replace(".", r"\.")):
            read(*texts)
    assert read(*texts, date_format=date) == wanted
    assert read(*texts, date_format=f"{date} {clock}") == wanted


ZONE_NAMES = st.sampled_from(
    ["Asia/Seoul", "America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"]
)


@given(st.lists(MOMENTS, min_size=1, max_size=6), ZONE_NAMES)
def test_naive_times_are_of_the_zone_in_every_form(moments, zone):
    """Texts, other spellings, datetimes and zones behind a time agree, and with Python's zoneinfo."""

    def in_utc(naive):
        aware = [naive.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1)]
        first, second = (int(one.timestamp()) * 1000 for one in aware)
        return first if first == second else None

    wanted = [in_utc(moment) for moment in moments]
    style = TimeStyle(tz=zone)
    forms = [
        pl.Series([moment.isoformat(" ") for moment in moments]),
        pl.Series([moment.strftime("%d-%b-%Y %I:%M:%S %p") for moment in moments]),
        pl.Series(moments, dtype=pl.Datetime("us")),
        pl.Series(moments, dtype=pl.Object),
    ]
    for form in forms:
        assert column_to_ms(form, style)[0].to_list() == wanted
    behind = [f"{moment:%Y%m%d %H:%M:%S} {zone}" for moment in moments]
    assert read(*behind) == wanted


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text):
    """Any text is a time or none, or in doubt: never another error."""
    column = pl.Series("t", [text, "2024-01-25", "2024-01-26"])
    stamps, _ = column_to_ms(column)
    assert stamps.to_list()[1:] == [THE_25TH, THE_25TH + DAY]
    read_spelled(column, TimeStyle(), 9)
