"""Exchanges by name: ours, those that other packages add, and what is said of names that are not known."""

import asyncio
import re
import sys
from types import SimpleNamespace

import pytest

import mdstore
from mdstore.errors import InvalidInputError, SourceError
from mdstore.sources.exchanges.candle_sources import OURS, open_source, source_names
from tests.support.paths import ROOT
from tests.support.tiny_server import Reply, TinyServer

THEIRS = """
class Theirs:
    name = "theirs"
    limits = candles = report = None

def opens(*, base_url, offline, on_wait):
    Theirs.opened = (base_url, offline, on_wait)
    return Theirs()
"""


@pytest.fixture
def their_package(add_source):
    """Install a package that adds a source by an entry point."""
    add_source("theirs", THEIRS, "opens")


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


BROKEN = {
    "lacking": ("", "opens", "AttributeError: module 'lacking_exchange' has no attribute 'opens'"),
    "unreadable": ("1 +", "opens", "SyntaxError: "),
    "needy": ("import no_such_package", "opens", "ModuleNotFoundError: No module named 'no_such_package'"),
    "deaf": ("def opens(): pass", "opens", "TypeError: opens() got an unexpected keyword argument"),
    "failing": ("def opens(**_): raise OSError('no disk')", "opens", "OSError: no disk"),
    "bithumb": ("class Bithumb:\n    def __init__(self, **_): pass", "Bithumb", "Bithumb has no name"),
    "nothing": ("def opens(**_): pass", "opens", "NoneType has no name"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_entry_point_that_is_broken_is_named_with_what_it_should_be(add_source, name):
    text, opens, said = BROKEN[name]
    add_source(name, text, opens)
    with pytest.raises(SourceError) as error:
        open_source(name)
    assert error.value.message.startswith(
        f"the entry point '{name}' of the package {name}-exchange ({name}_exchange:{opens}) is broken: "
    )
    assert said in error.value.message
    assert "takes base_url=, offline= and on_wait=, and returns a mdstore.Coordinator" in str(error.value)


def test_the_entry_point_in_readme_works(add_source, tmp_path):
    [text] = re.findall(r"```python\n(# my_exchange.py; .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert 'entry-points."mdstore.sources"] mine = "my_exchange:open_mine"' in text
    add_source("mine", text, "open_mine")

    def answer(asked):
        assert asked.path == "/A/1h"
        start, end = int(asked.params["from"]), int(asked.params["to"])
        return Reply([[at, 1, 2, 1, 2, 5] for at in range(start, end, 3_600_000)])

    with TinyServer(answer) as server, mdstore.open(tmp_path / "market_data.sqlite3") as store:
        result = store.sync("mine", "A", "1h", since="2025-09-01", until="2025-10-01", base_url=server.url)
        assert (result.inserted, result.requests, result.failed) == (720, 2, {})


def test_the_hint_for_one_that_is_broken_works(add_source, tmp_path):
    add_source(
        "mine",
        """
import mdstore

def opens(*, base_url, offline, on_wait):
    return mdstore.FunctionCoordinator(lambda *asked: [(asked[2], 1, 2, 1, 2, 5)], name="mine")
""",
        "opens",
    )
    with mdstore.open(tmp_path / "market_data.sqlite3") as store:
        asked = {"since": "2025-09-01", "until": "2025-09-02"}
        assert store.sync("mine", "A", "1d", **asked).inserted == 1


def test_a_name_that_is_not_known():
    with pytest.raises(InvalidInputError, match="no exchange is called 'upbitt': there are binance") as error:
        open_source("upbitt")
    assert "'upbit'" in str(error.value)


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        (None, "pip install 'mdstore[ccxt]'"),
        (SimpleNamespace(exchanges=["kraken"]), "those of ccxt are there, too: kraken"),
    ],
)
def test_what_is_there_already_is_not_to_be_installed(monkeypatch, installed, said):
    monkeypatch.setitem(sys.modules, "ccxt", installed)
    with pytest.raises(InvalidInputError, match="no exchange is called 'nosuch'") as error:
        open_source("nosuch")
    assert said in error.value.hint.cli
    assert ("install" in str(error.value)) == (installed is None)


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
