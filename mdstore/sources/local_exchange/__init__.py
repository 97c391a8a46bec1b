"""An exchange on this machine: Upbit's and Binance's candles and streams, for tests and demos."""

from mdstore.sources.local_exchange.faults import Faults, SocketFaults
from mdstore.sources.local_exchange.limits import Rules

__all__ = ["Faults", "Rules", "SocketFaults"]
