"""Exchanges by name: ours, those that other packages add, and what is said of names that are not known."""

import asyncio

import pytest

import mdstore
from mdstore.errors import InvalidInputError
from mdstore.sources.exchanges.candle_sources import OURS, open_source, source_names

THEIRS = """
class Theirs:
    name = "theirs"

def opens(*, base_url, offline, on_wait):
    Theirs.opened = (base_url, offline, on_wait)
    return Theirs()
"""


@pytest.fixture
def their_package(tmp_path, monkeypatch):
    """Install a package that adds a source by an entry point."""
    (tmp_path / "their_exchange.py").write_text(THEIRS)
    about = tmp_path / "their_exchange-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-exchange\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[mdstore.sources]\ntheirs = their_exchange:opens\n")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", OURS)
def test_ours_are_opened_by_name_and_ask_nobody_before_they_are_asked(name):
    source = open_source(name, offline=True)
    assert source.name == name
    assert source.limits.page_bars >= 200
    assert {"1m", "1h", "1d", "1w", "1M"} <= set(source.timeframes)
    assert source.settles >= 1
    assert source.pace >= 10
    assert source.requests == 0
    asyncio.run(source.aclose())


@pytest.mark.usefixtures("their_package")
def test_a_package_adds_its_own():
    assert "theirs" in source_names()
    source = open_source("theirs", base_url="http://x", offline=True)
    assert source.name == "theirs"
    assert source.opened == ("http://x", True, None)


def test_a_name_that_is_not_known():
    with pytest.raises(InvalidInputError, match="no exchange is called 'upbitt': there are binance") as error:
        open_source("upbitt")
    assert "'upbit'" in str(error.value)


def test_what_is_not_installed_is_named_with_what_to_install(python):
    said = python(
        """
        import sys
        from mdstore.errors import MarketDataError
        from mdstore.sources.exchanges.candle_sources import open_source

        def refused(opens):
            try:
                opens()
            except MarketDataError as error:
                print(error)

        sys.modules.update(dict.fromkeys(("ccxt", "ccxt.async_support", "aiohttp", "msgspec")))
        refused(lambda: open_source("ccxt:kraken"))
        refused(lambda: open_source("kraken"))
        refused(lambda: open_source("upbit"))
        """
    ).splitlines()
    assert "pip install 'mdstore[ccxt]'" in said[0]
    assert "pip install 'mdstore[ccxt]'" in said[1]
    assert "pip install 'mdstore[exchanges]'" in said[2]


def test_nothing_is_imported_for_a_source_that_is_not_asked(python):
    """A sync with nothing to do is quick: aiohttp alone takes 0.14 s."""
    said = python(
        """
        import sys
        from mdstore.sources.exchanges.candle_sources import open_source
        for name in ("upbit", "binance"):
            open_source(name)
        print([name for name in ("aiohttp", "ccxt") if name in sys.modules])
        """
    )
    assert said == "[]"


def test_what_a_source_of_ones_own_is_made_of_is_public():
    source = mdstore.open_source("upbit", offline=True)
    assert isinstance(source.limits, mdstore.Limits)
    assert mdstore.Metrics("KRW-BTC", "1m", 0, 60_000, rows=1, milliseconds=2.0).error == ""
    assert mdstore.Market("KRW-BTC").listed is None
    assert set(dir(mdstore.CandleSource)) <= {*dir(source), *dir(mdstore.Coordinator), "__parameters__"}
