"""Frozen pieces that cannot be unpacked, made again of what packs still hold of their bars.

Who throws packs away, or has bars taken out of a piece, looks here first: of a piece whose bytes are damaged
a pack may hold the only whole copy. `warm(rebuild=True)` threw it away.
"""

from __future__ import annotations

from contextlib import suppress

import apsw
import pyarrow as pa

from mdstore.candles.file import frozen
from mdstore.candles.file.bar_digests import Proof
from mdstore.candles.file.carried import Writer
from mdstore.candles.file.declared_columns import names_of
from mdstore.candles.file.digests import Key, ceiling, floor, moment, span_of
from mdstore.candles.file.frozen import FrozenPiece
from mdstore.candles.file.frozen_bytes import decoded, encoded, same_bits
from mdstore.candles.file.wide_rows import between, times_of, wide
from mdstore.candles.packs import cells
from mdstore.candles.packs.pack_files import PackLostError, Packs
from mdstore.core.schema import CANDLE_COLUMNS
from mdstore.core.timeframe import Timeframe
from mdstore.core.timestamps import ms_to_datetime
from mdstore.errors import DamagedDataError, Hint

__all__ = ["mend", "mend_all"]


def mend_all(con: Writer, packs: Packs) -> None:
    """Make each frozen piece again that cannot be unpacked, and of which packs hold all bars.

    One of which they hold none stays as it is. Raises `DamagedDataError` where they hold a part: what is to
    become of that nobody but the user can say.
    """
    for key, piece in frozen.all_pieces(con):
        try:
            frozen.rows_of(con, key, piece, names_of(con, key))
        except DamagedDataError:
            if not mend(con, packs, key, piece) and _held(con, packs, key, piece):
                raise _in_part(con, packs, key, piece) from None


def mend(con: Writer, packs: Packs, key: Key, piece: FrozenPiece) -> bool:
    """Make one piece again, if packs hold all of its bars; tell whether they do."""
    parts, names = _held(con, packs, key, piece), names_of(con, key)
    if sum(map(len, parts)) != piece.rows:
        return False
    rows = pa.concat_batches([wide(part, len(names)) for part in parts])
    made = encoded(rows, names)
    if not (_is_proven(con, key, piece, rows) and same_bits(decoded(made, names), rows)):
        return False
    with con.telling(None):  # no candle changes
        frozen.forget(con, key, piece.start, piece.end)
        frozen.insert(con, key, piece, made)
    return True


def _held(con: apsw.Connection, packs: Packs, key: Key, piece: FrozenPiece) -> list[pa.RecordBatch]:
    """Return the bars of a piece that packs hold, by cell, ascending."""
    parts = []
    for cell in cells.covering(con, *key, piece.start, piece.end - 1):
        with suppress(PackLostError):
            pack = packs.open(cell.pack)
            pack.verify(cell.place, cell.digests, cell.rows, 0, cell.rows)
            rows = between(pack.rows(*cell.place, cell.rows), piece.start, piece.end)
            if rows.num_rows:
                parts.append(rows)
    return parts


def _is_proven(con: apsw.Connection, key: Key, piece: FrozenPiece, rows: pa.RecordBatch) -> bool:
    """Tell whether rows of packs are those of a piece: by its ends, and by the buckets that lie in it."""
    times, span = times_of(rows), span_of(key[1])
    low, high = ceiling(piece.start, span), floor(piece.end, span)
    if (times[0], times[-1] + 1) != (piece.start, piece.end):
        return False
    proof = Proof(con)
    if low < high:
        proof.claim(key, between(rows, low, high), low, high)
    return not any(proof.findings())


def _in_part(con: apsw.Connection, packs: Packs, key: Key, piece: FrozenPiece) -> DamagedDataError:
    """Return the error of a piece that packs hold a part of; its range is of whole buckets, as of others."""
    symbol, timeframe = key
    span, step = span_of(timeframe), Timeframe.parse(timeframe)
    start, end = floor(piece.start, span), ceiling(piece.end, span)
    parts = _held(con, packs, key, FrozenPiece(start, end, 0))
    reaches = [(_iso(times_of(rows)[0]), _iso(step.next(times_of(rows)[-1]))) for rows in parts]
    names = names_of(con, key)
    columns = f", columns={[*CANDLE_COLUMNS, *names]}" if names else ""
    calls = [
        f'store.candles("{symbol}", "{timeframe}", start="{low}", end="{high}"{columns})'
        for low, high in reaches
    ]
    commands = [
        f"`mdstore export kept-{number}.csv {symbol} -t {timeframe} --start {low} --end {high}`"
        for number, (low, high) in enumerate(reaches, 1)
    ]
    return DamagedDataError(
        f"{con.filename}: {symbol} {timeframe} from {moment(start)} to {moment(end - 1)}: frozen bars cannot "
        f"be unpacked, and {sum(map(len, _held(con, packs, key, piece))):,} of {piece.rows:,} are in packs "
        "only, which would go. Nothing was changed",
        series=key,
        start=start,
        end=end,
        hint=Hint(
            f"keep what {' and '.join(calls)} gives, "
            f'call store.delete("{symbol}", "{timeframe}", start="{_iso(start)}", end="{_iso(end)}"), '
            "write it again, and then this works",
            f"{' and '.join(commands)} keeps them; "
            f"`mdstore delete {symbol} {timeframe} --start {_iso(start)} --end {_iso(end)}` and "
            "`mdstore import` of what was kept, and then this works",
        ),
    )


def _iso(time: int) -> str:
    return ms_to_datetime(time).isoformat().replace("+00:00", "Z")
