"""Binance's public files: klines of a month or a day as a zip, each with its CHECKSUM.

https://github.com/binance/binance-public-data: spot's times are in microseconds from 2025 on; futures' files
have a line of column names.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from calendar import monthrange
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from mdstore.core.timeframe import Timeframe
from mdstore.errors import MarketDataError
from mdstore.sources.local_exchange.answers import Answer
from mdstore.sources.local_exchange.binance_rest import FUTURES, SPOT, kline_values
from mdstore.sources.local_exchange.limits import Verdict
from mdstore.sources.local_exchange.shelf import Shelf
from mdstore.sources.local_exchange.trades_of_bar import Bar

__all__ = ["BinanceArchive"]

PATH = re.compile(
    r"/data/(?P<market>spot|futures/um)/(?P<how>monthly|daily)/klines/(?P<symbol>\w+)/(?P<interval>\w+)/"
    r"(?P=symbol)-(?P=interval)-(?P<date>[\d-]+)\.zip(?P<sum>\.CHECKSUM)?"
)
FORMS = {"monthly": "%Y-%m", "daily": "%Y-%m-%d"}
MICROSECONDS = datetime(2025, 1, 1, tzinfo=UTC)
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)
XML = "application/xml"
ABSENT = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
KEPT = 200


class BinanceArchive:
    """Files of months and days that are over, of symbols that traded in them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._zip = lru_cache(maxsize=KEPT)(self._made)

    def group(self, path: str) -> str:  # noqa: ARG002  # files have no allowance
        """Return the name of the group, which has no limit."""
        return "archive"

    def weight(self, path: str, query: Mapping[str, str]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def headers(self, group: str, verdict: Verdict) -> dict[str, str]:  # noqa: ARG002
        """Return nothing: files have no allowance."""
        return {}

    def refusal(self, verdict: Verdict) -> Answer:
        """Say that there were too many requests, as the files' own server does."""
        return self.error(verdict.status)

    def error(self, status: int) -> Answer:
        """Say that something is wrong with the server."""
        return Answer(body=b"<Error><Code>SlowDown</Code></Error>", status=status, content_type=XML)

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:  # noqa: ARG002
        """Return a file, or its checksum."""
        match = PATH.fullmatch(path)
        packed = None if match is None else self._file(match)
        if match is None or packed is None:
            return Answer(body=ABSENT, status=404, content_type=XML)
        if match["sum"]:
            name = path.rpartition("/")[2].removesuffix(".CHECKSUM")
            return Answer(
                body=f"{hashlib.sha256(packed).hexdigest()}  {name}\n".encode(), content_type="text/plain"
            )
        return Answer(body=packed, content_type="application/zip")

    def clear(self) -> None:
        """Forget the files that were made, after the truth was changed."""
        self._zip.cache_clear()

    def _file(self, match: re.Match[str]) -> bytes | None:
        rules = FUTURES if match["market"] == "futures/um" else SPOT
        try:
            start = datetime.strptime(match["date"], FORMS[match["how"]]).replace(tzinfo=UTC)
            timeframe = Timeframe.parse(match["interval"])
        except (ValueError, MarketDataError):
            return None
        end = start + timedelta(
            days=monthrange(start.year, start.month)[1] if match["how"] == "monthly" else 1
        )
        over = _ms(end) <= self._shelf.now()
        known = match["symbol"] in self._shelf.truth.markets and match["interval"] in rules.intervals
        return self._zip(match["symbol"], timeframe, start, end, rules is FUTURES) if over and known else None

    def _made(
        self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime, futures: bool
    ) -> bytes | None:
        """Return a file as a zip; None where the symbol did not trade."""
        bars = self._shelf.truth.bars(symbol, timeframe, start, end).rows()
        if not bars:
            return None
        thousand = "000" if start >= MICROSECONDS and not futures else ""
        lines = [HEADER] if futures else []
        for bar in bars:
            values = list(kline_values(timeframe, Bar._make(bar)))
            values[0] += thousand
            values[6] += "999" if thousand else ""
            lines.append(",".join(values))
        form = FORMS["monthly" if (end - start).days > 1 else "daily"]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            info = zipfile.ZipInfo(f"{symbol}-{timeframe}-{start:{form}}.csv", (2020, 1, 1, 0, 0, 0))
            file.writestr(info, "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
        return packed.getvalue()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
