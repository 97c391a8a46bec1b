"""What `mdstore demo --sync` does and prints: candles from an exchange on this machine, at a real pace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import mdstore
from mdstore.cli.output.demo import WIDEST_CHART
from mdstore.cli.output.sync import Command, run_sync
from mdstore.reports.text_chart import chart, columns_for

__all__ = ["run_demo_sync"]

MARKETS = ("KRW-BTC", "KRW-ETH", "KRW-XRP")
HOURS, CHART_HEIGHT = 24, 14
INTRO = """[bold]mdstore demo --sync[/]: {hours} hours of minutes of {markets}, into {file}

An exchange on this machine stands for Upbit: made-up candles, Upbit's own requests and its 10 a second.
With a network, the same is [bold]mdstore sync upbit KRW-BTC 1m --since 2025-01-01[/]
"""


def run_demo_sync(file: Path, out: Console, remarks: Console) -> None:
    """Sync made-up markets from a local exchange into `file`, twice, and print it all."""
    shown = escape(str(file))
    out.print(
        INTRO.format(hours=HOURS, markets=", ".join(MARKETS), file=shown), highlight=False, soft_wrap=True
    )
    since = (datetime.now(UTC) - timedelta(hours=HOURS)).replace(second=0, microsecond=0)
    with mdstore.LocalExchange(MARKETS) as exchange, mdstore.open(file) as store:
        command = Command(
            "upbit", MARKETS, ["1m"], since=since.isoformat(), until=None, every=None, dry_run=False,
            base_url=exchange.url, offline=False,
        )  # fmt: skip
        _, interrupted = run_sync(store, command, out, remarks)
        if interrupted:
            raise KeyboardInterrupt
        out.print("\n[bold]The same again[/]: only the latest bars, which may yet change", highlight=False)
        run_sync(store, command, out, remarks)
        out.print()
        width = min(out.width, WIDEST_CHART)
        bars = store.candles(MARKETS[0], "15m", derive_from="1m", limit=columns_for(width))
        out.print(chart(bars, title=f"{MARKETS[0]} 15m, of 1m", width=width, height=CHART_HEIGHT))
    out.print(
        f"\n[bold]Try next[/]\n  mdstore -f {shown} gaps\n  mdstore -f {shown} show KRW-BTC 1m",
        highlight=False,
    )
