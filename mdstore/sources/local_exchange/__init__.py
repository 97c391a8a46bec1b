"""An exchange on this machine: Upbit's and Binance's candles and streams, for tests and demos."""
