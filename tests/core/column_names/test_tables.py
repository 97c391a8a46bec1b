"""Every name of every table is recognised, alone among names of another language and in any dress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdstore.core.column_names import Choice, by_ticker, recognise
from mdstore.core.column_names.choice import MEANINGS
from mdstore.core.column_names.english import ENGLISH
from mdstore.core.column_names.languages import LANGUAGES
from mdstore.core.column_names.table import PLACES
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.errors import InvalidInputError

TABLES = {"en": ENGLISH, **LANGUAGES}
PLAIN = {name: name for name in CANDLE_COLUMNS}
NAMES = [
    (language, canonical, name)
    for language, table in TABLES.items()
    for canonical, names in table.names.items()
    for name in names
]


@pytest.mark.parametrize(("language", "canonical", "name"), NAMES)
def test_a_name_alone_is_recognised(language, canonical, name):
    if canonical == "time of day":
        date = next(iter(TABLES[language].names["timestamp"]))
        assert recognise([date, name])["time of day"] == name
        return
    others = [own for meaning, own in PLAIN.items() if meaning != canonical]
    assert recognise([*others, name])[canonical] == name
    assert recognise([name.title(), *others])[canonical] == name.title()


@pytest.mark.parametrize("language", TABLES)
def test_a_table_has_examples_of_all_that_a_candle_needs(language):
    for example in TABLES[language].examples:
        assert {PLACES[letter] for letter in example.columns if letter != "-"} >= set(PLAIN)


dress = st.sampled_from(["{}", " {} ", "{}*", "<{}>", "{}.", "_{}"])


@given(
    st.permutations(list(PLAIN)),
    st.lists(dress, min_size=6, max_size=6),
    st.lists(st.text(min_size=6), unique=True),
)
def test_dress_order_and_company_do_not_matter(order, dresses, others):
    strangers = [name for name in others if not recognise([name]) and not by_ticker([name])]
    worn = {name: one.format(name) for name, one in zip(order, dresses, strict=True)}
    found = recognise([*strangers, *worn.values()])
    assert {name: found[name] for name in PLAIN} == worn


@given(st.dictionaries(st.sampled_from([*MEANINGS, "opening", ""]), st.text(), max_size=4))
def test_a_choice_of_any_names_is_taken_or_refused(columns):
    twice = "timestamp" in columns and {"date", "time"} & set(columns)
    if set(columns) <= set(MEANINGS) and not twice:
        choice = Choice.of(columns)
        assert choice.chosen(list(columns.values())) == choice.named
        return
    with pytest.raises(
        InvalidInputError, match=r"is nothing that a column of candles is|two columns are said"
    ):
        Choice.of(columns)
