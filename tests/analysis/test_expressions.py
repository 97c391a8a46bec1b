"""The language of screens: what it means, what it refuses, and that nothing gets past it."""

import inspect
import itertools
import math
import string
import sys

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mdstore import QueryError
from mdstore.analysis import expressions
from mdstore.analysis.expressions import FUNCTIONS, parse
from tests.support.candles import walk
from tests.support.doses import dose
from tests.support.real import real

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
FRAME = walk(300)
close, open_, high, low, volume = map(pl.col, ("close", "open", "high", "low", "volume"))


def values(text, frame=FRAME):
    return frame.select(parse(text).alias("x"))["x"].to_list()


# --- what a text means ------------------------------------------------------------------------------------

MEANINGS = {
    "close": close,
    "timestamp": pl.col("timestamp"),
    "close > close.rolling_mean(20)": close > close.rolling_mean(20),
    "close / close.shift(1) - 1": close / close.shift(1) - 1,
    "volume > 2 * volume.rolling_mean(20) and close == high.rolling_max(250)": (
        (volume > 2 * volume.rolling_mean(20)) & (close == high.rolling_max(250))
    ),
    "(high - low).mean() / close.last()": (high - low).mean() / close.last(),
    "(close > open) | ~(close < open)": (close > open_) | ~(close < open_),
    "100 < close < open <= high": (close > 100) & (close < open_) & (open_ <= high),
    "not close > open or close != low": ~(close > open_) | (close != low),
    "-close ** 2 // 3 % 7": -(close**2.0) // 3.0 % 7.0,
    "+close - -2": close - (-2.0),
    "close > 1_000 + .5 + 1. + 1e2 + 2E-1": close > 1101.7,
    "close.rolling_std(5)": close.rolling_std(5),
    "close.rolling_min(5) + close.rolling_sum(window=5)": close.rolling_min(5) + close.rolling_sum(5),
    "close.rolling_median(5)": close.rolling_median(5),
    "close.rolling_quantile(0.9, 20)": close.rolling_quantile(0.9, "linear", 20),
    "rolling_quantile(close, window=20, quantile=0.9)": close.rolling_quantile(0.9, "linear", 20),
    "sma(close, 20)": close.rolling_mean(20),
    "highest(high, 20) - lowest(low, 20)": high.rolling_max(20) - low.rolling_min(20),
    "ema(close, 12)": close.ewm_mean(span=12, adjust=False, min_samples=12),
    "close.ewm_mean(span=2.5)": close.ewm_mean(span=2.5),
    "close.shift()": close.shift(1),
    "(close > open).shift(2)": (close > open_).shift(2),
    "close.diff(3)": close.diff(3),
    "pct_change(close, n=5)": close.pct_change(5),
    "close.cum_sum() + close.cum_max() - close.cum_min()": close.cum_sum()
    + close.cum_max()
    - close.cum_min(),
    "abs(open - close).sqrt().log().exp()": (open_ - close).abs().sqrt().log().exp(),
    "round(close)": close.round(0),
    "close.round(2)": close.round(2),
    "clip(close, 100, 110)": close.clip(100, 110),
    "clip(close, upper=110)": close.clip(upper_bound=110),
    "close.sum() + close.min() + close.max() + median(close) + std(close)": (
        close.sum() + close.min() + close.max() + close.median() + close.std()
    ),
    "close.quantile(0.9)": close.quantile(0.9, "linear"),
    "close.first()": close.first(),
    "timestamp.last()": pl.col("timestamp").last(),
    "timestamp == timestamp.shift(1)": pl.col("timestamp") == pl.col("timestamp").shift(1),
    "close.count()": close.count().cast(pl.Int64),
    "close.count() - 400": pl.lit(-100.0),
    "sum(close > open)": (close > open_).sum().cast(pl.Float64),
    "(close > open) + (close > low) == 2": (close > open_) & (close > low),
    "(close > open).rolling_sum(5)": (close > open_).cast(pl.Float64).rolling_sum(5),
    "(close > open) == (high > low)": close > open_,
    "close / 0": pl.lit(math.inf),
    "2 + 3 * 4": pl.lit(14.0),
    "7 // 2 - 1 / 2": pl.lit(2.5),
    " \t close\n >\r\n open  ": close > open_,
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_text_means_the_polars_expression_it_looks_like(text):
    got, expected = FRAME.select(parse(text).alias("x"), MEANINGS[text].alias("y"))
    assert got.dtype == expected.dtype
    assert got.equals(expected.alias("x"))


def test_the_module_says_what_there_is():
    for name in (*FUNCTIONS, *COLUMNS):
        assert name in expressions.__doc__, name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_a_method_too_and_can_be_answered(name):
    settings = {"rolling_quantile": ["0.5", "3"], "quantile": ["0.5"], "ewm_mean": ["3"]}
    given = settings.get(name, ["3"] * sum(one.default is None for one in FUNCTIONS[name].settings))
    others = ["open"] * len(FUNCTIONS[name].others)
    if FUNCTIONS[name].takes is None:
        assert len(values(f"{name}({', '.join(given)})")) == len(FRAME)
        return
    function = values(f"{name}({', '.join(['close', *others, *given])})")
    assert function == values(f"close.{name}({', '.join([*others, *given])})")
    assert len(function) == (1 if FUNCTIONS[name].shape == "one" else len(FRAME))


numbers = st.sampled_from(["0.5", "1", "2", "3.25", "7"])
columns = st.sampled_from(["open", "high", "low", "close", "volume"])
arithmetic = st.recursive(
    numbers | columns,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), inner),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
    ),
    max_leaves=6,
)
comparison = st.one_of(
    st.builds("{} {} {}".format, arithmetic, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), arithmetic),
    st.builds("{} < {} <= {}".format, arithmetic, arithmetic, arithmetic),
)
conditions = st.recursive(
    comparison,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["&", "|"]), inner),
        st.builds("not {}".format, inner),
        st.builds("({})".format, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=dose(300))
@given(
    st.one_of(arithmetic, conditions),
    st.lists(st.sampled_from([0.25, 1.0, 1.5, 3.0]), min_size=5, max_size=5),
)
def test_a_text_means_what_python_means_by_it(text, row):
    bar = dict(zip(("open", "high", "low", "close", "volume"), row, strict=True))
    try:
        meant = eval(text, {}, bar)
        expected = meant if isinstance(meant, bool) else float(meant)
    except (ZeroDivisionError, OverflowError, TypeError):  # of complex numbers, of vast whole ones
        assume(False)
    try:
        got = pl.DataFrame(bar | {"timestamp": 0}).select(parse(text)).item()
    except QueryError:  # for a power over 100, which Python may answer
        assume("**" not in text)
        raise
    if isinstance(expected, bool):
        assert got is expected
    else:
        assert got == pytest.approx(expected, rel=1e-9)


# --- indicators, against the books' own words in plain Python ----------------------------------------------


def naive_wilder(series, window):
    """Wilder's smoothing: the mean of the first `window`, then one part in `window` of each new value."""
    smooth, out = None, []
    for i, value in enumerate(series):
        if i + 1 == window:
            smooth = sum(series[:window]) / window
        elif smooth is not None:
            smooth = (smooth * (window - 1) + value) / window
        out.append(smooth)
    return out


def naive_rsi(prices, window):
    changes = [b - a for a, b in itertools.pairwise(prices)]
    gains = naive_wilder([max(change, 0) for change in changes], window)
    losses = naive_wilder([max(-change, 0) for change in changes], window)
    out = [None]
    for gain, loss in zip(gains, losses, strict=True):
        if gain is None:
            out.append(None)
        elif gain == loss == 0:
            out.append(50.0)
        else:
            out.append(100.0 if loss == 0 else 100 - 100 / (1 + gain / loss))
    return out


def naive_atr(frame, window):
    ranges, before = [], None
    for bar in frame.iter_rows(named=True):
        parts = [bar["high"] - bar["low"]]
        if before is not None:
            parts += [abs(bar["high"] - before), abs(bar["low"] - before)]
        ranges.append(max(parts))
        before = bar["close"]
    return naive_wilder(ranges, window)


def naive_ema(prices, window):
    smooth, out = prices[0], []
    for i, price in enumerate(prices):
        smooth += 2 / (window + 1) * (price - smooth)
        out.append(smooth if i + 1 >= window else None)
    return out


def naive_sma(prices, window):
    return [
        None if i + 1 < window else sum(prices[i + 1 - window : i + 1]) / window for i in range(len(prices))
    ]


def naive_crossed_above(a, b):
    pairs = list(zip(a, b, strict=True))
    # Of what was before the first bar nothing is known: above means that it may have crossed.
    return [
        None if a[0] > b[0] else False,
        *(x > y and p <= q for (p, q), (x, y) in itertools.pairwise(pairs)),
    ]


def assert_near(got, expected):
    assert [value is None for value in got] == [value is None for value in expected]
    for one, other in zip(got, expected, strict=True):
        assert one is None or one == pytest.approx(other, rel=1e-7, abs=1e-7)


def check_indicators(frame, window):
    prices = frame["close"].to_list()
    assert_near(values(f"sma(close, {window})", frame), naive_sma(prices, window))
    assert_near(values(f"ema(close, {window})", frame), naive_ema(prices, window))
    assert_near(values(f"rsi(close, {window})", frame), naive_rsi(prices, window))
    assert_near(values(f"atr({window})", frame), naive_atr(frame, window))


@settings(max_examples=dose(40))
@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 1000))
def test_indicators_are_those_of_plain_python(window, bars, seed):
    check_indicators(walk(bars, seed=seed), window)


@pytest.mark.parametrize("symbol", ["ALK", "AMGN"])
def test_indicators_of_recorded_prices(symbol):
    rows = pl.read_csv(real("sp500", f"{symbol}_data.csv")).with_columns(pl.col("volume").cast(pl.Float64))
    check_indicators(rows.drop_nulls(), 14)


def test_rsi_of_a_published_example():
    # The worked example of StockCharts' ChartSchool, "Relative Strength Index (RSI)": closes of QQQQ.
    closes = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931,
        46.0328, 45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122,
    ]  # fmt: skip
    got = values("rsi(close, 14)", pl.DataFrame({"close": closes}))
    assert got[:14] == [None] * 14
    assert [round(value, 2) for value in got[14:]] == [70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93]


def test_rsi_at_its_ends():
    up, flat = pl.DataFrame({"close": [1.1**i for i in range(40)]}), pl.DataFrame({"close": [5.0] * 40})
    assert set(values("rsi(close, 14)", up)[14:]) == {100.0}
    assert set(values("rsi(close, 14)", up.reverse())[14:]) == {0.0}
    assert set(values("rsi(close, 14)", flat)[14:]) == {50.0}


def test_an_indicator_of_an_indicator_starts_where_the_inner_one_does():
    smooth = naive_sma(FRAME["close"].to_list(), 20)
    inner = naive_rsi(smooth[19:], 14)
    assert_near(values("rsi(sma(close, 20), 14)"), [None] * 19 + inner)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 2), min_size=1, max_size=30))
def test_crossings_are_those_of_plain_python(pairs):
    a, b = ([float(pair[i]) for pair in pairs] for i in (0, 1))
    frame = pl.DataFrame({"close": a, "open": b})
    assert values("crossed_above(close, open)", frame) == naive_crossed_above(a, b)
    assert values("crossed_below(close, open)", frame) == naive_crossed_above(b, a)
    assert values("close.crossed_above(2)", frame) == naive_crossed_above(a, [2] * len(a))
    assert values("close.crossed_below(open.mean())", frame) == naive_crossed_above(
        [sum(b) / len(b)] * len(b), a
    )


# --- what is refused ---------------------------------------------------------------------------------------

ATTACKS = [
    "__import__('os').system('x')",
    "__import__",
    "__import__(close)",
    "close.__class__",
    "close.__class__()",
    "close.__class__.__mro__",
    "close._pyexpr",
    "close.map_elements(print)",
    "close.map_batches(print)",
    "close.pipe(print)",
    "close.eval",
    "close.meta.serialize()",
    "close.str.len_chars()",
    "map_elements(close, print)",
    "(lambda: 0)()",
    "lambda x: x",
    "lambda: close",
    "[x for x in ().__class__.__bases__]",
    "(x for x in close)",
    "{close}",
    "{1: 2}",
    "f'{close}'",
    "f'{__import__(\"os\")}'",
    "'close'",
    '"close"',
    "b'x'",
    "(x := 1)",
    "x := 1",
    "close[0]",
    "close[::2]",
    "eval(close)",
    "exec(close)",
    "open('/etc/passwd')",
    "open(close)",
    "print(close)",
    "getattr(close, open)",
    "pl.read_csv(close)",
    "pl",
    "import os",
    "close; import os",
    "close\nimport os",
    "yield close",
    "(yield close)",
    "await close",
    "close if close else open",
    "*close",
    "sma(*close)",
    "sma(**close)",
    "sma(close, *open)",
    "close, open",
    "()",
    "...",
    "True",
    "None",
    "None.x",
    "__debug__",
    "1j",
    "0x1F",
    "0b1",
    "1if close else 2",
    "close @ open",
    "close is open",
    "close in open",
    "close not in open",
    "close << 2",
    "close ^ open",
    "close #",
    "close\\\n> open",
    "close\0",
    "\ufeffclose",
    "\uff43lose",  # Python reads wide letters as narrow ones
    "cl\u00f6se",
    "\ud800",
    "@close",
    "close := 5",
    "-",
    "",
    " ",
    "\n",
    "(",
    "9" * 1999,
    "1e999",
    "2 ** 99999",
    "2 ** -101",
    "9 ** 9 ** 999",
    "-" * 1990 + "1",
    "(" * 1000,
    "not " * 400 + "close > 1",
    "1" + " + 1" * 400,
    "1" + " ** 1" * 300,
    "close" + ".abs()" * 300,
    "x" * 2001,
    "close.shift(1)" + " " * 2000,
]


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: ascii(text)[:30])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(QueryError):
        parse(text)


@pytest.mark.parametrize("thing", [None, 5, b"close", pl.col("close"), ["close"]])
def test_what_is_no_text_is_refused(thing):
    with pytest.raises(QueryError, match="is a text"):
        parse(thing)


@pytest.mark.parametrize(
    ("text", "piece", "column", "hint"),
    [
        ("close > rolling_men(close, 20)", "rolling_men", 9, "did you mean rolling_mean?"),
        ("close.shfit(1)", "close.shfit", 1, "did you mean shift?"),
        ("Close > 1", "Close", 1, "did you mean close?"),
        ("RSI(close, 14) > 1", "RSI", 1, "did you mean rsi?"),
        ("close > wolume", "wolume", 9, "did you mean volume?"),
        ("close > price", "price", 9, "known are timestamp, open, high"),
        ("close > rsi", "rsi", 9, "write rsi(x, window)"),
        ("close > close.shift", "close.shift", 9, "write shift(x, n=1)"),
        ("close(5)", "close", 1, "is a column"),
        ("rsi(close)", "rsi(close)", 1, "lacks window. Hint: write rsi(x, window)"),
        ("rsi(14)", "14", 5, "rsi needs one of every bar. Hint: write rsi(x, window)"),
        ("sma(close.mean(), 5)", "close.mean()", 5, "is one value"),
        ("close.mean().mean()", "close.mean()", 1, "is one value"),
        ("crossed_above(close)", "crossed_above(close)", 1, "write crossed_above(x, other)"),
        ("crossed_above(30, close)", "30", 15, "is one value"),
        ("rsi(close, 14, 3)", "3", 16, "is one too many"),
        ("close.atr(14)", "14", 11, "write atr(window)"),
        ("sma(close, 2, window=3)", "window=3", 15, "does not fit"),
        ("sma(close, window=2, window=3)", "window=3", 22, "does not fit"),
        ("sma(close, size=3)", "size=3", 12, "write sma(x, window)"),
        ("sma(close, 0)", "0", 12, "a whole number from 1 to 100,000"),
        ("sma(close, 100001)", "100001", 12, "a whole number from 1 to 100,000"),
        ("sma(close, 2.5)", "2.5", 12, "a whole number"),
        ("sma(close, volume)", "volume", 12, "a whole number"),
        ("sma(close, 2 + 3)", "2 + 3", 12, "a whole number"),
        ("close.shift(-1)", "-1", 13, "a whole number from 1"),
        ("close.quantile(90)", "90", 16, "from 0 to 1"),
        ("close > open & volume > 3", "open", 9, "write 'and' and 'or'"),
        ("close and open", "close", 1, "is a number, no condition"),
        ("not close", "close", 5, "is a number, no condition"),
        ("(close > open) > 3", "(close > open) > 3", 1, "compares a condition with a number"),
        ("timestamp > 3", "timestamp > 3", 1, "compares a time with a number"),
        ("close + timestamp", "timestamp", 9, "is a time"),
        ("timestamp.mean()", "timestamp", 1, "is a time"),
        ("close = 5", "= 5", 7, "write '=='"),
        ("close > 1 && open > 2", "& open > 2", 12, "write 'and'"),
        ("close > 1 || open > 2", "| open > 2", 12, "write 'or'"),
        ("!(close > 1)", "!(close > 1)", 1, "write 'not'"),
        ("close ^ 2", "^", 7, "'**'"),
        ("close[1]", "[", 6, "close.shift(1)"),
        ("'close' > 1", "'", 1, "without quotes"),
        ("sma(close, window=20", "(close, window=20", 4, "never closed"),
        ("close > > open", "> open", 9, "cannot be read"),
        ("close > 1k", "1k", 9, "is no number"),
        ("close ** 101", "101", 10, "too high a power; 100"),
        ("lambda: close", ":", 7, "no place"),
    ],
)
def test_an_error_quotes_the_piece_and_says_where_and_what_to_do(text, piece, column, hint):
    with pytest.raises(QueryError) as error:
        parse(text)
    assert str(error.value).startswith(f"{piece!r} (column {column}) ")
    assert hint in str(error.value)


def test_no_hint_where_equal_signs_are_right():
    with pytest.raises(QueryError) as error:
        parse("sma(close, window=20")
    assert "'=='" not in str(error.value)


def test_what_repeats_itself_too_often_is_refused_before_it_grows():
    text = "close"
    for _ in range(40):
        text = f"crossed_above({text}, 1) * 1"
    with pytest.raises(QueryError, match="operations; 2,000 may be"):
        parse(text)
    middle = "close"
    for _ in range(40):
        middle = f"((1 < {middle} < 2) * 1)"
    with pytest.raises(QueryError, match="operations; 2,000 may be"):
        parse(middle)


def test_long_chains_are_read():
    assert values("0 < close" + " >= close" * 200) == [True] * 300
    assert values(" and ".join(["close > 0"] * 140)) == [True] * 300
    assert values("(" * 150 + "close" + ")" * 150) == values("close")


def test_what_is_just_not_too_deep_is_read():
    text = "close"
    for _ in range(99):
        text = f"sma({text}, 1)"
    assert values(text) == values("close")
    with pytest.raises(QueryError, match="nested too deeply; 100 may be"):
        parse(f"sma(sma({text}, 1), 1)")


def test_a_text_read_deep_inside_a_program_raises_nothing_else():
    text = "close" + ".abs()" * 90

    def dive(frames):
        return dive(frames - 1) if frames else parse(text)

    free = sys.getrecursionlimit() - len(inspect.stack())
    with pytest.raises(QueryError, match="nested too deeply"):
        dive(free - 100)
    assert isinstance(dive(free - 600), pl.Expr)


SIGNS = (
    """( ) (( )) , . = == < > != + - * ** / // % & | ~ 1 14 0.5 1e3 1e 0 -1 1j 0x1 ' " [ ] { } : := \\ # @"""
)
WORDS = "and or not if else lambda for in is await yield import x __class__ None True ..."
TOKENS = (*COLUMNS, *FUNCTIONS, *SIGNS.split(), *WORDS.split(), "\n", "\0")
sentences = st.lists(st.sampled_from(TOKENS), max_size=25).flatmap(
    lambda parts: st.sampled_from([" ", ""]).map(lambda j: j.join(parts))
)


@pytest.mark.slow
@settings(max_examples=dose(600))
@given(st.one_of(st.text(max_size=80), st.text(string.printable, max_size=80), sentences))
def test_any_text_is_an_expression_or_a_query_error(text):
    try:
        expr = parse(text)
    except QueryError:
        return
    assert isinstance(expr, pl.Expr)
    assert len(FRAME.select(expr)) in (1, len(FRAME))


windows = st.integers(1, 12)
METHODS = st.sampled_from(["sma", "ema", "rsi", "shift", "diff"])
single = st.builds(
    "{}.{}()".format, columns, st.sampled_from(["mean", "sum", "min", "max", "std", "last", "count"])
)
series = st.recursive(
    columns | st.just("atr(5)"),
    lambda inner: st.one_of(
        st.builds("{}.{}({})".format, inner, METHODS, windows),
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/%"), inner | numbers | single),
        st.builds("clip({} > {}, 0)".format, inner, inner | numbers | single),
        st.builds("{}({})".format, st.sampled_from(["abs", "exp", "log", "cum_sum", "round"]), inner),
        st.builds("(crossed_above({}, {}) + 0)".format, inner, inner | numbers | single),
    ),
    max_leaves=6,
)


@settings(max_examples=dose(150))
@given(st.one_of(series, single))
def test_whatever_is_written_by_the_rules_is_read_and_can_be_answered(text):
    try:
        expr = parse(text)
    except QueryError as error:
        assume("operations" not in str(error))
        raise
    assert len(FRAME.select(expr)) in (1, len(FRAME))
