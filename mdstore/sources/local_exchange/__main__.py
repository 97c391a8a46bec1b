"""The local exchange as a process: `python -m mdstore.sources.local_exchange KRW-BTC BTCUSDT --port 8000`.

It says on stdout where it listens; what it was asked is at `/local/requests`. It ends with its stdin or by
Ctrl-C: no process is left behind by a parent that was killed.
"""

from __future__ import annotations

import argparse
import json
import sys

from mdstore.sources.local_exchange.local_exchange import MARKETS, LocalExchange
from mdstore.sources.local_exchange.truth import LocalMarket

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run an exchange until stdin ends."""
    given = _parser().parse_args(arguments)
    about = {"listed": given.listed, "trades_per_minute": given.trades_per_minute, "silent": given.silent}
    markets = [
        LocalMarket(symbol=symbol, **about) for one in given.markets or MARKETS for symbol in _numbered(one)
    ]
    limits = None if given.no_limits else json.loads(given.limits)
    exchange = LocalExchange(markets, seed=given.seed, now=given.now, port=given.port, limits=limits)
    with exchange:
        print(json.dumps({"url": exchange.url, "ws_url": exchange.ws_url}), flush=True)
        try:
            sys.stdin.read()
        except KeyboardInterrupt:
            return


def _numbered(symbol: str) -> list[str]:
    """Return the symbols of `KRW-T*200`: KRW-T000 to KRW-T199."""
    name, star, count = symbol.partition("*")
    return [f"{name}{number:03d}" for number in range(int(count))] if star else [symbol]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mdstore.sources.local_exchange", description=__doc__)
    parser.add_argument(
        "markets", nargs="*", help="KRW-BTC is Upbit's, BTCUSDT Binance's; KRW-T*200: 200 of them"
    )
    parser.add_argument("--port", type=int, default=0, help="0: one that is free")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--listed", default=None, help="since when the markets trade")
    parser.add_argument("--now", default=None, help="when its clock starts; by default this machine's time")
    parser.add_argument("--trades-per-minute", type=int, default=20, help="of each market")
    parser.add_argument("--silent", type=float, default=None, help="the share of minutes without a trade")
    parser.add_argument("--no-limits", action="store_true", help="refuse no request")
    parser.add_argument(
        "--limits", default="{}", help='others than the real ones, as JSON: {"upbit_per_second": 5}'
    )
    return parser


if __name__ == "__main__":
    main()
