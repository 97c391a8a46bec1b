"""Any number, however it is written, is the double that Python reads; nothing written otherwise is one."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.numbers import Numbers, numbers_of
from mdstore.errors import InvalidInputError

SWAPPED = str.maketrans(",.", ".,")
STYLES = {
    "thousands": lambda text: text,
    "decimal comma": lambda text: text.translate(SWAPPED),
    "spaces": lambda text: text.replace(",", " "),
    "narrow spaces and a comma": lambda text: text.replace(",", "\u202f").replace(".", ","),
    "a dollar": lambda text: text.replace("-", "-$") if text.startswith("-") else f"${text}",
    "a euro behind": lambda text: f"{text} €",
}
prices = st.lists(st.decimals(-(10**12), 10**12, places=2, allow_nan=False), min_size=1, max_size=20)


@pytest.mark.parametrize("style", STYLES)
@given(prices)
def test_any_style_reads_back_to_the_last_bit(style, values):
    texts = [STYLES[style](f"{value:,.2f}") for value in values]
    read = Numbers().read([pl.Series("open", texts)])[0]
    assert read.to_list() == [float(value) for value in values]


@given(prices, st.sampled_from("KMB"))
def test_a_suffix_is_a_power_of_ten_to_the_last_bit(values, suffix):
    power = {"K": 3, "M": 6, "B": 9}[suffix]
    texts = [f"{value}{suffix}" for value in values]
    assert Numbers().read([pl.Series("volume", texts)])[0].to_list() == [
        float(f"{v}e{power}") for v in values
    ]


@given(st.lists(st.integers(1, 999).map(lambda whole: f"{whole},{whole:03}"), min_size=1))
def test_groups_of_three_alone_are_refused_and_each_statement_is_followed(texts):
    with pytest.raises(InvalidInputError, match=r"is .* the number .* or") as caught:
        Numbers().read([pl.Series("open", texts)])
    assert "decimal" in str(caught.value.hint)
    grouped = Numbers(".").read([pl.Series("open", texts)])[0]
    decimal = Numbers(",").read([pl.Series("open", texts)])[0]
    assert grouped.to_list() == [float(text.replace(",", "")) for text in texts]
    assert decimal.to_list() == [float(text.replace(",", ".")) for text in texts]


@given(st.text())
def test_any_text_is_a_number_or_none(text):
    made = numbers_of([text])[0]
    assert made is None or isinstance(made, float)
    read = Numbers(".").read([pl.Series("open", [text])])[0][0]
    try:
        assert read == float(text) or read != read  # noqa: PLR0124 - NaN
    except ValueError:
        assert read is None or any(letter.isdigit() for letter in text)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_computers_write_is_read_as_ever(values):
    texts = pl.Series("open", list(map(repr, values)))
    assert Numbers().read([texts])[0].to_list() == values
    assert Numbers().read([pl.Series("open", values)])[0].to_list() == values
