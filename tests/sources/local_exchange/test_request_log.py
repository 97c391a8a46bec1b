"""What the local exchange was asked is kept, but not for ever."""

from mdstore.sources.local_exchange import request_log
from mdstore.sources.local_exchange.request_log import Asked, RequestLog


def test_the_latest_requests_are_kept_under_their_numbers(monkeypatch):
    monkeypatch.setattr(request_log, "MOST", 3)
    log = RequestLog()
    asked = [Asked(float(at), "candles", "/", {}, "", 1) for at in range(5)]
    for one in asked:
        log.append(one)
    assert list(log) == asked[2:]
    assert log.since(0) == log.since(2) == asked[2:]
    assert log.since(4) == asked[4:]
    assert log.since(5) == log.since(9) == []
