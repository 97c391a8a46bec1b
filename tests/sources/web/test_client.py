"""How a host is asked: again where that is worth it, not where it is not, and never for long."""

import asyncio
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest

from mdstore.errors import BannedError, SourceError
from mdstore.sources.web import client as client_module
from mdstore.sources.web.answers import Answer, Request, ban_seconds, is_json, wait_seconds
from mdstore.sources.web.client import WebClient, proxy_for
from mdstore.sources.web.host import Manners, NoPageError
from tests.support.tiny_server import Reply, TinyServer

QUICK = Manners(attempts=4, first_wait=0.01, longest_wait=0.02, connect=2, answer=2, patience=5)
PAGE = Request("/page", {"count": 3}, group="candle", what="the page")


def in_turn(*replies):
    """Answer with each reply in turn, and with the last ever after."""
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def read_list(answer):
    if answer.status != 200:
        raise SourceError(f"refused ({answer.status})")
    try:
        found = json.loads(answer.body)
    except ValueError as error:
        raise NoPageError("no JSON") from error
    return found


@pytest.fixture
def ask(tmp_path):
    """Ask a server once: `ask(server)` gives what was read, and `ask.told` the waits that were told."""

    def once(server, *, manners=QUICK, **options):
        async def run():
            client = WebClient(
                server.url,
                {"candle": 200.0},
                manners=manners,
                told=lambda reason, seconds: once.told.append((reason, seconds)),
                pace_folder=tmp_path,
                **options,
            )
            try:
                return await client.fetch(PAGE, read_list)
            finally:
                await client.aclose()

        return asyncio.run(run())

    once.told = []
    return once


@pytest.mark.parametrize(
    "trouble",
    [
        Reply("busy", status=500),
        Reply("busy", status=503),
        Reply("<html>maintenance</html>"),
        Reply([1, 2, 3, 4, 5, 6], cut=True),
        Reply(drop=True),
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(status=418, headers={"Retry-After": "0"}),
        Reply(
            gzip.compress(json.dumps(list(range(1000))).encode())[:-900], headers={"Content-Encoding": "gzip"}
        ),
    ],
    ids=["500", "503", "html", "cut", "dropped", "429", "418", "broken gzip"],
)
def test_what_is_worth_it_is_tried_again(ask, trouble):
    with TinyServer(in_turn(trouble, trouble, Reply([1]))) as server:
        assert ask(server) == [1]
        assert len(server.log) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_what_is_not_worth_it_is_not(ask, status):
    with TinyServer(lambda _: Reply(status=status, headers={"Location": "/other"})) as server:
        with pytest.raises(SourceError, match=str(status)):
            ask(server)
        assert len(server.log) == 1


def test_it_is_not_tried_for_ever_and_the_error_says_why(ask):
    with TinyServer(lambda _: Reply("<html>maintenance</html>")) as server:
        with pytest.raises(SourceError, match=r"the page: .* was asked 4 times: no JSON") as error:
            ask(server)
        assert "try again later" in str(error.value)
        assert len(server.log) == 4


def test_a_429_is_waited_for_as_it_says(ask):
    with TinyServer(in_turn(Reply(status=429, headers={"Retry-After": "0.3"}), Reply([1]))) as server:
        assert ask(server) == [1]
        assert server.log[1].at - server.log[0].at >= 0.3


def test_a_429_that_says_nothing_is_waited_for_longer_each_time(ask):
    manners = Manners(attempts=4, first_wait=0.1, longest_wait=5)
    with TinyServer(in_turn(*[Reply(status=429)] * 3, Reply([1]))) as server:
        assert ask(server, manners=manners) == [1]
        waits = [after.at - before.at for before, after in pairwise(server.log)]
    assert [wait >= least for wait, least in zip(waits, (0.2, 0.4, 0.8), strict=True)] == [True] * 3


def test_429s_that_say_nothing_count_as_failures(tmp_path):
    async def run(server):
        client = WebClient(server.url, {"candle": 500.0}, manners=QUICK, pace_folder=tmp_path)
        for _ in range(4):
            with pytest.raises(SourceError):
                await client.fetch(PAGE, read_list)
        assert len(server.log) == client.breaker.most
        await client.aclose()

    with TinyServer(lambda _: Reply(status=429)) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize("said", ["0", "-3", "Wed, 21 Oct 2020 07:28:00 GMT"])
def test_429s_that_ask_to_wait_for_no_time_are_waited_for_longer_each_time(ask, said):
    manners = Manners(attempts=4, first_wait=0.1, longest_wait=5)
    refusal = Reply(status=429, headers={"Retry-After": said})
    with TinyServer(in_turn(*[refusal] * 3, Reply([1]))) as server:
        assert ask(server, manners=manners) == [1]
        waits = [after.at - before.at for before, after in pairwise(server.log)]
    assert [wait >= least for wait, least in zip(waits[1:], (0.4, 0.8), strict=True)] == [True] * 2


def test_a_429_that_asks_to_wait_for_longer_than_is_waited_ends_it(ask):
    with TinyServer(lambda _: Reply(status=429, headers={"Retry-After": "86400"})) as server:
        with pytest.raises(SourceError, match="to wait for 1440 minutes"):
            ask(server)
        assert len(server.log) == 1


def test_until_then_it_is_not_asked_again(tmp_path):
    """By whatever is fetched next, which a watch does each minute."""

    async def run(server):
        client = WebClient(server.url, {"candle": 500.0}, manners=QUICK, pace_folder=tmp_path)
        with pytest.raises(SourceError):
            await client.fetch(PAGE, read_list)
        for _ in range(3):
            with pytest.raises(SourceError, match=r"too often \(429\), and is left alone for 36\d\d s"):
                await client.fetch(PAGE, read_list)
        await client.aclose()

    with TinyServer(lambda _: Reply(status=429, headers={"Retry-After": "3610"})) as server:
        asyncio.run(run(server))
        assert len(server.log) == 1


@pytest.mark.parametrize("status", [403, 451])
def test_a_host_that_refuses_this_address_is_left_alone(tmp_path, status):
    async def run(server):
        client = WebClient(server.url, {"candle": 500.0}, manners=QUICK, pace_folder=tmp_path)
        with pytest.raises(SourceError, match=rf"refuses this address \({status}\)") as error:
            await client.fetch(PAGE, read_list)
        assert error.value.of_host
        assert "HTTPS_PROXY" in str(error.value)
        with pytest.raises(SourceError, match=rf"address \({status}\), and is left alone for 30 s"):
            await client.fetch(PAGE, read_list)
        assert len(server.log) == 1
        await client.aclose()

    with TinyServer(lambda _: Reply("<html>", status=status)) as server:
        asyncio.run(run(server))


def test_a_ban_is_waited_out_and_told(ask):
    banned = Reply({"error": {"message": "blocked for 2 seconds"}}, status=418)
    with TinyServer(in_turn(banned, Reply([1]))) as server:
        assert ask(server) == [1]
        assert server.log[1].at - server.log[0].at >= 1.9
    [(reason, seconds)] = ask.told
    assert "banned this address for 2 s (418)" in reason
    assert seconds == 2


def test_a_ban_longer_than_is_waited_ends_it(ask):
    with TinyServer(lambda _: Reply({"msg": "banned for 3 minutes"}, status=418)) as server:
        before = time.time()
        with pytest.raises(BannedError, match="banned this address") as error:
            ask(server)
        assert before + 179 < error.value.until / 1000 < time.time() + 181
        with pytest.raises(BannedError):
            ask(server)  # another client, as another process is: it does not ask
        assert len(server.log) == 1


def test_a_host_that_is_slow_is_given_up(ask):
    slow = Manners(attempts=2, first_wait=0.01, answer=0.1)
    with (
        TinyServer(lambda _: Reply(delay=5)) as server,
        pytest.raises(SourceError, match=r"asked 2 times: no answer within 0.1 s"),
    ):
        ask(server, manners=slow)


def test_a_large_answer_may_take_long_as_long_as_something_comes(tmp_path):
    """Tens of MB do not come in the time of a page."""

    async def run(port):
        client = WebClient(
            f"http://127.0.0.1:{port}", {"file": 200.0}, manners=Manners(attempts=1, answer=0.4),
            pace_folder=tmp_path,
        )  # fmt: skip
        try:
            large = Request("/file", group="file", what="the file", is_large=True)
            assert await client.fetch(large, lambda answer: answer.body) == b"x" * 10
            with pytest.raises(SourceError, match="no answer within"):
                await client.fetch(replace(large, is_large=False), lambda answer: answer.body)
        finally:
            await client.aclose()

    async def slowly(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.1)
            if not reader.at_eof():
                writer.write(b"x")
        writer.close()
        ended.release()

    async def serve():
        async with await asyncio.start_server(slowly, "127.0.0.1", 0) as server:
            await run(server.sockets[0].getsockname()[1])
            for _ in range(2):
                await ended.acquire()

    ended = asyncio.Semaphore(0)
    asyncio.run(serve())


def test_an_answer_that_is_too_large_is_not_read_to_its_end(ask, monkeypatch):
    """Its size need not be said: this one is small until it is unpacked."""
    monkeypatch.setattr(client_module, "LARGEST", 1 << 20)
    bomb = Reply(gzip.compress(b"x" * (64 << 20)), headers={"Content-Encoding": "gzip"})
    for reply in (bomb, Reply(b"x" * (2 << 20))):
        with TinyServer(lambda _, reply=reply: reply) as server:
            with pytest.raises(SourceError, match="more than 1 MB is too large"):
                ask(server)
            assert len(server.log) == 1


def test_nobody_there(ask):
    with TinyServer() as server:
        pass
    with pytest.raises(SourceError, match="the connection failed"):
        ask(server)


def test_offline_asks_nobody(ask):
    with TinyServer() as server:
        with pytest.raises(SourceError, match="nobody is to be asked") as error:
            ask(server, offline=True)
        assert "offline=True" in str(error.value)
        assert "--offline" in error.value.said("cli")
        assert server.log == []


def test_who_asks_and_how(ask):
    with TinyServer(
        lambda _: Reply(gzip.compress(b"[1, 2]"), headers={"Content-Encoding": "gzip"})
    ) as server:
        assert ask(server) == [1, 2]
    headers = server.log[0].headers
    assert headers["User-Agent"].startswith("mdstore/")
    assert "gzip" in headers["Accept-Encoding"]
    assert "Origin" not in headers  # with it Upbit takes one request in ten seconds
    assert server.log[0].params == {"count": "3"}


def test_connections_are_kept(tmp_path):
    async def run(server):
        client = WebClient(server.url, {"candle": 500.0}, pace_folder=tmp_path)
        for _ in range(20):
            await client.fetch(PAGE, read_list)
        session = await client._sessions.here()
        assert sum(map(len, session.connector._conns.values())) == 1
        assert client.requests == 20
        await client.aclose()
        assert await client.fetch(PAGE, read_list) == []  # and are made again
        await client.aclose()

    with TinyServer() as server:
        asyncio.run(run(server))


def test_several_event_loops_ask_by_the_same_client(tmp_path):
    """A service and a sync of the same source have loops of their own."""
    with TinyServer(lambda _: Reply([1], delay=0.02)) as server:
        client = WebClient(server.url, {"candle": 50.0}, pace_folder=tmp_path)

        async def run():
            found = await asyncio.gather(*(client.fetch(PAGE, read_list) for _ in range(10)))
            await client.aclose()
            return found

        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(lambda _: asyncio.run(run()), range(3)))
    assert answers == [[[1]] * 10] * 3


def test_it_is_cancelled_at_once(tmp_path):
    async def run(server):
        client = WebClient(server.url, {"candle": 1.0}, pace_folder=tmp_path)
        for waits_for in ("an answer", "its turn"):
            task = asyncio.create_task(client.fetch(PAGE, read_list))
            await asyncio.sleep(0.1)
            before = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - before < 0.5, waits_for
        await client.aclose()

    with TinyServer(lambda _: Reply(delay=30)) as server:
        asyncio.run(run(server))


def test_a_host_that_fails_and_fails_is_left_alone(tmp_path):
    async def run(server):
        client = WebClient(server.url, {"candle": 500.0}, manners=QUICK, pace_folder=tmp_path)
        now = [0.0]
        client.breaker.clock = lambda: now[0]
        for _ in range(10):
            with pytest.raises(SourceError):
                await client.fetch(PAGE, read_list)
        assert len(server.log) == client.breaker.most
        with pytest.raises(SourceError, match=r"failed 12 times in a row .*left alone for 30 s"):
            await client.fetch(PAGE, read_list)
        now[0] += 31
        server.answer = lambda _: Reply([7])
        assert await client.fetch(PAGE, read_list) == [7]
        assert client.breaker.left == 0
        await client.aclose()

    with TinyServer(lambda _: Reply(status=500)) as server:
        asyncio.run(run(server))


def test_the_proxy_of_the_environment_is_asked(ask, monkeypatch):
    with TinyServer(lambda _: Reply([9])) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)

        class Elsewhere:
            url = "http://exchange.invalid"

        assert ask(Elsewhere) == [9]
        assert proxy.log[0].headers["Host"] == "exchange.invalid"
        monkeypatch.setenv("no_proxy", "exchange.invalid")
        with pytest.raises(SourceError, match="the connection failed"):
            ask(Elsewhere)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_reached_is_named_and_the_hint_helps(ask, monkeypatch, no_proxies, variable):
    monkeypatch.setenv(variable, "http://me:secret@127.0.0.1:1")

    class Elsewhere:
        url = "https://exchange.invalid"

    with pytest.raises(SourceError) as failed:
        ask(Elsewhere)
    assert f"the proxy http://127.0.0.1:1 ({variable.upper()}) failed: " in str(failed.value)
    assert "secret" not in str(failed.value)
    said = failed.value.hint.python
    assert said == f"set {variable.upper()} to a proxy that works, or NO_PROXY to exchange.invalid"


@pytest.mark.parametrize("answer", [Reply(status=407), Reply(drop=True), Reply(delay=30)])
def test_a_proxy_that_fails_is_named_and_the_hint_helps(ask, monkeypatch, no_proxies, answer):
    quick = replace(QUICK, attempts=2, answer=0.2)
    with TinyServer(lambda _: answer) as proxy, TinyServer(lambda _: Reply([7])) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(SourceError, match=rf"proxy {proxy.url} \(HTTP_PROXY\)"):
            ask(server, manners=quick)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert ask(server, manners=quick) == [7]


def test_a_proxy_that_makes_no_way_to_the_host_is_named(ask, monkeypatch, no_proxies):
    with TinyServer(lambda _: Reply("no", status=502)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)

        class Elsewhere:
            url = "https://exchange.invalid"

        with pytest.raises(SourceError, match=rf"the proxy {proxy.url} \(HTTPS_PROXY\) failed: 502"):
            ask(Elsewhere)


def test_a_proxy_that_is_not_spoken_is_named(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "socks5://user:secret@gate:1080")
    with pytest.raises(SourceError, match="socks5://gate is neither HTTP nor HTTPS") as error:
        proxy_for("https://api.upbit.com")
    assert "secret" not in str(error.value)
    monkeypatch.setenv("no_proxy", "api.upbit.com")
    assert proxy_for("https://api.upbit.com") is None


@pytest.mark.parametrize("proxy", ["http://[::1", "http://gate:many", "http://", "https://:1"])
def test_a_proxy_that_is_no_address_is_told(monkeypatch, proxy):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(SourceError, match="proxy") as error:
        proxy_for("https://api.upbit.com")
    assert "HTTPS_PROXY" in error.value.hint.python


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://API.Upbit.com", "api.upbit.com"),
        ("https://api.upbit.com:443/v1/", "api.upbit.com"),
        ("http://me:secret@127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000/x", "[::1]:8000"),
        ("http://api.upbit.com:443", "api.upbit.com:443"),
    ],
)
def test_a_host_is_one_however_its_address_is_written(tmp_path, address, host):
    client = WebClient(address, {"candle": 10.0}, pace_folder=tmp_path)
    assert (client.host, client.pace.host) == (host, host), "so all who ask it share its books"


@pytest.mark.parametrize(
    "address",
    [
        "", "api.upbit.com", "ftp://x", "http://", "http://[::1", "http://x:99999999", "http://x:port",
        "http://:8000", "http://x/?a=b", "http://x#y",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(address):
    with pytest.raises(SourceError, match="is no address") as error:
        WebClient(address, {})
    WebClient(error.value.hint.python.rpartition(" ")[2], {})  # as the hint says


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("127.0.0.1:8017", "http://127.0.0.1:8017"), ("localhost:80", "http://localhost:80"),
        ("api.upbit.com", "https://api.upbit.com"), ("api.upbit.com:443", "https://api.upbit.com:443"),
        ("http://x:8000/?a=b", "http://x:8000"), ("box:99999", "https://box"), ("", "https://api.upbit.com"),
    ],
)  # fmt: skip
def test_an_address_without_its_beginning_is_offered_as_what_it_most_likely_is(address, meant):
    with pytest.raises(SourceError) as error:
        WebClient(address, {})
    assert error.value.hint.python == f"write it as in {meant}"


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "42"}, "", 42),
        ({}, '{"code":-1003,"msg":"Way too much request weight used; IP banned until 1620286253180."}', 3.18),
        ({}, '{"error":{"message":"Please retry after 90 seconds"}}', 90),
        ({}, '{"error":{"message":"10분 후 다시 시도해주세요"}}', 600),
        ({}, '{"error":{"message":"1시간 동안"}}', 3600),
        ({}, '{"error":{"message":"blocked for 500 milliseconds"}}', 0.5),
        ({}, "I am a teapot", 60),
    ],
)
def test_how_long_a_ban_lasts(headers, body, seconds):
    answer = Answer(418, headers, body.encode())
    assert ban_seconds(answer, 1620286250.0, 0) == pytest.approx(seconds)


def test_what_is_nested_for_ever_is_no_json():
    assert not is_json(Answer(400, {}, b"[" * 100_000))
    assert is_json(Answer(400, {}, b"[]"))


def test_the_end_of_a_ban_is_told_by_the_clock_of_who_bans():
    body = b'{"code":-1003,"msg":"IP banned until 1620286253180."}'
    answer = Answer(418, {"Date": "Thu, 06 May 2021 07:30:00 GMT"}, body)
    ahead = 1620286200.0 + 300  # this machine's clock, by five minutes
    assert ban_seconds(answer, ahead, 0) == pytest.approx(53.18)


def test_a_ban_that_is_said_to_be_over_and_is_not_is_waited_for():
    over = Answer(418, {"Retry-After": "0"}, b"")
    assert [ban_seconds(over, 0, bans) for bans in range(4)] == [0, 0, 240, 480]


def test_a_ban_of_which_no_end_is_said_is_waited_for_longer_each_time():
    said = [ban_seconds(Answer(418, {}, b""), 0, bans) for bans in range(9)]
    assert said[:3] == [60, 120, 240]
    assert said[-1] == 3600


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("soon", None), ("nan", None), ("7", 7), ("-1", 0),
     ("Wed, 21 Oct 2026 07:28:00 GMT", 90), ("Wed, 21 Oct 2020 07:28:00 GMT", 0)],
)  # fmt: skip
def test_a_wait_is_said_in_seconds_or_by_a_date(text, seconds):
    now = 1_792_567_590.0  # 2026-10-21 07:26:30
    assert wait_seconds(Answer(429, {"Retry-After": text}, b""), now) == seconds
    if seconds == 90:
        shown = {"Retry-After": text, "Date": "Wed, 21 Oct 2026 07:27:00 GMT"}
        assert wait_seconds(Answer(429, shown, b""), now) == 60


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("Wed, 01 Jan 2025 06:00:00 GMT", 1735711200000), ("", None), ("soon", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_the_clock_of_a_host(date, clock):
    assert Answer(200, {"Date": date}, b"").clock == clock
