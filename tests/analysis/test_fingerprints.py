"""Fingerprints: what they are made of, computed by hand; what changes them, and what does not."""

import hashlib
import io
import struct
from itertools import pairwise

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mdstore.analysis.fingerprints
from mdstore import InvalidInputError
from mdstore.analysis.fingerprints import _little, fingerprint
from tests.support.candles import START, walk
from tests.support.doses import dose

UTC_MS = pl.Datetime("ms", "UTC")
INFINITY, NAN = 0x7FF0000000000000, 0x7FF8000000000000
TYPES = {
    "integer": pl.Int64,
    "small": pl.Int8,
    "float": pl.Float64,
    "single": pl.Float32,
    "flag": pl.Boolean,
    "text": pl.String,
    "category": pl.Categorical,
    "moment": UTC_MS,
    "day": pl.Date,
    "length": pl.Duration("ns"),
}
words = st.text(st.characters(codec="utf-8"), max_size=4)
CELLS = {
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.Int8: st.integers(-128, 127),
    pl.Float64: st.floats(),
    pl.Float32: st.floats(width=32),
    pl.Boolean: st.booleans(),
    pl.String: words,
    pl.Categorical: words,
    UTC_MS: st.integers(-(2**40), 2**40),
    pl.Date: st.integers(-(2**20), 2**20),
    pl.Duration("ns"): st.integers(-(2**40), 2**40),
}


laws = settings(max_examples=dose(30))


def column_of(cells, kind):
    """Make a column; times are given as integers."""
    physical = pl.Int32 if kind == pl.Date else pl.Int64 if kind.is_temporal() else kind
    return pl.Series(cells, dtype=physical).cast(kind)


def cells_of(column):
    """Return what `column_of` makes the same column of."""
    return (column.to_physical() if column.dtype.is_temporal() else column).to_list()


def rows_of(frame):
    """Return rows that are equal where all values are, and all NaN."""
    return [list(map(repr, row)) for row in zip(*map(cells_of, frame.get_columns()), strict=True)]


@st.composite
def frames(draw, *, min_rows=0, names=TYPES):
    """Draw a frame of all types, with nulls in some columns."""
    rows = draw(st.integers(min_rows, 6))
    cells = {name: CELLS[TYPES[name]] for name in names}
    cells |= {name: st.none() | cells[name] for name in names if draw(st.booleans())}
    columns = {name: draw(st.lists(cell, min_size=rows, max_size=rows)) for name, cell in cells.items()}
    return pl.DataFrame({name: column_of(cells, TYPES[name]) for name, cells in columns.items()})


def by_hand(rows, *columns):
    """Hash columns given as (name, type, bytes)."""
    head = struct.pack("<qq", len(columns), rows)
    for name, kind, _ in columns:
        for text in (name.encode(), kind.encode()):
            head += struct.pack("<q", len(text)) + text
    return "mdstore-1:" + hashlib.sha256(head + b"".join(data for *_, data in columns)).hexdigest()


def pieces(frame, cuts):
    """Return the same frame in chunks."""
    ends = sorted({0, len(frame), *(cut for cut in cuts if cut < len(frame))})
    parts = [frame.slice(low, high - low) for low, high in pairwise(ends)]
    return pl.concat(parts, rechunk=False) if parts else frame


def of_bits(*bits):
    """Return a column of float64 of these bits."""
    data = pa.py_buffer(struct.pack(f"={len(bits)}Q", *bits))
    return pa.table({"x": pa.Array.from_buffers(pa.float64(), len(bits), [None, data])})


# ---- the form


def test_candles_by_hand():
    bars = walk(2)
    floats = [(name, "float64", b"\0" + struct.pack("<2d", *bars[name])) for name in bars.columns[1:]]
    times = ("timestamp", "timestamp[ms, UTC]", b"\0" + struct.pack("<2q", START, START + 60_000))
    expected = "mdstore-1:15da909d81a750b658db89c3daf73937852ce2e40b6ff472d10ff3b0359f1c6c"
    assert fingerprint(bars) == by_hand(2, times, *floats) == expected


def test_nulls_and_texts_by_hand():
    frame = pl.DataFrame(
        {
            "é": pl.Series(["한", None, "", "ab"], dtype=pl.Categorical),
            "flag": [True, False, None, True],
            "n": pl.Series([1, None, -1, 2], dtype=pl.Int32),
        }
    )
    text = b"\1" + bytes([1, 0, 1, 1]) + struct.pack("<3q", 3, 0, 2) + "한ab".encode()
    flag = b"\1" + bytes([1, 1, 0, 1]) + bytes([1, 0, 1])
    number = b"\1" + bytes([1, 0, 1, 1]) + struct.pack("<3i", 1, -1, 2)
    expected = "mdstore-1:3b26f0a132ad44f5c58bb0007f35135c6efd2e71e4ac935128fd9f2804e33e99"
    made = by_hand(4, ("é", "text", text), ("flag", "bool", flag), ("n", "int32", number))
    assert fingerprint(frame) == made == expected


def test_nothing_by_hand():
    assert fingerprint(pl.DataFrame()) == by_hand(0)
    assert fingerprint(pl.DataFrame(schema={"a": pl.String})) == by_hand(0, ("a", "text", b"\0"))


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (pl.Int8, "int8", "b"),
        (pl.UInt16, "uint16", "H"),
        (pl.Int32, "int32", "i"),
        (pl.UInt64, "uint64", "Q"),
        (pl.Float32, "float32", "f"),
        (pl.Date, "date", "i"),
        (pl.Datetime("us"), "timestamp[us]", "q"),
        (pl.Datetime("ns", "Asia/Seoul"), "timestamp[ns, Asia/Seoul]", "q"),
        (pl.Duration("ms"), "duration[ms]", "q"),
    ],
)
def test_each_type_by_hand(kind, name, code):
    physical = {"i": pl.Int32, "q": pl.Int64}.get(code, kind) if kind.is_temporal() else kind
    frame = pl.DataFrame({"x": pl.Series([3, 100], dtype=physical).cast(kind)})
    assert fingerprint(frame) == by_hand(2, ("x", name, b"\0" + struct.pack(f"<2{code}", 3, 100)))


def test_every_nan_is_one_and_the_zeros_are_two():
    one = fingerprint(of_bits(NAN, 0))
    assert one == by_hand(2, ("x", "float64", b"\0" + struct.pack("<2Q", NAN, 0)))
    for nan in (0xFFF8000000000000, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF):
        assert fingerprint(of_bits(nan, 0)) == one
    assert fingerprint(of_bits(NAN, 1 << 63)) != one
    singles = [
        pa.table({"x": pa.Array.from_buffers(pa.float32(), 1, [None, pa.py_buffer(struct.pack("=I", bits))])})
        for bits in (0x7FC00000, 0xFFC00001)
    ]
    single = by_hand(1, ("x", "float32", b"\0" + struct.pack("<I", 0x7FC00000)))
    assert [fingerprint(table) for table in singles] == [single, single]


def test_words_are_turned_around_where_they_come_big_end_first():
    for width, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q")):
        assert _little(struct.pack(f">2{code}", 7, 200), width, "big") == struct.pack(f"<2{code}", 7, 200)


# ---- what does not count


@laws
@given(frames(), st.lists(st.integers(0, 6), max_size=4))
def test_chunks_do_not_count(frame, cuts):
    cut = pieces(frame, cuts)
    assert fingerprint(cut) == fingerprint(frame) == fingerprint(cut.rechunk())


def test_columns_in_chunks_of_their_own_do_not_count():
    frame = walk(10)
    mixed = frame.with_columns(pl.concat([frame["open"].head(3), frame["open"].tail(7)], rechunk=False))
    assert mixed["open"].n_chunks() == 2
    assert fingerprint(mixed) == fingerprint(frame)


@laws
@given(frames(), st.integers(0, 6), st.integers(0, 6))
def test_a_slice_is_as_if_made_alone(frame, offset, length):
    part = frame.slice(offset, length)
    alone = pl.DataFrame({name: column_of(cells_of(part[name]), part.schema[name]) for name in part.columns})
    assert fingerprint(part) == fingerprint(alone)
    assert fingerprint(frame.to_arrow().slice(offset, length)) == fingerprint(alone)


def test_a_slice_of_texts_is_those_alone():
    texts = pl.DataFrame({"s": ["ab", "c", "def"]})
    assert fingerprint(texts.to_arrow().slice(1)) == fingerprint(texts.tail(2))


@laws
@given(frames())
def test_arrow_is_as_polars(frame):
    assert fingerprint(frame.to_arrow()) == fingerprint(frame) == fingerprint(pa.table(frame))


@laws
@given(st.lists(st.one_of(st.none(), words)))
def test_how_texts_are_encoded_does_not_count(texts):
    plain = pl.Series("s", texts, dtype=pl.String)
    kinds = (
        pl.Categorical,
        pl.Categorical(pl.Categories.random("test")),
        pl.Enum(plain.drop_nulls().unique().sort(descending=True)),
    )
    forms = [plain.cast(kind).to_frame() for kind in kinds]
    arrow = [plain.to_frame().to_arrow(), pa.table({"s": plain.to_arrow().cast(pa.string())})]
    arrow.append(pa.table({"s": arrow[1]["s"].dictionary_encode()}))
    assert {fingerprint(form) for form in (*forms, *arrow)} == {fingerprint(plain.to_frame())}


def test_a_null_in_a_dictionary_is_a_null():
    texts = pl.Series(["a", None]).to_arrow()
    codes = pl.Series([1, 0, 1], dtype=pl.Int32).to_arrow()
    table = pa.table({"s": pa.DictionaryArray.from_arrays(codes, texts)})
    assert fingerprint(table) == fingerprint(pl.DataFrame({"s": [None, "a", None]}))


def test_what_lies_under_a_null_does_not_count():
    def over(payload):
        data = pa.py_buffer(struct.pack("=2d", 1.0, payload))
        return pa.table({"x": pa.Array.from_buffers(pa.float64(), 2, [pa.py_buffer(b"\1"), data])})

    assert fingerprint(over(5.0)) == fingerprint(over(6.0)) == fingerprint(pl.DataFrame({"x": [1.0, None]}))


@pytest.mark.parametrize("form", ["parquet", "ipc"])
@laws
@given(frame=frames())
def test_files_do_not_count(form, frame):
    file = io.BytesIO()
    getattr(frame, f"write_{form}")(file)
    file.seek(0)
    assert fingerprint(getattr(pl, f"read_{form}")(file)) == fingerprint(frame)


@laws
@given(frames(), st.integers(1, 5))
def test_the_size_of_a_step_does_not_count(frame, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mdstore.analysis.fingerprints, "BLOCK", size)
        small = fingerprint(frame)
    assert small == fingerprint(frame)


def test_a_store_gives_the_same_in_both_forms(store):
    for symbol in ("B", "A", "한"):
        store.write(symbol, "1m", walk(300, seed=len(symbol.encode())))
    for symbols in ("A", None, ["한", "A"]):
        read = {"start": START + 600_000}
        assert fingerprint(store.candles(symbols, "1m", **read)) == fingerprint(
            store.arrow(symbols, "1m", **read)
        )
    assert fingerprint(store.candles("A", "1m")) == fingerprint(walk(300, seed=1))


# ---- what counts


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9), st.integers(0, 8), st.integers(0, 63))
def test_every_bit_of_a_number_counts(bits, at, bit):
    at %= len(bits)
    other = [*bits[:at], bits[at] ^ 1 << bit, *bits[at + 1 :]]
    integers = [pl.DataFrame({"x": pl.Series(part, dtype=pl.UInt64)}) for part in (bits, other)]
    assert fingerprint(integers[0]) != fingerprint(integers[1])
    both_nan = all(part[at] % 2**63 > INFINITY for part in (bits, other))
    assert (fingerprint(of_bits(*bits)) == fingerprint(of_bits(*other))) == both_nan


@laws
@given(st.data(), st.sampled_from(list(TYPES)))
def test_any_cell_counts(data, name):
    frame = data.draw(frames(min_rows=1, names=[name]))
    cells, at = cells_of(frame[name]), data.draw(st.integers(0, len(frame) - 1))
    cell = data.draw(st.one_of(st.none(), CELLS[TYPES[name]]))
    assume(repr(cell) != repr(cells[at]))
    cells[at] = cell
    assert fingerprint(column_of(cells, TYPES[name]).to_frame(name)) != fingerprint(frame)


@laws
@given(st.data(), frames(min_rows=2))
def test_the_order_of_rows_counts(data, frame):
    other = frame[data.draw(st.permutations(range(len(frame))))]
    assert (fingerprint(other) == fingerprint(frame)) == (rows_of(other) == rows_of(frame))


def test_names_order_and_types_of_columns_count():
    frame = walk(3)
    others = [
        frame.rename({"open": "Open"}),
        frame.select(reversed(frame.columns)),
        frame.drop("volume"),
        frame.with_columns(pl.col("timestamp").cast(pl.Datetime("us", "UTC"))),
        frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None)),
        frame.with_columns(pl.col("timestamp").to_physical()),
        frame.with_columns(pl.col("volume").cast(pl.Float32)),
        frame.head(2),
        frame.clear(),
    ]
    assert len({fingerprint(other) for other in (frame, *others)}) == 1 + len(others)


def test_null_is_neither_zero_nor_empty_nor_nan():
    columns = [
        pl.Series([None], dtype=pl.Float64), pl.Series([0.0]), pl.Series([-0.0]), pl.Series([float("nan")]),
        pl.Series([None], dtype=pl.String), pl.Series([""]), pl.Series(["\0"]),
        pl.Series([None], dtype=pl.Boolean), pl.Series([False]),
    ]  # fmt: skip
    assert len({fingerprint(column.to_frame("x")) for column in columns}) == len(columns)


def test_a_name_is_no_pattern():
    frame = pl.DataFrame({"*": [1.0], "^.*$": [2.0], "": [3.0]})
    assert fingerprint(frame) == fingerprint(frame.to_arrow())


def test_where_a_text_ends_counts():
    assert fingerprint(pl.DataFrame({"s": ["ab", "c"]})) != fingerprint(pl.DataFrame({"s": ["a", "bc"]}))


# ---- errors


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([[1.0]]),
        pl.Series([{"a": 1}]),
        pl.Series([[1]], dtype=pl.Array(pl.Int8, 1)),
        pl.Series([1], dtype=pl.Int128),
        pl.Series([object()], dtype=pl.Object),
        pl.Series([None]),
        pl.Series([b"a"]),
        pl.Series([1.5]).cast(pl.Decimal(5, 2)),
    ],
    ids=lambda column: str(column.dtype),
)
def test_other_types_are_refused_by_name(column):
    with pytest.raises(InvalidInputError, match=r"column 'odd one' is of type \w+"):
        fingerprint(walk(1).with_columns(column.alias("odd one")))


def test_other_objects_are_refused():
    for thing in (walk(1).lazy(), {"a": [1]}, None, walk(1)["open"]):
        with pytest.raises(InvalidInputError, match="only a Polars DataFrame or an Arrow table"):
            fingerprint(thing)


def test_pandas_stays_out(python):
    """Building Arrow arrays out of lists would import it."""
    script = """
        import sys
        import polars as pl
        from mdstore.analysis.fingerprints import fingerprint

        fingerprint(pl.DataFrame({"a": [float("nan"), None], "b": ["x", None]}).cast({"b": pl.Categorical}))
        print("pandas" in sys.modules)
        """
    assert python(script) == "False"
