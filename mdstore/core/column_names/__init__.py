"""What people call the columns of candles, and which column is meant.

To have another name recognised, add it to a table: `english` has those of exchanges and tools, `languages`
one table a language. Each table has headers as examples, which the tests read.
"""

from mdstore.core.column_names.choice import ABSENT, Choice, Columns, Volume
from mdstore.core.column_names.quotes import FIAT
from mdstore.core.column_names.recognition import (
    COLUMN_ALIASES,
    INDEX_NAMES,
    KOREAN,
    OF_A_SEASON,
    TIME_OF_DAY,
    UPBIT_MINUTES,
    ZONES,
    clean,
    key,
    recognise,
    unused,
    zone_in,
)  # fmt: skip
from mdstore.core.column_names.tickers import by_ticker

__all__ = [
    "ABSENT", "COLUMN_ALIASES", "FIAT", "INDEX_NAMES", "KOREAN", "OF_A_SEASON", "TIME_OF_DAY",
    "UPBIT_MINUTES", "ZONES", "Choice", "Columns", "Volume", "by_ticker", "clean", "key", "recognise",
    "unused", "zone_in",
]  # fmt: skip
